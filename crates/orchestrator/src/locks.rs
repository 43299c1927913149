//! Work on one stream within this instance goes one at a time: two webhooks of
//! one room would only make each other start over.

use std::hash::{BuildHasher, RandomState};

use domain::StreamId;
use tokio::sync::{Mutex, MutexGuard};

const STRIPES: usize = 1024;

/// A fixed set of locks; a stream always maps to the same one.
pub(crate) struct StreamLocks {
    stripes: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Default for StreamLocks {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(), hasher: RandomState::new() }
    }
}

impl StreamLocks {
    /// Waits for this stream's turn.
    pub(crate) async fn lock(&self, id: &StreamId) -> MutexGuard<'_, ()> {
        let stripe = usize::try_from(self.hasher.hash_one(id) % STRIPES as u64).unwrap_or(0);
        self.stripes[stripe].lock().await
    }
}
