//! Restarts in the middle, and the end.

use std::time::Duration;

use domain::{EventId, Kind, Phase};
use store::{Concern, ListQuery, Memo, MetaKey, NoticeEvent, Partition, Watch};

use crate::backend::Backend;
use crate::driver::{Driver, id, joined, sid};

pub(crate) async fn everything_acknowledged_outlives_a_restart(backend: Backend) {
    if !backend.is_lasting() {
        return;
    }
    let mut backend = backend.restartable().await;
    let driver = Driver::new(&backend.store);
    let event = EventId("EV_1".to_owned());
    let (gold, ended, removed) = (id("gold"), id("ended"), id("removed"));
    driver.create(&gold).await;
    driver.apply(&gold, joined("ada", "PA_1", Kind::Standard), Some(&event)).await;
    driver.join(&gold, "bob", "PA_2").await;
    driver.leave(&gold, "bob", "PA_2").await;
    driver.publish(&gold, "ada", "PA_1", "TR_1").await;
    driver.create(&ended).await;
    driver.join(&ended, "ada", "PA_3").await;
    driver.end(&ended).await;
    driver.create(&removed).await;
    driver.end(&removed).await;
    driver.expire(&removed).await;
    driver.reserve(&id("reserved")).await;
    backend.store.swap_meta(MetaKey::Deployment, None, "d1").await.unwrap();
    let memo = Memo { value: b"m".to_vec(), life: Duration::from_secs(3600) };
    backend.store.swap_memo("k", None, Some(&memo)).await.unwrap();
    let fence = backend.store.lease(Partition::of(&gold), "a", Duration::from_millis(1)).await.unwrap().unwrap();
    let before = observe(&backend).await;

    backend.restart().await;
    let after = observe(&backend).await;
    assert_eq!(after.0, before.0);
    assert!(after.1 >= before.1, "the clock went back");
    let concern = Concern { sid: Some(&sid("PA_2")), event: Some(&event), identity: None };
    let loaded = backend.store.load(&gold, concern).await.unwrap();
    assert!(loaded.sid_gone && loaded.event_known);
    assert!(backend.store.load(&removed, Concern::default()).await.unwrap().tombstone.is_some());
    assert_eq!(backend.store.meta(MetaKey::Deployment).await.unwrap().as_deref(), Some("d1"));
    assert_eq!(backend.store.memo("k").await.unwrap().as_deref(), Some(&b"m"[..]));
    let later = backend.store.lease(Partition::of(&gold), "b", Duration::from_secs(9)).await.unwrap().unwrap();
    assert!(later.number > fence.number);

    let driver = Driver::new(&backend.store);
    driver.leave(&gold, "ada", "PA_1").await;
    assert_eq!(backend.store.load_full(&gold).await.unwrap().unwrap().1, Vec::new());
}

/// What can be read, and when.
async fn observe(backend: &Backend) -> (String, domain::Timestamp) {
    let store = &backend.store;
    let query = ListQuery { phases: Phase::LISTED.to_vec(), limit: 100, cursor: None, hidden: false };
    let list = store.list(&query).await.unwrap();
    let totals = store.totals().await.unwrap();
    let mut seen = format!("{list:?}\n{totals:?}\n");
    for name in ["gold", "ended", "removed", "reserved"] {
        let id = id(name);
        let full = store.load_full(&id).await.unwrap();
        let state = store.load_state(&id).await.unwrap();
        let late = store.now() + Duration::from_secs(100_000);
        let due = store.due(Partition::of(&id), late, 100).await.unwrap();
        seen.push_str(&format!("{full:?}\n{state:?}\n{due:?}\n"));
    }
    (seen, store.now())
}

pub(crate) async fn writes_go_on_over_a_restart(backend: Backend) {
    let mut backend = backend.restartable().await;
    let driver = Driver::new(&backend.store);
    let gold = id("gold");
    driver.create(&gold).await;
    driver.join(&gold, "ada", "PA_1").await;
    backend.restart().await;
    let driver = Driver::new(&backend.store);
    let mut notices = backend.store.notices();
    let watched = async {
        while backend.store.watch(Watch::Stream(&gold), true).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), watched).await.unwrap();
    driver.join(&gold, "bob", "PA_2").await;
    let told = loop {
        match super::notices::next(&mut notices).await {
            NoticeEvent::Stream(notice) => break notice,
            NoticeEvent::Gap => {}
            NoticeEvent::Lobby(_) => panic!("the lobby is not watched"),
        }
    };
    assert_eq!(told.id, gold);
    assert_eq!(driver.head(&gold).await.people, 2);
}

pub(crate) async fn a_closed_store_refuses_and_ends_its_notices(backend: Backend) {
    let driver = Driver::new(&backend.store);
    driver.create(&id("gold")).await;
    let mut notices = backend.store.notices();
    backend.store.close().await;
    backend.store.close().await;
    assert!(backend.store.ping().await.is_err());
    assert!(backend.store.load(&id("gold"), Concern::default()).await.is_err());
    assert!(backend.store.watch(Watch::Lobby, true).await.is_err());
    assert!(backend.store.swap_memo("k", None, None).await.is_err() && backend.store.memo("k").await.is_err());
    assert!(backend.store.swap_meta(MetaKey::Deployment, None, "d").await.is_err());
    assert_eq!(notices.recv().await, None);
}
