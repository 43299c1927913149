//! Creating: reserve first, then ask LiveKit, then complete or abandon.

use std::collections::BTreeMap;

use crate::{
    Decision, Epoch, Head, Intent, IntentKind, Notice, NoticeBody, Phase, Room, RoomSnapshot, Rules, Settings,
    StreamId, StreamView, Timestamp, Tombstone,
};

use super::Draft;

/// What a caller asked to be created.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// The id wanted.
    pub id: StreamId,
    /// Its settings.
    pub settings: Settings,
    /// SHA-256 of the new generation's host key, in hexadecimal.
    pub host_key: Option<String>,
    /// Used when nothing remembers an earlier epoch of this id.
    pub fresh_epoch: Epoch,
}

/// What is to be done about a create.
#[derive(Debug)]
pub enum Creation {
    /// It is active already: nothing to do.
    Existing,
    /// Another create of this id is under way: wait for it.
    UnderWay,
    /// Commit this, then create the room, then [`complete`] or [`abandon`].
    Reserve(Box<Decision>),
}

/// Decides about a create, given what the store has of this id.
pub fn create(
    stored: Option<&Head>,
    tombstone: Option<&Tombstone>,
    request: CreateRequest,
    rules: &Rules,
    now: Timestamp,
) -> Creation {
    match stored {
        Some(head) if head.phase == Phase::Reserved => Creation::UnderWay,
        Some(head) if head.phase.is_active() => Creation::Existing,
        _ => Creation::Reserve(Box::new(reserve(stored, tombstone, request, rules, now))),
    }
}

fn reserve(
    ended: Option<&Head>,
    tombstone: Option<&Tombstone>,
    request: CreateRequest,
    rules: &Rules,
    now: Timestamp,
) -> Decision {
    let (epoch, version, generation, banned_until) = match (ended, tombstone) {
        (Some(head), _) => (head.epoch.clone(), head.version, head.generation, head.banned_until),
        (None, Some(stone)) => (stone.epoch.clone(), stone.version, stone.generation, stone.banned_until),
        (None, None) => (request.fresh_epoch, 0, 0, None),
    };
    // The room of the ended generation may still have to be removed: that goes on.
    let mut intents = ended.map(|head| head.intents.clone()).unwrap_or_default();
    intents.push(Intent { kind: IntentKind::CreateRoom, since: now, next_try: now + rules.reservation, tries: 0 });
    let generation = generation + 1;
    let head = Head {
        room: Room { name: request.id.room_name(generation), sid: None, stale_sids: Vec::new(), unmarked: false },
        id: request.id,
        epoch,
        version,
        revision: ended.map_or(1, |head| head.revision + 1),
        generation,
        phase: Phase::Reserved,
        phase_since: now,
        phase_until: None,
        settings: request.settings,
        settings_version: ended.map_or(0, |head| head.settings_version) + 1,
        roles: BTreeMap::new(),
        host_key: request.host_key,
        banned_until: banned_until.filter(|until| now < *until),
        started_at: now,
        ended_at: None,
        end_reason: None,
        closed_at: None,
        people: 0,
        keepers: 0,
        tracks: 0,
        peak: 0,
        joins: 0,
        publishers: 0,
        empty_since: None,
        ever_joined: false,
        intents,
        replaced: ended.cloned().map(Box::new),
    };
    Decision {
        expected: ended.map(|head| head.revision),
        participants: Vec::new(),
        identities: Vec::new(),
        due: head.due_at(rules),
        notice: None,
        tombstone: None,
        session: None,
        head: Some(head),
    }
}

/// Reserves an id while a room is removed that the next create would take over. Nobody
/// has asked for a stream: the reservation can only be abandoned (see [`is_removal`]).
pub fn reserve_removal(
    id: StreamId,
    tombstone: Option<&Tombstone>,
    fresh_epoch: Epoch,
    rules: &Rules,
    now: Timestamp,
) -> Decision {
    let request = CreateRequest { id, settings: Settings::default(), host_key: None, fresh_epoch };
    let mut decision = reserve(None, tombstone, request, rules, now);
    if let Some(head) = &mut decision.head {
        head.intents = Vec::new();
        decision.due = head.due_at(rules);
    }
    decision
}

/// The reservation is for a removal, and no stream is to come of it.
pub fn is_removal(head: &Head) -> bool {
    head.phase == Phase::Reserved && !head.intents.iter().any(|intent| intent.kind == IntentKind::CreateRoom)
}

/// LiveKit has the room: the reservation becomes a stream, `waiting`.
/// `unmarked`: the room was there before, without anybody's mark.
/// `None` when the head is no reservation for a stream (any more).
pub fn complete(head: &Head, room: &RoomSnapshot, unmarked: bool, rules: &Rules, now: Timestamp) -> Option<Decision> {
    if head.phase != Phase::Reserved || is_removal(head) {
        return None;
    }
    let mut draft = Draft::new(head, now);
    draft.head.room.sid = Some(room.sid.clone());
    draft.head.room.unmarked = unmarked;
    draft.head.started_at = now;
    draft.head.replaced = None;
    draft.head.intents.retain(|intent| intent.kind != IntentKind::CreateRoom);
    draft.enter(Phase::Waiting);
    draft.finish(rules)
}

/// The room can't be had: the reservation vanishes, and what it would have replaced is back.
/// `None` when the head is no reservation (any more).
///
/// What is back is told, changed or not: whoever read the list meanwhile has missed it.
pub fn abandon(head: &Head, rules: &Rules, now: Timestamp) -> Option<Decision> {
    if head.phase != Phase::Reserved {
        return None;
    }
    let restored = head.replaced.as_deref().map(|ended| restore(head, ended, now));
    Some(Decision {
        expected: Some(head.revision),
        participants: Vec::new(),
        identities: Vec::new(),
        due: restored.as_ref().and_then(|head| head.due_at(rules)),
        notice: restored.as_ref().map(told),
        tombstone: None,
        session: None,
        head: restored,
    })
}

fn restore(reserved: &Head, ended: &Head, now: Timestamp) -> Head {
    let mut restored = ended.clone();
    restored.revision = reserved.revision + 1;
    restored.intents = reserved.intents.iter().filter(|i| i.kind != IntentKind::CreateRoom).cloned().collect();
    let pending = restored
        .intents
        .iter()
        .any(|intent| matches!(&intent.kind, IntentKind::DeleteRoom { room } if *room == restored.room.name));
    if !pending {
        restored.closed_at = restored.closed_at.or(Some(now));
    }
    // Its room may have gone while it was reserved: somebody outside can see that.
    restored.version += u64::from(restored.closing() != ended.closing());
    restored
}

fn told(head: &Head) -> Notice {
    let body = NoticeBody::Changed {
        view: Box::new(StreamView::from(head)),
        joined: Vec::new(),
        left: Vec::new(),
        cleared: false,
    };
    Notice { id: head.id.clone(), body }
}

/// A reservation nobody completed in time: its creator has died.
pub fn is_reservation_overdue(head: &Head, rules: &Rules, now: Timestamp) -> bool {
    head.phase == Phase::Reserved && now >= head.phase_since + rules.reservation
}
