//! Leases and their fencing numbers.

use std::time::Duration;

use domain::Kind;
use store::{Commit, Committed, Fence, Partition};

use crate::backend::Backend;
use crate::driver::{Driver, id, joined};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

pub(crate) async fn a_lease_has_one_holder(backend: Backend) {
    let partition = Partition::of(&id("gold"));
    let tasks = (0..20).map(|n| {
        let store = backend.store.clone();
        tokio::spawn(
            async move { store.lease(partition, &format!("i{n}"), LONG).await.unwrap().map(|fence| (n, fence)) },
        )
    });
    let mut held = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        held.extend(task.await.unwrap());
    }
    assert_eq!(held.len(), 1, "{held:?}");
    let (holder, fence) = held[0];
    // Renewing changes no number.
    let again = backend.store.lease(partition, &format!("i{holder}"), LONG).await.unwrap();
    assert_eq!(again, Some(fence));
    assert_eq!(backend.store.lease(partition, "another", LONG).await.unwrap(), None);
}

pub(crate) async fn a_lease_that_ran_out_can_be_taken(backend: Backend) {
    let partition = Partition::of(&id("gold"));
    let first = backend.store.lease(partition, "a", SHORT).await.unwrap().unwrap();
    tokio::time::sleep(SHORT * 2).await;
    let second = backend.store.lease(partition, "b", SHORT).await.unwrap().unwrap();
    assert!(second.number > first.number);
    tokio::time::sleep(SHORT * 2).await;
    assert_eq!(backend.store.lease(partition, "b", LONG).await.unwrap(), Some(second), "nobody had it in between");
    assert_eq!(backend.store.lease(partition, "a", LONG).await.unwrap(), None);
}

pub(crate) async fn a_commit_under_a_lost_lease_is_refused(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let gold = id("gold");
    driver.create(&gold).await;
    let partition = Partition::of(&gold);
    let other_partition = Partition::all().find(|other| *other != partition).unwrap();
    let lost = backend.store.lease(partition, "a", SHORT).await.unwrap().unwrap();
    tokio::time::sleep(SHORT * 2).await;

    // It ran out, but nobody took it: what its holder does is still right.
    let commit = async |fence: Fence, connection: &str| {
        let decision = driver.decide(&gold, &joined("ada", connection, Kind::Standard)).await.unwrap();
        backend.store.commit(&gold, Commit { decision: &decision, event: None, fence: Some(fence) }).await.unwrap()
    };
    assert_eq!(commit(lost, "PA_1").await, Committed::Done);
    let held = backend.store.lease(partition, "b", LONG).await.unwrap().unwrap();
    assert_eq!(commit(lost, "PA_2").await, Committed::Fenced);
    assert_eq!(commit(held, "PA_3").await, Committed::Done);
    assert_eq!(commit(Fence { partition: other_partition, ..held }, "PA_4").await, Committed::Fenced);
    let (_, people) = backend.store.load_full(&gold).await.unwrap().unwrap();
    assert_eq!(people.iter().map(|p| p.sid.as_str()).collect::<Vec<_>>(), ["PA_1", "PA_3"]);
}

pub(crate) async fn a_lease_given_back_is_free_at_once(backend: Backend) {
    let partition = Partition::of(&id("gold"));
    let first = backend.store.lease(partition, "a", LONG).await.unwrap().unwrap();
    backend.store.release(partition, "b").await.unwrap();
    assert_eq!(backend.store.lease(partition, "b", LONG).await.unwrap(), None, "it was not b's to give back");
    backend.store.release(partition, "a").await.unwrap();
    backend.store.release(partition, "a").await.unwrap();
    let second = backend.store.lease(partition, "b", LONG).await.unwrap().unwrap();
    assert!(second.number > first.number);
}

pub(crate) async fn partitions_have_leases_of_their_own(backend: Backend) {
    for (n, partition) in Partition::all().enumerate() {
        let holder = format!("i{}", n % 3);
        let fence = backend.store.lease(partition, &holder, LONG).await.unwrap().unwrap();
        assert_eq!(fence.partition, partition);
    }
    for partition in Partition::all() {
        assert_eq!(backend.store.lease(partition, "late", LONG).await.unwrap(), None);
    }
}
