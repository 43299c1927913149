//! Making LiveKit do what was decided, and writing down that it has.

use domain::{
    Head, Identity, IntentKind, ParticipantSid, ParticipantSnapshot, Phase, StreamId, close_intent, postpone_intent,
};
use rooms::RoomsError;
use store::{Concern, Fence};

use crate::update::{Scope, Step};
use crate::{Orchestrator, UseCaseError};

impl Orchestrator {
    /// One try at one intent. Its outcome is committed: done, or when to try again.
    pub(crate) async fn carry_out(&self, id: &StreamId, kind: &IntentKind, fence: Option<Fence>) {
        if let Err(error) = self.try_intent(id, kind, fence).await {
            // The intent stays where it is; its time comes again. That the store is away is said once, elsewhere.
            tracing::debug!(stream = %id, %error, "an intent could not be written back");
        }
    }

    async fn try_intent(&self, id: &StreamId, kind: &IntentKind, fence: Option<Fence>) -> Result<(), UseCaseError> {
        let Some(head) = self.inner.store.load(id, Concern::default()).await?.head else { return Ok(()) };
        if !head.intents.iter().any(|intent| intent.kind == *kind) {
            return Ok(());
        }
        let outcome = self.act(&head, kind).await;
        match &outcome {
            Ok(()) => self.inner.health.livekit_answered(),
            Err(error) => {
                self.inner.health.livekit_failed(error);
                if error.is_retryable() {
                    tracing::debug!(stream = %id, ?kind, %error, "LiveKit did not do it yet");
                } else {
                    tracing::warn!(stream = %id, ?kind, %error, source = ?error.source, "LiveKit did not do it yet");
                }
            }
        }
        let scope = Scope { fence, ..Scope::default() };
        self.update(id, scope, |loaded, now| {
            let rules = &self.inner.rules;
            let decision = loaded.head.as_ref().and_then(|head| match outcome {
                Ok(()) => close_intent(head, kind, rules, now),
                Err(_) => postpone_intent(head, kind, rules, now),
            });
            Ok(decision.map_or(Step::Done(()), |decision| Step::Commit(Box::new(decision), ())))
        })
        .await
        .map(drop)
    }

    async fn act(&self, head: &Head, kind: &IntentKind) -> Result<(), RoomsError> {
        let rooms = &self.inner.rooms;
        match kind {
            // A reservation is settled by whoever finds it overdue.
            IntentKind::CreateRoom => Ok(()),
            IntentKind::DeleteRoom { room } => rooms.delete_room(room).await,
            IntentKind::RemoveParticipant { identity, sids } => self.remove(head, identity, sids).await,
            IntentKind::WriteMetadata { .. } => {
                let metadata = self.mark(head).metadata(&head.settings.metadata);
                rooms.update_room_metadata(&head.room.name, &metadata).await.map(drop)
            }
        }
    }

    /// RemoveParticipant takes an identity: whoever came back since the decision is left alone.
    async fn remove(&self, head: &Head, identity: &Identity, sids: &[ParticipantSid]) -> Result<(), RoomsError> {
        if head.phase == Phase::Ended {
            return Ok(());
        }
        match self.inner.rooms.get_participant(&head.room.name, identity).await? {
            Some(participant) if sids.contains(&participant.sid) => {
                self.inner.rooms.remove_participant(&head.room.name, identity).await?;
                self.note_ejection(&head.id, identity, &participant).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How long somebody was in a room while banned: by LiveKit's clock when they came, by the store's when they went.
    async fn note_ejection(&self, id: &StreamId, identity: &Identity, participant: &ParticipantSnapshot) {
        let concern = Concern { identity: Some(identity), ..Concern::default() };
        // Only a figure is lost when the store does not answer.
        let Ok(loaded) = self.inner.store.load(id, concern).await else { return };
        let Some(ban) = loaded.ban else { return };
        let since = participant.joined_at.map_or(ban.since, |joined| joined.max(ban.since));
        metrics::histogram!("livestream_ban_ejection_seconds").record(self.now().since(since).as_secs_f64());
    }
}
