//! Deterministic simulation: fixed seeds, on a simulated LiveKit and a store in memory (no service)

const SEEDS: u64 = 300;

#[test]
fn a_seed_plays_exactly_the_same_again() {
    for seed in [3, 11] {
        assert_eq!(simulation::run(seed, false).unwrap(), simulation::run(seed, false).unwrap());
    }
}

#[test]
fn the_fixed_seeds_keep_every_promise() {
    let (good, failures) = simulation::run_many(0, SEEDS);
    for failure in &failures {
        eprintln!("{failure}");
    }
    let seeds: Vec<_> = failures.iter().map(|failure| failure.seed).collect();
    assert_eq!(good.len() + failures.len(), SEEDS as usize);
    assert!(good.iter().all(|summary| summary.commits > 0), "nothing was played");
    assert!(failures.is_empty(), "replay with: FIRST_SEED=<n> SEEDS=1 make simulate; failed: {seeds:?}");
}
