//! Lists, pages and due times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use domain::{Kind, Phase, StreamId};
use store::{Cursor, ListQuery, Partition, Store};

use crate::backend::Backend;
use crate::driver::{Driver, id};

/// The ids of all pages, in order.
pub(crate) async fn everything(store: &Arc<dyn Store>, mut query: ListQuery) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = store.list(&query).await.unwrap();
        assert!(page.items.len() <= query.limit);
        ids.extend(page.items.iter().map(|head| head.id.to_string()));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return ids,
        }
    }
}

fn active(limit: usize) -> ListQuery {
    ListQuery { phases: Phase::ACTIVE.to_vec(), limit, cursor: None, hidden: false }
}

pub(crate) async fn lists_are_newest_first(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut heads = Vec::new();
    for n in 0..30 {
        heads.push(driver.create(&id(&format!("s{n}"))).await);
        if n % 3 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    heads.sort_by(|a, b| (b.started_at, b.id.as_str()).cmp(&(a.started_at, a.id.as_str())));
    let expected: Vec<String> = heads.iter().map(|head| head.id.to_string()).collect();
    for limit in [1, 7, 29, 30, 31, 1000] {
        assert_eq!(everything(&backend.store, active(limit)).await, expected, "limit {limit}");
    }
    let page = backend.store.list(&active(30)).await.unwrap();
    assert_eq!((page.items, page.next), (heads, None));
}

pub(crate) async fn lists_hold_the_phases_asked_for(backend: Backend) {
    let driver = Driver::new(&backend.store);
    for (n, name) in ["waiting", "live", "reconnecting", "ended"].into_iter().enumerate() {
        let id = id(name);
        driver.create(&id).await;
        let (who, connection) = (format!("u{n}"), format!("PA_{n}"));
        if n > 0 {
            driver.join(&id, &who, &connection).await;
            driver.publish(&id, &who, &connection, "TR_1").await;
        }
        match name {
            "reconnecting" => drop(driver.leave(&id, &who, &connection).await),
            "ended" => drop(driver.end(&id).await),
            _ => {}
        }
    }
    for phase in Phase::LISTED {
        let query = ListQuery { phases: vec![phase], limit: 10, cursor: None, hidden: false };
        assert_eq!(everything(&backend.store, query).await, [phase.as_str()]);
    }
    let query = |phases: &[Phase]| ListQuery { phases: phases.to_vec(), limit: 2, cursor: None, hidden: false };
    let all = everything(&backend.store, query(&Phase::LISTED)).await;
    assert_eq!(BTreeSet::from_iter(all.iter().map(String::as_str)).len(), 4);
    assert_eq!(everything(&backend.store, query(&[])).await, Vec::<String>::new());
    assert_eq!(everything(&backend.store, query(&[Phase::Live, Phase::Live])).await, ["live"]);
    let totals = backend.store.totals().await.unwrap();
    assert_eq!((totals.streams, totals.live, totals.people), (3, 1, 1));
}

pub(crate) async fn reservations_are_in_no_list_and_no_sum(backend: Backend) {
    let driver = Driver::new(&backend.store);
    driver.reserve(&id("gold")).await;
    let phases = vec![Phase::Reserved, Phase::Waiting, Phase::Live, Phase::Reconnecting, Phase::Ended];
    let query = ListQuery { phases, limit: 10, cursor: None, hidden: false };
    assert_eq!(everything(&backend.store, query).await, Vec::<String>::new());
    assert_eq!(backend.store.totals().await.unwrap(), store::Totals::default());
}

pub(crate) async fn pages_hold_every_untouched_stream_once_while_others_change(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let (mut still, mut restless) = (Vec::new(), Vec::new());
    for n in 0..60 {
        let id = id(&format!("s{n}"));
        driver.create(&id).await;
        if n % 2 == 0 { still.push(id) } else { restless.push(id) }
    }
    let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = tokio::spawn(disturb(driver.clone(), restless, stop.clone(), rounds.clone()));
    for limit in [3, 7, 20] {
        let before = rounds.load(Ordering::Relaxed);
        let mut passes = 0;
        while passes < 5 || rounds.load(Ordering::Relaxed) < before + 2 {
            passes += 1;
            let mut seen: BTreeMap<String, u32> = BTreeMap::new();
            let query = ListQuery { phases: Phase::LISTED.to_vec(), limit, cursor: None, hidden: false };
            for id in everything(&backend.store, query).await {
                *seen.entry(id).or_default() += 1;
            }
            for id in &still {
                assert_eq!(seen.get(id.as_str()), Some(&1), "{id} in pages of {limit}");
            }
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
}

/// Moves streams between phases, ends them and starts them again.
async fn disturb(driver: Driver, ids: Vec<StreamId>, stop: Arc<AtomicBool>, rounds: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let round = rounds.load(Ordering::Relaxed);
        for (n, id) in ids.iter().enumerate() {
            let connection = format!("PA_{n}_{round}");
            driver.join(id, "ada", &connection).await;
            driver.publish(id, "ada", &connection, "TR_1").await;
            driver.leave(id, "ada", &connection).await;
            if n % 5 == round % 5 {
                driver.end(id).await;
                driver.create(id).await;
            }
        }
        rounds.store(round + 1, Ordering::Relaxed);
    }
}

pub(crate) async fn a_page_of_a_thousand_and_pages_of_one_hold_the_same(backend: Backend) {
    let driver = Driver::new(&backend.store);
    // Many of one partition and few of the others: a page can't be taken in equal parts.
    let crowded = Partition::of(&id("s0"));
    let names = (0..).map(|n| format!("s{n}")).filter(|name| Partition::of(&id(name)) == crowded).take(60);
    let others = (0..20).map(|n| format!("other{n}"));
    let mut expected = BTreeSet::new();
    for name in names.chain(others) {
        driver.create(&id(&name)).await;
        expected.insert(name);
    }
    let large = everything(&backend.store, active(1000)).await;
    assert_eq!(large.len(), 80);
    assert_eq!(BTreeSet::from_iter(large.iter().cloned()), expected);
    assert_eq!(everything(&backend.store, active(1)).await, large);
    assert_eq!(everything(&backend.store, active(40)).await, large);
}

pub(crate) async fn pages_of_people_hold_everybody_once(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let id = id("gold");
    driver.create(&id).await;
    for n in 0..25 {
        let kind = if n % 4 == 0 { Kind::Agent } else { Kind::Standard };
        driver.join_as(&id, &format!("u{}", n / 3), &format!("PA_{n}"), kind).await;
    }
    let (_, everybody) = backend.store.load_full(&id).await.unwrap().unwrap();
    assert_eq!(everybody.len(), 25);
    for limit in [1, 4, 24, 25, 26] {
        let (mut seen, mut cursor): (Vec<_>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let page = backend.store.people(&id, limit, cursor.as_ref()).await.unwrap();
            assert!(page.items.len() <= limit);
            seen.extend(page.items);
            // A cursor goes out to callers and comes back.
            cursor = page.next.map(|next| Cursor::of_people(&next.0).unwrap());
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, everybody, "limit {limit}");
    }
    assert_eq!(backend.store.people(&crate::driver::id("other"), 5, None).await.unwrap().items, Vec::new());
}

pub(crate) async fn a_foreign_cursor_is_no_error(backend: Backend) {
    let driver = Driver::new(&backend.store);
    driver.create(&id("gold")).await;
    for text in ["", "x", "\0", "zzzz", "ü"] {
        let cursor = Cursor(text.to_owned());
        let query = ListQuery { cursor: Some(cursor.clone()), ..active(5) };
        assert!(backend.store.list(&query).await.is_ok(), "{text}");
        assert!(backend.store.people(&id("gold"), 5, Some(&cursor)).await.is_ok(), "{text}");
    }
}

pub(crate) async fn due_streams_come_soonest_first(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let mut expected: BTreeMap<Partition, Vec<(domain::Timestamp, StreamId)>> = BTreeMap::new();
    for n in 0..40 {
        let id = id(&format!("s{n}"));
        let head = driver.create(&id).await;
        let due = head.due_at(&driver.rules).unwrap();
        expected.entry(Partition::of(&id)).or_default().push((due, id));
    }
    let late = backend.store.now() + Duration::from_secs(3600);
    for partition in Partition::all() {
        let mut streams = expected.remove(&partition).unwrap_or_default();
        streams.sort();
        let ids: Vec<StreamId> = streams.iter().map(|(_, id)| id.clone()).collect();
        assert_eq!(backend.store.due(partition, late, 100).await.unwrap(), ids);
        assert_eq!(backend.store.due(partition, backend.store.now(), 100).await.unwrap(), Vec::new());
        if let Some((first, id)) = streams.first() {
            assert_eq!(backend.store.due(partition, *first, 1).await.unwrap(), vec![id.clone()]);
        }
    }
    let one = id("s0");
    driver.end(&one).await;
    driver.expire(&one).await;
    assert!(!backend.store.due(Partition::of(&one), late, 100).await.unwrap().contains(&one));
}

pub(crate) async fn many_heads_come_in_the_order_asked_for(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let first = driver.create(&id("a")).await;
    let second = driver.create(&id("b")).await;
    let ids = [id("b"), id("absent"), id("a"), id("b")];
    let heads = backend.store.load_many(&ids).await.unwrap();
    assert_eq!(heads, vec![Some(second.clone()), None, Some(first), Some(second)]);
    assert_eq!(backend.store.load_many(&[]).await.unwrap(), Vec::new());
}

pub(crate) async fn forgetting_a_stream_that_is_there_does_nothing(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let gold = id("gold");
    driver.create(&gold).await;
    // Nobody has come yet, so that it is due some time.
    let before = backend.store.load_full(&gold).await.unwrap();
    let totals = backend.store.totals().await.unwrap();
    backend.store.forget(&gold).await.unwrap();
    backend.store.forget(&id("absent")).await.unwrap();
    assert_eq!(backend.store.load_full(&gold).await.unwrap(), before);
    assert_eq!(backend.store.totals().await.unwrap(), totals);
    assert_eq!(everything(&backend.store, active(5)).await, ["gold"]);
    let late = backend.store.now() + Duration::from_secs(3600);
    assert_eq!(backend.store.due(Partition::of(&gold), late, 5).await.unwrap(), vec![gold]);
}
