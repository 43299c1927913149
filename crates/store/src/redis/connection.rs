//! The way to Redis: one multiplexed connection that comes back by itself, and a
//! deadline on everything.
//!
//! This is the seam for other kinds of connection (a cluster's): the rest of
//! the store hands over commands and pipelines and knows no connection.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo, Pipeline,
    ProtocolVersion, RedisError, RedisResult, Script, ServerErrorKind, Value,
};
use tokio::time::timeout;

use crate::{ErrorKind, StoreError};

use super::errors::failed;
use super::script::call;

/// Every call answers or fails within this: below the 2 s that the trait promises.
pub(super) const DEADLINE: Duration = Duration::from_millis(1900);
const RESPONSE_WITHIN: Duration = Duration::from_millis(1500);
const CONNECT_WITHIN: Duration = Duration::from_millis(1500);
/// Back-off between two tries to connect.
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(1);
/// A peer that acknowledges nothing for so long is gone.
const DEAD_PEER: Duration = Duration::from_secs(5);
/// `HELLO 3` and everything the scripts use.
const OLDEST_SERVER: (u32, u32) = (6, 2);

/// One connection, shared by all calls.
#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    manager: ConnectionManager,
}

impl Link {
    /// Connects to `url`; fails at once when that does not work.
    pub(super) async fn connect(url: &str) -> Result<Self, StoreError> {
        let info = connection_info(url).map_err(|error| failed("connect", error))?;
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            provide_encryption();
        }
        let client = Client::open(info).map_err(|error| failed("connect", error))?;
        probe(&client).await?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_WITHIN))
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_min_delay(FIRST_RETRY)
            .set_max_delay(LONGEST_RETRY)
            .set_number_of_retries(usize::MAX);
        let manager = client.get_connection_manager_lazy(config).map_err(|error| failed("connect", error))?;
        Ok(Self { client, manager })
    }

    /// The number of the database.
    pub(super) fn database(&self) -> i64 {
        self.client.get_connection_info().redis_settings().db()
    }

    /// What opens connections of other kinds to the same server.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// One command, one round trip.
    pub(super) async fn command<T: FromRedisValue>(&self, operation: &'static str, cmd: Cmd) -> Result<T, StoreError> {
        let mut manager = self.manager.clone();
        within(operation, async move { cmd.query_async(&mut manager).await }).await
    }

    /// Several commands, one round trip.
    pub(super) async fn pipeline<T: FromRedisValue>(
        &self,
        operation: &'static str,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let mut manager = self.manager.clone();
        within(operation, async move { pipeline.query_async(&mut manager).await }).await
    }

    /// Makes scripts known to the server.
    pub(super) async fn load_scripts(&self, scripts: &[&Script]) -> Result<(), StoreError> {
        let mut manager = self.manager.clone();
        let load = async move {
            for script in scripts {
                script.prepare_invoke().load_async(&mut manager).await?;
            }
            Ok(())
        };
        within("connect", load).await
    }

    /// A script: one round trip, three on a server that does not know it yet.
    pub(super) async fn script<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &Script,
        cmd: Cmd,
    ) -> Result<T, StoreError> {
        let mut manager = self.manager.clone();
        let run = async move {
            match cmd.query_async(&mut manager).await {
                Err(error) if is_unknown_script(&error) => {
                    script.prepare_invoke().load_async(&mut manager).await?;
                    cmd.query_async(&mut manager).await
                }
                answer => answer,
            }
        };
        within(operation, run).await
    }

    /// One script over several sets of keys, in one round trip.
    pub(super) async fn scripts<T: FromRedisValue>(
        &self,
        operation: &'static str,
        script: &Script,
        pipeline: &Pipeline,
    ) -> Result<T, StoreError> {
        let mut manager = self.manager.clone();
        let run = async move {
            match pipeline.query_async(&mut manager).await {
                Err(error) if is_unknown_script(&error) => {
                    script.prepare_invoke().load_async(&mut manager).await?;
                    pipeline.query_async(&mut manager).await
                }
                answer => answer,
            }
        };
        within(operation, run).await
    }
}

impl std::fmt::Debug for Link {
    /// Without the address: it holds the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
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

/// A pipeline of one script over several sets of keys.
pub(super) fn add_script<K: AsRef<str>>(pipeline: &mut Pipeline, script: &Script, keys: &[K], args: &[&str]) {
    let mut cmd = call(script, keys);
    for arg in args {
        cmd.arg(arg);
    }
    pipeline.add_command(cmd);
}

fn connection_info(url: &str) -> RedisResult<ConnectionInfo> {
    let info = url.into_connection_info()?;
    let tcp = TcpSettings::default().set_nodelay(true);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(DEAD_PEER);
    // The third protocol tells at once when the connection is lost, so that it is back before the next call.
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_tcp_settings(tcp).set_redis_settings(redis))
}

/// `rediss://` needs one implementation of encryption for the process; whatever the program chose stays.
fn provide_encryption() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may have been quicker: then that one is used.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
}

/// Tries once, so that a wrong address or password is told at the start.
async fn probe(client: &Client) -> Result<(), StoreError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(Some(RESPONSE_WITHIN));
    let asked = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        redis::cmd("INFO").arg("server").query_async::<String>(&mut connection).await
    };
    let info = within("connect", asked).await?;
    match version(&info) {
        Some(found) if found < OLDEST_SERVER => {
            let text = format!("Redis {}.{} is too old: 6.2 or newer is needed", found.0, found.1);
            Err(StoreError::new(ErrorKind::Misconfigured, "connect", text))
        }
        _ => Ok(()),
    }
}

fn version(info: &str) -> Option<(u32, u32)> {
    let text = info.lines().find_map(|line| line.strip_prefix("redis_version:"))?;
    let mut parts = text.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn is_unknown_script(error: &RedisError) -> bool {
    error.kind() == redis::ErrorKind::Server(ServerErrorKind::NoScript) || error.code() == Some("NOSCRIPT")
}

/// Whatever a command without an answer of interest gives.
pub(super) type Ignored = Value;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(version("# Server\r\nredis_version:7.0.15\r\nredis_git:0\r\n"), Some((7, 0)));
        assert_eq!(version("# Server\r\n"), None);
    }
}
