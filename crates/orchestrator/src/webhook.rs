//! LiveKit's webhooks: verified, applied to one stream, answered after the commit.

use domain::{EventContext, Head, RoomEvent, RoomEventKind, StreamId, Timestamp, Verdict, apply_event};
use rooms::{Webhook, WebhookError};
use store::{Concern, Loaded};

use crate::update::{Scope, Step, Updated};
use crate::{Orchestrator, UseCaseError};

/// An event may need the room to be confirmed once before it can be applied.
const MOST_ROUNDS: u32 = 3;

/// What became of a webhook; the labels of its metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookVerdict {
    /// LiveKit's name of the event, `other` for one we do not know.
    pub event: &'static str,
    /// `applied`, `duplicate`, `stale`, `late`, `unknown`, `orphan`, `reconcile` or `ignored`.
    pub verdict: &'static str,
}

/// Why a webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookFailure {
    /// It is not LiveKit's: 401.
    #[error(transparent)]
    NotLiveKit(#[from] WebhookError),
    /// It could not be applied now: 503, LiveKit sends it again.
    #[error(transparent)]
    NotApplied(#[from] UseCaseError),
}

impl Orchestrator {
    /// Takes one webhook as it came. Unknown events and rooms are fine.
    pub async fn receive_webhook(
        &self,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<WebhookVerdict, WebhookFailure> {
        match self.inner.webhooks.receive(authorization, body, self.now())? {
            Webhook::Other { .. } => Ok(WebhookVerdict { event: "other", verdict: "ignored" }),
            Webhook::Event(event) => {
                let verdict = self.apply_room_event(&event).await?;
                tracing::debug!(room = %event.room_name, event = event.kind.name(), verdict, "webhook");
                Ok(WebhookVerdict { event: event.kind.name(), verdict })
            }
        }
    }

    /// Applies one event of LiveKit's; the verdict's name.
    pub async fn apply_room_event(&self, event: &RoomEvent) -> Result<&'static str, UseCaseError> {
        let Some((id, _)) = event.room_name.stream() else { return Ok("ignored") };
        let _turn = self.inner.intake.turn(&id).await?;
        let mut finish_confirmed = false;
        for _ in 0..MOST_ROUNDS {
            match self.apply_once(&id, event, finish_confirmed).await? {
                Outcome::Settled(verdict) => return Ok(verdict),
                Outcome::Orphan => {
                    self.spawn_orphan(event);
                    return Ok("orphan");
                }
                Outcome::Reconcile(head) => {
                    self.look_now(&head).await?;
                    return Ok("reconcile");
                }
                Outcome::ConfirmFinish => {
                    // A LiveKit that is being stopped finishes its rooms too, and does not answer any more:
                    // its people come back, and the stream waits for them. One that goes on sends this again.
                    self.inner.lookup.find(&event.room_name).await?;
                    finish_confirmed = true;
                }
                Outcome::Confirm => {
                    let room = self.inner.lookup.find(&event.room_name).await?;
                    let Some(room) = room.filter(|room| room.sid == event.room_sid) else { return Ok("stale") };
                    if !self.may_adopt(&room) || !self.adopt_room(&id, &room, None).await? {
                        return Ok("ignored");
                    }
                }
            }
        }
        Err(UseCaseError::Busy("the room changes faster than it can be confirmed"))
    }

    async fn apply_once(
        &self,
        id: &StreamId,
        event: &RoomEvent,
        finish_confirmed: bool,
    ) -> Result<Outcome, UseCaseError> {
        let participant = event.kind.participant();
        let id_of_event = Some(&event.id).filter(|id| !id.0.is_empty());
        let concern = Concern {
            sid: participant.map(|(sid, _)| sid),
            identity: participant.map(|(_, identity)| identity),
            event: id_of_event,
        };
        let scope = Scope { concern, event: id_of_event, fence: None };
        let updated = self
            .update_on_belief(id, scope, |loaded, now| Ok(self.judge(loaded, event, now, finish_confirmed)))
            .await?;
        Ok(match updated {
            Updated::Done(outcome) => outcome,
            Updated::DuplicateEvent | Updated::Fenced => Outcome::Settled("duplicate"),
        })
    }

    fn judge(&self, loaded: &Loaded, event: &RoomEvent, now: Timestamp, finish_confirmed: bool) -> Step<Outcome> {
        if loaded.event_known {
            return Step::Done(Outcome::Settled("duplicate"));
        }
        let Some(head) = &loaded.head else { return Step::Done(Outcome::Orphan) };
        let context = EventContext {
            head,
            participant: loaded.participant.as_ref(),
            identity_sids: u32::try_from(loaded.identity_sids.len()).unwrap_or(u32::MAX),
            sid_gone: loaded.sid_gone,
            banned: loaded.ban.as_ref().is_some_and(|ban| ban.holds(now)),
        };
        let finishes = matches!(event.kind, RoomEventKind::RoomFinished);
        match apply_event(context, event, &self.inner.rules, now) {
            Verdict::Apply(_) if finishes && !finish_confirmed => Step::Done(Outcome::ConfirmFinish),
            Verdict::Apply(decision) => Step::Commit(decision, Outcome::Settled("applied")),
            Verdict::Unknown(decision) => Step::Commit(decision, Outcome::Settled("unknown")),
            Verdict::Duplicate => Step::Done(Outcome::Settled("duplicate")),
            Verdict::Stale => Step::Done(Outcome::Settled("stale")),
            Verdict::Late => Step::Done(Outcome::Settled("late")),
            Verdict::Orphan => Step::Done(Outcome::Orphan),
            Verdict::Confirm => Step::Done(Outcome::Confirm),
            Verdict::Reconcile => Step::Done(Outcome::Reconcile(Box::new(head.clone()))),
        }
    }
}

enum Outcome {
    Settled(&'static str),
    Orphan,
    Confirm,
    ConfirmFinish,
    Reconcile(Box<Head>),
}
