//! Ending: final within a generation.

use std::time::Duration;

use crate::{Decision, EndReason, Head, Intent, IntentKind, Phase, Rules, Session, Timestamp, Tombstone};

use super::{Draft, FIRST_TRY_BY_JOB};

/// Ends an active stream. `None` when it is not active: there is nothing to end.
pub fn end(head: &Head, reason: EndReason, rules: &Rules, now: Timestamp) -> Option<Decision> {
    if !head.phase.is_active() {
        return None;
    }
    let mut draft = Draft::new(head, now);
    draft.clear();
    draft.enter(Phase::Ended);
    draft.head.ended_at = Some(now);
    draft.head.end_reason = Some(reason);
    draft.head.empty_since = None;
    // Removing a participant or restoring metadata is pointless in a room that goes.
    draft.head.intents.retain(|intent| matches!(intent.kind, IntentKind::DeleteRoom { .. }));
    if room_is_gone(reason) {
        draft.head.closed_at = Some(now);
    } else {
        let kind = IntentKind::DeleteRoom { room: head.room.name.clone() };
        draft.head.intents.push(Intent { kind, since: now, next_try: now + FIRST_TRY_BY_JOB, tries: 0 });
    }
    let mut decision = draft.finish(rules)?;
    if let Some(ended) = &decision.head {
        decision.tombstone = Some(tombstone(ended, rules.tombstone + rules.max_retention, now));
        decision.session = Some((session(ended, reason, now), rules.session));
    }
    Some(decision)
}

fn room_is_gone(reason: EndReason) -> bool {
    matches!(reason, EndReason::RoomFinished | EndReason::Lost)
}

/// What outlives the record, and for how long: `keep`, and as long as somebody is banned.
pub(crate) fn tombstone(head: &Head, keep: Duration, now: Timestamp) -> (Tombstone, Duration) {
    let keep = head.banned_until.map_or(keep, |until| keep.max(until.since(now)));
    let stone = Tombstone {
        epoch: head.epoch.clone(),
        version: head.version,
        generation: head.generation,
        room: head.room.name.clone(),
        banned_until: head.banned_until.filter(|until| now < *until),
    };
    (stone, keep)
}

fn session(head: &Head, reason: EndReason, now: Timestamp) -> Session {
    Session {
        stream_id: head.id.clone(),
        title: head.settings.title.clone(),
        visibility: head.settings.visibility,
        epoch: head.epoch.clone(),
        version: head.version,
        generation: head.generation,
        started_at: head.started_at,
        ended_at: now,
        end_reason: reason,
        peak: head.peak,
        joins: head.joins,
        publishers: head.publishers,
    }
}
