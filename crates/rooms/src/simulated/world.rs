//! The rooms of the simulated server and what happens in them. Knows no API and no failure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{
    EventId, Identity, Kind, ParticipantSid, ParticipantSnapshot, Role, RoomEvent, RoomEventKind, RoomName, RoomSid,
    RoomSnapshot, Timestamp, TrackSid,
};

use super::ids::Ids;
use super::{Guest, RoomFull};
use crate::{PublishedTrack, RoomSpec, TrackSource};

/// What LiveKit's default configuration gives a room nobody described.
const DEFAULT_EMPTY_TIMEOUT: Duration = Duration::from_secs(300);
const DEFAULT_DEPARTURE_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct World {
    ids: Ids,
    now: Timestamp,
    rooms: BTreeMap<RoomName, SimulatedRoom>,
    /// Roles given to connections that are there, by API.
    roles: BTreeMap<(RoomName, Identity), Role>,
    /// Tracks muted by API.
    muted: BTreeSet<TrackSid>,
    /// Where tracks come from; a camera where it is not said.
    sources: BTreeMap<TrackSid, TrackSource>,
    /// Attributes of connections that are there, set by API.
    attributes: BTreeMap<(RoomName, Identity), BTreeMap<String, String>>,
}

#[derive(Debug)]
struct SimulatedRoom {
    sid: RoomSid,
    spec: RoomSpec,
    /// Somebody who keeps a room open has been here.
    ever_joined: bool,
    /// Since when nobody has been here who keeps it open.
    empty_since: Option<Timestamp>,
    people: BTreeMap<Identity, ParticipantSnapshot>,
}

impl World {
    pub(super) fn new(seed: u64, now: Timestamp) -> Self {
        Self {
            ids: Ids::new(seed),
            now,
            rooms: BTreeMap::new(),
            roles: BTreeMap::new(),
            muted: BTreeSet::new(),
            sources: BTreeMap::new(),
            attributes: BTreeMap::new(),
        }
    }

    /// The clock never goes back.
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }

    pub(super) fn clear(&mut self) {
        self.rooms.clear();
        self.roles.clear();
        self.muted.clear();
        self.sources.clear();
        self.attributes.clear();
    }

    pub(super) fn rooms(&self) -> Vec<RoomSnapshot> {
        self.rooms.values().map(SimulatedRoom::snapshot).collect()
    }

    pub(super) fn participants(&self, room: &RoomName) -> Vec<ParticipantSnapshot> {
        self.rooms.get(room).map(|room| room.people.values().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn room_names(&self) -> Vec<RoomName> {
        self.rooms.keys().cloned().collect()
    }

    /// The room of that name, made if it is not there.
    pub(super) fn create(&mut self, spec: &RoomSpec) -> (RoomSnapshot, Vec<RoomEvent>) {
        if let Some(room) = self.rooms.get(&spec.name) {
            return (room.snapshot(), Vec::new());
        }
        let sid = RoomSid::from(self.ids.next("RM_"));
        let room = SimulatedRoom {
            sid,
            spec: spec.clone(),
            ever_joined: false,
            empty_since: Some(self.now),
            people: BTreeMap::new(),
        };
        let snapshot = room.snapshot();
        self.rooms.insert(spec.name.clone(), room);
        let started = self.event(&spec.name, RoomEventKind::RoomStarted);
        (snapshot, started.into_iter().collect())
    }

    /// Everybody out, then `room_finished`; `None` when it is not there.
    pub(super) fn delete(&mut self, name: &RoomName) -> Option<Vec<RoomEvent>> {
        let identities: Vec<_> = self.rooms.get(name)?.people.keys().cloned().collect();
        let mut events: Vec<_> = identities.iter().flat_map(|identity| self.disconnect(name, identity)).collect();
        events.extend(self.event(name, RoomEventKind::RoomFinished));
        self.rooms.remove(name);
        Some(events)
    }

    pub(super) fn set_metadata(&mut self, name: &RoomName, metadata: &str) -> bool {
        let room = self.rooms.get_mut(name);
        room.map(|room| metadata.clone_into(&mut room.spec.metadata)).is_some()
    }

    /// Takes somebody in, not yet active.
    pub(super) fn connect(
        &mut self,
        name: &RoomName,
        guest: &Guest,
        config: Option<&RoomSpec>,
    ) -> Result<(ParticipantSid, Vec<RoomEvent>), RoomFull> {
        let spec = RoomSpec { name: name.clone(), ..config.cloned().unwrap_or_else(|| plain(name)) };
        let (_, mut events) = self.create(&spec);
        // A connection that is replaced frees its place first.
        events.extend(self.disconnect(name, &guest.identity));
        let sid = ParticipantSid::from(self.ids.next("PA_"));
        let now = self.now;
        let Some(room) = self.rooms.get_mut(name) else { return Err(RoomFull) };
        if room.is_full() && !is_dependent(guest.kind) {
            return Err(RoomFull);
        }
        room.people.insert(guest.identity.clone(), snapshot(guest, sid.clone(), now));
        room.note_presence(now);
        Ok((sid, events))
    }

    pub(super) fn activate(&mut self, name: &RoomName, identity: &Identity) -> Vec<RoomEvent> {
        let Some(person) = self.person(name, identity).filter(|person| !person.active) else { return Vec::new() };
        person.active = true;
        let joined = RoomEventKind::ParticipantJoined(person.clone());
        self.event(name, joined).into_iter().collect()
    }

    /// Takes somebody out; empty when they are not there.
    pub(super) fn disconnect(&mut self, name: &RoomName, identity: &Identity) -> Vec<RoomEvent> {
        let Some(person) = self.person(name, identity).cloned() else { return Vec::new() };
        let mut events: Vec<_> = person.tracks.iter().flat_map(|track| self.unpublish(name, identity, track)).collect();
        let now = self.now;
        if let Some(room) = self.rooms.get_mut(name) {
            room.people.remove(identity);
            let connection = (name.clone(), identity.clone());
            self.roles.remove(&connection);
            self.attributes.remove(&connection);
            room.note_presence(now);
        }
        events.extend(self.event(name, RoomEventKind::ParticipantLeft { sid: person.sid, identity: person.identity }));
        events
    }

    pub(super) fn publish(&mut self, name: &RoomName, identity: &Identity) -> Option<(TrackSid, Vec<RoomEvent>)> {
        let track = TrackSid::from(self.ids.next("TR_"));
        let person = self.person(name, identity)?;
        person.tracks.push(track.clone());
        let (sid, identity) = (person.sid.clone(), identity.clone());
        let events = self.event(name, RoomEventKind::TrackPublished { sid, identity, track: track.clone() });
        Some((track, events.into_iter().collect()))
    }

    pub(super) fn unpublish(&mut self, name: &RoomName, identity: &Identity, track: &TrackSid) -> Vec<RoomEvent> {
        let Some(person) = self.person(name, identity).filter(|p| p.tracks.contains(track)) else { return Vec::new() };
        person.tracks.retain(|other| other != track);
        let (sid, identity, track) = (person.sid.clone(), identity.clone(), track.clone());
        self.event(name, RoomEventKind::TrackUnpublished { sid, identity, track }).into_iter().collect()
    }

    /// Gives somebody the grants of `role`, which may take their tracks away; `None` when they are not there.
    pub(super) fn set_role(&mut self, name: &RoomName, identity: &Identity, role: Role) -> Option<Vec<RoomEvent>> {
        let tracks = self.person(name, identity)?.tracks.clone();
        self.roles.insert((name.clone(), identity.clone()), role);
        let lost = if role.may_publish() { Vec::new() } else { tracks };
        Some(lost.iter().flat_map(|track| self.unpublish(name, identity, track)).collect())
    }

    /// The role last given by [`set_role`](Self::set_role).
    pub(super) fn role(&self, name: &RoomName, identity: &Identity) -> Option<Role> {
        self.roles.get(&(name.clone(), identity.clone())).copied()
    }

    /// Mutes a track; `false` when there is no such track.
    pub(super) fn mute(&mut self, name: &RoomName, identity: &Identity, track: &TrackSid) -> bool {
        let found = self.person(name, identity).is_some_and(|person| person.tracks.contains(track));
        if found {
            self.muted.insert(track.clone());
        }
        found
    }

    /// Says where a track comes from.
    pub(super) fn set_source(&mut self, track: &TrackSid, source: TrackSource) {
        self.sources.insert(track.clone(), source);
    }

    /// What somebody publishes; `None` when they are not there.
    pub(super) fn published(&mut self, name: &RoomName, identity: &Identity) -> Option<Vec<PublishedTrack>> {
        let tracks = self.person(name, identity)?.tracks.clone();
        let source = |track: &TrackSid| self.sources.get(track).copied().unwrap_or(TrackSource::Camera);
        Some(tracks.into_iter().map(|sid| PublishedTrack { source: source(&sid), sid }).collect())
    }

    /// Sets or (empty) removes an attribute; `false` when they are not there.
    pub(super) fn set_attribute(&mut self, name: &RoomName, identity: &Identity, key: &str, value: &str) -> bool {
        if self.person(name, identity).is_none() {
            return false;
        }
        let attributes = self.attributes.entry((name.clone(), identity.clone())).or_default();
        if value.is_empty() {
            attributes.remove(key);
        } else {
            attributes.insert(key.to_owned(), value.to_owned());
        }
        true
    }

    pub(super) fn attribute(&self, name: &RoomName, identity: &Identity, key: &str) -> Option<String> {
        self.attributes.get(&(name.clone(), identity.clone()))?.get(key).cloned()
    }

    pub(super) fn is_muted(&self, track: &TrackSid) -> bool {
        self.muted.contains(track)
    }

    /// Finishes rooms whose own timeouts are over.
    pub(super) fn finish_overdue(&mut self) -> Vec<RoomEvent> {
        let now = self.now;
        let overdue: Vec<_> =
            self.rooms.iter().filter(|(_, room)| room.is_overdue(now)).map(|(name, _)| name.clone()).collect();
        overdue.iter().filter_map(|name| self.delete(name)).flatten().collect()
    }

    fn person(&mut self, name: &RoomName, identity: &Identity) -> Option<&mut ParticipantSnapshot> {
        self.rooms.get_mut(name)?.people.get_mut(identity)
    }

    fn event(&mut self, name: &RoomName, kind: RoomEventKind) -> Option<RoomEvent> {
        let room = self.rooms.get(name)?;
        let of_track = matches!(kind, RoomEventKind::TrackPublished { .. } | RoomEventKind::TrackUnpublished { .. });
        Some(RoomEvent {
            id: EventId(self.ids.next("EV_")),
            room_name: name.clone(),
            room_sid: room.sid.clone(),
            room_metadata: (!of_track).then(|| room.spec.metadata.clone()),
            created_at: Timestamp::from_millis(self.now.as_millis() / 1000 * 1000),
            kind,
        })
    }
}

impl SimulatedRoom {
    fn snapshot(&self) -> RoomSnapshot {
        let publishers = self.people.values().filter(|person| !person.tracks.is_empty()).count();
        RoomSnapshot {
            name: self.spec.name.clone(),
            sid: self.sid.clone(),
            metadata: self.spec.metadata.clone(),
            num_participants: count(self.people.values().filter(|person| !is_dependent(person.kind)).count()),
            num_publishers: count(publishers),
        }
    }

    fn is_full(&self) -> bool {
        let limit = self.spec.max_participants;
        limit > 0 && self.snapshot().num_participants >= limit
    }

    fn note_presence(&mut self, now: Timestamp) {
        if self.people.values().all(|person| is_dependent(person.kind)) {
            self.empty_since = self.empty_since.or(Some(now));
        } else {
            self.ever_joined = true;
            self.empty_since = None;
        }
    }

    fn is_overdue(&self, now: Timestamp) -> bool {
        let limit = if self.ever_joined { self.spec.departure_timeout } else { self.spec.empty_timeout };
        self.empty_since.is_some_and(|since| now.since(since) >= limit)
    }
}

/// Those who neither keep a room open nor take a place in it.
fn is_dependent(kind: Kind) -> bool {
    matches!(kind, Kind::Agent | Kind::Egress | Kind::Recorder)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn plain(name: &RoomName) -> RoomSpec {
    RoomSpec {
        name: name.clone(),
        metadata: String::new(),
        empty_timeout: DEFAULT_EMPTY_TIMEOUT,
        departure_timeout: DEFAULT_DEPARTURE_TIMEOUT,
        max_participants: 0,
    }
}

fn snapshot(guest: &Guest, sid: ParticipantSid, now: Timestamp) -> ParticipantSnapshot {
    ParticipantSnapshot {
        sid,
        identity: guest.identity.clone(),
        name: guest.name.clone(),
        kind: guest.kind,
        active: false,
        joined_at: Some(now),
        tracks: Vec::new(),
    }
}
