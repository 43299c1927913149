//! The subscribers of one topic, as far as waking them goes.

use std::task::{Context, Waker};

use slotmap::{DefaultKey, SlotMap};

/// Subscribers leave in this many groups when the hub drains.
pub(crate) const LEAVING_GROUPS: u16 = 64;

/// A subscriber's place in its topic.
pub(crate) type SlotKey = DefaultKey;

/// One subscriber.
#[derive(Debug)]
struct Slot {
    /// Set while the subscriber waits for something new.
    waker: Option<Waker>,
    /// The group it leaves with when the hub drains.
    group: u16,
}

/// All subscribers of a topic.
#[derive(Debug, Default)]
pub(crate) struct Slots(SlotMap<SlotKey, Slot>);

impl Slots {
    /// Adds a subscriber that leaves with `group`.
    pub(crate) fn insert(&mut self, group: u16) -> SlotKey {
        self.0.insert(Slot { waker: None, group })
    }

    /// Takes a subscriber out.
    pub(crate) fn remove(&mut self, key: SlotKey) {
        self.0.remove(key);
    }

    /// Has the subscriber woken at the next change.
    pub(crate) fn register(&mut self, key: SlotKey, cx: &Context<'_>) {
        let Some(slot) = self.0.get_mut(key) else { return };
        match &mut slot.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Those who wait, to be woken once the topic's lock is free.
    pub(crate) fn take_waiting(&mut self) -> Vec<Waker> {
        self.0.values_mut().filter_map(|slot| slot.waker.take()).collect()
    }

    /// Those who wait and belong to a group below `group`.
    pub(crate) fn take_leaving(&mut self, group: u16) -> Vec<Waker> {
        self.0.values_mut().filter(|slot| slot.group < group).filter_map(|slot| slot.waker.take()).collect()
    }

    /// How many subscribers there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A random group for a new subscriber.
pub(crate) fn random_group() -> u16 {
    rand::random_range(0..LEAVING_GROUPS)
}

/// Wakes all of them.
pub(crate) fn wake(wakers: Vec<Waker>) {
    for waker in wakers {
        waker.wake();
    }
}
