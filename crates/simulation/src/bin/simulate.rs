//! Plays many seeds: `FIRST_SEED` (0) and the next `SEEDS` (10,000). A single seed is played with its whole log.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use simulation::{Failure, Summary};

const MOST_SHOWN: usize = 10;

fn main() -> ExitCode {
    let (first, seeds) = (number("FIRST_SEED", 0), number("SEEDS", 10_000));
    let began = Instant::now();
    let (summaries, failures) = if seeds == 1 { play_aloud(first) } else { simulation::run_many(first, seeds) };
    let mut out = std::io::stdout().lock();
    let report = report(&mut out, &summaries, &failures, began.elapsed().as_secs_f64());
    if report.is_ok() && failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn play_aloud(seed: u64) -> (Vec<Summary>, Vec<Failure>) {
    match simulation::run(seed, true) {
        Ok(summary) => (vec![summary], Vec::new()),
        Err(failure) => (Vec::new(), vec![failure]),
    }
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
