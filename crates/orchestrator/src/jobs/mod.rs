//! The jobs that run without being asked: leases, timers, the sweep, the probe.
//!
//! Timers and sweep work only on partitions whose lease this instance holds,
//! and their commits carry its fence. Every job ends when the orchestrator stops.

mod leases;
mod probe;
mod sweep;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use crate::Orchestrator;
use leases::Leases;

/// How the background jobs run.
#[derive(Debug, Clone)]
pub struct JobSettings {
    /// Between two sweeps; a sixth of it while sweeps find what no webhook reported.
    pub sweep_interval: Duration,
    /// Between two looks at what is due.
    pub timer_interval: Duration,
    /// A lease that is not renewed passes to another instance after this long.
    pub lease_ttl: Duration,
    /// Up to so many rooms with people, a sweep asks for the participants of each.
    pub sweep_full_rooms: usize,
    /// Above that, most ListParticipants calls per second.
    pub sweep_calls_per_second: u32,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            sweep_interval: Duration::from_secs(30),
            timer_interval: Duration::from_millis(500),
            lease_ttl: Duration::from_secs(10),
            sweep_full_rooms: 200,
            sweep_calls_per_second: 50,
        }
    }
}

pub(crate) fn start(orchestrator: &Orchestrator) {
    let tasks = &orchestrator.inner.tasks;
    let leases = Arc::new(Leases::new());
    tasks.spawn(leases::run(orchestrator.clone(), leases.clone()));
    tasks.spawn(timers::run(orchestrator.clone(), leases.clone()));
    tasks.spawn(sweep::run(orchestrator.clone(), leases));
    tasks.spawn(probe::run(orchestrator.clone()));
}

impl Orchestrator {
    /// Sleeps; `false` when the orchestrator stops meanwhile.
    async fn pause(&self, duration: Duration) -> bool {
        tokio::select! {
            () = self.inner.stop.cancelled() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }
}
