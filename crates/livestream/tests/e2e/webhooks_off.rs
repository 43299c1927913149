//! LiveKit sends no webhook at all: sweeps alone keep the state true.

use std::time::Duration;

use crate::world::{Webhooks, create, instance, join, livekit_for, people, until_state};

const SWEEP: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn the_state_equals_livekit_by_sweeps_alone_and_the_metrics_say_so() {
    let mut one = instance().with("SWEEP_INTERVAL", SWEEP.as_secs());
    let Some(_livekit) = livekit_for(&mut [&mut one], Webhooks::Off).await else { return };
    let one = one.started().await;
    create(&one, "gold").await;
    let Some(mut ann) = join(&one, "gold", "ann").await else { return };
    let joined = until_state(&one, "gold", "ann is seen", |state| people(state, &["ann"])).await;
    ann.publish().await;
    let live = until_state(&one, "gold", "live", |state| state["phase"] == "live").await;
    let Some(bob) = join(&one, "gold", "bob").await else { return };
    until_state(&one, "gold", "bob is seen", |state| people(state, &["ann", "bob"])).await;
    bob.vanish().await;
    let left = until_state(&one, "gold", "bob is gone", |state| people(state, &["ann"])).await;
    ann.leave().await;
    until_state(&one, "gold", "ann is gone", |state| people(state, &[])).await;
    eprintln!("seen after: joined {joined:?}, live {live:?}, left (LiveKit itself waits for a lost one) {left:?}");

    let metrics = one.metrics().await;
    for name in ["livestream_sweep_drift_total", "livestream_convergence_seconds", "livestream_sweep_bound_seconds"] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} is not in\n{metrics}");
    }
    assert!(!metrics.contains("gold"), "no label holds a stream id");
}
