//! What the lobby shows. Pure: notices, readings and the time in; a log of changes out.
//!
//! The log names each changed stream once, at its latest change, and is
//! bounded: a reader whose cursor has fallen off its end gets a new snapshot.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::{Notice, NoticeBody, Phase, StreamId, StreamView, Timestamp};
use tokio::time::Instant;

use crate::encode::Encoder;

/// Changes a reader may be behind before it gets a new snapshot instead.
const MAX_PENDING: usize = 1_000;

/// Streams as a snapshot lists them: live first, then waiting, then ended, newest first.
type Place = (usize, Reverse<Timestamp>, StreamId);

/// One stream in the lobby.
#[derive(Debug)]
struct Entry {
    view: StreamView,
    /// Its change in the log; `None` when it has not changed since long.
    logged: Option<u64>,
    /// When its last change went out.
    last_out: Option<Instant>,
    /// A later change goes out then.
    held: Option<Instant>,
    /// The reading that was under way when something was last heard of it.
    heard: u64,
    /// Its encoding, while `view` is unchanged.
    frame: Option<Bytes>,
}

/// One change in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Upsert(StreamId),
    Remove(StreamId),
}

/// The streams of the lobby and what changed last.
#[derive(Debug, Default)]
pub(super) struct LobbyState {
    entries: HashMap<StreamId, Entry>,
    places: BTreeSet<Place>,
    log: BTreeMap<u64, Change>,
    /// Streams that went, by their change in the log.
    removed: HashMap<StreamId, u64>,
    held: BTreeSet<(Instant, StreamId)>,
    /// Number of the last change.
    seq: u64,
    /// The log is complete after this number.
    floor: u64,
    /// Counts every difference, those held back included; what a cached snapshot is of.
    edition: u64,
    snapshot: Option<(u64, usize, Bytes)>,
    /// Counts the readings of the store.
    reading: u64,
    /// While a reading is under way: the streams that went since, which it may still list.
    removed_meanwhile: Option<HashSet<StreamId>>,
}

/// What a reader is to be sent next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// These bytes; then the reader has seen everything up to this number.
    Send(u64, Bytes),
    /// Nothing new.
    Wait,
}

impl LobbyState {
    /// Applies what the store published. Returns whether readers have something to read.
    pub(super) fn receive(&mut self, notice: Notice, interval: Duration, now: Instant) -> bool {
        match notice.body {
            NoticeBody::Changed { view, .. } if view.visibility.is_public() => self.upsert(*view, interval, now),
            NoticeBody::Changed { view, .. } => self.hide(&view),
            NoticeBody::Removed { epoch, version } => {
                if let Some(removed) = &mut self.removed_meanwhile {
                    removed.insert(notice.id.clone());
                }
                let outlived = |entry: &Entry| entry.view.epoch == epoch && entry.view.version > version;
                if self.entries.get(&notice.id).is_some_and(outlived) { false } else { self.remove(&notice.id) }
            }
        }
    }

    /// A stream that is not for the lobby, or not any more.
    fn hide(&mut self, view: &StreamView) -> bool {
        if let Some(removed) = &mut self.removed_meanwhile {
            removed.insert(view.id.clone());
        }
        let outlived = |entry: &Entry| entry.view.epoch == view.epoch && entry.view.version > view.version;
        if self.entries.get(&view.id).is_some_and(outlived) { false } else { self.remove(&view.id) }
    }

    /// A reading of the whole list begins.
    pub(super) fn begin_reading(&mut self) {
        self.reading += 1;
        self.removed_meanwhile = Some(HashSet::new());
    }

    /// One stream of the list that is being read.
    pub(super) fn read(&mut self, view: StreamView, interval: Duration, now: Instant) -> bool {
        if self.removed_meanwhile.as_ref().is_some_and(|removed| removed.contains(&view.id)) {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&view.id) {
            let told_since = entry.heard == self.reading;
            entry.heard = self.reading;
            let known = entry.view.epoch == view.epoch && entry.view.version >= view.version;
            if known || (told_since && entry.view.epoch != view.epoch) {
                return false;
            }
        }
        self.upsert(view, interval, now)
    }

    /// The list has been read to its end: whatever was neither in it nor heard of since is gone.
    pub(super) fn finish_reading(&mut self) -> bool {
        let unheard: Vec<_> =
            self.entries.values().filter(|e| e.heard != self.reading).map(|e| e.view.id.clone()).collect();
        self.removed_meanwhile = None;
        for id in &unheard {
            self.remove(id);
        }
        !unheard.is_empty()
    }

    /// When the next change that was held back may go out.
    pub(super) fn next_held(&self) -> Option<Instant> {
        self.held.first().map(|(due, _)| *due)
    }

    /// Lets the changes go out whose time has come.
    pub(super) fn release_held(&mut self, now: Instant) -> bool {
        let mut news = false;
        while self.held.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, id)) = self.held.pop_first() else { break };
            if let Some(entry) = self.entries.get_mut(&id) {
                entry.held = None;
                self.publish(&id, now);
                news = true;
            }
        }
        news
    }

    /// What a reader that has seen `cursor` (`None`: nothing) is to be sent.
    pub(super) fn next(&mut self, cursor: Option<u64>, limit: usize, encoder: &dyn Encoder) -> Next {
        let Some(cursor) = cursor.filter(|cursor| *cursor >= self.floor) else {
            return Next::Send(self.seq, self.encode_snapshot(limit, encoder));
        };
        let Some((seq, change)) = self.log.range(cursor + 1..).next() else { return Next::Wait };
        let frame = match change {
            Change::Remove(id) => encoder.lobby_remove(id),
            Change::Upsert(id) => match self.entries.get_mut(id) {
                Some(entry) => entry.frame.get_or_insert_with(|| encoder.lobby_upsert(&entry.view)).clone(),
                None => encoder.lobby_remove(id),
            },
        };
        Next::Send(*seq, frame)
    }

    /// Number of the last change.
    pub(super) fn newest(&self) -> u64 {
        self.seq
    }

    /// All that a reader that has seen `cursor` is to be sent, in one piece; `None` when there is nothing.
    pub(super) fn batch(&mut self, cursor: Option<u64>, limit: usize, encoder: &dyn Encoder) -> Option<(u64, Bytes)> {
        let Next::Send(mut seen, first) = self.next(cursor, limit, encoder) else { return None };
        if seen == self.seq {
            return Some((seen, first));
        }
        let mut all = BytesMut::from(first.as_ref());
        while let Next::Send(seq, bytes) = self.next(Some(seen), limit, encoder) {
            all.extend_from_slice(&bytes);
            seen = seq;
        }
        Some((seen, all.freeze()))
    }

    fn encode_snapshot(&mut self, limit: usize, encoder: &dyn Encoder) -> Bytes {
        if let Some((edition, size, bytes)) = &self.snapshot
            && (*edition, *size) == (self.edition, limit)
        {
            return bytes.clone();
        }
        let ids = self.places.iter().take(limit);
        let views: Vec<_> = ids.filter_map(|(_, _, id)| self.entries.get(id).map(|entry| &entry.view)).collect();
        let bytes = encoder.lobby_snapshot(&views, self.entries.len());
        self.snapshot = Some((self.edition, limit, bytes.clone()));
        bytes
    }

    fn upsert(&mut self, view: StreamView, interval: Duration, now: Instant) -> bool {
        let id = view.id.clone();
        if let Some(removed) = &mut self.removed_meanwhile {
            removed.remove(&id);
        }
        let new_place = place(&view);
        let reading = self.reading;
        match self.entries.get_mut(&id) {
            Some(entry) => {
                entry.heard = reading;
                if entry.view.epoch == view.epoch && entry.view.version >= view.version {
                    return false;
                }
                self.places.remove(&place(&entry.view));
                (entry.view, entry.frame) = (view, None);
            }
            None => {
                let (logged, last_out, held, frame) = (None, None, None, None);
                self.entries.insert(id.clone(), Entry { view, logged, last_out, held, heard: reading, frame });
            }
        }
        self.places.insert(new_place);
        self.edition += 1;
        self.publish_or_hold(&id, interval, now)
    }

    fn publish_or_hold(&mut self, id: &StreamId, interval: Duration, now: Instant) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        let due = entry.last_out.map(|last| last + interval).filter(|due| *due > now);
        match (due, entry.held) {
            (_, Some(_)) => false,
            (Some(due), None) => {
                entry.held = Some(due);
                self.held.insert((due, id.clone()));
                false
            }
            (None, None) => {
                self.publish(id, now);
                true
            }
        }
    }

    fn publish(&mut self, id: &StreamId, now: Instant) {
        if let Some(former) = self.removed.remove(id) {
            self.log.remove(&former);
        }
        self.seq += 1;
        if let Some(entry) = self.entries.get_mut(id) {
            entry.last_out = Some(now);
            if let Some(former) = entry.logged.replace(self.seq) {
                self.log.remove(&former);
            }
        }
        self.log.insert(self.seq, Change::Upsert(id.clone()));
        self.trim_log();
    }

    fn remove(&mut self, id: &StreamId) -> bool {
        let Some(entry) = self.entries.remove(id) else { return false };
        self.places.remove(&place(&entry.view));
        if let Some(due) = entry.held {
            self.held.remove(&(due, id.clone()));
        }
        if let Some(former) = entry.logged {
            self.log.remove(&former);
        }
        self.seq += 1;
        self.edition += 1;
        self.log.insert(self.seq, Change::Remove(id.clone()));
        self.removed.insert(id.clone(), self.seq);
        self.trim_log();
        true
    }

    /// Drops the oldest changes; readers that have not seen them get a snapshot.
    fn trim_log(&mut self) {
        while self.log.len() > MAX_PENDING {
            let Some((seq, change)) = self.log.pop_first() else { break };
            self.floor = seq;
            match change {
                Change::Remove(id) => drop(self.removed.remove(&id)),
                Change::Upsert(id) => {
                    if let Some(entry) = self.entries.get_mut(&id) {
                        entry.logged = None;
                    }
                }
            }
        }
    }
}

fn place(view: &StreamView) -> Place {
    let rank = Phase::LISTED.iter().position(|phase| *phase == view.phase).unwrap_or(Phase::LISTED.len());
    (rank, Reverse(view.started_at), view.id.clone())
}
