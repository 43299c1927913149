//! The first look at a server: that it answers, is new enough, and whether it is part of a cluster.

use std::time::Duration;

use futures_util::future::join_all;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo};

use crate::{ErrorKind, StoreError};

use super::connection::within;
use super::errors::failed;

const OPERATION: &str = "connect";
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// `HELLO 3` and everything the scripts use.
const OLDEST_SERVER: (u32, u32) = (6, 2);
/// Sharded Pub/Sub.
const OLDEST_CLUSTER: (u32, u32) = (7, 0);

/// Tries every node once, so that a wrong address or password is told at the start. Whether they are a cluster's.
pub(super) async fn is_cluster(nodes: &[ConnectionInfo]) -> Result<bool, StoreError> {
    let mut failure = StoreError::late(OPERATION);
    for answer in join_all(nodes.iter().map(ask)).await {
        match answer {
            Ok(info) => return judge(&info, nodes.len()),
            // A node that refuses us says more than one that is away.
            Err(error) if failure.kind != ErrorKind::Misconfigured => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

async fn ask(node: &ConnectionInfo) -> Result<String, StoreError> {
    let client = Client::open(node.clone()).map_err(|error| failed(OPERATION, error))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ANSWER_WITHIN))
        .set_response_timeout(Some(ANSWER_WITHIN));
    let asked = async {
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let mut both = redis::pipe();
        both.cmd("INFO").arg("server").cmd("INFO").arg("cluster");
        let (server, cluster): (String, String) = both.query_async(&mut connection).await?;
        Ok(server + &cluster)
    };
    within(OPERATION, asked).await
}

fn judge(info: &str, nodes: usize) -> Result<bool, StoreError> {
    let is_cluster = field(info, "cluster_enabled") == Some("1");
    let refuse = |text: String| Err(StoreError::new(ErrorKind::Misconfigured, OPERATION, text));
    if nodes > 1 && !is_cluster {
        return refuse("several addresses are for the nodes of a Redis Cluster, and this server is not in one".into());
    }
    let (oldest, what) = if is_cluster { (OLDEST_CLUSTER, " in a cluster") } else { (OLDEST_SERVER, "") };
    match version(info) {
        Some(found) if found < oldest => refuse(format!(
            "Redis {}.{} is too old: {}.{} or newer is needed{what}",
            found.0, found.1, oldest.0, oldest.1
        )),
        _ => Ok(is_cluster),
    }
}

fn version(info: &str) -> Option<(u32, u32)> {
    let mut parts = field(info, "redis_version")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_and_lists_of_single_ones_are_refused() {
        let info = |version: &str, cluster: u8| {
            format!("# Server\r\nredis_version:{version}\r\nredis_git:0\r\n# Cluster\r\ncluster_enabled:{cluster}\r\n")
        };
        assert!(!judge(&info("6.2.1", 0), 1).unwrap());
        assert!(judge(&info("7.0.15", 1), 3).unwrap());
        assert!(!judge("# Server\r\n", 1).unwrap());
        for (version, cluster, nodes) in [("6.0.9", 0, 1), ("6.2.14", 1, 1), ("7.2.4", 0, 2)] {
            assert_eq!(judge(&info(version, cluster), nodes).unwrap_err().kind, ErrorKind::Misconfigured, "{version}");
        }
    }
}
