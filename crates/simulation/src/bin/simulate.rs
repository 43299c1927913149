//! Plays many seeds: `FIRST_SEED` (0) and the next `SEEDS` (10,000). A single seed is played with its whole log.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use simulation::{Failure, Summary};

const MOST_SHOWN: usize = 10;

fn main() -> ExitCode {
    let (first, seeds) = (number("FIRST_SEED", 0), number("SEEDS", 10_000));
    let began = Instant::now();
    let (summaries, mut failures) = play(first, seeds);
    failures.sort_by_key(|failure| failure.seed);
    let mut out = std::io::stdout().lock();
    let report = report(&mut out, &summaries, &failures, began.elapsed().as_secs_f64());
    if report.is_ok() && failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn play(first: u64, seeds: u64) -> (Vec<Summary>, Vec<Failure>) {
    let next = AtomicU64::new(first);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let played = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..workers).map(|_| scope.spawn(|| play_some(&next, first + seeds, seeds == 1))).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect::<Vec<_>>()
    });
    let (good, bad): (Vec<_>, Vec<_>) = played.into_iter().partition(Result::is_ok);
    (good.into_iter().filter_map(Result::ok).collect(), bad.into_iter().filter_map(Result::err).collect())
}

fn play_some(next: &AtomicU64, end: u64, echo: bool) -> Vec<Result<Summary, Failure>> {
    let seeds = std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end));
    seeds.map(|seed| simulation::run(seed, echo)).collect()
}

fn report(out: &mut impl Write, good: &[Summary], bad: &[Failure], seconds: f64) -> std::io::Result<()> {
    for failure in bad.iter().take(MOST_SHOWN) {
        writeln!(out, "{failure}\n")?;
    }
    for failure in bad {
        writeln!(out, "seed {}: {}", failure.seed, failure.what)?;
    }
    let sum = |count: fn(&Summary) -> u64| good.iter().map(count).sum::<u64>();
    writeln!(
        out,
        "{} seeds in {seconds:.0} s: {} failed; {} commits, {} webhooks, {} crashes, {} states sent",
        good.len() + bad.len(),
        bad.len(),
        sum(|s| s.commits),
        sum(|s| s.webhooks),
        sum(|s| s.crashes),
        sum(|s| s.frames)
    )?;
    if let ([only], []) = (good, bad) {
        writeln!(out, "hash {:016x} of {} lines", only.hash, only.lines)?;
    }
    Ok(())
}
