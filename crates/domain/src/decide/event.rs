//! Applying one event of LiveKit's.
//!
//! Fences first: the room's name, then its sid, then the participant's sid.
//! An event is a hint; where it leaves a doubt the verdict says whom to ask.

use crate::{
    Decision, EndReason, Head, Participant, ParticipantSid, ParticipantSnapshot, Phase, RoomEvent, RoomEventKind,
    RoomSid, Rules, Timestamp, TrackSid,
};

use super::{Draft, end::end};

/// What the store has that concerns an event.
#[derive(Debug, Clone, Copy)]
pub struct EventContext<'a> {
    /// The stream its room belongs to.
    pub head: &'a Head,
    /// The connection it is about, if we know it.
    pub participant: Option<&'a Participant>,
    /// Live connections (of people) that the identity has.
    pub identity_sids: u32,
    /// The connection is remembered to have gone.
    pub sid_gone: bool,
    /// Its identity is banned now.
    pub banned: bool,
}

/// What is to be done about an event.
#[derive(Debug)]
pub enum Verdict {
    /// Commit this.
    Apply(Box<Decision>),
    /// It changes nothing: we know already.
    Duplicate,
    /// Of a former life of the room, or of a generation that is over.
    Stale,
    /// `joined` of a connection that has gone already.
    Late,
    /// `left` of a connection we never knew; commit this to remember it.
    Unknown(Box<Decision>),
    /// The current room's name with a life we do not know: ask ListRooms, adopt, apply again.
    Confirm,
    /// A room that should not be there is alive: remove it if it carries our mark.
    Orphan,
    /// Somebody we do not know publishes: ask ListParticipants.
    Reconcile,
}

/// Decides about `event`.
pub fn apply_event(context: EventContext<'_>, event: &RoomEvent, rules: &Rules, now: Timestamp) -> Verdict {
    let head = context.head;
    if event.room_name != head.room.name || head.phase == Phase::Ended {
        return if shows_life(&event.kind) { Verdict::Orphan } else { Verdict::Stale };
    }
    match &head.room.sid {
        // The creator is about to confirm the room; nobody has a token yet.
        None => return Verdict::Stale,
        Some(current) if *current == event.room_sid => {}
        Some(_) if head.room.stale_sids.contains(&event.room_sid) => return Verdict::Stale,
        Some(_) if !shows_life(&event.kind) => return Verdict::Stale,
        Some(_) => return Verdict::Confirm,
    }
    match &event.kind {
        RoomEventKind::RoomStarted => Verdict::Duplicate,
        RoomEventKind::RoomFinished => applied(end(head, EndReason::RoomFinished, rules, now)),
        RoomEventKind::ParticipantJoined(snapshot) => joined(context, snapshot, &event.room_sid, rules, now),
        RoomEventKind::ParticipantLeft { sid, .. } => left(context, sid, rules, now),
        RoomEventKind::TrackPublished { track, .. } => published(context, track, rules, now),
        RoomEventKind::TrackUnpublished { track, .. } => unpublished(context, track, rules, now),
    }
}

/// The event means that somebody is in the room now.
fn shows_life(kind: &RoomEventKind) -> bool {
    matches!(
        kind,
        RoomEventKind::RoomStarted | RoomEventKind::ParticipantJoined(_) | RoomEventKind::TrackPublished { .. }
    )
}

fn joined(
    context: EventContext<'_>,
    snapshot: &ParticipantSnapshot,
    room: &RoomSid,
    rules: &Rules,
    now: Timestamp,
) -> Verdict {
    if context.sid_gone {
        return Verdict::Late;
    }
    if context.participant.is_some() {
        return Verdict::Duplicate;
    }
    let mut draft = Draft::new(context.head, now);
    draft.join(newcomer(snapshot, room, now), context.identity_sids);
    if context.banned {
        draft.eject(&snapshot.identity, &snapshot.sid);
    }
    applied(draft.finish(rules))
}

/// What we keep of a participant that LiveKit shows.
pub(crate) fn newcomer(snapshot: &ParticipantSnapshot, room: &RoomSid, now: Timestamp) -> Participant {
    Participant {
        sid: snapshot.sid.clone(),
        identity: snapshot.identity.clone(),
        name: snapshot.name.clone(),
        kind: snapshot.kind,
        joined_at: now,
        room_sid: room.clone(),
        tracks: snapshot.tracks.iter().cloned().collect(),
    }
}

fn left(context: EventContext<'_>, sid: &ParticipantSid, rules: &Rules, now: Timestamp) -> Verdict {
    if context.sid_gone {
        return Verdict::Duplicate;
    }
    let mut draft = Draft::new(context.head, now);
    match context.participant {
        Some(participant) => {
            draft.leave(participant.clone(), context.identity_sids);
            applied(draft.finish(rules))
        }
        None => {
            draft.gone(sid.clone());
            draft.finish(rules).map_or(Verdict::Duplicate, |decision| Verdict::Unknown(Box::new(decision)))
        }
    }
}

fn published(context: EventContext<'_>, track: &TrackSid, rules: &Rules, now: Timestamp) -> Verdict {
    let Some(participant) = context.participant else {
        return if context.sid_gone { Verdict::Late } else { Verdict::Reconcile };
    };
    if participant.tracks.contains(track) {
        return Verdict::Duplicate;
    }
    let tracks = participant.tracks.iter().chain([track]).cloned().collect::<Vec<_>>();
    let mut draft = Draft::new(context.head, now);
    draft.set_tracks(participant.clone(), tracks);
    applied(draft.finish(rules))
}

fn unpublished(context: EventContext<'_>, track: &TrackSid, rules: &Rules, now: Timestamp) -> Verdict {
    let Some(participant) = context.participant.filter(|p| p.tracks.contains(track)) else {
        return Verdict::Duplicate;
    };
    let tracks = participant.tracks.iter().filter(|t| *t != track).cloned().collect::<Vec<_>>();
    let mut draft = Draft::new(context.head, now);
    draft.set_tracks(participant.clone(), tracks);
    applied(draft.finish(rules))
}

fn applied(decision: Option<Decision>) -> Verdict {
    decision.map_or(Verdict::Duplicate, |decision| Verdict::Apply(Box::new(decision)))
}
