//! Subscribers of the lobby.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hub::{HubSettings, LobbySubscription};
use tokio::time::timeout;

use crate::bed::{Bed, Flaky, eventually};

async fn next(subscription: &mut LobbySubscription) -> Option<String> {
    let frame = timeout(Duration::from_secs(5), subscription.next()).await.expect("nothing came");
    frame.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

async fn silence(subscription: &mut LobbySubscription) {
    let came = timeout(Duration::from_millis(80), subscription.next()).await;
    assert!(came.is_err(), "something came: {came:?}");
}

fn quick() -> Bed {
    let (linger, lobby_interval) = (Duration::from_millis(50), Duration::from_millis(150));
    Bed::with(HubSettings { linger, lobby_interval, ..HubSettings::default() })
}

#[tokio::test]
async fn a_snapshot_comes_first_and_then_what_changes_outside_of_it_too() {
    let bed = quick();
    bed.open("a").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    bed.open("b").await;
    let mut lobby = bed.hub.subscribe_lobby(1).await.unwrap();
    assert_eq!(next(&mut lobby).await.as_deref(), Some("snapshot b:0 of 2"), "newest first");
    bed.join("a", "ann").await;
    assert_eq!(next(&mut lobby).await.as_deref(), Some("upsert a:1 waiting"));
    bed.open("c").await;
    assert_eq!(next(&mut lobby).await.as_deref(), Some("upsert c:0 waiting"));
    bed.end("a").await;
    assert_eq!(next(&mut lobby).await.as_deref(), Some("upsert a:0 ended"));
    bed.expire("a").await;
    assert_eq!(next(&mut lobby).await.as_deref(), Some("remove a"));
    silence(&mut lobby).await;
    let mut late = bed.hub.subscribe_lobby(10).await.unwrap();
    assert_eq!(next(&mut late).await.as_deref(), Some("snapshot c:0,b:0 of 2"));
}

#[tokio::test]
async fn changes_of_one_stream_within_the_interval_go_out_as_one() {
    let bed = quick();
    bed.open("a").await;
    let mut lobby = bed.hub.subscribe_lobby(10).await.unwrap();
    assert!(next(&mut lobby).await.is_some());
    tokio::time::sleep(Duration::from_millis(200)).await;
    for n in 0..30 {
        bed.join("a", &format!("p{n}")).await;
    }
    let first = next(&mut lobby).await.unwrap();
    assert!(first.starts_with("upsert a:"), "{first}");
    if first != "upsert a:30 waiting" {
        assert_eq!(next(&mut lobby).await.as_deref(), Some("upsert a:30 waiting"));
    } else {
        // The reader was slower than the changes: the one held back says the same again.
        assert_eq!(next(&mut lobby).await.as_deref(), Some("upsert a:30 waiting"));
    }
    silence(&mut lobby).await;
    assert!(bed.encoder.upserts.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn a_reader_far_behind_gets_a_new_snapshot() {
    let bed = quick();
    let mut lobby = bed.hub.subscribe_lobby(2).await.unwrap();
    assert_eq!(next(&mut lobby).await.as_deref(), Some("snapshot  of 0"));
    for n in 0..1_100 {
        bed.open(&format!("s{n}")).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let frame = next(&mut lobby).await.unwrap();
    assert!(frame.starts_with("snapshot ") && frame.ends_with(" of 1100"), "{frame}");
    silence(&mut lobby).await;
}

#[tokio::test]
async fn a_gap_is_closed_by_reading_removals_included() {
    let bed = quick();
    bed.open("a").await;
    bed.open("b").await;
    let mut lobby = bed.hub.subscribe_lobby(10).await.unwrap();
    assert!(next(&mut lobby).await.is_some());
    Flaky::set(&bed.store.deaf, true);
    bed.join("b", "ann").await;
    bed.end("a").await;
    bed.expire("a").await;
    bed.open("c").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Flaky::set(&bed.store.away, true);
    Flaky::set(&bed.store.deaf, false);
    bed.store.gap().await;
    silence(&mut lobby).await;
    Flaky::set(&bed.store.away, false);
    let mut told = [next(&mut lobby).await.unwrap(), next(&mut lobby).await.unwrap(), next(&mut lobby).await.unwrap()];
    told.sort();
    assert_eq!(told, ["remove a", "upsert b:1 waiting", "upsert c:0 waiting"]);
}

#[tokio::test]
async fn nobody_there_nothing_watched() {
    let bed = quick();
    let lobby = bed.hub.subscribe_lobby(10).await.unwrap();
    assert_eq!(bed.store.watched.load(Ordering::SeqCst), 1);
    drop(lobby);
    eventually("letting go", || bed.store.watched.load(Ordering::SeqCst) == 0).await;
    bed.open("a").await;
    let mut again = bed.hub.subscribe_lobby(10).await.unwrap();
    assert_eq!(next(&mut again).await.as_deref(), Some("snapshot a:0 of 1"));
}
