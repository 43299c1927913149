//! Who is told what, and in which order.

use std::time::Duration;

use domain::{EndReason, Kind, Notice, NoticeBody, end};
use store::{NoticeEvent, Watch};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::backend::Backend;
use crate::driver::{Driver, id, identity};

/// The next notice; fails when none comes.
pub(crate) async fn next(notices: &mut Receiver<NoticeEvent>) -> NoticeEvent {
    timeout(Duration::from_secs(20), notices.recv()).await.expect("a notice").expect("the store is open")
}

fn version(notice: &Notice) -> u64 {
    match &notice.body {
        NoticeBody::Changed { view, .. } => view.version,
        NoticeBody::Removed { version, .. } => *version,
    }
}

async fn next_of_stream(notices: &mut Receiver<NoticeEvent>) -> Notice {
    match next(notices).await {
        NoticeEvent::Stream(notice) => notice,
        other => panic!("not of a stream: {other:?}"),
    }
}

pub(crate) async fn notices_come_in_order_and_none_is_missed(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut notices = backend.store.notices();
    let ids = [id("a"), id("b"), id("c")];
    for id in &ids {
        driver.create(id).await;
    }
    // Somebody changes the streams all the time, so that `watch` starts in the middle.
    let writer = tokio::spawn({
        let (driver, ids) = (driver.clone(), ids.clone());
        async move {
            for n in 0..60 {
                for id in &ids {
                    driver.join(id, &format!("u{n}"), &format!("PA_{n}")).await;
                }
            }
        }
    });
    let mut expected = Vec::new();
    for id in &ids {
        backend.store.watch(Watch::Stream(id), true).await.unwrap();
        expected.push(driver.head(id).await.version);
    }
    writer.await.unwrap();
    let mut lasts = Vec::new();
    for id in &ids {
        lasts.push(driver.head(id).await.version);
    }
    // Whatever follows the version that was read after `watch` must come, one after the other.
    while expected != lasts {
        let notice = next_of_stream(&mut notices).await;
        let at = ids.iter().position(|id| *id == notice.id).unwrap();
        let version = version(&notice);
        assert!(version <= expected[at] + 1, "{}: {version} after {}", notice.id, expected[at]);
        expected[at] = expected[at].max(version);
    }
}

pub(crate) async fn what_is_not_watched_is_silent(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut notices = backend.store.notices();
    let (gold, silver) = (id("gold"), id("silver"));
    driver.create(&gold).await;
    driver.create(&silver).await;
    backend.store.watch(Watch::Stream(&silver), true).await.unwrap();
    driver.join(&gold, "ada", "PA_1").await;
    driver.join(&silver, "ada", "PA_2").await;
    assert_eq!(next_of_stream(&mut notices).await.id, silver);
    backend.store.watch(Watch::Stream(&silver), false).await.unwrap();
    backend.store.watch(Watch::Stream(&gold), true).await.unwrap();
    driver.join(&silver, "bob", "PA_3").await;
    driver.leave(&gold, "ada", "PA_1").await;
    let notice = next_of_stream(&mut notices).await;
    assert_eq!(notice.id, gold);
    match notice.body {
        NoticeBody::Changed { left, joined, cleared, .. } => {
            assert_eq!((joined, left, cleared), (vec![], vec![identity("ada")], false));
        }
        NoticeBody::Removed { .. } => panic!("it is there"),
    }
    // A step that nobody outside can see is told to nobody: the next notice is that of the step after it.
    driver.leave(&gold, "nobody", "PA_9").await;
    driver.join(&gold, "cleo", "PA_4").await;
    match next_of_stream(&mut notices).await.body {
        NoticeBody::Changed { joined, .. } => assert_eq!(joined, vec![identity("cleo")]),
        NoticeBody::Removed { .. } => panic!("it is there"),
    }
}

pub(crate) async fn the_lobby_hears_of_all_and_names_nobody(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut notices = backend.store.notices();
    let gold = id("gold");
    driver.create(&gold).await;
    backend.store.watch(Watch::Lobby, true).await.unwrap();
    driver.join_as(&gold, "ada", "PA_1", Kind::Standard).await;
    let ended = end(&driver.head(&gold).await, EndReason::Stopped, &driver.rules, backend.store.now()).unwrap();
    driver.done(&gold, &ended).await;
    driver.create(&id("silver")).await;
    for (of, people, everybody_left) in [(&gold, 1, false), (&gold, 0, true), (&id("silver"), 0, false)] {
        let NoticeEvent::Lobby(notice) = next(&mut notices).await else { panic!("not of the lobby") };
        assert_eq!(notice.id, *of);
        match notice.body {
            NoticeBody::Changed { view, joined, left, cleared } => {
                assert_eq!((view.people, joined.len(), left.len(), cleared), (people, 0, 0, everybody_left));
            }
            NoticeBody::Removed { .. } => panic!("it is there"),
        }
    }
    backend.store.watch(Watch::Lobby, false).await.unwrap();
    backend.store.watch(Watch::Stream(&gold), true).await.unwrap();
    driver.create(&id("bronze")).await;
    driver.create(&gold).await;
    assert_eq!(next_of_stream(&mut notices).await.id, gold);
}

pub(crate) async fn a_notice_is_not_told_before_its_state_can_be_read(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut notices = backend.store.notices();
    let gold = id("gold");
    driver.create(&gold).await;
    backend.store.watch(Watch::Stream(&gold), true).await.unwrap();
    let writer = tokio::spawn({
        let (driver, gold) = (driver.clone(), gold.clone());
        async move {
            for n in 0..40 {
                driver.join(&gold, &format!("u{n}"), &format!("PA_{n}")).await;
            }
        }
    });
    for _ in 0..40 {
        let told = version(&next_of_stream(&mut notices).await);
        assert!(driver.head(&gold).await.version >= told);
    }
    writer.await.unwrap();
}

pub(crate) async fn a_receiver_that_falls_behind_gets_a_gap(backend: Backend) {
    // The file makes this long and changes nothing about it.
    let driver = Driver::new(&backend.store);
    let gold = id("gold");
    driver.create(&gold).await;
    let mut notices = backend.store.notices();
    backend.store.watch(Watch::Stream(&gold), true).await.unwrap();
    for n in 0..2200 {
        driver.join(&gold, "ada", &format!("PA_{n}")).await;
        driver.leave(&gold, "ada", &format!("PA_{n}")).await;
    }
    let newest = driver.head(&gold).await.version;
    loop {
        match next(&mut notices).await {
            NoticeEvent::Gap => break,
            NoticeEvent::Stream(notice) => assert!(version(&notice) < newest, "no gap before the end"),
            NoticeEvent::Lobby(_) => panic!("the lobby is not watched"),
        }
    }
    // After the gap it goes on.
    driver.join(&gold, "bob", "PA_last").await;
    loop {
        match next(&mut notices).await {
            NoticeEvent::Stream(notice) if version(&notice) == newest + 1 => return,
            NoticeEvent::Stream(_) | NoticeEvent::Gap => {}
            NoticeEvent::Lobby(_) => panic!("the lobby is not watched"),
        }
    }
}

pub(crate) async fn another_instance_hears_too(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let other = backend.another().await;
    let mut notices = other.notices();
    let gold = id("gold");
    other.watch(Watch::Stream(&gold), true).await.unwrap();
    other.watch(Watch::Lobby, true).await.unwrap();
    let head = driver.create(&gold).await;
    let mut heard = [next(&mut notices).await, next(&mut notices).await];
    heard.sort_by_key(|event| matches!(event, NoticeEvent::Lobby(_)));
    let [NoticeEvent::Stream(stream), NoticeEvent::Lobby(lobby)] = &heard else { panic!("{heard:?}") };
    assert_eq!((version(stream), version(lobby)), (head.version, head.version));
    assert_eq!(other.load_state(&gold).await.unwrap().unwrap().0, head);
}
