//! One connection that hears what is published, and where in a cluster it has to be.
//!
//! A server's notices are heard by `SUBSCRIBE`. In a cluster those of a partition
//! are published in its own slot (`SPUBLISH`) and heard by `SSUBSCRIBE` at the
//! node that has it: what is lost with that node or its connection is known to
//! be lost, which the cluster's bus between nodes would not tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::mpsc;

use super::address::elsewhere;

/// Messages read and not yet looked at; beyond it they are dropped, and that is told.
const QUEUE: usize = 16_384;
const CONNECT_WITHIN: Duration = Duration::from_millis(1000);
const RESPONSE_WITHIN: Duration = Duration::from_millis(1500);
/// Nodes of a cluster that are remembered besides those that were named.
const MOST_NODES: usize = 64;

/// A connection that hears.
pub(super) struct Subscription {
    connection: MultiplexedConnection,
    pushes: mpsc::Receiver<PushInfo>,
    missed: Arc<AtomicBool>,
    /// In a cluster: a channel that tells, by its end, that the partition has gone to another node.
    here: Option<String>,
}

/// What comes over it.
#[derive(Debug)]
pub(super) enum Heard {
    /// Something was published.
    Message {
        /// On which channel.
        channel: Vec<u8>,
        /// What.
        payload: Vec<u8>,
    },
    /// More was published than could be looked at.
    Missed,
    /// The connection is lost, or hears no more of the partition.
    Lost,
}

impl Subscription {
    async fn open(client: &Client, here: Option<String>) -> RedisResult<Self> {
        let (queue, pushes) = mpsc::channel(QUEUE);
        let missed = Arc::new(AtomicBool::new(false));
        let full = missed.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(RESPONSE_WITHIN))
            .set_push_sender(move |push: PushInfo| {
                queue.try_send(push).inspect_err(|_| full.store(true, Ordering::Release))
            });
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut subscription = Self { connection, pushes, missed, here };
        if let Some(here) = &subscription.here {
            // Not in a pipeline: its error would hide the redirection.
            let hear = redis::cmd("SSUBSCRIBE").arg(here).to_owned();
            hear.query_async::<Value>(&mut subscription.connection).await?;
        }
        Ok(subscription)
    }

    /// The next that comes. May be given up at any time without losing any.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            if self.has_missed() {
                return Heard::Missed;
            }
            let Some(PushInfo { kind, data }) = self.pushes.recv().await else { return Heard::Lost };
            let mut words = data.into_iter().map(bytes);
            let channel = words.next().flatten();
            match kind {
                PushKind::Message | PushKind::SMessage => {
                    if let (Some(channel), Some(Some(payload))) = (channel, words.next()) {
                        return Heard::Message { channel, payload };
                    }
                }
                PushKind::Disconnection => return Heard::Lost,
                PushKind::SUnsubscribe if channel.as_deref() == self.here.as_deref().map(str::as_bytes) => {
                    return Heard::Lost;
                }
                _ => {}
            }
        }
    }

    /// Whether something was dropped since this was asked last.
    pub(super) fn has_missed(&self) -> bool {
        self.missed.swap(false, Ordering::AcqRel)
    }

    /// Hears of these channels from now on.
    pub(super) async fn subscribe(&mut self, channels: &[&str]) -> RedisResult<()> {
        self.change(if self.here.is_some() { "SSUBSCRIBE" } else { "SUBSCRIBE" }, channels).await
    }

    /// Hears of them no more.
    pub(super) async fn unsubscribe(&mut self, channels: &[&str]) -> RedisResult<()> {
        self.change(if self.here.is_some() { "SUNSUBSCRIBE" } else { "UNSUBSCRIBE" }, channels).await
    }

    /// Whether the other end still answers.
    pub(super) async fn ping(&mut self) -> RedisResult<()> {
        redis::cmd("PING").query_async::<Value>(&mut self.connection).await.map(drop)
    }

    /// A command for each channel: each has one answer.
    async fn change(&mut self, command: &str, channels: &[&str]) -> RedisResult<()> {
        let mut pipeline = redis::pipe();
        for channel in channels {
            pipeline.cmd(command).arg(channel);
        }
        pipeline.query_async::<Vec<Value>>(&mut self.connection).await.map(drop)
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// Where a subscription has to be.
pub(super) enum Place {
    /// On the one server.
    Server(Client),
    /// Where a partition of a cluster is.
    Partition {
        /// The nodes to ask.
        nodes: Arc<Nodes>,
        /// A channel of the partition that is always heard.
        here: String,
        /// The node that had it last.
        owner: Option<ConnectionAddr>,
    },
}

impl Place {
    /// Connects there.
    pub(super) async fn connect(&mut self) -> RedisResult<Subscription> {
        let Self::Partition { nodes, here, owner } = self else {
            let Self::Server(client) = self else { unreachable!("there are two kinds") };
            return Subscription::open(client, None).await;
        };
        let (found, subscription) = nodes.find(owner.clone(), here).await?;
        *owner = Some(found);
        Ok(subscription)
    }
}

/// The nodes of a cluster that were named or met.
pub(super) struct Nodes {
    /// How each is reached, apart from its address.
    like: ConnectionInfo,
    known: Mutex<Vec<ConnectionAddr>>,
}

impl Nodes {
    /// Those that were named, of which there is one at least.
    pub(super) fn new(named: &[ConnectionInfo]) -> Option<Self> {
        let known = named.iter().map(|node| node.addr().clone()).collect();
        Some(Self { like: named.first()?.clone(), known: Mutex::new(known) })
    }

    /// Connects to the node that has the slot of channel `here`.
    async fn find(&self, last: Option<ConnectionAddr>, here: &str) -> RedisResult<(ConnectionAddr, Subscription)> {
        let known = self.known.lock().clone();
        let mut failure = None;
        for asked in last.into_iter().chain(known) {
            let error = match self.open(&asked, here).await {
                Ok(subscription) => return Ok((asked, subscription)),
                Err(error) => error,
            };
            let owner = error.redirect_node().and_then(|(place, _)| elsewhere(&asked, place));
            let Some(owner) = owner else {
                failure = Some(error);
                continue;
            };
            self.meet(&owner);
            match self.open(&owner, here).await {
                Ok(subscription) => return Ok((owner, subscription)),
                Err(error) => failure = Some(error),
            }
        }
        Err(failure.unwrap_or_else(|| (redis::ErrorKind::Client, "no node is known").into()))
    }

    async fn open(&self, node: &ConnectionAddr, here: &str) -> RedisResult<Subscription> {
        let client = Client::open(self.like.clone().set_addr(node.clone()))?;
        Subscription::open(&client, Some(here.to_owned())).await
    }

    fn meet(&self, node: &ConnectionAddr) {
        let mut known = self.known.lock();
        if known.len() < MOST_NODES && !known.contains(node) {
            known.push(node.clone());
        }
    }
}
