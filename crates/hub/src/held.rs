//! Topics that have news for audiences which are told later.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::topic::Topic;

/// Topics by the time when they are to be released. No more than a few per topic:
/// an audience that is held is not held again.
#[derive(Debug, Default)]
pub(crate) struct Held {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// Topics that were ever added: several may be due at the same time.
    count: u64,
    topics: BTreeMap<(Instant, u64), Arc<Topic>>,
}

impl Held {
    /// Has the topic released at `due`.
    pub(crate) fn add(&self, due: Instant, topic: &Arc<Topic>) {
        let mut queue = self.queue.lock();
        queue.count += 1;
        let place = (due, queue.count);
        queue.topics.insert(place, Arc::clone(topic));
        drop(queue);
        self.changed.notify_one();
    }

    /// When the first of them is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.queue.lock().topics.first_key_value().map(|((due, _), _)| *due)
    }

    /// Those that are due.
    pub(crate) fn take_due(&self, now: Instant) -> Vec<Arc<Topic>> {
        let topics = &mut self.queue.lock().topics;
        let later = topics.split_off(&(now, u64::MAX));
        std::mem::replace(topics, later).into_values().collect()
    }

    /// Another one has been added.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}
