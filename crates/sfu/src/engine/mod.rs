//! The engine itself: owns all state, routes commands, datagrams and time to it, and collects what comes out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::command::Command;
use crate::config::Config;
use crate::error::Error;
use crate::event::{Counters, Output};

/// The forwarding engine. See the crate documentation for the loop around it.
///
/// After each call of [`handle`](Engine::handle), [`receive`](Engine::receive) or
/// [`handle_timeout`](Engine::handle_timeout), [`poll`](Engine::poll) must be drained until it gives
/// [`Output::Timeout`].
#[derive(Debug)]
pub struct Engine {
    config: Config,
    now: Instant,
    counters: Counters,
    output: VecDeque<Output>,
}

impl Engine {
    /// An engine without participants. `now` is any first time; later ones must not be earlier.
    pub fn new(config: Config, now: Instant) -> Engine {
        Engine { config, now, counters: Counters::default(), output: VecDeque::new() }
    }

    /// Applies a command.
    ///
    /// # Errors
    ///
    /// The command named something that does not exist, or carried an SDP that cannot be used; nothing was changed.
    pub fn handle(&mut self, command: Command, now: Instant) -> Result<(), Error> {
        self.now = now;
        let _ = (command, &self.config);
        Ok(())
    }

    /// Takes a datagram that came from `source` to the advertised address `destination` at `now`. One that belongs to
    /// no transport is counted and dropped.
    pub fn receive(&mut self, source: SocketAddr, destination: SocketAddr, datagram: &[u8], now: Instant) {
        self.now = now;
        let _ = (source, destination, datagram);
    }

    /// Moves time forward, to a deadline or before it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
    }

    /// The next datagram or event, or when nothing is left the next deadline.
    pub fn poll(&mut self) -> Output {
        self.output.pop_front().unwrap_or(Output::Timeout(None))
    }

    /// Totals for metrics.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
