//! The embedded store under `kill -9`: what was acknowledged is there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::world::{Webhooks, instance, livekit_for};

const WRITES: usize = 1_000;
const WRITERS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_survives_kill_9_in_the_middle_of_1000() {
    let mut one = instance();
    let Some(_livekit) = livekit_for(&mut [&mut one], Webhooks::On).await else { return };
    let one = Arc::new(one.started().await);
    let (next, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));

    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (one, next, done) = (one.clone(), next.clone(), done.clone());
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= WRITES {
                    return acknowledged;
                }
                let name = format!("s{number}");
                match one.try_send(Method::POST, "/streams", Some(json!({"name": name}))).await {
                    Ok(answer) => {
                        assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
                        acknowledged.push(name);
                    }
                    // The process is gone.
                    Err(_) => return acknowledged,
                }
                if done.fetch_add(1, Ordering::Relaxed) == WRITES / 2 {
                    one.kill_now();
                }
            }
        });
    }
    let acknowledged: BTreeSet<String> = writers.join_all().await.into_iter().flatten().collect();
    assert!(
        acknowledged.len() > WRITES / 2 && acknowledged.len() < WRITES,
        "killed in the middle: {}",
        acknowledged.len()
    );

    let mut one = Arc::into_inner(one).unwrap();
    one.kill();
    one.start().await;
    let list = one.get("/streams").await.body;
    let found: BTreeSet<String> =
        list.as_array().unwrap().iter().map(|stream| stream["streamId"].as_str().unwrap().to_owned()).collect();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    eprintln!("{} acknowledged before the kill, all there after the restart", acknowledged.len());
}
