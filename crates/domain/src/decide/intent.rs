//! Intents: what LiveKit has to be made to do, tried until seen to be done.

use std::time::Duration;

use crate::{Decision, Head, Identity, Intent, IntentKind, ParticipantSid, Phase, Rules, Timestamp};

use super::Draft;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// LiveKit has done it: the intent goes. `None` when it is not there (any more), and nothing follows from that.
pub fn close_intent(head: &Head, done: &IntentKind, rules: &Rules, now: Timestamp) -> Option<Decision> {
    if !head.intents.iter().any(|intent| intent.kind == *done) {
        return write_again(head, done, rules, now);
    }
    let mut draft = Draft::new(head, now);
    draft.head.intents.retain(|intent| intent.kind != *done);
    let own_room = matches!(done, IntentKind::DeleteRoom { room } if *room == head.room.name);
    if own_room && head.phase == Phase::Ended {
        draft.head.closed_at = Some(now);
    }
    draft.finish(rules)
}

/// LiveKit did not do it, as far as we know: it is tried again after 1, 2, 4 … 30 s.
pub fn postpone_intent(head: &Head, failed: &IntentKind, rules: &Rules, now: Timestamp) -> Option<Decision> {
    let mut draft = Draft::new(head, now);
    let Some(intent) = draft.head.intents.iter_mut().find(|intent| intent.kind == *failed) else {
        return write_again(head, failed, rules, now);
    };
    intent.next_try = now + back_off(intent.tries);
    intent.tries += 1;
    draft.finish(rules)
}

/// Metadata that was overtaken while it was being written may have come to LiveKit after the newer one.
fn write_again(head: &Head, written: &IntentKind, rules: &Rules, now: Timestamp) -> Option<Decision> {
    let IntentKind::WriteMetadata { settings_version } = written else { return None };
    if *settings_version == head.settings_version { None } else { correct_metadata(head, rules, now) }
}

/// The room's metadata is, or may be, another than it should be: it is written again. `None` while it is being
/// written, and when the stream has ended.
pub fn correct_metadata(head: &Head, rules: &Rules, now: Timestamp) -> Option<Decision> {
    let pending = head.intents.iter().any(|intent| matches!(intent.kind, IntentKind::WriteMetadata { .. }));
    if pending || !head.phase.is_active() {
        return None;
    }
    let mut draft = Draft::new(head, now);
    draft.write_metadata();
    draft.finish(rules)
}

fn back_off(tries: u32) -> Duration {
    FIRST_RETRY.saturating_mul(1 << tries.min(10)).min(LONGEST_RETRY)
}

/// Asks for these connections of `identity` to be taken out. `Ok(None)` when
/// there is nothing to do, `Err` when too much is pending already.
pub fn request_removal(
    head: &Head,
    identity: &Identity,
    sids: &[ParticipantSid],
    rules: &Rules,
    now: Timestamp,
) -> Result<Option<Decision>, TooManyIntents> {
    if sids.is_empty() || !head.phase.is_active() {
        return Ok(None);
    }
    let mut draft = Draft::new(head, now);
    if draft.remove(identity, sids) { Ok(draft.finish(rules)) } else { Err(TooManyIntents) }
}

/// The record holds as many intents as it may: LiveKit has been away for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many removals are waiting for LiveKit")]
pub struct TooManyIntents;

impl Head {
    /// The intents whose time has come.
    pub fn due_intents(&self, now: Timestamp) -> impl Iterator<Item = &Intent> {
        self.intents.iter().filter(move |intent| intent.next_try <= now)
    }
}
