//! The API keys that are known now: they can be replaced while requests come,
//! and each remembers when it was used last.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::Timestamp;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{ApiKey, Scope};

/// "Never", as a time.
const NEVER: i64 = i64::MIN;

/// The API keys that are known now. A clone is the same ring.
#[derive(Debug, Clone)]
pub struct KeyRing(Arc<RwLock<Arc<[Held]>>>);

/// A key on the ring.
#[derive(Debug, Clone)]
struct Held {
    key: ApiKey,
    /// Milliseconds since 1970, by the store's clock.
    last_used: Arc<AtomicI64>,
}

/// A key that a request has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) scope: Scope,
    /// The start of the hash: tells keys apart without naming them.
    pub(crate) number: u64,
}

impl KeyRing {
    /// A ring with these keys.
    pub fn new(keys: Vec<ApiKey>) -> Self {
        let ring = Self(Arc::new(RwLock::new(Arc::new([]))));
        ring.replace(keys);
        ring
    }

    /// From now on these keys are known and no others. A key that stays keeps the time of its last use.
    pub fn replace(&self, keys: Vec<ApiKey>) {
        let mut held = self.0.write();
        let last_used = |key: &ApiKey| {
            let before = held.iter().find(|other| other.key.hash == key.hash);
            before.map_or_else(|| Arc::new(AtomicI64::new(NEVER)), |other| other.last_used.clone())
        };
        let keys: Arc<[Held]> = keys.into_iter().map(|key| Held { last_used: last_used(&key), key }).collect();
        *held = keys;
    }

    /// The key that `bearer` is, used at `now`. Compares with all keys in constant time, whichever it is.
    pub(crate) fn find(&self, bearer: &str, now: Timestamp) -> Option<Known> {
        let hash: [u8; 32] = Sha256::digest(bearer.as_bytes()).into();
        let held = self.0.read().clone();
        let found = held
            .iter()
            .fold(None, |found, held| if bool::from(held.key.hash.ct_eq(&hash)) { Some(held) } else { found })?;
        found.last_used.fetch_max(now.as_millis(), Ordering::Relaxed);
        let number = hash.first_chunk().map_or(0, |start| u64::from_be_bytes(*start));
        Some(Known { scope: found.key.scope, number })
    }

    /// All keys, in the order in which they were given, and when each was used last.
    pub(crate) fn list(&self) -> Vec<(ApiKey, Option<Timestamp>)> {
        let held = self.0.read().clone();
        let used = |held: &Held| Some(held.last_used.load(Ordering::Relaxed)).filter(|time| *time != NEVER);
        held.iter().map(|held| (held.key.clone(), used(held).map(Timestamp::from_millis))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, text: &str) -> ApiKey {
        let hash = Sha256::digest(text.as_bytes()).into();
        ApiKey { name: name.to_owned(), scope: Scope::Admin, hash, from_file: false }
    }

    #[test]
    fn keys_are_replaced_and_remember_their_use() {
        let ring = KeyRing::new(vec![key("a", "one"), key("b", "two")]);
        let now = Timestamp::from_millis(5_000);
        assert!(ring.find("three", now).is_none());
        assert_eq!(ring.find("one", now).map(|known| known.scope), Some(Scope::Admin));
        ring.find("one", Timestamp::from_millis(4_000));
        ring.clone().replace(vec![key("renamed", "one"), key("c", "three")]);
        assert!(ring.find("two", now).is_none(), "it was taken away");
        let list: Vec<_> = ring.list().into_iter().map(|(key, used)| (key.name, used)).collect();
        assert_eq!(list, [("renamed".to_owned(), Some(now)), ("c".to_owned(), None)]);
    }
}
