//! Rate limits: how often one address, or one key, may do what costs something.
//!
//! Counting is the crate governor's (GCRA: a burst of the whole quota, then refilled
//! evenly). What stands here is who counts as one caller, which requests count, and
//! a bound on what is remembered. Each instance counts for itself.

mod bucket;
mod fields;

use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use metrics::{Counter, counter, describe_counter};

use crate::access;
use crate::client;
use crate::problem::Problem;
use crate::state::AppState;

use self::bucket::Bucket;
pub(crate) use self::bucket::{Standing, Who};
pub(crate) use self::fields::{LIMIT, POLICY};

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// So many at once.
    pub count: NonZeroU32,
    /// The whole count is there again after this long; at least a millisecond per piece.
    pub window: Duration,
}

/// All limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// Streams created, per address.
    pub create: Quota,
    /// Joins, per address.
    pub join: Quota,
    /// Event streams opened, per address.
    pub sse: Quota,
    /// Requests refused for want of a valid key, token or signature, per address.
    pub failures: Quota,
    /// Callers with a known key have quotas of their own, so many times as large, whatever their address.
    pub key_factor: NonZeroU32,
}

/// What counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Create,
    Join,
    Sse,
}

/// The counters in force.
pub(crate) struct Limits {
    create: Pair,
    join: Pair,
    sse: Pair,
    failures: Limiter,
}

/// One limit for addresses and one for keys.
struct Pair {
    address: Limiter,
    key: Limiter,
}

struct Limiter {
    bucket: Bucket,
    what: &'static str,
    refused: Counter,
}

impl Limits {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        describe_counter!("livestream_rate_limited_total", "Requests refused by a rate limit, by limit");
        let pair = |what, names: [&'static str; 2], quota: Quota| Pair {
            address: Limiter::new(names[0], what, quota),
            key: Limiter::new(names[1], what, quota.times(limits.key_factor)),
        };
        Self {
            create: pair("streams created", ["create", "create-key"], limits.create),
            join: pair("joins", ["join", "join-key"], limits.join),
            sse: pair("event streams opened", ["sse", "sse-key"], limits.sse),
            failures: Limiter::new("failures", "requests without valid credentials", limits.failures),
        }
    }

    /// Counts a request that costs something; `None`: this one does not. An error is the answer.
    pub(crate) fn take(&self, state: &AppState, request: &Request) -> Option<Result<Standing, (Problem, Standing)>> {
        let pair = match kind(request)? {
            Kind::Create => &self.create,
            Kind::Join => &self.join,
            Kind::Sse => &self.sse,
        };
        let limiter = match access::known_key(state, request.headers()) {
            Some(key) => pair.key.take(Who::Key(key)),
            None => pair.address.take(Who::of(client::address(&state.config, request.into()))),
        };
        Some(limiter)
    }

    /// Counts a request that was refused for want of valid credentials; an error goes out instead of the refusal.
    pub(crate) fn fail(&self, who: Who) -> Result<Standing, (Problem, Standing)> {
        self.failures.take(who)
    }
}

impl Limiter {
    fn new(name: &'static str, what: &'static str, quota: Quota) -> Self {
        let refused = counter!("livestream_rate_limited_total", "limit" => name);
        Self { bucket: Bucket::new(name, quota), what, refused }
    }

    fn take(&self, who: Who) -> Result<Standing, (Problem, Standing)> {
        let standing = self.bucket.take(who);
        match standing.retry_after {
            None => Ok(standing),
            Some(seconds) => {
                self.refused.increment(1);
                Err((Problem::rate_limited(self.what, who.word(), standing.quota, seconds), standing))
            }
        }
    }
}

impl Quota {
    /// So many per window.
    pub const fn new(count: NonZeroU32, window: Duration) -> Self {
        Self { count, window }
    }

    fn times(self, factor: NonZeroU32) -> Self {
        Self { count: self.count.saturating_mul(factor), ..self }
    }
}

fn kind(request: &Request) -> Option<Kind> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    match (request.method(), route) {
        (&Method::POST, "/streams") => Some(Kind::Create),
        (&Method::POST, "/streams/{id}/join") => Some(Kind::Join),
        (&Method::GET, route) if route.starts_with("/sse/") => Some(Kind::Sse),
        _ => None,
    }
}
