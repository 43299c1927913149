//! The way to Redis, one server or a cluster: multiplexed connections that come
//! back by themselves, and a deadline on everything.
//!
//! The rest of the store hands over commands and knows no connection. In a
//! cluster a command goes to the node that has its first key; the client follows
//! MOVED and ASK, and sends again what was cut off.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, Pipeline, ProtocolVersion, RedisError, RedisResult,
    ServerErrorKind, Value, from_redis_value,
};
use tokio::time::timeout;

use crate::{ErrorKind, Partition, StoreError};

use super::away::Away;
use super::errors::failed;
use super::script::Script;
use super::{address, probe};

/// Every call answers or fails within this: below the 2 s that the trait promises.
pub(super) const DEADLINE: Duration = Duration::from_millis(1900);
const RESPONSE_WITHIN: Duration = Duration::from_millis(1500);
const CONNECT_WITHIN: Duration = Duration::from_millis(1500);
/// Shorter in a cluster: while its client looks at the nodes anew, one that hangs keeps calls to the others waiting.
const CONNECT_TO_NODE_WITHIN: Duration = Duration::from_millis(500);
/// Back-off between two tries to connect.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// In a cluster: how often a call is redirected or sent again …
const CLUSTER_RETRIES: u32 = 5;
/// … and the pauses between, in milliseconds.
const CLUSTER_PAUSES: (u64, u64) = (10, 200);

/// The connections, shared by all calls.
#[derive(Clone)]
pub(super) struct Link {
    nodes: Vec<ConnectionInfo>,
    wire: Wire,
    away: Away,
}

#[derive(Clone)]
enum Wire {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
}

impl Link {
    /// Connects to the server or cluster of `urls`; fails at once when that does not work.
    pub(super) async fn connect(urls: &str) -> Result<Self, StoreError> {
        let nodes = address::parse(urls).map_err(|error| failed("connect", error))?;
        if nodes.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. })) {
            provide_encryption();
        }
        let wire = if probe::is_cluster(&nodes).await? { cluster(&nodes).await? } else { single(&nodes)? };
        Ok(Self { nodes, wire, away: Away::default() })
    }

    /// Whether it is a cluster.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.wire, Wire::Cluster(_))
    }

    /// The number of the database.
    pub(super) fn database(&self) -> i64 {
        self.nodes.first().map_or(0, |node| node.redis_settings().db())
    }

    /// What opens connections of other kinds to the one server.
    pub(super) fn client(&self) -> Result<Client, StoreError> {
        let nodes = self.nodes.first().cloned();
        let node = nodes.ok_or_else(|| StoreError::new(ErrorKind::Misconfigured, "connect", "no address"))?;
        Client::open(node).map_err(|error| failed("connect", error))
    }

    /// The nodes that were named.
    pub(super) fn nodes(&self) -> &[ConnectionInfo] {
        &self.nodes
    }

    /// Asks whether Redis is there, whatever is known. All calls to a server that is not are refused at
    /// once from then on; of a cluster other nodes may well be there.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        let answer = within("ping", self.route(SingleNodeRoutingInfo::Random, redis::cmd("PING"))).await;
        let answer = answer.map(|_: Ignored| ());
        if !self.is_cluster() {
            self.away.pinged(answer.as_ref().copied());
        }
        answer
    }

    /// A call and its deadline.
    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = RedisResult<T>>,
    ) -> Result<T, StoreError> {
        self.away.check(operation)?;
        within(operation, call).await
    }

    /// One command with a key, one round trip.
    pub(super) async fn command<T: FromRedisValue>(&self, operation: &'static str, cmd: Cmd) -> Result<T, StoreError> {
        let mut wire = self.wire.clone();
        self.call(operation, async move { cmd.query_async(&mut wire).await }).await
    }

    /// A command without a key, to any node that answers.
    pub(super) async fn anywhere<T: FromRedisValue>(&self, operation: &'static str, cmd: Cmd) -> Result<T, StoreError> {
        self.routed(operation, SingleNodeRoutingInfo::Random, cmd).await
    }

    /// A command without a key, to the node that has `key`.
    pub(super) async fn beside<T: FromRedisValue>(
        &self,
        operation: &'static str,
        key: &str,
        cmd: Cmd,
    ) -> Result<T, StoreError> {
        let route = Route::with_key(key, SlotAddr::Master);
        self.routed(operation, SingleNodeRoutingInfo::SpecificNode(route), cmd).await
    }

    /// Commands of several partitions and their answers in order: one round trip, to every node at once.
    /// Those of `script` are sent in full where it is not known yet.
    pub(super) async fn batch<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: Option<&Script>,
        commands: Vec<(Partition, Cmd)>,
    ) -> Result<Vec<T>, StoreError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        if !self.is_cluster() {
            let mut pipeline = redis::pipe();
            for (_, cmd) in commands {
                pipeline.add_command(cmd);
            }
            return self.call(operation, run(self.wire.clone(), pipeline, script)).await;
        }
        let count = commands.len();
        let mut groups: BTreeMap<Partition, (Vec<usize>, Pipeline)> = BTreeMap::new();
        for (at, (partition, cmd)) in commands.into_iter().enumerate() {
            let (places, pipeline) = groups.entry(partition).or_default();
            places.push(at);
            pipeline.add_command(cmd);
        }
        let runs = groups.into_values().map(|(places, pipeline)| async {
            let values: Vec<T> = run(self.wire.clone(), pipeline, script).await?;
            Ok::<_, RedisError>(places.into_iter().zip(values).collect::<Vec<_>>())
        });
        let mut answers: Vec<(usize, T)> =
            self.call(operation, try_join_all(runs)).await?.into_iter().flatten().collect();
        debug_assert_eq!(answers.len(), count, "an answer to each command");
        answers.sort_unstable_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, value)| value).collect())
    }

    /// Makes scripts known. A node of a cluster that is away is told when it is asked to run one.
    pub(super) async fn load_scripts(&self, scripts: &[&Script]) -> Result<(), StoreError> {
        for script in scripts {
            match self.command::<Ignored>("connect", script.load()).await {
                Err(error) if !self.is_cluster() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// A script: one round trip, two where it is not known yet.
    pub(super) async fn script<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &Script,
        cmd: Cmd,
    ) -> Result<T, StoreError> {
        let mut wire = self.wire.clone();
        let run = async move {
            match cmd.query_async(&mut wire).await {
                Err(error) if is_unknown_script(&error) => script.in_full(&cmd).query_async(&mut wire).await,
                answer => answer,
            }
        };
        self.call(operation, run).await
    }

    async fn routed<T: FromRedisValue>(
        &self,
        operation: &'static str,
        route: SingleNodeRoutingInfo,
        cmd: Cmd,
    ) -> Result<T, StoreError> {
        self.call(operation, self.route(route, cmd)).await
    }

    async fn route<T: FromRedisValue>(&self, route: SingleNodeRoutingInfo, cmd: Cmd) -> RedisResult<T> {
        match self.wire.clone() {
            Wire::Single(mut manager) => cmd.query_async(&mut manager).await,
            Wire::Cluster(mut cluster) => {
                let value = cluster.route_command(cmd, RoutingInfo::SingleNode(route)).await?;
                Ok(from_redis_value(value.extract_error()?)?)
            }
        }
    }
}

impl std::fmt::Debug for Link {
    /// Without the address: it holds the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("cluster", &self.is_cluster()).finish_non_exhaustive()
    }
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> BoxFuture<'a, RedisResult<Value>> {
        match self {
            Self::Single(manager) => manager.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> BoxFuture<'a, RedisResult<Vec<Value>>> {
        match self {
            Self::Single(manager) => manager.req_packed_commands(cmd, offset, count).boxed(),
            Self::Cluster(cluster) => cluster.req_packed_commands(cmd, offset, count).boxed(),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(manager) => manager.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// Bounds a call.
pub(super) async fn within<T>(
    operation: &'static str,
    call: impl Future<Output = RedisResult<T>>,
) -> Result<T, StoreError> {
    match timeout(DEADLINE, call).await {
        Ok(answer) => answer.map_err(|error| failed(operation, error)),
        Err(_) => Err(StoreError::late(operation)),
    }
}

async fn run<T: FromRedisValue>(mut wire: Wire, pipeline: Pipeline, script: Option<&Script>) -> RedisResult<Vec<T>> {
    match (pipeline.query_async(&mut wire).await, script) {
        (Err(error), Some(script)) if is_unknown_script(&error) => {
            script.all_in_full(&pipeline).query_async(&mut wire).await
        }
        (answer, _) => answer,
    }
}

fn single(nodes: &[ConnectionInfo]) -> Result<Wire, StoreError> {
    let Some(node) = nodes.first() else {
        return Err(StoreError::new(ErrorKind::Misconfigured, "connect", "no address"));
    };
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_WITHIN))
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_min_delay(FIRST_RETRY)
        .set_max_delay(LONGEST_RETRY)
        .set_number_of_retries(usize::MAX);
    let client = Client::open(node.clone()).map_err(|error| failed("connect", error))?;
    Ok(Wire::Single(client.get_connection_manager_lazy(config).map_err(|error| failed("connect", error))?))
}

async fn cluster(nodes: &[ConnectionInfo]) -> Result<Wire, StoreError> {
    let client = ClusterClientBuilder::new(nodes.to_vec())
        .use_protocol(ProtocolVersion::RESP3)
        .tcp_settings(address::tcp_settings())
        .connection_timeout(CONNECT_TO_NODE_WITHIN)
        .response_timeout(RESPONSE_WITHIN)
        // The whole call is bounded here, redirections included.
        .overall_response_timeout(None)
        .retries(CLUSTER_RETRIES)
        .min_retry_wait(CLUSTER_PAUSES.0)
        .max_retry_wait(CLUSTER_PAUSES.1)
        .build()
        .map_err(|error| failed("connect", error))?;
    Ok(Wire::Cluster(within("connect", client.get_async_connection()).await?))
}

/// `rediss://` needs one implementation of encryption for the process; whatever the program chose stays.
fn provide_encryption() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may have been quicker: then that one is used.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) || error.code() == Some("NOSCRIPT")
}

/// Whatever a command without an answer of interest gives.
pub(super) type Ignored = Value;
