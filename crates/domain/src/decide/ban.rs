//! Bans: who is kept out of a stream id, for how long, and taken out now.

use crate::{Ban, Decision, Head, Identity, IdentityChange, MAX_BANS, ParticipantSid, Rules, Timestamp};

use super::Draft;
use super::join::Place;

/// Why nobody is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BanRefusal {
    /// The stream is not active.
    #[error("the stream has ended")]
    Finished,
    /// [`MAX_BANS`] identities are banned already.
    #[error("{MAX_BANS} people are banned from this stream already: lift a ban first")]
    TooMany,
}

/// Bans `identity`, and asks for its connections to be taken out. A second ban replaces the first.
/// `lapsed` are bans that have ended and are still stored: they make room.
///
/// Where too much waits for LiveKit already the removal is left to the sweep: the ban holds all the same.
pub fn ban(
    head: &Head,
    identity: &Identity,
    ban: Ban,
    place: Place<'_>,
    lapsed: &[Identity],
    rules: &Rules,
    now: Timestamp,
) -> Result<Option<Decision>, BanRefusal> {
    if !head.phase.is_active() {
        return Err(BanRefusal::Finished);
    }
    let freed = u32::try_from(lapsed.iter().filter(|other| *other != identity).count()).unwrap_or(u32::MAX);
    if place.ban.is_none() && place.bans.saturating_sub(freed) >= MAX_BANS {
        return Err(BanRefusal::TooMany);
    }
    let mut draft = Draft::new(head, now);
    for other in lapsed.iter().filter(|other| *other != identity) {
        draft.identity(IdentityChange::Lift(other.clone()));
    }
    draft.head.banned_until = Some(head.banned_until.map_or(ban.until, |until| until.max(ban.until)));
    draft.identity(IdentityChange::Ban(identity.clone(), ban));
    draft.remove(identity, place.connections);
    Ok(draft.finish(rules))
}

/// Lifts the ban of `identity`. `None` when there is none; also of a stream that has ended.
pub fn lift_ban(head: &Head, identity: &Identity, place: Place<'_>, rules: &Rules, now: Timestamp) -> Option<Decision> {
    place.ban?;
    let mut draft = Draft::new(head, now);
    draft.identity(IdentityChange::Lift(identity.clone()));
    if place.bans <= 1 {
        draft.head.banned_until = None;
    }
    draft.finish(rules)
}

impl Draft<'_> {
    /// Takes a banned person's connection out.
    pub(crate) fn eject(&mut self, identity: &Identity, sid: &ParticipantSid) {
        // Where too much waits for LiveKit already, the next sweep finds it again.
        self.remove(identity, std::slice::from_ref(sid));
    }
}
