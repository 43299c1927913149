//! What goes wrong with the simulated server, by order of the test, and the count of its calls.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::{Poll, Waker};

use domain::{Identity, ParticipantSnapshot, RoomName, RoomSnapshot};

use super::{Inner, SimulatedLiveKit};
use crate::{ErrorKind, RoomsError};

/// A call of [`Rooms`](crate::Rooms).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `create_room`
    CreateRoom,
    /// `list_rooms`
    ListRooms,
    /// `find_rooms`
    FindRooms,
    /// `delete_room`
    DeleteRoom,
    /// `list_participants`
    ListParticipants,
    /// `get_participant`
    GetParticipant,
    /// `remove_participant`
    RemoveParticipant,
    /// `update_room_metadata`
    UpdateRoomMetadata,
    /// `set_role`
    SetRole,
    /// `set_attribute`
    SetAttribute,
    /// `mute_track`
    MuteTrack,
}

impl Call {
    /// LiveKit's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreateRoom => "CreateRoom",
            Self::ListRooms | Self::FindRooms => "ListRooms",
            Self::DeleteRoom => "DeleteRoom",
            Self::ListParticipants => "ListParticipants",
            Self::GetParticipant => "GetParticipant",
            Self::RemoveParticipant => "RemoveParticipant",
            Self::UpdateRoomMetadata => "UpdateRoomMetadata",
            Self::SetRole | Self::SetAttribute => "UpdateParticipant",
            Self::MuteTrack => "MutePublishedTrack",
        }
    }
}

/// How often each call was made, failed ones included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls(BTreeMap<Call, u64>);

impl Calls {
    /// How often `call` was made.
    pub fn of(&self, call: Call) -> u64 {
        self.0.get(&call).copied().unwrap_or(0)
    }

    /// All calls together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

#[derive(Debug, Default)]
pub(super) struct Controls {
    calls: Calls,
    /// Every call fails so.
    failing: Option<ErrorKind>,
    /// The next so many calls take effect and time out all the same.
    timeouts: u32,
    /// Each CreateRoom waits to be let pass before it takes effect.
    creates: Option<Held>,
    /// Listings show this instead of what is.
    frozen: Option<Listings>,
    /// ListRooms shows these counts of people instead of what is.
    counts: Option<BTreeMap<RoomName, u32>>,
    /// Rooms whose ListParticipants fails.
    broken_rooms: BTreeSet<RoomName>,
    /// Rooms left out of the next so many listings.
    missed_rooms: BTreeMap<RoomName, u32>,
    /// People left out of the next so many listings.
    missed_people: BTreeMap<(RoomName, Identity), u32>,
}

/// Calls that wait.
#[derive(Debug, Default)]
struct Held {
    may_pass: u32,
    waiting: Vec<Waker>,
}

/// What the listings showed when they were frozen.
#[derive(Debug, Default)]
struct Listings {
    rooms: Vec<RoomSnapshot>,
    participants: BTreeMap<RoomName, Vec<ParticipantSnapshot>>,
}

impl SimulatedLiveKit {
    /// Not reachable: every call is `Unavailable` and has no effect.
    pub fn go_away(&self, away: bool) {
        self.fail_with(away.then_some(ErrorKind::Unavailable));
    }

    /// Every call fails so and has no effect; `None`: works again.
    pub fn fail_with(&self, kind: Option<ErrorKind>) {
        self.inner.lock().controls.failing = kind;
    }

    /// The next `calls` calls take effect but are answered too late: `Unavailable`.
    pub fn timeout_after_effect(&self, calls: u32) {
        self.inner.lock().controls.timeouts = calls;
    }

    /// From now on each CreateRoom waits for [`let_a_create_pass`](Self::let_a_create_pass) before it takes effect.
    pub fn hold_creates(&self) {
        self.inner.lock().controls.creates = Some(Held::default());
    }

    /// One CreateRoom that waits, or the next, takes effect; those who have waited longest are woken first.
    pub fn let_a_create_pass(&self) {
        if let Some(held) = &mut self.inner.lock().controls.creates {
            held.may_pass += 1;
            held.waiting.drain(..).for_each(Waker::wake);
        }
    }

    /// ListRooms, ListParticipants and GetParticipant go on showing what is there now, whatever changes.
    pub fn freeze_listings(&self, frozen: bool) {
        let inner = &mut *self.inner.lock();
        inner.controls.frozen = frozen.then(|| {
            let names = inner.world.room_names();
            let participants = names.into_iter().map(|name| (name.clone(), inner.world.participants(&name))).collect();
            Listings { rooms: inner.world.rooms(), participants }
        });
    }

    /// ListRooms goes on telling as many people as there are now, whatever changes: LiveKit's count of a room is up to
    /// five seconds late. Everything else is told as it is.
    pub fn freeze_counts(&self, frozen: bool) {
        let inner = &mut *self.inner.lock();
        let counts = inner.world.rooms().into_iter().map(|room| (room.name, room.num_participants));
        inner.controls.counts = frozen.then(|| counts.collect());
    }

    /// The next `listings` ListRooms that would show `room` leave it out.
    pub fn miss_room(&self, room: &RoomName, listings: u32) {
        self.inner.lock().controls.missed_rooms.insert(room.clone(), listings);
    }

    /// The next `listings` ListParticipants or GetParticipant that would show `identity` leave it out.
    pub fn miss_participant(&self, room: &RoomName, identity: &Identity, listings: u32) {
        self.inner.lock().controls.missed_people.insert((room.clone(), identity.clone()), listings);
    }

    /// ListParticipants of `room` fails, as when the node that has the room is away; other calls work.
    pub fn fail_listing_of(&self, room: &RoomName, fails: bool) {
        let broken = &mut self.inner.lock().controls.broken_rooms;
        if fails {
            broken.insert(room.clone())
        } else {
            broken.remove(room)
        };
    }

    /// How often each call was made so far.
    pub fn calls(&self) -> Calls {
        self.inner.lock().controls.calls.clone()
    }

    /// Counts from zero again.
    pub fn reset_calls(&self) {
        self.inner.lock().controls.calls = Calls::default();
    }

    /// Waits while creates are held.
    pub(super) async fn pass_gate(&self) {
        poll_fn(|cx| match &mut self.inner.lock().controls.creates {
            Some(held) if held.may_pass == 0 => {
                held.waiting.push(cx.waker().clone());
                Poll::Pending
            }
            Some(held) => {
                held.may_pass -= 1;
                Poll::Ready(())
            }
            None => Poll::Ready(()),
        })
        .await
    }

    /// Counts the call and does it, or fails as ordered.
    pub(super) fn call<T>(&self, call: Call, act: impl FnOnce(&mut Inner) -> T) -> Result<T, RoomsError> {
        let inner = &mut *self.inner.lock();
        *inner.controls.calls.0.entry(call).or_default() += 1;
        if let Some(kind) = inner.controls.failing {
            return Err(RoomsError::new(kind, call.as_str(), "the simulated server was told to fail"));
        }
        let answer = act(inner);
        if inner.controls.timeouts > 0 {
            inner.controls.timeouts -= 1;
            return Err(RoomsError::new(ErrorKind::Unavailable, call.as_str(), "no answer in time (simulated)"));
        }
        Ok(answer)
    }
}

impl Inner {
    /// Fails while nobody can tell who is in `room`.
    pub(super) fn check_listing_of(&self, room: &RoomName) -> Result<(), RoomsError> {
        if !self.controls.broken_rooms.contains(room) {
            return Ok(());
        }
        let call = Call::ListParticipants.as_str();
        Err(RoomsError::new(ErrorKind::Unavailable, call, "the room's node was told to be away"))
    }

    /// What a ListRooms shows.
    pub(super) fn listed_rooms(&mut self, wanted: impl Fn(&RoomName) -> bool) -> Vec<RoomSnapshot> {
        let mut rooms = match &self.controls.frozen {
            Some(frozen) => frozen.rooms.clone(),
            None => self.world.rooms(),
        };
        if let Some(counts) = &self.controls.counts {
            for room in &mut rooms {
                room.num_participants = counts.get(&room.name).copied().unwrap_or(0);
            }
        }
        rooms.retain(|room| wanted(&room.name) && !is_missed(&mut self.controls.missed_rooms, &room.name));
        rooms
    }

    /// What a ListParticipants shows.
    pub(super) fn listed_participants(&mut self, room: &RoomName) -> Vec<ParticipantSnapshot> {
        let mut people = match &self.controls.frozen {
            Some(frozen) => frozen.participants.get(room).cloned().unwrap_or_default(),
            None => self.world.participants(room),
        };
        let missed = &mut self.controls.missed_people;
        people.retain(|person| !is_missed(missed, &(room.clone(), person.identity.clone())));
        people
    }
}

fn is_missed<K: Ord>(missed: &mut BTreeMap<K, u32>, key: &K) -> bool {
    match missed.get_mut(key) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}
