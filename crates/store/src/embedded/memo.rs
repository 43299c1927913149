//! Memos in memory, and what a swap changes.

use std::collections::{BTreeSet, HashMap};

use domain::Timestamp;

use crate::{ErrorKind, Memo, MemoSwap, StoreError};

use super::EmbeddedStore;

/// Most ended memos that one swap takes out; more than one brings in, so that they never pile up.
const MAX_ENDED: usize = 64;

/// All memos.
#[derive(Debug, Default)]
pub(super) struct Memos {
    values: HashMap<String, StoredMemo>,
    by_end: BTreeSet<(Timestamp, String)>,
    by_age: BTreeSet<(Timestamp, String)>,
}

/// One memo, as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredMemo {
    /// When it ends.
    pub(super) until: Timestamp,
    /// When it was written.
    pub(super) written: Timestamp,
    /// What it holds.
    pub(super) value: Vec<u8>,
}

/// A memo under a key, or that there is none any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemoChange {
    /// Its key.
    pub(super) key: String,
    /// What is there from now on.
    pub(super) memo: Option<StoredMemo>,
}

/// A swap that waits for its turn.
#[derive(Debug)]
pub(super) struct MemoRequest {
    pub(super) expected: Option<Vec<u8>>,
    pub(super) change: MemoChange,
    /// When it was asked for.
    pub(super) now: Timestamp,
}

impl Memos {
    /// The value under `key`, unless it has ended.
    pub(super) fn get(&self, key: &str, now: Timestamp) -> Option<&[u8]> {
        self.values.get(key).filter(|memo| memo.until > now).map(|memo| memo.value.as_slice())
    }

    /// Carries out a change.
    pub(super) fn apply(&mut self, change: MemoChange) {
        let MemoChange { key, memo } = change;
        if let Some(former) = self.values.remove(&key) {
            self.by_end.remove(&(former.until, key.clone()));
            self.by_age.remove(&(former.written, key.clone()));
        }
        if let Some(memo) = memo {
            self.by_end.insert((memo.until, key.clone()));
            self.by_age.insert((memo.written, key.clone()));
            self.values.insert(key, memo);
        }
    }

    /// What has to go when `changes` come: some that have ended, and the oldest above the bound.
    pub(super) fn outgoing(&self, changes: &[MemoChange], now: Timestamp) -> Vec<MemoChange> {
        if changes.is_empty() {
            return Vec::new();
        }
        let stays = |key: &String| changes.iter().all(|change| change.key != *key);
        let ended = self.by_end.iter().take_while(|(until, _)| *until <= now).map(|(_, key)| key);
        let mut keys: Vec<&String> = ended.filter(|key| stays(key)).take(MAX_ENDED).collect();
        let added = changes.iter().filter(|c| c.memo.is_some() && !self.values.contains_key(&c.key)).count();
        let excess = (self.values.len() + added).saturating_sub(Memo::MAX_COUNT + keys.len());
        let oldest = self.by_age.iter().map(|(_, key)| key);
        let oldest: Vec<&String> = oldest.filter(|key| stays(key) && !keys.contains(key)).take(excess).collect();
        keys.extend(oldest);
        keys.into_iter().map(|key| MemoChange { key: key.clone(), memo: None }).collect()
    }
}

impl EmbeddedStore {
    pub(super) fn read_memo(&self, key: &str) -> Option<Vec<u8>> {
        let now = self.shared.clock.now();
        self.shared.state.read().memos.get(key, now).map(<[u8]>::to_vec)
    }

    pub(super) async fn write_memo(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        memo: Option<&Memo>,
    ) -> Result<MemoSwap, StoreError> {
        check_size(memo)?;
        let now = self.shared.clock.now();
        let stored = memo.map(|memo| StoredMemo {
            until: now + memo.life.min(Memo::MAX_LIFE),
            written: now,
            value: memo.value.clone(),
        });
        let change = MemoChange { key: key.to_owned(), memo: stored };
        self.writer.swap_memo(MemoRequest { expected: expected.map(<[u8]>::to_vec), change, now }).await
    }
}

/// Refuses what is too long to be kept.
pub(crate) fn check_size(memo: Option<&Memo>) -> Result<(), StoreError> {
    if memo.is_some_and(|memo| memo.value.len() > Memo::MAX_BYTES) {
        let text = format!("a memo is at most {} bytes long", Memo::MAX_BYTES);
        return Err(StoreError::new(ErrorKind::Misconfigured, "swap_memo", text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn change(key: &str, written: i64, until: i64) -> MemoChange {
        let memo = StoredMemo { until: at(until), written: at(written), value: b"v".to_vec() };
        MemoChange { key: key.to_owned(), memo: Some(memo) }
    }

    #[test]
    fn what_has_ended_goes_first_and_then_the_oldest() {
        let mut memos = Memos::default();
        for n in 0..Memo::MAX_COUNT as i64 {
            memos.apply(change(&format!("k{n}"), n, if n == 7 { 50 } else { 1_000_000 }));
        }
        let names = |changes: Vec<MemoChange>| changes.into_iter().map(|change| change.key).collect::<Vec<_>>();
        let new = |key: &str| change(key, 99_999, 1_000_000);
        assert_eq!(names(memos.outgoing(&[new("x")], at(40))), ["k0"]);
        assert_eq!(names(memos.outgoing(&[new("x")], at(60))), ["k7"]);
        assert_eq!(names(memos.outgoing(&[new("x"), new("y"), new("k0")], at(60))), ["k7", "k1"]);
        assert_eq!(names(memos.outgoing(&[new("k3")], at(40))), Vec::<String>::new());
        assert_eq!(names(memos.outgoing(&[], at(60))), Vec::<String>::new());
        assert_eq!((memos.get("k7", at(40)), memos.get("k7", at(60))), (Some(&b"v"[..]), None));
    }
}
