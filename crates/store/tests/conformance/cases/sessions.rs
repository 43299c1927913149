//! History: what is told of generations that are over.

use std::sync::Arc;
use std::time::Duration;

use domain::{Decision, EndReason, Session, StreamId, Timestamp, Visibility, end};
use store::{Cursor, HistoryQuery, Store};

use crate::backend::{Backend, answers_again};
use crate::driver::{Driver, id};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn all(limit: usize) -> HistoryQuery {
    HistoryQuery { limit, cursor: None, hidden: false, since: Timestamp::from_millis(0) }
}

/// The sessions of all pages, in order.
async fn everything(store: &Arc<dyn Store>, mut query: HistoryQuery) -> Vec<Session> {
    let mut sessions = Vec::new();
    loop {
        let page = store.history(&query).await.unwrap();
        assert!(page.items.len() <= query.limit);
        sessions.extend(page.items);
        match page.next {
            Some(next) => query.cursor = Some(Cursor::of_history(&next.0).unwrap()),
            None => return sessions,
        }
    }
}

/// A stream that was on, of this visibility, and the decision that ends it.
async fn ending(driver: &Driver, id: &StreamId, visibility: Visibility) -> Decision {
    let mut head = driver.reserve(id).await;
    head.settings.visibility = visibility;
    let decision =
        domain::complete(&head, &crate::driver::room(&head), false, &driver.rules, driver.store.now()).unwrap();
    driver.done(id, &decision).await;
    end(&decision.head.unwrap(), EndReason::Stopped, &driver.rules, driver.store.now()).unwrap()
}

/// Ends a stream and gives what history has of it.
async fn over(driver: &Driver, id: &StreamId, visibility: Visibility) -> Session {
    let decision = ending(driver, id, visibility).await;
    driver.done(id, &decision).await;
    decision.session.unwrap().0
}

fn sort(sessions: &mut [Session]) {
    sessions.sort_by_key(|s| std::cmp::Reverse((s.ended_at, format!("{}~{}", s.stream_id, s.generation))));
}

pub(crate) async fn history_is_latest_first_in_pages_of_any_size(backend: Backend) {
    let driver = Driver::new(&backend.store);
    assert_eq!(everything(&backend.store, all(10)).await, []);
    let mut expected = Vec::new();
    for n in 0..40 {
        // Some end several times, and each generation is a row.
        expected.push(over(&driver, &id(&format!("s~:{}", n % 30)), Visibility::Public).await);
    }
    driver.create(&id("on")).await;
    sort(&mut expected);
    assert_eq!(expected.iter().filter(|session| session.generation == 2).count(), 10);
    for limit in [1, 7, 39, 40, 41, 1000] {
        assert_eq!(everything(&backend.store, all(limit)).await, expected, "limit {limit}");
    }
    assert_eq!(backend.another().await.history(&all(40)).await.unwrap().items, expected);
    let page = backend.store.history(&all(40)).await.unwrap();
    assert_eq!(page.next, None, "a page that holds the last one is the last");
}

pub(crate) async fn sessions_that_end_at_once_are_paged_too(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut expected = Vec::new();
    for n in 0..40 {
        let id = id(&format!("s{n}"));
        let mut decision = ending(&driver, &id, Visibility::Public).await;
        decision.session.as_mut().unwrap().0.ended_at = Timestamp::from_millis(1_795_429_101_951);
        driver.done(&id, &decision).await;
        expected.push(decision.session.unwrap().0);
    }
    sort(&mut expected);
    for limit in [1, 3, 39] {
        assert_eq!(everything(&backend.store, all(limit)).await, expected, "limit {limit}");
    }
}

pub(crate) async fn hidden_sessions_are_in_no_public_history(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut sessions = Vec::new();
    for (n, visibility) in
        [Visibility::Public, Visibility::Unlisted, Visibility::Private].into_iter().cycle().enumerate()
    {
        sessions.push(over(&driver, &id(&format!("s{n}")), visibility).await);
        if n == 11 {
            break;
        }
    }
    sort(&mut sessions);
    assert_eq!(everything(&backend.store, HistoryQuery { hidden: true, ..all(5) }).await, sessions);
    sessions.retain(|session| session.visibility == Visibility::Public);
    assert_eq!(sessions.len(), 4);
    assert_eq!(everything(&backend.store, all(3)).await, sessions);
}

pub(crate) async fn history_begins_when_it_is_asked_to_and_foreign_cursors_are_no_error(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut sessions = Vec::new();
    for n in 0..6 {
        sessions.push(over(&driver, &id(&format!("s{n}")), Visibility::Public).await);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    sort(&mut sessions);
    for (at, session) in sessions.iter().enumerate() {
        let query = HistoryQuery { since: session.ended_at, ..all(2) };
        assert_eq!(everything(&backend.store, query).await, sessions[..=at]);
        let query = HistoryQuery { since: session.ended_at + Duration::from_millis(1), ..all(2) };
        assert_eq!(everything(&backend.store, query).await, sessions[..at]);
    }
    let since = sessions[2].ended_at;
    for cursor in ["x", "", "0000000000000000.gold~1"] {
        let query = HistoryQuery { cursor: Some(Cursor(cursor.to_owned())), since, ..all(2) };
        let page = backend.store.history(&query).await.unwrap();
        assert!(page.items.iter().all(|session| session.ended_at >= since), "{cursor:?}");
    }
}

pub(crate) async fn a_row_goes_when_its_time_is_over(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let (short, long) = (id("short"), id("long"));
    let mut decision = ending(&driver, &short, Visibility::Public).await;
    decision.session.as_mut().unwrap().1 = Duration::from_millis(300);
    driver.done(&short, &decision).await;
    // The newest is the first: not in the same millisecond.
    tokio::time::sleep(Duration::from_millis(3)).await;
    let kept = over(&driver, &long, Visibility::Public).await;
    assert_eq!(everything(&backend.store, all(1)).await.first(), Some(&kept));
    tokio::time::sleep(Duration::from_millis(350)).await;
    for limit in [1, 10] {
        assert_eq!(everything(&backend.store, all(limit)).await, std::slice::from_ref(&kept), "limit {limit}");
    }
}

pub(crate) async fn history_outlives_record_and_restart(backend: Backend) {
    let mut backend = backend.restartable().await;
    let driver = Driver::new(&backend.store);
    let gold = id("gold");
    let session = over(&driver, &gold, Visibility::Public).await;
    let hidden = over(&driver, &id("silver"), Visibility::Private).await;
    driver.expire(&gold).await;
    assert_eq!(driver.load(&gold).await.head, None);
    let since = backend.store.now() - WEEK;
    let both = [hidden, session.clone()];
    for _ in 0..2 {
        answers_again(&backend.store).await;
        assert_eq!(everything(&backend.store, HistoryQuery { since, ..all(10) }).await, std::slice::from_ref(&session));
        assert_eq!(everything(&backend.store, HistoryQuery { since, hidden: true, ..all(10) }).await, both);
        if !backend.is_lasting() {
            break;
        }
        backend.restart().await;
    }
}
