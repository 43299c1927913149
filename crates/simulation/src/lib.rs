//! Deterministic simulation: the real use-cases, jobs and hub over a simulated
//! LiveKit, a store that fails, instances that crash and clocks that jump.
//!
//! [`run`] plays one seed, which decides everything: what is done, what goes
//! wrong, when, and the randomness of the code under test. The same seed plays
//! exactly the same again. Nothing shipped depends on this crate.

mod access;
mod clients;
mod driver;
mod instance;
mod invariants;
mod log;
mod network;
mod profile;
mod pulse;
mod quiescence;
mod random;
mod rooms;
mod sim;
mod store;
mod watchers;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::Sim;

/// What became of a seed that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The seed.
    pub seed: u64,
    /// Hash of everything that was written into its log: two plays of a seed agree in it.
    pub hash: u64,
    /// Lines of its log.
    pub lines: u64,
    /// Commits that were done.
    pub commits: u64,
    /// Webhooks that were applied, stale, late and so on.
    pub webhooks: u64,
    /// Crashes of instances.
    pub crashes: u64,
    /// States that subscribers were sent.
    pub frames: u64,
}

/// A seed that broke a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// Which promise, and how.
    pub what: String,
    /// The last lines of the log.
    pub tail: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.tail {
            writeln!(f, "    {line}")?;
        }
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

/// Plays `seed` in a thread of its own. `echo` writes the whole log to standard error.
pub fn run(seed: u64, echo: bool) -> Result<Summary, Failure> {
    let thread = std::thread::spawn(move || {
        random::seed_this_thread(seed);
        play(seed, echo)
    });
    let broken = |_| Failure { seed, what: "it panicked; see above".to_owned(), tail: Vec::new() };
    thread.join().map_err(broken)?
}

/// Plays the seeds from `first` on, `seeds` of them, on all processors. In the order of seeds.
pub fn run_many(first: u64, seeds: u64) -> (Vec<Summary>, Vec<Failure>) {
    let next = AtomicU64::new(first);
    let end = first.saturating_add(seeds);
    let play_some = || {
        let mine = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end));
        mine.map(|seed| run(seed, false)).collect::<Vec<_>>()
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let played: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(play_some)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for result in played {
        match result {
            Ok(summary) => good.push(summary),
            Err(failure) => bad.push(failure),
        }
    }
    good.sort_by_key(|summary| summary.seed);
    bad.sort_by_key(|failure| failure.seed);
    (good, bad)
}

fn play(seed: u64, echo: bool) -> Result<Summary, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| Failure { seed, what: error.to_string(), tail: Vec::new() })?;
    let (sim, result) = runtime.block_on(async {
        let sim = Sim::new(seed, echo);
        let result = driver::play(&sim).await;
        (sim, result)
    });
    let outcome = match result.err().or_else(|| sim.broken()) {
        Some(what) => Err(Failure { seed, what, tail: sim.log.tail() }),
        None => Ok(sim.summary(seed)),
    };
    // Whatever is still under way in instances that crashed ends here.
    drop(runtime);
    outcome
}
