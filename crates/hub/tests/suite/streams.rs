//! Subscribers of one stream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hub::{HubError, HubSettings, Position, Shape};

use crate::bed::{Bed, Flaky, eventually, next, silence, stream, until};

#[tokio::test]
async fn the_state_comes_first_and_then_every_change() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut subscription = bed.watch("x").await;
    assert_eq!(next(&mut subscription).await.as_deref(), Some("1 waiting 0 []"));
    bed.join("x", "ann").await;
    assert_eq!(next(&mut subscription).await.as_deref(), Some("2 waiting 1 [ann]"));
    bed.join("x", "bob").await;
    assert_eq!(next(&mut subscription).await.as_deref(), Some("3 waiting 2 [ann,bob]"));
    bed.leave("x", "ann").await;
    assert_eq!(next(&mut subscription).await.as_deref(), Some("4 waiting 1 [bob]"));
    silence(&mut subscription).await;
}

#[tokio::test]
async fn a_slow_reader_skips_to_the_newest_state() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut subscription = bed.watch("x").await;
    assert!(next(&mut subscription).await.is_some());
    for n in 0..20 {
        bed.join("x", &format!("p{n:02}")).await;
    }
    let reads = bed.store.reads.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let frame = next(&mut subscription).await.unwrap();
    assert!(frame.starts_with("21 waiting 20 "), "{frame}");
    silence(&mut subscription).await;
    assert_eq!(bed.store.reads.load(Ordering::SeqCst), reads, "notices alone are enough");
}

#[tokio::test]
async fn a_state_is_encoded_once_per_shape_however_many_watch() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut watchers = Vec::new();
    for _ in 0..50 {
        watchers.push(bed.watch("x").await);
    }
    for watcher in &mut watchers {
        assert!(next(watcher).await.is_some());
    }
    let mut summary = bed.hub.subscribe(&stream("x"), Shape::Summary, None).await.unwrap().unwrap();
    assert_eq!(next(&mut summary).await.as_deref(), Some("1 waiting 0 []"));
    assert_eq!(bed.encoder.states.load(Ordering::SeqCst), 2);
    bed.join("x", "ann").await;
    for watcher in &mut watchers {
        assert_eq!(next(watcher).await.as_deref(), Some("2 waiting 1 [ann]"));
    }
    assert_eq!(next(&mut summary).await.as_deref(), Some("2 waiting 1 []"));
    assert_eq!(bed.encoder.states.load(Ordering::SeqCst), 4);
    assert_eq!(bed.store.reads.load(Ordering::SeqCst), 1, "one reading serves all");
}

#[tokio::test]
async fn an_unknown_stream_is_none_and_leaves_nothing() {
    let bed = Bed::new();
    for n in 0..10 {
        let none = bed.hub.subscribe(&stream(&format!("unknown{n}")), Shape::Full, None).await.unwrap();
        assert!(none.is_none());
    }
    assert_eq!(bed.hub.stats().topics, 0);
    assert_eq!(bed.store.watched.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_the_reader_has_is_not_sent_again() {
    let bed = Bed::new();
    bed.open("x").await;
    let has = |version| Position { epoch: "epoch001".into(), version };
    let mut current = bed.hub.subscribe(&stream("x"), Shape::Full, Some(&has(1))).await.unwrap().unwrap();
    silence(&mut current).await;
    bed.join("x", "ann").await;
    assert_eq!(next(&mut current).await.as_deref(), Some("2 waiting 1 [ann]"));
    let mut behind = bed.hub.subscribe(&stream("x"), Shape::Full, Some(&has(1))).await.unwrap().unwrap();
    assert_eq!(next(&mut behind).await.as_deref(), Some("2 waiting 1 [ann]"));
    let other = Position { epoch: "another1".into(), version: 99 };
    let mut other = bed.hub.subscribe(&stream("x"), Shape::Full, Some(&other)).await.unwrap().unwrap();
    assert_eq!(next(&mut other).await.as_deref(), Some("2 waiting 1 [ann]"));
}

#[tokio::test]
async fn a_reader_who_knows_more_than_this_instance_is_never_sent_back() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut first = bed.watch("x").await;
    assert!(next(&mut first).await.is_some());
    // This instance does not hear of two changes that another one has told the reader.
    Flaky::set(&bed.store.deaf, true);
    bed.join("x", "ann").await;
    bed.join("x", "bob").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Flaky::set(&bed.store.deaf, false);
    let told = Position { epoch: "epoch001".into(), version: 3 };
    let mut reader = bed.hub.subscribe(&stream("x"), Shape::Full, Some(&told)).await.unwrap().unwrap();
    silence(&mut reader).await;
    assert_eq!(next(&mut first).await.as_deref(), Some("3 waiting 2 [ann,bob]"));
}

#[tokio::test]
async fn a_hole_in_the_notices_is_closed_by_reading() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut subscription = bed.watch("x").await;
    assert!(next(&mut subscription).await.is_some());
    Flaky::set(&bed.store.deaf, true);
    bed.join("x", "ann").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Flaky::set(&bed.store.deaf, false);
    bed.join("x", "bob").await;
    until(&mut subscription, "3 waiting 2 [ann,bob]").await;
}

#[tokio::test]
async fn after_a_gap_everything_watched_is_read_again_once_the_store_is_back() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut subscription = bed.watch("x").await;
    assert!(next(&mut subscription).await.is_some());
    Flaky::set(&bed.store.deaf, true);
    bed.join("x", "ann").await;
    Flaky::set(&bed.store.away, true);
    bed.store.gap().await;
    silence(&mut subscription).await;
    let refused = bed.hub.subscribe(&stream("x"), Shape::Full, None).await;
    assert!(matches!(refused, Err(HubError::Store(_))), "a state that may be old is no answer");
    Flaky::set(&bed.store.away, false);
    assert_eq!(next(&mut subscription).await.as_deref(), Some("2 waiting 1 [ann]"));
    Flaky::set(&bed.store.deaf, false);
    bed.join("x", "bob").await;
    assert_eq!(next(&mut subscription).await.as_deref(), Some("3 waiting 2 [ann,bob]"));
}

#[tokio::test]
async fn changes_during_the_first_reading_are_not_lost() {
    let bed = Bed::new();
    bed.open("x").await;
    bed.store.slow.store(100, Ordering::SeqCst);
    let (subscription, ()) = tokio::join!(bed.watch("x"), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        bed.join("x", "ann").await;
        bed.join("x", "bob").await;
    });
    let mut subscription = subscription;
    until(&mut subscription, "3 waiting 2 [ann,bob]").await;
}

#[tokio::test]
async fn more_changes_during_a_reading_than_are_kept_cause_another_reading() {
    let bed = Bed::new();
    bed.open("x").await;
    bed.store.slow.store(150, Ordering::SeqCst);
    let (subscription, ()) = tokio::join!(bed.watch("x"), async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        for n in 0..100 {
            bed.join("x", &format!("p{n:03}")).await;
        }
    });
    let mut subscription = subscription;
    let frame = next(&mut subscription).await.unwrap();
    assert!(frame.starts_with("101 waiting 100 "), "{frame}");
    assert_eq!(bed.store.reads.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_end_is_told_and_the_stream_closes_when_its_record_goes() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut subscription = bed.watch("x").await;
    assert!(next(&mut subscription).await.is_some());
    bed.join("x", "ann").await;
    assert!(next(&mut subscription).await.is_some());
    bed.end("x").await;
    assert_eq!(next(&mut subscription).await.as_deref(), Some("3 ended 0 []"));
    silence(&mut subscription).await;
    bed.expire("x").await;
    assert_eq!(next(&mut subscription).await, None);
    assert!(bed.hub.subscribe(&stream("x"), Shape::Full, None).await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_created_again_goes_on_for_those_who_stayed() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut subscription = bed.watch("x").await;
    bed.end("x").await;
    bed.open("x").await;
    until(&mut subscription, &format!("{} waiting 0 []", bed.version("x").await)).await;
}

#[tokio::test]
async fn a_record_that_went_unheard_closes_the_stream_after_a_gap() {
    let bed = Bed::new();
    bed.open("x").await;
    let mut subscription = bed.watch("x").await;
    assert!(next(&mut subscription).await.is_some());
    Flaky::set(&bed.store.deaf, true);
    bed.end("x").await;
    bed.expire("x").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    Flaky::set(&bed.store.deaf, false);
    bed.store.gap().await;
    assert_eq!(next(&mut subscription).await, None);
}

#[tokio::test]
async fn nothing_is_left_of_subscribers_who_went() {
    let bed = Bed::new();
    for n in 0..20 {
        bed.open(&format!("x{n}")).await;
    }
    let mut watchers = Vec::new();
    for n in 0..100 {
        watchers.push(bed.watch(&format!("x{}", n % 20)).await);
    }
    assert_eq!((bed.hub.stats().topics, bed.hub.stats().subscribers), (20, 100));
    watchers.clear();
    assert_eq!(bed.hub.stats().subscribers, 0);
    eventually("letting go", || bed.hub.stats().topics == 0).await;
    assert_eq!(bed.store.watched.load(Ordering::SeqCst), 0);
    // And it works again.
    let mut again = bed.watch("x1").await;
    assert!(next(&mut again).await.is_some());
    bed.join("x1", "ann").await;
    assert_eq!(next(&mut again).await.as_deref(), Some("2 waiting 1 [ann]"));
}

#[tokio::test]
async fn a_subscribe_that_is_given_up_half_way_leaves_nothing() {
    let bed = Bed::new();
    bed.open("x").await;
    bed.store.slow.store(100, Ordering::SeqCst);
    for _ in 0..5 {
        let half = tokio::time::timeout(Duration::from_millis(20), bed.watch("x")).await;
        assert!(half.is_err());
    }
    eventually("letting go", || bed.hub.stats().topics == 0).await;
    bed.store.slow.store(0, Ordering::SeqCst);
    assert!(next(&mut bed.watch("x").await).await.is_some());
}

#[tokio::test]
async fn draining_ends_everybody_bit_by_bit_and_refuses_new_ones() {
    let bed = Bed::with(HubSettings::default());
    bed.open("x").await;
    let mut ends = Vec::new();
    let begun = tokio::time::Instant::now();
    for _ in 0..200 {
        let mut subscription = bed.watch("x").await;
        assert!(next(&mut subscription).await.is_some());
        ends.push(tokio::spawn(async move {
            while next(&mut subscription).await.is_some() {}
            begun.elapsed()
        }));
    }
    bed.hub.drain(Duration::from_millis(640)).await;
    let mut times = Vec::new();
    for end in ends {
        times.push(end.await.unwrap());
    }
    let early = times.iter().filter(|time| **time < Duration::from_millis(320)).count();
    assert!((20..180).contains(&early), "{early} of 200 in the first half");
    let refused = bed.hub.subscribe(&stream("x"), Shape::Full, None).await;
    assert!(matches!(refused, Err(HubError::Draining)));
    bed.hub.close().await;
}

#[tokio::test]
async fn draining_is_over_when_nobody_is_left() {
    let bed = Bed::with(HubSettings::default());
    bed.open("x").await;
    drop(bed.watch("x").await);
    let drained = tokio::time::timeout(Duration::from_secs(30), bed.hub.drain(Duration::from_secs(3600))).await;
    assert!(drained.is_ok(), "waits for nobody");
    bed.hub.close().await;
}

/// Many changes, many readers, notices lost at random: versions never fall, and the last state always arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_lost_versions_never_fall_and_the_last_state_arrives() {
    let bed = Bed::new();
    bed.open("x").await;
    bed.store.slow.store(3, Ordering::SeqCst);
    let mut readers = Vec::new();
    for n in 0..20_u64 {
        let mut subscription = bed.watch("x").await;
        readers.push(tokio::spawn(async move {
            let mut last = 0;
            loop {
                let frame = next(&mut subscription).await.expect("ended too early");
                let version: u64 = frame.split(' ').next().unwrap().parse().unwrap();
                assert!(version > last, "version fell from {last} to {version}");
                last = version;
                if frame.contains(" ended ") {
                    return version;
                }
                tokio::time::sleep(Duration::from_millis(n % 7)).await;
            }
        }));
    }
    for n in 0..300 {
        Flaky::set(&bed.store.deaf, rand::random_ratio(1, 4));
        bed.join("x", &format!("p{n:03}")).await;
        if n % 50 == 0 {
            bed.store.gap().await;
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    Flaky::set(&bed.store.deaf, true);
    bed.end("x").await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    Flaky::set(&bed.store.deaf, false);
    bed.store.gap().await;
    for reader in readers {
        assert_eq!(reader.await.unwrap(), bed.version("x").await);
    }
}

#[tokio::test]
async fn who_asked_too_early_takes_nothing_from_those_who_came_in_time() {
    let bed = Bed::new();
    // Nobody of that id yet: its topic goes at once, but still waits for its time as an idle one.
    assert!(bed.hub.subscribe(&stream("x"), Shape::Full, None).await.unwrap().is_none());
    bed.open("x").await;
    let mut subscription = bed.watch("x").await;
    assert!(next(&mut subscription).await.is_some());
    tokio::time::sleep(Duration::from_millis(300)).await;
    bed.join("x", "ann").await;
    assert_eq!(next(&mut subscription).await.as_deref(), Some("2 waiting 1 [ann]"));
}

#[tokio::test]
async fn a_stream_takes_as_many_as_it_may_and_others_are_not_concerned() {
    let bed = Bed::with(HubSettings { max_subscribers: 2, ..HubSettings::default() });
    bed.open("x").await;
    bed.open("y").await;
    let first = bed.watch("x").await;
    let second = bed.hub.subscribe(&stream("x"), Shape::Summary, None).await.unwrap().unwrap();
    let third = bed.hub.subscribe(&stream("x"), Shape::Full, None).await;
    assert!(matches!(third, Err(HubError::Full { most: 2, .. })), "{third:?}");
    assert!(next(&mut bed.watch("y").await).await.is_some());
    drop(first);
    assert!(next(&mut bed.watch("x").await).await.is_some());
    drop(second);
}

/// Few readers of very much are as dear as many of little.
#[tokio::test]
async fn a_large_audience_is_told_at_once_and_then_at_intervals() {
    let bed = Bed::new();
    bed.open("x").await;
    // 40 readers of 1 MiB: a window of 200 ms.
    bed.encoder.padding.store(1024 * 1024, Ordering::SeqCst);
    let mut readers = Vec::new();
    for _ in 0..40 {
        let mut reader = bed.watch("x").await;
        assert!(next(&mut reader).await.is_some());
        readers.push(reader);
    }
    let mut summary = bed.hub.subscribe(&stream("x"), Shape::Summary, None).await.unwrap().unwrap();
    assert!(next(&mut summary).await.is_some());
    let begun = tokio::time::Instant::now();
    let mut first = readers.swap_remove(0);
    let first = tokio::spawn(async move {
        let mut told = Vec::new();
        while told.last().is_none_or(|(_, version)| *version < 21) {
            let frame = first.next().await;
            told.push((begun.elapsed().as_millis(), version(frame)));
        }
        told
    });
    // It waits before anything changes.
    tokio::task::yield_now().await;
    for n in 0..20 {
        bed.join("x", &format!("p{n:02}")).await;
        assert!(next(&mut summary).await.is_some(), "one reader alone need not wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told = tokio::time::timeout(Duration::from_secs(5), first).await.expect("the last state goes out").unwrap();
    assert_eq!(told[0].1, 2, "the first change goes out as it is: {told:?}");
    assert!(told.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 180), "{told:?}");
    for reader in &mut readers {
        assert_eq!(version(tokio::time::timeout(Duration::from_secs(1), last(reader, 21)).await.unwrap()), 21);
    }
}

async fn last(subscription: &mut hub::Subscription, wanted: u64) -> Option<bytes::Bytes> {
    loop {
        let frame = subscription.next().await;
        if version(frame.clone()) == wanted {
            return frame;
        }
    }
}

fn version(frame: Option<bytes::Bytes>) -> u64 {
    let frame = frame.expect("it ended");
    std::str::from_utf8(&frame).unwrap().split(' ').next().unwrap().parse().unwrap()
}
