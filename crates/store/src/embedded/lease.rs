//! Leases and due times.
//!
//! A lease lives in memory: the process is alone on its file. Its number still
//! rises over restarts, because it begins with how often the file was opened.

use std::time::Duration;

use domain::{StreamId, Timestamp};

use crate::{Fence, Partition};

use super::EmbeddedStore;
use super::state::State;

/// How often the file may be opened before numbers of two runs could meet: 2^32.
const NUMBERS_PER_RUN: u32 = 32;

/// Who may do a partition's timers and sweeps.
#[derive(Debug, Default)]
pub(super) struct Lease {
    holder: Option<String>,
    until: Option<Timestamp>,
    number: u64,
}

impl Lease {
    /// The fencing number in force.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Starts numbers above those of all former runs.
    pub(super) fn begin_run(&mut self, run: u64) {
        self.number = run << NUMBERS_PER_RUN;
    }

    fn take(&mut self, holder: &str, now: Timestamp, ttl: Duration) -> Option<u64> {
        let own = self.holder.as_deref() == Some(holder);
        if !own && self.until.is_some_and(|until| until > now) {
            return None;
        }
        if !own {
            self.number += 1;
            self.holder = Some(holder.to_owned());
        }
        self.until = Some(now + ttl);
        Some(self.number)
    }

    fn give_back(&mut self, holder: &str) {
        if self.holder.as_deref() == Some(holder) {
            self.until = None;
        }
    }
}

impl EmbeddedStore {
    pub(super) fn take_lease(&self, partition: Partition, holder: &str, ttl: Duration) -> Option<Fence> {
        let now = self.shared.clock.now();
        let mut state = self.shared.state.write();
        let number = lease(&mut state, partition).take(holder, now, ttl)?;
        Some(Fence { partition, number })
    }

    pub(super) fn release_lease(&self, partition: Partition, holder: &str) {
        lease(&mut self.shared.state.write(), partition).give_back(holder);
    }

    pub(super) fn read_due(&self, partition: Partition, until: Timestamp, limit: usize) -> Vec<StreamId> {
        let state = self.shared.state.read();
        let due = state.due(partition).iter().take_while(|(at, _)| *at <= until);
        due.take(limit).map(|(_, id)| id.clone()).collect()
    }
}

fn lease(state: &mut State, partition: Partition) -> &mut Lease {
    &mut state.leases[usize::from(partition.number())]
}
