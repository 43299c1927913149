//! Holding the leases of partitions: taken when free, renewed, given back at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use store::{Fence, Partition};
use tokio::time::Instant;

use crate::Orchestrator;
use crate::orchestrator::random_id;

/// The partitions this instance works on now.
pub(super) struct Leases {
    holder: String,
    held: Mutex<BTreeMap<Partition, (Fence, Instant)>>,
}

impl Leases {
    pub(super) fn new() -> Self {
        Self { holder: random_id(16), held: Mutex::new(BTreeMap::new()) }
    }

    /// The fences held, none of which has run out.
    pub(super) fn fences(&self) -> Vec<Fence> {
        let now = Instant::now();
        self.held.lock().values().filter(|(_, until)| *until > now).map(|(fence, _)| *fence).collect()
    }

    fn set(&self, partition: Partition, lease: Option<(Fence, Instant)>) {
        let mut held = self.held.lock();
        let before = held.contains_key(&partition);
        match lease {
            Some(lease) => drop(held.insert(partition, lease)),
            None => drop(held.remove(&partition)),
        }
        if before != held.contains_key(&partition) {
            tracing::debug!(partition = partition.number(), held = !before, "lease");
            metrics::gauge!("livestream_leases_held").set(f64::from(u32::try_from(held.len()).unwrap_or(0)));
        }
    }
}

pub(super) async fn run(orchestrator: Orchestrator, leases: Arc<Leases>) {
    let ttl = orchestrator.inner.jobs.lease_ttl;
    loop {
        renew_all(&orchestrator, &leases).await;
        if !orchestrator.pause(ttl / 3).await {
            break;
        }
    }
    for fence in leases.fences() {
        leases.set(fence.partition, None);
        if orchestrator.inner.store.release(fence.partition, &leases.holder).await.is_err() {
            // The store is away: the leases run out by themselves.
            return;
        }
    }
}

async fn renew_all(orchestrator: &Orchestrator, leases: &Leases) {
    let ttl = orchestrator.inner.jobs.lease_ttl;
    for partition in Partition::all() {
        let asked = Instant::now();
        match orchestrator.inner.store.lease(partition, &leases.holder, ttl).await {
            // Counted from before the call: the store's own count starts later.
            Ok(fence) => leases.set(partition, fence.map(|fence| (fence, asked + ttl))),
            // What is held runs out by itself unless the store is back in time.
            Err(error) => {
                tracing::debug!(%error, "leases can't be renewed now");
                return;
            }
        }
    }
}
