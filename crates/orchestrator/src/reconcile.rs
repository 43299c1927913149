//! Comparing one stream with what LiveKit shows of it now.

use std::collections::HashSet;

use domain::{
    Drift, Head, Observation, ParticipantSnapshot, RoomSnapshot, StreamId, SweepMemory, adopt, correct_metadata,
    observe,
};
use store::Fence;

use crate::{Orchestrator, UseCaseError};

impl Orchestrator {
    /// Adopts a confirmed room of a new life. `true` when it is the stream's room now.
    pub(crate) async fn adopt_room(
        &self,
        id: &StreamId,
        room: &RoomSnapshot,
        fence: Option<Fence>,
    ) -> Result<bool, UseCaseError> {
        loop {
            let Some((head, people)) = self.inner.store.load_full(id).await? else { return Ok(false) };
            if head.room.sid.as_ref() == Some(&room.sid) {
                return Ok(true);
            }
            let Some(decision) = adopt(&head, &people, room, &self.inner.rules, self.now()) else {
                return Ok(false);
            };
            if self.commit_once(id, &head, &decision, fence).await? {
                tracing::info!(stream = %id, room = %room.name, sid = %room.sid, "adopted the room's new life");
                return Ok(true);
            }
            if fence.is_some() {
                return Ok(false);
            }
        }
    }

    /// Reads the room's list and brings the stream's into line with it. A race
    /// with a webhook is left to the next look: both want the same.
    pub(crate) async fn reconcile(
        &self,
        id: &StreamId,
        room: Option<&RoomSnapshot>,
        list: bool,
        memory: &mut SweepMemory,
        fence: Option<Fence>,
    ) -> Result<Vec<Drift>, UseCaseError> {
        // The list of people is loaded before LiveKit is asked, so that whatever
        // changes in between makes the commit lose its race.
        let Some((head, people)) = self.inner.store.load_full(id).await? else { return Ok(Vec::new()) };
        let listed = match room {
            Some(_) if list => Some(self.inner.rooms.list_participants(&head.room.name).await?),
            _ => None,
        };
        let gone = self.gone_of(id, &people, listed.as_deref()).await?;
        let banned = self.banned_of(&head).await?;
        let seen = Observation { room, participants: listed.as_deref(), gone: &gone, banned: &banned };
        let mut after = memory.clone();
        let (decision, drift) = observe(&head, &people, seen, &mut after, &self.inner.rules, self.now());
        let settled = match &decision {
            Some(decision) => self.commit_once(id, &head, decision, fence).await?,
            None => true,
        };
        if !settled {
            return Ok(Vec::new());
        }
        *memory = after;
        Ok(drift)
    }

    /// Who is kept out of the stream now.
    async fn banned_of(&self, head: &Head) -> Result<HashSet<domain::Identity>, UseCaseError> {
        let now = self.now();
        if !head.may_have_bans(now) {
            return Ok(HashSet::new());
        }
        let bans = self.inner.store.bans(&head.id).await?.into_iter();
        Ok(bans.filter(|(_, ban)| ban.holds(now)).map(|(identity, _)| identity).collect())
    }

    /// Whoever stood still in the middle of a write of metadata may have overwritten a newer one, and died before it
    /// could say so: what the room says is put right. Rooms without our mark are left as they are.
    pub(crate) async fn correct_metadata(
        &self,
        head: &Head,
        room: &RoomSnapshot,
        fence: Fence,
    ) -> Result<(), UseCaseError> {
        let mark = self.mark(head);
        let is_own = Some(&room.sid) == head.room.sid.as_ref() && self.own_mark(&room.metadata) == Some(mark.clone());
        if !is_own || room.metadata == mark.metadata(&head.settings.metadata) {
            return Ok(());
        }
        match correct_metadata(head, &self.inner.rules, self.now()) {
            Some(decision) => self.commit_once(&head.id, head, &decision, Some(fence)).await.map(drop),
            None => Ok(()),
        }
    }

    /// Listed connections we do not have because a webhook has said that they are over.
    async fn gone_of(
        &self,
        id: &StreamId,
        people: &[domain::Participant],
        listed: Option<&[ParticipantSnapshot]>,
    ) -> Result<HashSet<domain::ParticipantSid>, UseCaseError> {
        let known: HashSet<_> = people.iter().map(|participant| &participant.sid).collect();
        let unknown: Vec<_> = listed
            .unwrap_or_default()
            .iter()
            .filter(|row| row.active && !known.contains(&row.sid))
            .map(|row| row.sid.clone())
            .collect();
        if unknown.is_empty() {
            return Ok(HashSet::new());
        }
        Ok(self.inner.store.gone(id, &unknown).await?.into_iter().collect())
    }

    /// Asks LiveKit about one stream at once, outside the sweep.
    pub(crate) async fn look_now(&self, head: &Head) -> Result<(), UseCaseError> {
        let Some(room) = self.inner.lookup.find(&head.room.name).await? else { return Ok(()) };
        if head.room.sid.as_ref() != Some(&room.sid) && !self.adopt_room(&head.id, &room, None).await? {
            return Ok(());
        }
        self.reconcile(&head.id, Some(&room), true, &mut SweepMemory::default(), None).await.map(drop)
    }
}
