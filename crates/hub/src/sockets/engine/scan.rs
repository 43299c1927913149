//! Looking after connections for time's sake: heartbeats, age, stalled readers, shutdown.

use crate::slots::LEAVING_GROUPS;

use super::super::chunk::HEARTBEAT;
use super::super::conn::{Conn, Sent};
use super::super::meters::Reason;
use super::{Engine, LOOKS, SLICE, TURN, millis};

/// The scan over all connections.
pub(super) struct Scan {
    /// Whom it looks at next.
    at: usize,
    /// When the next one begins, or `None` while one is under way.
    begins: Option<u64>,
}

impl Scan {
    /// One that begins with the first turn.
    pub(super) fn at_once() -> Self {
        Self { at: 0, begins: Some(0) }
    }

    /// One that goes on in this turn, from the first connection.
    pub(super) fn under_way() -> Self {
        Self { at: 0, begins: None }
    }

    /// When the next one begins, in the engine's milliseconds; `None` while one is under way.
    pub(super) fn begins(&self) -> Option<u64> {
        self.begins
    }
}

/// What has to be done about a connection.
enum Duty {
    /// Cut it.
    Close(Reason),
    /// End it in order.
    Finish(Reason),
    /// Tell it that we are there.
    Heartbeat,
}

impl Engine<'_> {
    /// Looks after some more connections.
    pub(super) fn continue_scan(&mut self) {
        if self.scan.begins.is_some_and(|begins| begins > self.now) {
            return;
        }
        self.scan.begins = None;
        let (mut duties, mut looks) = (SLICE, TURN * LOOKS);
        while self.scan.at < self.keys_below {
            if duties == 0 || looks == 0 {
                return;
            }
            let key = self.scan.at;
            self.scan.at += 1;
            looks -= 1;
            if let Some(duty) = self.conns.get(key).and_then(|conn| self.duty(key, conn)) {
                duties -= 1;
                self.perform(key, duty);
            }
        }
        self.scan = Scan { at: 0, begins: Some(self.now + millis(self.settings.scan_interval())) };
    }

    /// What has to be done about a connection for time's sake.
    fn duty(&self, key: usize, conn: &Conn) -> Option<Duty> {
        let untouched = self.now.saturating_sub(conn.touched);
        if conn.blocked && untouched >= millis(self.settings.write_timeout) {
            Some(Duty::Close(Reason::Stalled))
        } else if conn.leaving.is_some() {
            None
        } else if leaving_group(key) < self.leave_below {
            Some(Duty::Finish(Reason::Drain))
        } else if conn.expires <= self.now {
            Some(Duty::Finish(Reason::Age))
        } else if !conn.blocked && untouched >= millis(self.settings.heartbeat) {
            Some(Duty::Heartbeat)
        } else {
            None
        }
    }

    fn perform(&mut self, key: usize, duty: Duty) {
        match duty {
            Duty::Close(reason) => self.close(key, reason),
            Duty::Finish(reason) => self.finish(key, reason),
            Duty::Heartbeat => {
                self.meters.heartbeats.increment(1);
                // One that the kernel does not take is none that is missed.
                if self.conns[key].send(&HEARTBEAT, self.now) == Sent::Gone {
                    self.close(key, Reason::Reader);
                }
            }
        }
    }
}

/// The group that a connection leaves with when the hub drains. Neighbours
/// leave far from each other, so that few connections are spread as well as many.
fn leaving_group(key: usize) -> u16 {
    const STRIDE: usize = 39;
    u16::try_from(key % usize::from(LEAVING_GROUPS) * STRIDE % usize::from(LEAVING_GROUPS)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_connections_leave_over_the_whole_time_too() {
        let mut groups: Vec<_> = (0..8).map(leaving_group).collect();
        groups.sort_unstable();
        let gaps = groups.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max() <= Some(16), "{groups:?}");
        let all: std::collections::HashSet<_> = (0..64).map(leaving_group).collect();
        assert_eq!(all.len(), 64);
    }
}
