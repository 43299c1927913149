//! What a host does with the people in a stream. LiveKit is asked first; what it
//! did not do is not written down.

use domain::{Head, Identity, Phase, Role, RoleRefusal, StreamId, assign_role};
use rooms::TrackSource;
use store::Concern;

use crate::update::{Scope, Step};
use crate::{Orchestrator, UseCaseError};

/// The participant attribute that says since when (milliseconds) somebody asks to speak.
const HAND: &str = "hand";

impl Orchestrator {
    /// Gives a connected participant the grants of `role` at once, and its later tokens too.
    ///
    /// Fails with `NotFound`, `Finished`, `NotInRoom`, `LiveKit`, or `Busy` when too many roles were changed.
    pub async fn change_role(&self, id: &StreamId, identity: &Identity, role: Role) -> Result<(), UseCaseError> {
        let head = self.active(id).await?;
        if !self.inner.rooms.set_role(&head.room.name, identity, role).await? {
            return Err(UseCaseError::NotInRoom);
        }
        self.update(id, Scope::default(), |loaded, now| {
            let head = loaded.head.as_ref().ok_or(UseCaseError::NotFound)?;
            match assign_role(head, identity, role, &self.inner.rules, now) {
                Ok(Some(decision)) => Ok(Step::Commit(Box::new(decision), ())),
                Ok(None) => Ok(Step::Done(())),
                Err(RoleRefusal::Finished) => Err(UseCaseError::Finished),
                Err(RoleRefusal::TooMany) => Err(UseCaseError::Busy("too many roles were changed in this stream")),
            }
        })
        .await?;
        if role.may_publish() { self.set_hand(&head, identity, None).await.map(drop) } else { Ok(()) }
    }

    /// Mutes what a participant publishes from `source`; nothing there to mute is fine.
    ///
    /// Fails with `NotFound`, `Finished`, `NotInRoom` or `LiveKit`.
    pub async fn mute(&self, id: &StreamId, identity: &Identity, source: TrackSource) -> Result<(), UseCaseError> {
        let room = self.active(id).await?.room.name;
        let tracks = self.inner.rooms.published_tracks(&room, identity).await?.ok_or(UseCaseError::NotInRoom)?;
        for track in tracks.iter().filter(|track| track.source == source) {
            self.inner.rooms.mute_track(&room, identity, &track.sid).await?;
        }
        Ok(())
    }

    /// Takes a participant out; the list changes when LiveKit says so.
    ///
    /// Fails with `NotFound`, `Finished`, `NotInRoom` or `LiveKit`.
    pub async fn remove_from_stream(&self, id: &StreamId, identity: &Identity) -> Result<(), UseCaseError> {
        let room = self.active(id).await?.room.name;
        self.inner.rooms.get_participant(&room, identity).await?.ok_or(UseCaseError::NotInRoom)?;
        Ok(self.inner.rooms.remove_participant(&room, identity).await?)
    }

    /// Raises or lowers a participant's hand, kept as its LiveKit attribute so that a host who comes later sees it.
    ///
    /// Fails with `NotFound`, `Finished`, `NotInRoom` or `LiveKit`.
    pub async fn raise_hand(&self, id: &StreamId, identity: &Identity, up: bool) -> Result<(), UseCaseError> {
        let head = self.active(id).await?;
        let since = up.then(|| self.now().as_millis().to_string());
        match self.set_hand(&head, identity, since.as_deref()).await? {
            true => Ok(()),
            false => Err(UseCaseError::NotInRoom),
        }
    }

    async fn set_hand(&self, head: &Head, identity: &Identity, since: Option<&str>) -> Result<bool, UseCaseError> {
        Ok(self.inner.rooms.set_attribute(&head.room.name, identity, HAND, since.unwrap_or_default()).await?)
    }

    pub(crate) async fn active(&self, id: &StreamId) -> Result<Head, UseCaseError> {
        let head = self.inner.store.load(id, Concern::default()).await?.head;
        let head = head.filter(|head| head.phase != Phase::Reserved).ok_or(UseCaseError::NotFound)?;
        if head.phase.is_active() { Ok(head) } else { Err(UseCaseError::Finished) }
    }
}
