//! The decisions: state, what happened and `now` in; what to commit out.
//!
//! A [`Draft`] is the one way to make a [`Decision`]: it keeps counts, phase
//! and the list of changes in step, and raises `version` only if somebody
//! outside can see a difference.

pub(crate) mod adopt;
pub(crate) mod ban;
pub(crate) mod create;
pub(crate) mod end;
pub(crate) mod event;
pub(crate) mod intent;
pub(crate) mod join;
pub(crate) mod observe;
pub(crate) mod settings;
pub(crate) mod tick;

use std::time::Duration;

use crate::{
    Ban, Head, Identity, Intent, IntentKind, MAX_INTENTS, Notice, NoticeBody, Participant, ParticipantSid, Phase, Role,
    Rules, Session, StreamView, Timestamp, Tombstone, TrackSid,
};

/// Whoever decides something for LiveKit carries it out at once; a job takes
/// over when that one has died in between.
pub(crate) const FIRST_TRY_BY_JOB: Duration = Duration::from_secs(2);

/// One atomic step for the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The new head; `None` removes the record and all its people.
    pub head: Option<Head>,
    /// Revision the stored head must have; `None`: there must be none.
    pub expected: Option<u64>,
    /// Changes of the list of people, to be applied in order.
    pub participants: Vec<ParticipantChange>,
    /// Changes of what is known of identities, to be applied in order and after the list's.
    pub identities: Vec<IdentityChange>,
    /// When the record is to be looked at next.
    pub due: Option<Timestamp>,
    /// To be published with the step; `None` when nobody outside can see a difference.
    pub notice: Option<Notice>,
    /// To be remembered for longer than the record, and for how long.
    pub tombstone: Option<(Tombstone, Duration)>,
    /// The history row, and for how long it is kept.
    pub session: Option<(Session, Duration)>,
}

/// How long the store remembers things that are not records.
#[derive(Debug, Clone, Copy)]
pub struct Retention;

impl Retention {
    /// Event ids and sids of connections that went.
    pub const EVENT: Duration = Duration::from_secs(600);
}

/// One change of the list of people, keyed by connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParticipantChange {
    /// A connection that was not there before.
    Join(Participant),
    /// A known connection, changed.
    Update(Participant),
    /// A connection that went; its sid is remembered as gone for [`Retention::EVENT`].
    Leave(Participant),
    /// A connection that LiveKit's lists leave out. A list can be wrong, so its sid is not remembered:
    /// should it still be there after all, the next list or event brings it back.
    Missing(Participant),
    /// A connection we never knew has gone: only remembered, so that a late `joined` does not bring it back.
    Gone(ParticipantSid),
    /// Everybody, and every role granted: the generation is over.
    Clear,
}

/// One change of what is known of an identity, connected or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityChange {
    /// It was given a token with this publishing role, and holds it until the generation ends.
    Grant(Identity, Role),
    /// It is kept out; the store forgets that by itself when the ban ends.
    Ban(Identity, Ban),
    /// It is kept out no longer.
    Lift(Identity),
}

/// A head being changed.
pub(crate) struct Draft<'a> {
    before: &'a Head,
    pub(crate) head: Head,
    now: Timestamp,
    participants: Vec<ParticipantChange>,
    identities: Vec<IdentityChange>,
    joined: Vec<Identity>,
    left: Vec<Identity>,
    cleared: bool,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(before: &'a Head, now: Timestamp) -> Self {
        Self {
            before,
            head: before.clone(),
            now,
            participants: Vec::new(),
            identities: Vec::new(),
            joined: Vec::new(),
            left: Vec::new(),
            cleared: false,
        }
    }

    /// Adds a connection. `known` is how many live connections of people its identity has.
    pub(crate) fn join(&mut self, participant: Participant, known: u32) {
        if participant.kind.is_person() {
            self.head.joins += 1;
            if known == 0 {
                self.head.people += 1;
                self.joined.push(participant.identity.clone());
            }
        }
        if participant.kind.keeps_alive() {
            self.head.keepers += 1;
            self.head.ever_joined = true;
            self.head.publishers += u64::from(!participant.tracks.is_empty());
        }
        self.head.tracks += participant.live_tracks();
        self.participants.push(ParticipantChange::Join(participant));
    }

    /// Takes a connection out that is known to be over. `known` counts it too.
    pub(crate) fn leave(&mut self, participant: Participant, known: u32) {
        self.take_out(&participant, known);
        self.participants.push(ParticipantChange::Leave(participant));
    }

    /// Takes a connection out that is only not listed any more. `known` counts it too.
    pub(crate) fn miss(&mut self, participant: Participant, known: u32) {
        self.take_out(&participant, known);
        self.participants.push(ParticipantChange::Missing(participant));
    }

    fn take_out(&mut self, participant: &Participant, known: u32) {
        if participant.kind.is_person() && known <= 1 {
            self.head.people = self.head.people.saturating_sub(1);
            self.left.push(participant.identity.clone());
        }
        if participant.kind.keeps_alive() {
            self.head.keepers = self.head.keepers.saturating_sub(1);
        }
        self.head.tracks = self.head.tracks.saturating_sub(participant.live_tracks());
    }

    /// Remembers that a connection we never knew is over.
    pub(crate) fn gone(&mut self, sid: ParticipantSid) {
        self.participants.push(ParticipantChange::Gone(sid));
    }

    /// Replaces the tracks of a connection.
    pub(crate) fn set_tracks(&mut self, mut participant: Participant, tracks: impl IntoIterator<Item = TrackSid>) {
        let before = participant.live_tracks();
        let was_publisher = !participant.tracks.is_empty();
        participant.tracks = tracks.into_iter().collect();
        if participant.kind.keeps_alive() && !was_publisher && !participant.tracks.is_empty() {
            self.head.publishers += 1;
        }
        self.head.tracks = self.head.tracks.saturating_sub(before) + participant.live_tracks();
        self.participants.push(ParticipantChange::Update(participant));
    }

    pub(crate) fn clear(&mut self) {
        self.cleared = self.head.people > 0;
        self.head.people = 0;
        self.head.keepers = 0;
        self.head.tracks = 0;
        self.participants.push(ParticipantChange::Clear);
    }

    /// Changes what is known of an identity.
    pub(crate) fn identity(&mut self, change: IdentityChange) {
        self.identities.push(change);
    }

    /// Wants these connections of `identity` to be taken out of the room; `false` when the record
    /// holds as many intents as it may.
    pub(crate) fn remove(&mut self, identity: &Identity, sids: &[ParticipantSid]) -> bool {
        if sids.is_empty() {
            return true;
        }
        let full = self.head.intents.len() >= MAX_INTENTS;
        let pending = self.head.intents.iter_mut().find_map(|intent| match &mut intent.kind {
            IntentKind::RemoveParticipant { identity: who, sids } if who == identity => Some(sids),
            _ => None,
        });
        match pending {
            Some(pending) => {
                pending.extend_from_slice(sids);
                pending.sort();
                pending.dedup();
            }
            None if full => return false,
            None => {
                let kind = IntentKind::RemoveParticipant { identity: identity.clone(), sids: sids.to_vec() };
                self.intend(kind);
            }
        }
        true
    }

    /// Somebody who decided this carries it out at once; the job's turn comes later.
    fn intend(&mut self, kind: IntentKind) {
        self.head.intents.push(Intent { kind, since: self.now, next_try: self.now + FIRST_TRY_BY_JOB, tries: 0 });
    }

    /// Wants LiveKit's copy of the metadata to follow ours. A room that was there
    /// without our mark keeps its own.
    pub(crate) fn write_metadata(&mut self) {
        if self.head.room.unmarked {
            return;
        }
        self.head.intents.retain(|intent| !matches!(intent.kind, IntentKind::WriteMetadata { .. }));
        self.intend(IntentKind::WriteMetadata { settings_version: self.head.settings_version });
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        if self.head.phase != phase {
            self.head.phase = phase;
            self.head.phase_since = self.now;
        }
    }

    /// The step to commit, or `None` when nothing is different.
    pub(crate) fn finish(mut self, rules: &Rules) -> Option<Decision> {
        self.settle();
        self.head.phase_until = self.head.reconnecting_until(rules);
        if self.head == *self.before && self.participants.is_empty() && self.identities.is_empty() {
            return None;
        }
        self.cancel_returns();
        let listed = self.cleared || !self.joined.is_empty() || !self.left.is_empty();
        let visible = listed || StreamView::from(&self.head) != StreamView::from(self.before);
        self.head.revision = self.before.revision + 1;
        self.head.version = self.before.version + u64::from(visible);
        let notice = visible.then(|| self.notice());
        Some(Decision {
            due: self.head.due_at(rules),
            expected: Some(self.before.revision),
            participants: self.participants,
            identities: self.identities,
            notice,
            tombstone: None,
            session: None,
            head: Some(self.head),
        })
    }

    /// Draws phase, peak and emptiness from the counts.
    fn settle(&mut self) {
        self.head.peak = self.head.peak.max(self.head.people);
        if !self.head.phase.is_active() {
            return;
        }
        self.head.empty_since = match (self.head.keepers, self.head.ever_joined) {
            (0, true) => self.head.empty_since.or(Some(self.now)),
            _ => None,
        };
        if self.head.tracks > 0 {
            self.enter(Phase::Live);
        } else if self.head.phase == Phase::Live {
            self.enter(Phase::Reconnecting);
        }
    }

    /// Whoever left on one connection and came on another in the same step was there all the time.
    fn cancel_returns(&mut self) {
        if self.joined.is_empty() || self.left.is_empty() {
            return;
        }
        let left = std::mem::take(&mut self.left);
        for identity in left {
            match self.joined.iter().position(|joined| *joined == identity) {
                Some(at) => drop(self.joined.swap_remove(at)),
                None => self.left.push(identity),
            }
        }
    }

    fn notice(&mut self) -> Notice {
        Notice {
            id: self.head.id.clone(),
            body: NoticeBody::Changed {
                view: Box::new(StreamView::from(&self.head)),
                joined: std::mem::take(&mut self.joined),
                left: std::mem::take(&mut self.left),
                cleared: self.cleared,
            },
        }
    }
}
