//! The store's clock: Redis TIME by an offset measured now and then.
//!
//! Between two measurements the process's monotonic clock carries it on, so
//! that the machine's own wall clock does not matter.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use domain::Timestamp;
use parking_lot::RwLock;

use crate::StoreError;

use super::connection::Link;

/// How often the offset is measured.
pub(super) const REFRESH: Duration = Duration::from_secs(30);
/// A measurement whose answer took longer says too little.
const SLOW_ANSWER: Duration = Duration::from_millis(500);

/// Gives out times that never go back in this process.
#[derive(Debug)]
pub(super) struct Clock {
    anchor: RwLock<Anchor>,
    floor: AtomicI64,
    /// In a cluster the node that has it is asked, so that all instances ask the same.
    key: String,
}

/// It was `millis` by Redis when it was `at` here.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    at: Instant,
    millis: i64,
}

impl Clock {
    /// Measures for the first time, in a cluster by the node that has `key`.
    pub(super) async fn start(link: &Link, key: String) -> Result<Self, StoreError> {
        let (anchor, _) = measure(link, &key).await?;
        Ok(Self { anchor: RwLock::new(anchor), floor: AtomicI64::new(anchor.millis), key })
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        let anchor = *self.anchor.read();
        let elapsed = i64::try_from(anchor.at.elapsed().as_millis()).unwrap_or(i64::MAX);
        let now = anchor.millis.saturating_add(elapsed);
        Timestamp::from_millis(self.floor.fetch_max(now, Ordering::AcqRel).max(now))
    }

    /// Measures again; a slow answer changes nothing.
    pub(super) async fn refresh(&self, link: &Link) -> Result<(), StoreError> {
        let (anchor, took) = measure(link, &self.key).await?;
        if took < SLOW_ANSWER {
            *self.anchor.write() = anchor;
        }
        Ok(())
    }
}

async fn measure(link: &Link, key: &str) -> Result<(Anchor, Duration), StoreError> {
    let asked = Instant::now();
    let (seconds, micros): (i64, i64) = link.beside("time", key, redis::cmd("TIME")).await?;
    let took = asked.elapsed();
    // The answer was made about half-way.
    Ok((Anchor { at: asked + took / 2, millis: seconds * 1000 + micros / 1000 }, took))
}
