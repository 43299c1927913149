//! The sweep: comparing a stream with what LiveKit lists.
//!
//! LiveKit's lists can miss somebody for a moment, so "gone" is believed only
//! when missed twice. What was missed is remembered by the sweeper between two
//! sweeps and forgotten with it: that only makes "gone" come a sweep later.
//! Even then the sid is not kept out: the lists may be wrong and the connection still be there.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::{
    Decision, EndReason, Head, Identity, Participant, ParticipantSid, ParticipantSnapshot, RoomSid, RoomSnapshot,
    Rules, Timestamp, TrackSid,
};

use super::{Draft, end::end, event::newcomer};

/// A webhook may be this late before its absence counts as drift.
const WEBHOOK_DELAY: Duration = Duration::from_secs(5);
/// A connection this young is not missed: the listing may be older than it.
const LISTING_LAG: Duration = Duration::from_secs(5);
const MISSES: u32 = 2;

/// What the sweeper remembers of one stream from sweep to sweep.
#[derive(Debug, Clone, Default)]
pub struct SweepMemory {
    generation: u32,
    /// The life of the room that was missed.
    room: Option<RoomSid>,
    room_missed: Option<(u32, Timestamp)>,
    people_missed: HashMap<ParticipantSid, (u32, Timestamp)>,
    tracks_missed: HashMap<TrackSid, u32>,
}

impl SweepMemory {
    /// Nothing is missed: no need to keep it.
    pub fn is_empty(&self) -> bool {
        self.room_missed.is_none() && self.people_missed.is_empty() && self.tracks_missed.is_empty()
    }
}

/// What LiveKit showed of one stream in one sweep.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The row of ListRooms with the stream's room name.
    pub room: Option<&'a RoomSnapshot>,
    /// ListParticipants of that room, if it was asked.
    pub participants: Option<&'a [ParticipantSnapshot]>,
    /// Connections of that list which a webhook has reported to be over: the list is older than that.
    pub gone: &'a HashSet<ParticipantSid>,
    /// Who is banned now.
    pub banned: &'a HashSet<Identity>,
}

/// Something the sweep found that no webhook had reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    /// What.
    pub kind: DriftKind,
    /// Since when it has been so, as far as LiveKit says.
    pub since: Option<Timestamp>,
}

/// Kinds of drift; the label of the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriftKind {
    /// Somebody is there whom we did not know.
    Joined,
    /// Somebody has gone.
    Left,
    /// Tracks differ.
    Tracks,
    /// The room is gone.
    RoomLost,
}

impl DriftKind {
    /// As it stands in metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Left => "left",
            Self::Tracks => "tracks",
            Self::RoomLost => "room_lost",
        }
    }
}

/// Compares. The caller has seen to it that `room` is of the current life (see
/// [`adopt`](crate::adopt)); a room of a former life counts as missing.
/// `people` is the whole list and is read only when participants were listed.
pub fn observe(
    head: &Head,
    people: &[Participant],
    seen: Observation<'_>,
    memory: &mut SweepMemory,
    rules: &Rules,
    now: Timestamp,
) -> (Option<Decision>, Vec<Drift>) {
    if memory.generation != head.generation {
        *memory = SweepMemory { generation: head.generation, ..SweepMemory::default() };
    }
    if !head.phase.is_active() {
        *memory = SweepMemory::default();
        return (None, Vec::new());
    }
    if memory.room != head.room.sid {
        // What was missed is a former life of the room. It has come back since, maybe after this list was read.
        memory.room.clone_from(&head.room.sid);
        memory.room_missed = None;
    }
    let Some(room) = seen.room.filter(|room| Some(&room.sid) == head.room.sid.as_ref()) else {
        return room_missing(head, memory, rules, now);
    };
    memory.room_missed = None;
    match seen.participants {
        Some(listed) => compare_people(head, people, room, (listed, seen), memory, rules, now),
        None => (None, Vec::new()),
    }
}

fn room_missing(
    head: &Head,
    memory: &mut SweepMemory,
    rules: &Rules,
    now: Timestamp,
) -> (Option<Decision>, Vec<Drift>) {
    let (misses, first) = memory.room_missed.unwrap_or((0, now));
    let misses = misses + 1;
    memory.room_missed = Some((misses, first));
    if misses < MISSES || now.since(first) < rules.lost_grace {
        return (None, Vec::new());
    }
    let drift = Drift { kind: DriftKind::RoomLost, since: Some(first) };
    (end(head, EndReason::Lost, rules, now), vec![drift])
}

fn compare_people(
    head: &Head,
    people: &[Participant],
    room: &RoomSnapshot,
    (listed, seen): (&[ParticipantSnapshot], Observation<'_>),
    memory: &mut SweepMemory,
    rules: &Rules,
    now: Timestamp,
) -> (Option<Decision>, Vec<Drift>) {
    let mut comparison =
        Comparison { draft: Draft::new(head, now), drift: Vec::new(), connections: count_connections(people), now };
    let rows: HashMap<&ParticipantSid, &ParticipantSnapshot> = listed.iter().map(|row| (&row.sid, row)).collect();
    let former = std::mem::take(&mut memory.people_missed);
    let former_tracks = std::mem::take(&mut memory.tracks_missed);
    for participant in people {
        match rows.get(&participant.sid) {
            Some(row) => comparison.present(participant, row, &former_tracks, memory),
            None => comparison.absent(participant, room, &former, memory),
        }
    }
    let known: HashSet<&ParticipantSid> = people.iter().map(|p| &p.sid).collect();
    for row in listed.iter().filter(|row| row.active && !seen.gone.contains(&row.sid)) {
        if !known.contains(&row.sid) {
            comparison.found(row, room);
        }
        if seen.banned.contains(&row.identity) {
            comparison.draft.eject(&row.identity, &row.sid);
        }
    }
    (comparison.draft.finish(rules), comparison.drift)
}

/// One comparison under way.
struct Comparison<'a> {
    draft: Draft<'a>,
    drift: Vec<Drift>,
    connections: HashMap<Identity, u32>,
    now: Timestamp,
}

impl Comparison<'_> {
    fn present(
        &mut self,
        participant: &Participant,
        row: &ParticipantSnapshot,
        former: &HashMap<TrackSid, u32>,
        memory: &mut SweepMemory,
    ) {
        let mut tracks: HashSet<&TrackSid> = row.tracks.iter().collect();
        for missed in participant.tracks.iter().filter(|track| !row.tracks.contains(track)) {
            let misses = former.get(missed).map_or(1, |n| n + 1);
            if misses < MISSES {
                memory.tracks_missed.insert(missed.clone(), misses);
                tracks.insert(missed);
            }
        }
        if tracks.len() != participant.tracks.len() || !participant.tracks.iter().all(|t| tracks.contains(t)) {
            let tracks: Vec<TrackSid> = tracks.into_iter().cloned().collect();
            self.draft.set_tracks(participant.clone(), tracks);
            self.drift.push(Drift { kind: DriftKind::Tracks, since: None });
        }
    }

    fn absent(
        &mut self,
        participant: &Participant,
        room: &RoomSnapshot,
        former: &HashMap<ParticipantSid, (u32, Timestamp)>,
        memory: &mut SweepMemory,
    ) {
        let of_former_life = participant.room_sid != room.sid;
        let (misses, first) = former.get(&participant.sid).map_or((1, self.now), |(n, first)| (n + 1, *first));
        if !of_former_life {
            let young = self.now.since(participant.joined_at) < LISTING_LAG;
            if misses < MISSES || young {
                memory.people_missed.insert(participant.sid.clone(), (misses, first));
                return;
            }
            self.drift.push(Drift { kind: DriftKind::Left, since: Some(first) });
        }
        let known = self.connections.get(&participant.identity).copied().unwrap_or(0);
        if of_former_life {
            // Its sid went with that life of the room and never comes back.
            self.draft.leave(participant.clone(), known);
        } else {
            self.draft.miss(participant.clone(), known);
        }
        if participant.kind.is_person() {
            self.connections.insert(participant.identity.clone(), known.saturating_sub(1));
        }
    }

    fn found(&mut self, row: &ParticipantSnapshot, room: &RoomSnapshot) {
        let known = self.connections.get(&row.identity).copied().unwrap_or(0);
        let participant = newcomer(row, &room.sid, self.now);
        if participant.kind.is_person() {
            self.connections.insert(row.identity.clone(), known + 1);
        }
        self.draft.join(participant, known);
        let overdue = row.joined_at.is_none_or(|joined| self.now.since(joined) >= WEBHOOK_DELAY);
        if overdue {
            self.drift.push(Drift { kind: DriftKind::Joined, since: row.joined_at });
        }
    }
}

fn count_connections(people: &[Participant]) -> HashMap<Identity, u32> {
    let mut counts = HashMap::new();
    for participant in people.iter().filter(|p| p.kind.is_person()) {
        *counts.entry(participant.identity.clone()).or_insert(0) += 1;
    }
    counts
}
