//! One atomic step, and what is read afterwards.

use domain::{EventId, Kind, ParticipantChange, Phase, RoomEventKind, abandon};
use store::{Commit, Committed, Concern};

use crate::backend::Backend;
use crate::driver::{Driver, commit, id, identity, joined, sid};

pub(crate) async fn a_commit_is_read_back(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    assert_eq!(driver.load(&id).await, store::Loaded::default());
    let reserved = driver.reserve(&id).await;
    assert_eq!(driver.head(&id).await, reserved);
    let other = crate::driver::id("silver");
    let head = driver.create(&other).await;
    assert_eq!(head.phase, Phase::Waiting);
    assert_eq!(driver.head(&other).await, head);
    assert_eq!(driver.head(&id).await, reserved);
    assert_eq!(backend.store.load_full(&other).await.unwrap(), Some((head.clone(), Vec::new())));
    assert_eq!(backend.store.load_state(&other).await.unwrap(), Some((head, Vec::new())));
    assert_eq!(backend.store.load_full(&crate::driver::id("nobody")).await.unwrap(), None);
}

pub(crate) async fn a_commit_for_another_revision_changes_nothing(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    let before = driver.create(&id).await;
    let decision = driver.decide(&id, &joined("ada", "PA_1", Kind::Standard)).await.unwrap();
    for expected in [None, Some(before.revision - 1), Some(before.revision + 1)] {
        let mut wrong = decision.clone();
        wrong.expected = expected;
        assert_eq!(backend.store.commit(&id, commit(&wrong)).await.unwrap(), Committed::Conflict);
    }
    assert_eq!(backend.store.load_full(&id).await.unwrap(), Some((before, Vec::new())));
    assert_eq!(backend.store.totals().await.unwrap().people, 0);
    driver.done(&id, &decision).await;
    let absent = crate::driver::id("absent");
    assert_eq!(backend.store.commit(&absent, commit(&decision)).await.unwrap(), Committed::Conflict);
}

pub(crate) async fn one_of_fifty_racing_commits_wins(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    let mut decisions = Vec::new();
    for n in 0..50 {
        decisions
            .push(driver.decide(&id, &joined(&format!("u{n}"), &format!("PA_{n}"), Kind::Standard)).await.unwrap());
    }
    let tasks = decisions.into_iter().map(|decision| {
        let (store, id) = (backend.store.clone(), id.clone());
        tokio::spawn(async move { store.commit(&id, commit(&decision)).await.unwrap() })
    });
    let mut verdicts = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        verdicts.push(task.await.unwrap());
    }
    assert_eq!(verdicts.iter().filter(|v| **v == Committed::Done).count(), 1);
    assert_eq!(verdicts.iter().filter(|v| **v == Committed::Conflict).count(), 49);
    let (head, people) = backend.store.load_full(&id).await.unwrap().unwrap();
    assert_eq!((head.people, people.len()), (1, 1));
}

pub(crate) async fn fifty_tasks_that_decide_again_all_get_in(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    let before = driver.create(&id).await;
    let tasks = (0..50).map(|n| {
        let (driver, id) = (driver.clone(), id.clone());
        tokio::spawn(async move { driver.join(&id, &format!("u{n:02}"), &format!("PA_{n}")).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap(), Committed::Done);
    }
    let (head, identities) = backend.store.load_state(&id).await.unwrap().unwrap();
    assert_eq!((head.people, head.revision, head.version), (50, before.revision + 50, before.version + 50));
    assert_eq!(identities, (0..50).map(|n| identity(&format!("u{n:02}"))).collect::<Vec<_>>());
    assert_eq!(backend.store.totals().await.unwrap().people, 50);
}

pub(crate) async fn an_event_is_applied_once(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    let event = EventId("EV_1".to_owned());
    let tasks = (0..10).map(|n| {
        let (driver, id, event) = (driver.clone(), id.clone(), event.clone());
        let kind = joined(&format!("u{n}"), &format!("PA_{n}"), Kind::Standard);
        tokio::spawn(async move { driver.apply(&id, kind, Some(&event)).await })
    });
    let mut verdicts = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        verdicts.push(task.await.unwrap());
    }
    assert_eq!(verdicts.iter().filter(|v| **v == Committed::Done).count(), 1);
    assert_eq!(verdicts.iter().filter(|v| **v == Committed::DuplicateEvent).count(), 9);
    assert_eq!(driver.head(&id).await.people, 1);
    let known = |event: &'static str| {
        let (store, id) = (backend.store.clone(), id.clone());
        async move {
            let event = EventId(event.to_owned());
            store.load(&id, Concern { event: Some(&event), ..Concern::default() }).await.unwrap().event_known
        }
    };
    assert!(known("EV_1").await);
    assert!(!known("EV_2").await);
}

pub(crate) async fn a_refused_commit_does_not_remember_its_event(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    let event = EventId("EV_1".to_owned());
    let decision = driver.decide(&id, &joined("ada", "PA_1", Kind::Standard)).await.unwrap();
    driver.join(&id, "bob", "PA_2").await;
    let step = Commit { decision: &decision, event: Some(&event), fence: None };
    assert_eq!(backend.store.commit(&id, step).await.unwrap(), Committed::Conflict);
    let concern = Concern { event: Some(&event), sid: Some(&sid("PA_1")), ..Concern::default() };
    let loaded = backend.store.load(&id, concern).await.unwrap();
    assert!(!loaded.event_known && loaded.participant.is_none());
    assert_eq!(driver.apply(&id, joined("ada", "PA_1", Kind::Standard), Some(&event)).await, Committed::Done);
}

pub(crate) async fn connections_that_went_are_remembered(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    driver.join(&id, "ada", "PA_1").await;
    driver.join(&id, "bob", "PA_2").await;
    driver.leave(&id, "ada", "PA_1").await;
    // One that was never seen.
    driver.leave(&id, "cleo", "PA_3").await;
    let asked = ["PA_1", "PA_2", "PA_3", "PA_4"].map(sid);
    assert_eq!(backend.store.gone(&id, &asked).await.unwrap(), vec![sid("PA_1"), sid("PA_3")]);
    assert_eq!(backend.store.gone(&id, &[]).await.unwrap(), Vec::new());
    assert_eq!(backend.store.gone(&crate::driver::id("other"), &asked).await.unwrap(), Vec::new());
    for (connection, gone) in [("PA_1", true), ("PA_2", false), ("PA_3", true), ("PA_4", false)] {
        let concern = Concern { sid: Some(&sid(connection)), ..Concern::default() };
        let loaded = backend.store.load(&id, concern).await.unwrap();
        assert_eq!(loaded.sid_gone, gone, "{connection}");
        assert_eq!(loaded.participant.is_some(), connection == "PA_2", "{connection}");
    }
    assert_eq!(driver.join(&id, "ada", "PA_1").await, Committed::Conflict, "a late `joined` changes nothing");
}

pub(crate) async fn connections_that_are_only_missing_are_not_remembered(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    driver.join(&id, "ada", "PA_1").await;
    let (who, connection) = (identity("ada"), sid("PA_1"));
    let kind = RoomEventKind::ParticipantLeft { sid: connection.clone(), identity: who.clone() };
    let mut decision = driver.decide(&id, &kind).await.unwrap();
    let [ParticipantChange::Leave(participant)] = decision.participants.as_slice() else { panic!("{decision:?}") };
    decision.participants = vec![ParticipantChange::Missing(participant.clone())];
    driver.done(&id, &decision).await;
    let concern = Concern { sid: Some(&connection), identity: Some(&who), event: None };
    let loaded = backend.store.load(&id, concern).await.unwrap();
    assert!(!loaded.sid_gone && loaded.participant.is_none() && loaded.identity_sids.is_empty(), "{loaded:?}");
    assert_eq!(backend.store.people(&id, 10, None).await.unwrap().items, Vec::new());
    assert_eq!(driver.join(&id, "ada", "PA_1").await, Committed::Done, "it may come back");
    assert_eq!(driver.head(&id).await.people, 1);
}

pub(crate) async fn identity_sids_are_those_of_people(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    driver.join(&id, "ada", "PA_2").await;
    driver.join(&id, "ada", "PA_1").await;
    driver.join_as(&id, "ada", "PA_3", Kind::Agent).await;
    driver.join_as(&id, "ada", "PA_4", Kind::Ingress).await;
    driver.join_as(&id, "ada", "PA_5", Kind::Sip).await;
    driver.join(&id, "adam", "PA_6").await;
    driver.join(&id, "ad", "PA_7").await;
    let sids = |who: &'static str| {
        let (store, id) = (backend.store.clone(), id.clone());
        async move {
            let who = identity(who);
            let concern = Concern { identity: Some(&who), ..Concern::default() };
            store.load(&id, concern).await.unwrap().identity_sids
        }
    };
    assert_eq!(sids("ada").await, ["PA_1", "PA_2", "PA_5"].map(sid));
    assert_eq!(sids("a").await, Vec::new());
    driver.leave(&id, "ada", "PA_1").await;
    assert_eq!(sids("ada").await, ["PA_2", "PA_5"].map(sid));
}

pub(crate) async fn the_readers_of_people_agree(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    for (who, connection, kind) in [
        ("bob", "PA_2", Kind::Standard),
        ("ada", "PA_9", Kind::Standard),
        ("ada", "PA_1", Kind::Connector),
        ("camera", "PA_4", Kind::Ingress),
        ("recorder", "PA_5", Kind::Recorder),
    ] {
        driver.join_as(&id, who, connection, kind).await;
    }
    driver.publish(&id, "camera", "PA_4", "TR_1").await;
    let (head, people) = backend.store.load_full(&id).await.unwrap().unwrap();
    assert_eq!((head.people, head.phase), (2, Phase::Live));
    let order: Vec<&str> = people.iter().map(|p| p.sid.as_str()).collect();
    assert_eq!(order, ["PA_1", "PA_9", "PA_2", "PA_4", "PA_5"]);
    assert_eq!(people[3].tracks.len(), 1);
    let state = backend.store.load_state(&id).await.unwrap().unwrap();
    assert_eq!(state, (head.clone(), vec![identity("ada"), identity("bob")]));
    let page = backend.store.people(&id, 100, None).await.unwrap();
    assert_eq!((page.items, page.next), (people.clone(), None));
    for participant in people {
        let concern = Concern { sid: Some(&participant.sid), ..Concern::default() };
        let loaded = backend.store.load(&id, concern).await.unwrap();
        assert_eq!((loaded.head, loaded.participant), (Some(head.clone()), Some(participant)));
    }
}

pub(crate) async fn an_ended_stream_has_nobody_and_can_be_created_again(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    driver.join(&id, "ada", "PA_1").await;
    let ended = driver.end(&id).await;
    assert_eq!(backend.store.load_full(&id).await.unwrap(), Some((ended.clone(), Vec::new())));
    assert_eq!(backend.store.people(&id, 10, None).await.unwrap().items, Vec::new());
    assert_eq!(backend.store.totals().await.unwrap(), store::Totals::default());
    let again = driver.create(&id).await;
    assert_eq!((again.generation, again.epoch.clone()), (2, ended.epoch));
    assert!(again.version > ended.version);
    assert_eq!(driver.head(&id).await, again);
}

pub(crate) async fn an_expired_stream_is_announced_and_continues_its_versions(backend: Backend) {
    use domain::NoticeBody;
    use store::{NoticeEvent, Watch};

    let driver = Driver::new(&backend.store);
    let id = id("gold");
    let mut notices = backend.store.notices();
    driver.create(&id).await;
    let ended = driver.end(&id).await;
    backend.store.watch(Watch::Stream(&id), true).await.unwrap();
    driver.expire(&id).await;
    let removed = NoticeBody::Removed { epoch: ended.epoch.clone(), version: ended.version };
    match super::notices::next(&mut notices).await {
        NoticeEvent::Stream(notice) => assert_eq!((notice.id, notice.body), (id.clone(), removed)),
        other => panic!("{other:?}"),
    }
    let loaded = driver.load(&id).await;
    assert_eq!(loaded.head, None);
    let stone = loaded.tombstone.unwrap();
    assert_eq!((&stone.epoch, stone.version, stone.generation), (&ended.epoch, ended.version, 1));
    let again = driver.create(&id).await;
    assert_eq!((again.generation, again.epoch), (2, ended.epoch));
    assert!(again.version > ended.version);
    assert_eq!(driver.load(&id).await.tombstone, None, "it is looked up only when there is no head");
}

pub(crate) async fn an_abandoned_reservation_brings_back_what_it_would_have_replaced(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    let ended = driver.end(&id).await;
    let ended_list = |store: std::sync::Arc<dyn store::Store>| async move {
        let query = store::ListQuery { phases: vec![Phase::Ended], limit: 10, cursor: None, hidden: false };
        store.list(&query).await.unwrap().items.len()
    };
    let reserved = driver.reserve(&id).await;
    assert_eq!(ended_list(backend.store.clone()).await, 0);
    let decision = abandon(&reserved, &driver.rules, backend.store.now()).unwrap();
    driver.done(&id, &decision).await;
    let restored = driver.head(&id).await;
    assert_eq!((restored.phase, restored.version), (Phase::Ended, ended.version));
    assert_eq!(ended_list(backend.store.clone()).await, 1);

    let fresh = crate::driver::id("silver");
    let reserved = driver.reserve(&fresh).await;
    driver.done(&fresh, &abandon(&reserved, &driver.rules, backend.store.now()).unwrap()).await;
    assert_eq!(driver.load(&fresh).await, store::Loaded::default());
}

pub(crate) async fn unusual_ids_are_kept_apart(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let long = "ü".repeat(100);
    let texts = [
        "a",
        "a:b",
        "a:b:c",
        "{a}",
        "a{b}c",
        "}{",
        "a b",
        "a.b",
        "~",
        "a~b",
        "ünï",
        "日本語",
        "🦀",
        "%2F",
        "a/b",
        "*",
        "[x]",
        "\"><img src=x>",
        "head:a",
        &long,
    ];
    for (n, text) in texts.iter().enumerate() {
        driver.create(&id(text)).await;
        driver.join(&id(text), &format!("u{n}:{{x}} \u{1} ü"), &format!("PA_{n}")).await;
    }
    for (n, text) in texts.iter().enumerate() {
        let (head, identities) = backend.store.load_state(&id(text)).await.unwrap().unwrap();
        assert_eq!((head.id.as_str(), head.people), (*text, 1));
        assert_eq!(identities, vec![identity(&format!("u{n}:{{x}} \u{1} ü"))]);
    }
    let query = store::ListQuery { phases: Phase::ACTIVE.to_vec(), limit: 3, cursor: None, hidden: false };
    let mut listed = super::lists::everything(&backend.store, query).await;
    let mut expected: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    // An identity may hold whatever LiveKit reports.
    let id = id("a");
    driver.join(&id, "x\0y", "PA_x").await;
    driver.join(&id, "x", "PA_y").await;
    let who = identity("x\0y");
    let loaded = backend.store.load(&id, Concern { identity: Some(&who), ..Concern::default() }).await.unwrap();
    assert_eq!(loaded.identity_sids, vec![sid("PA_x")]);
    let (_, identities) = backend.store.load_state(&id).await.unwrap().unwrap();
    assert!(identities.contains(&who));
}

pub(crate) async fn the_clock_never_goes_back(backend: Backend) {
    let mut last = backend.store.now();
    for _ in 0..10_000 {
        let now = backend.store.now();
        assert!(now >= last);
        last = now;
    }
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let wall = domain::Timestamp::from_millis(i64::try_from(wall.as_millis()).unwrap());
    let apart = wall.since(last).max(last.since(wall));
    assert!(apart < std::time::Duration::from_secs(60), "the store's clock is {apart:?} off");
}
