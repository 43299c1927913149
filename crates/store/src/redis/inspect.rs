//! What a Redis server says of itself, for somebody who checks a deployment. No request needs it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::{MetaKey, StoreError};

use super::RedisStore;

/// What a Redis server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisFacts {
    /// Its name: `redis`, or `valkey` and the like.
    pub name: String,
    /// Its version; empty when it does not tell.
    pub version: String,
    /// `master` or `slave`; empty when it does not tell.
    pub role: String,
    /// Milliseconds by which its clock is ahead of this machine's; negative: behind.
    pub ahead: i64,
    /// Milliseconds that a round trip takes.
    pub round_trip: u64,
}

impl RedisStore {
    /// Asks the server (of a cluster, one node of it) about itself: two round trips.
    pub async fn facts(&self) -> Result<RedisFacts, StoreError> {
        let node = self.layout.meta(MetaKey::Deployment);
        let info: String = self.link.beside("inspect", &node, redis::cmd("INFO")).await?;
        let asked = Instant::now();
        let (seconds, micros): (i64, i64) = self.link.beside("inspect", &node, redis::cmd("TIME")).await?;
        let took = asked.elapsed();
        let here = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let round_trip = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        // The answer was made about half-way.
        let there = seconds * 1000 + micros / 1000 + i64::try_from(round_trip / 2).unwrap_or(0);
        let field = |name: &str| field(&info, name).unwrap_or_default().to_owned();
        let (name, version) = match field("server_name") {
            name if name.is_empty() => ("redis".to_owned(), field("redis_version")),
            name => {
                let version = field(&format!("{name}_version"));
                (name, if version.is_empty() { field("redis_version") } else { version })
            }
        };
        let ahead = there - i64::try_from(here).unwrap_or(0);
        Ok(RedisFacts { name, version, role: field("role"), ahead, round_trip })
    }
}

/// A line of `INFO`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_info_are_found_by_their_whole_name() {
        let info = "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\nrole:master\r\n";
        assert_eq!(field(info, "valkey_version"), Some("8.0.1"));
        assert_eq!(field(info, "role"), Some("master"));
        assert_eq!(field(info, "ro"), None);
    }
}
