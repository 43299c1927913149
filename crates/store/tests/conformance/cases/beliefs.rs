//! Steps decided on what is believed, without a load.

use std::sync::Arc;

use domain::{EventId, Kind, Phase, RoomEventKind, StreamId};
use store::{Belief, Checked, Commit, Committed, Concern, Loaded, Store};

use crate::backend::Backend;
use crate::driver::{Driver, commit, id, identity, joined, sid};

/// What the store has that concerns `who`'s connection.
async fn load(store: &Arc<dyn Store>, id: &StreamId, who: &str, connection: &str) -> Loaded {
    let (who, connection) = (identity(who), sid(connection));
    store.load(id, Concern { sid: Some(&connection), identity: Some(&who), event: None }).await.unwrap()
}

/// Decides on `believed` about `who`'s connection and commits.
async fn try_on(
    driver: &Driver,
    id: &StreamId,
    believed: &Loaded,
    (who, connection): (&str, &str),
    kind: RoomEventKind,
) -> Checked {
    let decision = driver.decide_on(believed, &kind).expect("something is to be done");
    let (who, connection) = (identity(who), sid(connection));
    let concern = Concern { sid: Some(&connection), identity: Some(&who), event: None };
    driver.store.commit_if(id, commit(&decision), Belief { concern, loaded: believed }).await.unwrap()
}

fn left(who: &str, connection: &str) -> RoomEventKind {
    RoomEventKind::ParticipantLeft { sid: sid(connection), identity: identity(who) }
}

pub(crate) async fn a_right_belief_is_committed_on(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    let ada = ("ada", "PA_1");
    let believed = load(&backend.store, &id, ada.0, ada.1).await;
    let checked = try_on(&driver, &id, &believed, ada, joined(ada.0, ada.1, Kind::Standard)).await;
    assert_eq!(checked, Checked::Right(Committed::Done));
    let (who, connection) = (identity(ada.0), sid(ada.1));
    // What a store believes by itself is what it would load.
    let concern = Concern { sid: Some(&connection), identity: Some(&who), event: None };
    if let Some(recalled) = backend.store.recall(&id, concern) {
        assert_eq!(recalled, load(&backend.store, &id, ada.0, ada.1).await);
    }
    let believed = load(&backend.store, &id, ada.0, ada.1).await;
    assert_eq!(try_on(&driver, &id, &believed, ada, left(ada.0, ada.1)).await, Checked::Right(Committed::Done));
    assert_eq!(driver.head(&id).await.people, 0);
    assert_eq!(backend.store.gone(&id, &[connection]).await.unwrap().len(), 1);
}

pub(crate) async fn a_wrong_belief_changes_nothing_and_brings_what_is_so(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    driver.join(&id, "ada", "PA_1").await;
    driver.join(&id, "gone", "PA_2").await;
    driver.leave(&id, "gone", "PA_2").await;
    driver.publish(&id, "ada", "PA_1", "TR_1").await;
    super::identities::shut_out(&driver, &id, "barred", std::time::Duration::from_secs(600)).await;
    let before = backend.store.load_full(&id).await.unwrap();
    let of = async |who: &str, connection: &str| load(&backend.store, &id, who, connection).await;
    // An older head; somebody who is in the list already; one who has gone; one who is on another connection, too;
    // one who is banned.
    let mut old_head = of("new", "PA_9").await;
    old_head.head.as_mut().unwrap().revision -= 1;
    let unlisted = Loaded { participant: None, identity_sids: Vec::new(), ..of("ada", "PA_1").await };
    let not_gone = Loaded { sid_gone: false, ..of("gone", "PA_2").await };
    let alone = Loaded { identity_sids: Vec::new(), ..of("ada", "PA_3").await };
    let welcome = Loaded { ban: None, ..of("barred", "PA_8").await };
    for (who, connection, believed) in [
        ("new", "PA_9", old_head),
        ("ada", "PA_1", unlisted),
        ("gone", "PA_2", not_gone),
        ("ada", "PA_3", alone),
        ("barred", "PA_8", welcome),
    ] {
        let kind = joined(who, connection, Kind::Standard);
        let checked = try_on(&driver, &id, &believed, (who, connection), kind).await;
        assert_eq!(checked, Checked::Wrong(Box::new(of(who, connection).await)), "{who} {connection}");
    }
    // One who is believed to be there and is not.
    let participant = of("ada", "PA_1").await.participant;
    let listed = Loaded { participant, ..of("ada", "PA_7").await };
    let checked = try_on(&driver, &id, &listed, ("ada", "PA_7"), left("ada", "PA_7")).await;
    assert!(matches!(checked, Checked::Wrong(_)), "{checked:?}");
    assert_eq!(backend.store.load_full(&id).await.unwrap(), before);
}

pub(crate) async fn a_belief_in_a_former_record_is_wrong(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    let former = load(&backend.store, &id, "ada", "PA_1").await;
    driver.end(&id).await;
    driver.expire(&id).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let again = driver.create(&id).await;
    let former_head = former.head.as_ref().unwrap();
    assert_eq!(again.revision, former_head.revision, "as far apart as they are, nothing else would tell them apart");
    let checked = try_on(&driver, &id, &former, ("ada", "PA_1"), joined("ada", "PA_1", Kind::Standard)).await;
    assert_eq!(checked, Checked::Wrong(Box::new(load(&backend.store, &id, "ada", "PA_1").await)));
    driver.end(&id).await;
    driver.expire(&id).await;
    match try_on(&driver, &id, &former, ("ada", "PA_1"), joined("ada", "PA_1", Kind::Standard)).await {
        Checked::Wrong(loaded) => assert!(loaded.head.is_none() && loaded.tombstone.is_some(), "{loaded:?}"),
        Checked::Right(committed) => panic!("{committed:?}"),
    }
}

pub(crate) async fn an_event_is_applied_once_on_beliefs_too(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    let event = EventId("EV_1".to_owned());
    let kind = joined("ada", "PA_1", Kind::Standard);
    let believed = load(&backend.store, &id, "ada", "PA_1").await;
    let decision = driver.decide_on(&believed, &kind).unwrap();
    assert_eq!(driver.apply(&id, kind, Some(&event)).await, Committed::Done);
    let (who, connection) = (identity("ada"), sid("PA_1"));
    let concern = Concern { sid: Some(&connection), identity: Some(&who), event: Some(&event) };
    let step = Commit { decision: &decision, event: Some(&event), fence: None };
    match backend.store.commit_if(&id, step, Belief { concern, loaded: &believed }).await.unwrap() {
        Checked::Right(committed) => assert_eq!(committed, Committed::DuplicateEvent),
        Checked::Wrong(loaded) => assert!(loaded.event_known),
    }
    assert_eq!(driver.head(&id).await.people, 1);
}

/// Two instances get the events of the same streams, as from behind a balancer that takes turns.
pub(crate) async fn instances_that_believe_leave_what_a_recount_says(backend: Backend) {
    let one = Driver::new(&backend.store);
    let drivers = [one.clone(), Driver::new(&backend.another().await)];
    let ids = [id("a"), id("b")];
    for id in &ids {
        one.create(id).await;
    }
    let tasks = (0..40).map(|n| {
        let (drivers, ids) = (drivers.clone(), ids.clone());
        tokio::spawn(async move {
            for (at, id) in ids.iter().enumerate() {
                let (driver, other) = (&drivers[(n + at) % 2], &drivers[n % 2]);
                // Every fourth has two connections, of which one goes; every third goes for good.
                let (who, first, second) = (format!("u{n:02}"), format!("PA_{n}"), format!("PA_{n}b"));
                let event = EventId(format!("EV_{n}{id}"));
                let join = |connection: &str| joined(&who, connection, Kind::Standard);
                let done = driver.apply_on_belief(id, join(&first), Some(&event)).await;
                assert_eq!(done, Committed::Done);
                let again = other.apply_on_belief(id, join(&first), Some(&event)).await;
                assert_ne!(again, Committed::Done, "it is known");
                if n % 4 == 0 {
                    other.apply_on_belief(id, join(&second), None).await;
                    driver.apply_on_belief(id, left(&who, &second), None).await;
                }
                if n % 3 == 0 {
                    other.apply_on_belief(id, left(&who, &first), None).await;
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let staying: Vec<_> = (0..40).filter(|n| n % 3 != 0).map(|n| identity(&format!("u{n:02}"))).collect();
    for id in &ids {
        let (head, identities) = backend.store.load_state(id).await.unwrap().unwrap();
        assert_eq!((head.people as usize, head.keepers as usize), (staying.len(), staying.len()));
        assert_eq!((identities, head.phase), (staying.clone(), Phase::Waiting));
        assert_eq!(head.joins, 40 + 10);
    }
    assert_eq!(backend.store.totals().await.unwrap().people as usize, 2 * staying.len());
}
