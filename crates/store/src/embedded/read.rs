//! Reads: from memory, never waiting for the disk.

use std::ops::Bound;

use domain::{Ban, Head, Identity, Participant, ParticipantSid, StreamId};

use crate::list::MAX_LIMIT;
use crate::{Concern, Cursor, Loaded, Page, Partition, PeoplePage};

use super::EmbeddedStore;

impl EmbeddedStore {
    pub(super) fn read_stream(&self, id: &StreamId, concern: Concern<'_>) -> Loaded {
        let now = self.shared.clock.now();
        let state = self.shared.state.read();
        let mut loaded = Loaded {
            sid_gone: concern.sid.is_some_and(|sid| state.is_gone(id, sid, now)),
            event_known: concern.event.is_some_and(|event| state.knows_event(Partition::of(id), event, now)),
            ..Loaded::default()
        };
        if let Some(identity) = concern.identity {
            loaded.ban = state.ban(id, identity).cloned();
            loaded.bans = count(state.bans(id).count());
        }
        let Some(record) = state.record(id) else {
            loaded.tombstone = state.tombstone(id, now).cloned();
            return loaded;
        };
        loaded.participant = concern.sid.and_then(|sid| record.people.by_sid(sid)).cloned();
        if let Some(identity) = concern.identity {
            loaded.identity_sids = record.people.connections(identity).cloned().collect();
            loaded.granted = record.grants.get(identity).copied();
            loaded.grants = count(record.grants.len());
        }
        loaded.head = Some(record.head.clone());
        loaded
    }

    pub(super) fn read_heads(&self, ids: &[StreamId]) -> Vec<Option<Head>> {
        let state = self.shared.state.read();
        ids.iter().map(|id| state.record(id).map(|record| record.head.clone())).collect()
    }

    pub(super) fn read_full(&self, id: &StreamId) -> Option<(Head, Vec<Participant>)> {
        let state = self.shared.state.read();
        let record = state.record(id)?;
        Some((record.head.clone(), record.people.list.values().cloned().collect()))
    }

    pub(super) fn read_state(&self, id: &StreamId) -> Option<(Head, Vec<Identity>)> {
        let state = self.shared.state.read();
        let record = state.record(id)?;
        Some((record.head.clone(), record.people.identities()))
    }

    pub(super) fn read_people(&self, id: &StreamId, limit: usize, cursor: Option<&Cursor>) -> PeoplePage {
        let limit = limit.clamp(1, MAX_LIMIT);
        let after = match cursor.map(Cursor::connection) {
            None => Bound::Unbounded,
            Some(Some(place)) => Bound::Excluded(place),
            // It is not one of ours: nothing is after it.
            Some(None) => return Page { items: Vec::new(), next: None },
        };
        let state = self.shared.state.read();
        let Some(record) = state.record(id) else { return Page { items: Vec::new(), next: None } };
        let mut rest = record.people.list.range((after, Bound::Unbounded)).map(|(_, participant)| participant);
        let items: Vec<Participant> = rest.by_ref().take(limit).cloned().collect();
        let more = rest.next().is_some();
        let next = items.last().filter(|_| more).map(|last| Cursor::after(&last.identity, &last.sid));
        Page { items, next }
    }

    pub(super) fn read_bans(&self, id: &StreamId) -> Vec<(Identity, Ban)> {
        let state = self.shared.state.read();
        let mut bans: Vec<_> = state.bans(id).map(|(identity, ban)| (identity.clone(), ban.clone())).collect();
        bans.sort_by(|a, b| a.0.cmp(&b.0));
        bans
    }

    pub(super) fn read_gone(&self, id: &StreamId, sids: &[ParticipantSid]) -> Vec<ParticipantSid> {
        let now = self.shared.clock.now();
        let state = self.shared.state.read();
        sids.iter().filter(|sid| state.is_gone(id, sid, now)).cloned().collect()
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
