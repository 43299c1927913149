//! The atomic step: one script, one round trip.

use std::time::Duration;

use domain::{Decision, Head, Identity, IdentityChange, Notice, ParticipantChange, Phase, Retention, StreamId};
use redis::{Cmd, Value, from_redis_value};
use serde::Serialize;

use crate::feed::for_lobby;
use crate::{Belief, Checked, Commit, Committed, Cursor, Fence, Partition, StoreError};

use super::RedisStore;
use super::errors::{failed, undecodable};
use super::layout::{Member, index_name, sid_field};
use super::lease::millis;
use super::script::call;

const OPERATION: &str = "commit";
/// An ended record that nobody removes when it is due vanishes this long after.
const BACKSTOP: Duration = Duration::from_secs(24 * 3600);
/// "None" as an argument of the script.
const NONE: &str = "";

impl RedisStore {
    /// Commits, and remembers what is known of the stream now.
    pub(super) async fn commit_step(
        &self,
        id: &StreamId,
        commit: Commit<'_>,
        belief: Option<Belief<'_>>,
    ) -> Result<Checked, StoreError> {
        let checked = self.try_step(id, commit, belief).await;
        match &checked {
            Ok(Checked::Right(Committed::Done)) => self.beliefs.committed(id, commit.decision),
            Ok(Checked::Wrong(loaded)) => self.beliefs.learn(id, loaded),
            // Nobody knows whether it was done, or what was in its way.
            Ok(Checked::Right(Committed::Conflict)) | Err(_) => self.beliefs.forget(id),
            Ok(Checked::Right(Committed::DuplicateEvent | Committed::Fenced)) => {}
        }
        checked
    }

    async fn try_step(
        &self,
        id: &StreamId,
        commit: Commit<'_>,
        belief: Option<Belief<'_>>,
    ) -> Result<Checked, StoreError> {
        let partition = Partition::of(id);
        if commit.fence.is_some_and(|fence| fence.partition != partition) {
            return Ok(Checked::Right(Committed::Fenced));
        }
        let mut cmd = call(&self.scripts.commit, &self.commit_keys(id, partition, &commit));
        self.add_arguments(&mut cmd, id, &commit, belief)?;
        let verdict: Value = self.link.script(OPERATION, &self.scripts.commit, cmd).await?;
        match (verdict, belief) {
            (Value::Array(facts), Some(belief)) => {
                Ok(Checked::Wrong(Box::new(self.read_facts(OPERATION, facts, belief.concern)?)))
            }
            (verdict, _) => Self::read_verdict(verdict).map(Checked::Right),
        }
    }

    fn read_verdict(verdict: Value) -> Result<Committed, StoreError> {
        let verdict: String = from_redis_value(verdict).map_err(|error| failed(OPERATION, error.into()))?;
        match verdict.as_str() {
            "done" => Ok(Committed::Done),
            "conflict" => Ok(Committed::Conflict),
            "duplicate" => Ok(Committed::DuplicateEvent),
            "fenced" => Ok(Committed::Fenced),
            other => Err(undecodable(OPERATION, "the script's verdict", other)),
        }
    }

    fn commit_keys(&self, id: &StreamId, partition: Partition, commit: &Commit<'_>) -> Vec<String> {
        let layout = &self.layout;
        let session = commit.decision.session.as_ref().map(|(session, _)| session);
        let is_hidden = session.is_some_and(|session| !session.visibility.is_public());
        // A key that is not used must still be of the slot.
        let head = layout.of_stream("head", id);
        let mut keys = vec![
            head.clone(),
            layout.of_stream("people", id),
            layout.of_stream("order", id),
            layout.of_stream("gone", id),
            layout.of_stream("tombstone", id),
            commit.event.map_or_else(|| head.clone(), |event| layout.event(id, event)),
            layout.of_partition("lease", partition),
            layout.of_partition("places", partition),
            layout.of_partition("due", partition),
            layout.of_partition("totals", partition),
            layout.of_partition(if is_hidden { "history-hidden" } else { "history" }, partition),
            session.map_or(head, |session| layout.session(id, &Cursor::of_session(session).0)),
        ];
        keys.extend(layout.indexes(partition));
        keys.extend([layout.of_stream("grants", id), layout.of_stream("bans", id)]);
        keys
    }

    fn add_arguments(
        &self,
        cmd: &mut Cmd,
        id: &StreamId,
        commit: &Commit<'_>,
        belief: Option<Belief<'_>>,
    ) -> Result<(), StoreError> {
        let decision = commit.decision;
        cmd.arg(id.as_str());
        add_number(cmd, commit.fence.map(|fence: Fence| fence.number));
        add_number(cmd, commit.event.map(|_| millis(Retention::EVENT)));
        add_number(cmd, decision.expected);
        self.add_head(cmd, decision)?;
        cmd.arg(millis(Retention::EVENT));
        add_memories(cmd, decision)?;
        self.add_notices(cmd, id, decision.notice.as_ref())?;
        if self.link.is_cluster() {
            cmd.arg(format!("{:x}", rand::random::<u64>()));
        } else {
            cmd.arg(NONE);
        }
        add_belief(cmd, belief);
        for change in &decision.participants {
            add_change(cmd, change)?;
        }
        for change in &decision.identities {
            add_identity(cmd, change, decision)?;
        }
        Ok(())
    }

    fn add_head(&self, cmd: &mut Cmd, decision: &Decision) -> Result<(), StoreError> {
        let Some(head) = &decision.head else {
            // No revision, head, place, due time or expiry: the record goes.
            for _ in 0..5 {
                cmd.arg(NONE);
            }
            return Ok(());
        };
        cmd.arg(head.revision).arg(json(head)?).arg(place(head));
        match decision.due {
            Some(due) => cmd.arg(due.as_millis()),
            None => cmd.arg(NONE),
        };
        match head.phase {
            Phase::Ended => cmd.arg((decision.due.unwrap_or_else(|| self.clock.now()) + BACKSTOP).as_millis()),
            _ => cmd.arg(NONE),
        };
        Ok(())
    }

    fn add_notices(&self, cmd: &mut Cmd, id: &StreamId, notice: Option<&Notice>) -> Result<(), StoreError> {
        let (stream, lobby) = match notice {
            Some(notice) => (json(notice)?, json(&for_lobby(notice))?),
            None => (Vec::new(), Vec::new()),
        };
        let lobby_channel = self.layout.lobby_channel(Partition::of(id));
        cmd.arg(self.layout.publish()).arg(self.layout.channel(id)).arg(stream).arg(lobby_channel).arg(lobby);
        Ok(())
    }
}

/// What the step was decided on without a load; nine arguments.
fn add_belief(cmd: &mut Cmd, belief: Option<Belief<'_>>) {
    let believed = belief.and_then(|belief| Some((belief.concern, belief.loaded, belief.loaded.head.as_ref()?)));
    let Some((concern, loaded, head)) = believed else {
        for _ in 0..9 {
            cmd.arg(NONE);
        }
        return;
    };
    let (low, high) = concern.identity.map(Member::range).unwrap_or_default();
    cmd.arg(place(head)).arg(concern.sid.map(sid_field).unwrap_or_default());
    cmd.arg(u8::from(loaded.participant.is_some())).arg(u8::from(loaded.sid_gone));
    cmd.arg(low).arg(high).arg(loaded.identity_sids.len());
    cmd.arg(concern.identity.map(Identity::as_str).unwrap_or_default()).arg(u8::from(loaded.ban.is_some()));
}

fn add_memories(cmd: &mut Cmd, decision: &Decision) -> Result<(), StoreError> {
    match &decision.tombstone {
        Some((stone, keep)) => cmd.arg(json(stone)?).arg(millis(*keep)),
        None => cmd.arg(NONE).arg(NONE),
    };
    match &decision.session {
        Some((session, keep)) => {
            let over = Cursor::from_end(session.ended_at - *keep).0;
            cmd.arg(json(session)?).arg(millis(*keep)).arg(over).arg(Cursor::of_session(session).0)
        }
        None => cmd.arg(NONE).arg(NONE).arg(NONE).arg(NONE),
    };
    Ok(())
}

fn add_change(cmd: &mut Cmd, change: &ParticipantChange) -> Result<(), StoreError> {
    match change {
        ParticipantChange::Join(participant) | ParticipantChange::Update(participant) => {
            let sid = sid_field(&participant.sid);
            cmd.arg("put").arg(sid).arg(Member::of(participant)).arg(json(participant)?)
        }
        ParticipantChange::Leave(participant) => {
            cmd.arg("leave").arg(sid_field(&participant.sid)).arg(Member::of(participant))
        }
        ParticipantChange::Missing(participant) => {
            cmd.arg("missing").arg(sid_field(&participant.sid)).arg(Member::of(participant))
        }
        ParticipantChange::Gone(sid) => cmd.arg("gone").arg(sid_field(sid)),
        ParticipantChange::Clear => cmd.arg("clear"),
    };
    Ok(())
}

fn add_identity(cmd: &mut Cmd, change: &IdentityChange, decision: &Decision) -> Result<(), StoreError> {
    match change {
        IdentityChange::Grant(identity, role) => cmd.arg("grant").arg(identity.as_str()).arg(json(role)?),
        IdentityChange::Ban(identity, ban) => {
            let last = decision.head.as_ref().and_then(|head| head.banned_until).unwrap_or(ban.until);
            cmd.arg("ban").arg(identity.as_str()).arg(json(ban)?).arg(last.as_millis())
        }
        IdentityChange::Lift(identity) => cmd.arg("lift").arg(identity.as_str()),
    };
    Ok(())
}

fn add_number(cmd: &mut Cmd, number: Option<u64>) {
    match number {
        Some(number) => cmd.arg(number),
        None => cmd.arg(NONE),
    };
}

/// Where a head is in indexes and totals; see `scripts/place.lua`.
fn place(head: &Head) -> String {
    let index = index_name(head.phase, !head.settings.visibility.is_public());
    format!("{index} {} {}", head.people, Cursor::at(head.started_at, head.id.as_str()).0)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| undecodable(OPERATION, "a value that is no JSON", error))
}
