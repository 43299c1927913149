//! The receive sections of one connection, and which track each of them carries.
//!
//! A slot freed by one track must be negotiated as inactive once before another track may use it: only then does the
//! client drop the old track and announce the new one. Reuse is what keeps the SDP of a viewer from growing.

use crate::command::MediaKind;

/// All slots of a connection. `T` names a track.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// Whether a freed slot may be used again. Without it, it stays inactive for good.
    reuse: bool,
}

/// One receive section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot<T> {
    /// Its mid.
    pub(crate) mid: String,
    /// Audio or video.
    pub(crate) kind: MediaKind,
    /// What it is used for.
    pub(crate) state: SlotState<T>,
}

/// The life of a slot: fresh, carrying, freed, idle, carrying…; closed at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SlotState<T> {
    /// Never used.
    Fresh,
    /// Carries this track.
    Carrying(T),
    /// Its track is gone, but the client has not been told yet.
    Freed,
    /// Used before, negotiated as inactive: ready for another track.
    Idle,
    /// The client took it back, or reuse is off.
    Closed,
}

/// A slot given to a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Its mid.
    pub(crate) mid: String,
    /// Whether another track used it before, so that it needs a new SSRC.
    pub(crate) used_before: bool,
}

impl<T: Copy + PartialEq> Slots<T> {
    /// No slots.
    pub(crate) fn new(reuse: bool) -> Slots<T> {
        Slots { slots: Vec::new(), reuse }
    }

    /// All of them, in order of appearance.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot<T>> {
        self.slots.iter()
    }

    /// The slot with this mid.
    pub(crate) fn get(&self, mid: &str) -> Option<&Slot<T>> {
        self.slots.iter().find(|slot| slot.mid == mid)
    }

    /// The mid of the slot that carries a track.
    pub(crate) fn carrying(&self, track: T) -> Option<&str> {
        self.slots.iter().find(|slot| slot.state == SlotState::Carrying(track)).map(|slot| slot.mid.as_str())
    }

    /// Takes note of the sections that a client offers to receive on: new ones are fresh, those that it no longer
    /// offers are closed. Returns the tracks that lost their slot thereby.
    pub(crate) fn sync(&mut self, offered: &[(&str, MediaKind)]) -> Vec<T> {
        let mut lost = Vec::new();
        for slot in &mut self.slots {
            if !offered.iter().any(|(mid, _)| *mid == slot.mid) {
                lost.extend(slot.track());
                slot.state = SlotState::Closed;
            }
        }
        for (mid, kind) in offered {
            match self.slots.iter_mut().find(|slot| slot.mid == *mid) {
                // A section that the client had stopped and now offers again was seen inactive by it in between.
                Some(slot) if slot.state == SlotState::Closed && self.reuse => slot.state = SlotState::Idle,
                Some(_) => {}
                None => self.add(mid, *kind, SlotState::Fresh),
            }
        }
        lost
    }

    /// Adds a section made by the engine for a track.
    pub(crate) fn add_for(&mut self, mid: &str, kind: MediaKind, track: T) {
        self.add(mid, kind, SlotState::Carrying(track));
    }

    /// Gives a track a free slot: a used one first, so that few are ever touched.
    pub(crate) fn take(&mut self, kind: MediaKind, track: T) -> Option<Taken> {
        let place = |state| self.slots.iter().position(|slot| slot.kind == kind && slot.state == state);
        let index = place(SlotState::Idle).or_else(|| place(SlotState::Fresh))?;
        let slot = &mut self.slots[index];
        let used_before = slot.state == SlotState::Idle;
        slot.state = SlotState::Carrying(track);
        Some(Taken { mid: slot.mid.clone(), used_before })
    }

    /// Takes a slot back from a track. Returns whether it had one: then the client should be told.
    pub(crate) fn release(&mut self, track: T) -> bool {
        let slot = self.slots.iter_mut().find(|slot| slot.state == SlotState::Carrying(track));
        slot.map(|slot| slot.state = SlotState::Freed).is_some()
    }

    /// The client has been told that freed slots are inactive.
    pub(crate) fn settle(&mut self) {
        let settled = if self.reuse { SlotState::Idle } else { SlotState::Closed };
        for slot in self.slots.iter_mut().filter(|slot| slot.state == SlotState::Freed) {
            slot.state = settled;
        }
    }

    /// Sets the state of one slot, for a negotiation that is rolled back or refused.
    pub(crate) fn set_state(&mut self, mid: &str, state: SlotState<T>) {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.mid == mid) {
            slot.state = state;
        }
    }

    /// Forgets a slot that never came to be.
    pub(crate) fn forget(&mut self, mid: &str) {
        self.slots.retain(|slot| slot.mid != mid);
    }

    /// How many slots of a kind can be taken now.
    pub(crate) fn free(&self, kind: MediaKind) -> usize {
        self.count(kind, |state| matches!(state, SlotState::Fresh | SlotState::Idle))
    }

    /// How many slots of a kind can be taken after the next negotiation.
    pub(crate) fn becoming_free(&self, kind: MediaKind) -> usize {
        if self.reuse { self.count(kind, |state| matches!(state, SlotState::Freed)) } else { 0 }
    }

    /// Whether a negotiation is needed to tell the client of freed slots.
    pub(crate) fn any_freed(&self) -> bool {
        self.slots.iter().any(|slot| slot.state == SlotState::Freed)
    }

    /// Counts slots of a kind by state.
    fn count(&self, kind: MediaKind, wanted: impl Fn(SlotState<T>) -> bool) -> usize {
        self.slots.iter().filter(|slot| slot.kind == kind && wanted(slot.state)).count()
    }

    /// Adds a slot.
    fn add(&mut self, mid: &str, kind: MediaKind, state: SlotState<T>) {
        self.slots.push(Slot { mid: mid.to_owned(), kind, state });
    }
}

impl<T: Copy> Slot<T> {
    /// The track it carries.
    pub(crate) fn track(&self) -> Option<T> {
        match self.state {
            SlotState::Carrying(track) => Some(track),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VIDEO: MediaKind = MediaKind::Video;

    #[test]
    fn twenty_tracks_after_each_other_need_one_slot() {
        let mut slots = Slots::new(true);
        slots.sync(&[("0", MediaKind::Audio), ("1", VIDEO)]);
        for track in 0..20 {
            let taken = slots.take(VIDEO, track).unwrap();
            assert_eq!(taken, Taken { mid: "1".to_owned(), used_before: track > 0 });
            assert!(slots.release(track));
            assert_eq!((slots.free(VIDEO), slots.becoming_free(VIDEO)), (0, 1));
            slots.settle();
        }
    }

    #[test]
    fn a_freed_slot_is_not_given_away_before_the_client_knows() {
        let mut slots = Slots::new(true);
        slots.sync(&[("1", VIDEO)]);
        slots.take(VIDEO, 1).unwrap();
        slots.release(1);
        assert_eq!(slots.take(VIDEO, 2), None);
    }

    #[test]
    fn without_reuse_a_freed_slot_is_closed() {
        let mut slots = Slots::new(false);
        slots.sync(&[("1", VIDEO)]);
        slots.take(VIDEO, 1).unwrap();
        slots.release(1);
        slots.settle();
        assert_eq!(slots.take(VIDEO, 2), None);
        assert_eq!(slots.get("1").unwrap().state, SlotState::Closed);
    }

    #[test]
    fn a_slot_taken_back_by_the_client_loses_its_track() {
        let mut slots = Slots::new(true);
        slots.sync(&[("1", VIDEO)]);
        slots.take(VIDEO, 7).unwrap();
        assert_eq!(slots.sync(&[]), [7]);
        assert_eq!(slots.carrying(7), None);
    }
}
