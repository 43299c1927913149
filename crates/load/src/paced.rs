//! Requests at a pace, or as fast as they are answered, over a few kept connections.
//!
//! A thread each: so few of them cost less than what would share one.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::{Client, refusal};
use crate::clock::Clock;
use crate::figures::Times;
use crate::stop::Stop;

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// In a second; `None`: each connection sends as soon as it has its answer.
    pub(crate) rate: Option<f64>,
    /// Connections, each with one request at a time.
    pub(crate) connections: usize,
    /// How long; no request begins later.
    pub(crate) duration: Duration,
    /// Most requests.
    pub(crate) most: u64,
}

/// What became of them.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Answered with success.
    pub(crate) answered: u64,
    /// Answered with 429 or 503.
    pub(crate) refused: u64,
    /// The first refusal, in words.
    pub(crate) refusal: Option<String>,
    /// Until the answer; with a rate from when the request was due.
    pub(crate) times: Times,
    /// From the first request to the last answer; with a rate until the next one would be due.
    pub(crate) elapsed: Duration,
}

/// Writes the request of that number, from 0; the time is the clock's.
pub(crate) type Write<'a> = &'a (dyn Fn(u64, u64) -> Vec<u8> + Sync);

/// Sends requests; fails at the first that is neither successful nor refused for load.
pub(crate) fn run(
    address: SocketAddr,
    clock: Clock,
    pace: Pace,
    stop: &Stop,
    write: Write<'_>,
) -> anyhow::Result<Outcome> {
    let begun = clock.now();
    let shared = Shared { clock, pace, begun, stop, write, next: AtomicU64::new(0), broken: Mutex::new(None) };
    let mut all = Outcome::nothing();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..pace.connections).map(|_| scope.spawn(|| shared.work(address))).collect();
        for thread in threads {
            // A thread that panicked has said so; its requests are missing from the sum.
            let Ok(part) = thread.join() else { continue };
            all.merge(part);
        }
    });
    // The pause after the last request belongs to it too.
    let at_this_rate = pace.rate.map_or(0.0, |rate| (all.answered + all.refused) as f64 / rate);
    all.elapsed = Duration::from_nanos(clock.now() - begun).max(Duration::from_secs_f64(at_this_rate));
    match shared.broken.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(all),
    }
}

struct Shared<'a> {
    clock: Clock,
    pace: Pace,
    begun: u64,
    stop: &'a Stop,
    write: Write<'a>,
    next: AtomicU64,
    /// Why it ends early.
    broken: Mutex<Option<anyhow::Error>>,
}

impl Shared<'_> {
    fn work(&self, address: SocketAddr) -> Outcome {
        let (mut client, mut outcome) = (Client::new(address), Outcome::nothing());
        while let Some((number, due)) = self.next() {
            if let Err(error) = self.one(&mut client, number, due, &mut outcome) {
                if let Ok(mut broken) = self.broken.lock() {
                    broken.get_or_insert(error);
                }
                break;
            }
        }
        outcome
    }

    /// The next request's number and when it is due; `None` at the end.
    fn next(&self) -> Option<(u64, u64)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due = match self.pace.rate {
            Some(rate) => self.begun + (number as f64 / rate * 1e9) as u64,
            None => self.clock.now(),
        };
        let is_over = due >= self.begun + self.pace.duration.as_nanos() as u64 || number >= self.pace.most;
        let is_broken = self.broken.lock().map_or(true, |broken| broken.is_some());
        if is_over || is_broken || !self.stop.sleep_until(self.clock.at(Duration::from_nanos(due))) {
            return None;
        }
        Some((number, due))
    }

    fn one(&self, client: &mut Client, number: u64, due: u64, outcome: &mut Outcome) -> anyhow::Result<()> {
        let (status, body) = client.ask(&(self.write)(number, self.clock.now()))?;
        match status {
            200..300 => outcome.answered += 1,
            429 | 503 => {
                outcome.refused += 1;
                outcome.refusal.get_or_insert_with(|| refusal(status, body));
            }
            _ => anyhow::bail!("{}", refusal(status, body)),
        }
        outcome.times.add(self.clock.now().saturating_sub(due));
        Ok(())
    }
}

impl Outcome {
    fn nothing() -> Self {
        Self { answered: 0, refused: 0, refusal: None, times: Times::new(), elapsed: Duration::ZERO }
    }

    fn merge(&mut self, other: Self) {
        self.answered += other.answered;
        self.refused += other.refused;
        self.refusal = self.refusal.take().or(other.refusal);
        self.times.merge(&other.times);
    }
}
