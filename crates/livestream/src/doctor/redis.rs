//! Redis: is it there, new enough, safe with what it is given, and at the same time as we are?

use std::error::Error;

use store::{Durability, ErrorKind, RedisConfig, RedisFacts, RedisStore, Store, StoreError};

use super::report::{Finding, Report};

/// The store goes by Redis's clock, so a difference matters to people who compare logs, and to join tokens.
const FAR: i64 = 2_000;
/// Every request is one to three of these.
const SLOW: u64 = 5;

pub(super) async fn examine(url: &str, prefix: &str, report: &mut Report) -> anyhow::Result<()> {
    let config = RedisConfig { url: url.to_owned(), prefix: prefix.to_owned() };
    let store = match RedisStore::connect(config).await {
        Ok(store) => store,
        Err(error) => return report.add("Redis", unusable(&error)),
    };
    match store.facts().await {
        Ok(facts) => {
            report.add("Redis", answers(&facts))?;
            report.add("Redis clock", clock(&facts))?;
        }
        Err(error) => report.add("Redis", unusable(&error))?,
    }
    report.add("Redis safety", safety(store.durability().await))?;
    store.close().await;
    Ok(())
}

fn unusable(error: &StoreError) -> Finding {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let advice = match error.kind {
        ErrorKind::Misconfigured => {
            "REDIS_URL must name a Redis or Valkey from 6.2 on, with the right user and password"
        }
        _ => "is Redis running, and is REDIS_URL right? `redis-cli -u \"$REDIS_URL\" ping` should answer PONG",
    };
    Finding::broken(cause, advice)
}

fn answers(facts: &RedisFacts) -> Finding {
    let said = format!("{} {}, {} ms a round trip", facts.name, facts.version, facts.round_trip);
    if facts.role == "slave" {
        return Finding::broken(
            format!("{said}, a replica"),
            "REDIS_URL must name the primary: replicas take no writes",
        );
    }
    if facts.round_trip > SLOW {
        return Finding::warning(said, "every request takes one to three round trips: run Redis nearer");
    }
    Finding::well(said)
}

fn clock(facts: &RedisFacts) -> Finding {
    let said =
        format!("{} ms {} this machine's", facts.ahead.abs(), if facts.ahead < 0 { "behind" } else { "ahead of" });
    if facts.ahead.abs() > FAR {
        Finding::warning(said, "streams go by the clock of Redis: have both machines set theirs by NTP")
    } else {
        Finding::well(said)
    }
}

fn safety(durability: Durability) -> Finding {
    match durability {
        Durability::Durable => Finding::well("keeps what it acknowledges"),
        Durability::Unknown => Finding::skipped("Redis does not tell its settings (CONFIG is not allowed)"),
        Durability::Lossy(settings) => Finding::warning(
            format!("{}: after a crash something acknowledged may be gone", settings.join(", ")),
            "appendonly yes, appendfsync always, maxmemory-policy noeviction; or accept it: LiveKit's state is found again by sweeps",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(ahead: i64, role: &str) -> RedisFacts {
        RedisFacts { name: "redis".into(), version: "7.0.0".into(), role: role.into(), ahead, round_trip: 0 }
    }

    #[test]
    fn a_clock_that_is_far_off_and_a_replica_are_told() {
        assert_eq!(clock(&facts(-12, "master")), Finding::well("12 ms behind this machine's"));
        assert!(format!("{:?}", clock(&facts(9_000, "master"))).contains("Warning"));
        assert!(format!("{:?}", answers(&facts(0, "slave"))).contains("Broken"));
    }
}
