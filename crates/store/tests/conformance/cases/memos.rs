//! Small values that end by themselves.

use std::time::Duration;

use store::{Memo, MemoSwap};

use crate::backend::Backend;

const LONG: Duration = Duration::from_secs(3600);

fn memo(value: &str, life: Duration) -> Memo {
    Memo { value: value.as_bytes().to_vec(), life }
}

fn found(value: &str) -> MemoSwap {
    MemoSwap::Found(Some(value.as_bytes().to_vec()))
}

pub(crate) async fn a_memo_is_swapped_only_for_the_one_expected(backend: Backend) {
    let store = &backend.store;
    assert_eq!(store.memo("k").await.unwrap(), None);
    assert_eq!(store.swap_memo("k", Some(b"x"), Some(&memo("a", LONG))).await.unwrap(), MemoSwap::Found(None));
    assert_eq!(store.swap_memo("k", None, Some(&memo("a", LONG))).await.unwrap(), MemoSwap::Done);
    assert_eq!(store.swap_memo("k", None, Some(&memo("b", LONG))).await.unwrap(), found("a"));
    assert_eq!(store.swap_memo("k", Some(b""), None).await.unwrap(), found("a"));
    assert_eq!(store.swap_memo("other", None, Some(&memo("", LONG))).await.unwrap(), MemoSwap::Done);
    assert_eq!(store.swap_memo("k", Some(b"a"), Some(&memo("\0\u{fffd}", LONG))).await.unwrap(), MemoSwap::Done);
    assert_eq!(backend.another().await.memo("k").await.unwrap().as_deref(), Some("\0\u{fffd}".as_bytes()));
    assert_eq!(store.swap_memo("k", Some("\0\u{fffd}".as_bytes()), None).await.unwrap(), MemoSwap::Done);
    assert_eq!(store.memo("k").await.unwrap(), None);
    assert_eq!(store.memo("other").await.unwrap().as_deref(), Some(&b""[..]));
}

pub(crate) async fn fifty_racing_writers_of_a_memo_have_one_winner(backend: Backend) {
    let tasks = (0..50).map(|n| {
        let store = backend.store.clone();
        tokio::spawn(async move { store.swap_memo("k", None, Some(&memo(&n.to_string(), LONG))).await.unwrap() })
    });
    let mut winners = 0;
    for task in tasks.collect::<Vec<_>>() {
        winners += usize::from(task.await.unwrap() == MemoSwap::Done);
    }
    assert_eq!(winners, 1);
}

pub(crate) async fn a_memo_ends_by_itself(backend: Backend) {
    let store = &backend.store;
    let short = Duration::from_millis(50);
    store.swap_memo("k", None, Some(&memo("a", short))).await.unwrap();
    store.swap_memo("kept", None, Some(&memo("b", LONG))).await.unwrap();
    tokio::time::sleep(short * 3).await;
    assert_eq!(store.memo("k").await.unwrap(), None);
    assert_eq!(store.swap_memo("k", Some(b"a"), None).await.unwrap(), MemoSwap::Found(None));
    assert_eq!(store.swap_memo("k", None, Some(&memo("again", LONG))).await.unwrap(), MemoSwap::Done);
    assert_eq!(store.memo("kept").await.unwrap().as_deref(), Some(&b"b"[..]));
}

pub(crate) async fn memos_are_bounded_in_number_and_size(backend: Backend) {
    let store = &backend.store;
    let long = "x".repeat(Memo::MAX_BYTES + 1);
    assert!(store.swap_memo("long", None, Some(&memo(&long, LONG))).await.is_err());
    assert!(store.swap_memo("long", None, Some(&memo(&long[1..], LONG))).await.is_ok());
    // Of those of one millisecond any may go first.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let writers = (0..100).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..Memo::MAX_COUNT / 100 {
                store.swap_memo(&format!("k{task}-{n}"), None, Some(&memo("v", LONG))).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert!(store.memo("long").await.unwrap().is_none(), "the oldest has not gone");
    assert_eq!(store.memo("k99-0").await.unwrap().as_deref(), Some(&b"v"[..]));
}
