//! Rooms of ours that should not be there: of an ended generation, or without a record.

use domain::{Mark, Ownership, Phase, RoomEvent, RoomSnapshot, StreamId, Tombstone, reserve_removal};
use store::{Commit, Committed, Concern, Loaded};

use crate::orchestrator::fresh_epoch;
use crate::{Orchestrator, UseCaseError};

impl Orchestrator {
    /// An adopted room may be anybody's who holds one of our tokens, but not another deployment's.
    pub(crate) fn may_adopt(&self, room: &RoomSnapshot) -> bool {
        Ownership::of(&room.metadata, &self.inner.deployment) != Ownership::Foreign
    }

    /// Our mark on a room, if it has one.
    pub(crate) fn own_mark(&self, metadata: &str) -> Option<Mark> {
        match Ownership::of(metadata, &self.inner.deployment) {
            Ownership::Ours(mark) => Some(mark),
            Ownership::Foreign | Ownership::Unmarked => None,
        }
    }

    /// An event shows an orphan alive: it is removed at once, apart from the webhook's answer.
    pub(crate) fn spawn_orphan(&self, event: &RoomEvent) {
        let marked = event.room_metadata.as_deref().map(|metadata| self.own_mark(metadata).is_some());
        if marked == Some(false) {
            return;
        }
        let (this, name) = (self.clone(), event.room_name.clone());
        self.inner.tasks.spawn(async move {
            let removed = async {
                let Some(room) = this.inner.lookup.find(&name).await? else { return Ok(()) };
                this.remove_orphan(&room).await
            };
            if let Err(error) = removed.await {
                tracing::warn!(room = %name, %error, "an orphan room is left to the sweep");
            }
        });
    }

    /// Removes the room if it carries our mark and no stream has or will have it.
    pub(crate) async fn remove_orphan(&self, room: &RoomSnapshot) -> Result<(), UseCaseError> {
        let Some(mark) = self.own_mark(&room.metadata) else { return Ok(()) };
        if room.name.stream().is_none_or(|(id, _)| id != mark.id) {
            return Ok(());
        }
        let loaded = self.inner.store.load(&mark.id, Concern::default()).await?;
        match fate(&loaded, room, &mark) {
            Fate::Keep => Ok(()),
            Fate::Remove => self.delete_orphan(room).await,
            Fate::RemoveReserved => self.delete_reserved(&mark.id, loaded.tombstone.as_ref(), room).await,
        }
    }

    /// No stream has this room; `false` while the store can't tell.
    pub(crate) async fn is_orphan(&self, room: &RoomSnapshot, mark: &Mark) -> bool {
        match self.inner.store.load(&mark.id, Concern::default()).await {
            Ok(loaded) => !matches!(fate(&loaded, room, mark), Fate::Keep),
            Err(_) => false,
        }
    }

    async fn delete_orphan(&self, room: &RoomSnapshot) -> Result<(), UseCaseError> {
        tracing::info!(room = %room.name, sid = %room.sid, "removing a room that no stream has");
        metrics::counter!("livestream_orphan_rooms_removed_total").increment(1);
        self.inner.rooms.delete_room(&room.name).await?;
        Ok(())
    }

    /// A create of this id would take the very name: it waits while the room goes.
    async fn delete_reserved(
        &self,
        id: &StreamId,
        tombstone: Option<&Tombstone>,
        room: &RoomSnapshot,
    ) -> Result<(), UseCaseError> {
        let decision = reserve_removal(id.clone(), tombstone, fresh_epoch(), &self.inner.rules, self.now());
        let commit = Commit { decision: &decision, event: None, fence: None };
        if self.inner.store.commit(id, commit).await? != Committed::Done {
            return Ok(());
        }
        let deleted = self.delete_orphan(room).await;
        if let Some(head) = &decision.head {
            self.undo_reservation(head).await?;
        }
        deleted
    }
}

enum Fate {
    Keep,
    /// No create can take this name any more.
    Remove,
    /// A create could take this name now.
    RemoveReserved,
}

fn fate(loaded: &Loaded, room: &RoomSnapshot, mark: &Mark) -> Fate {
    let last_generation = match (&loaded.head, &loaded.tombstone) {
        (Some(head), _) if head.room.name == room.name && head.phase != Phase::Ended => return Fate::Keep,
        (Some(head), _) => head.generation,
        (None, Some(stone)) => stone.generation,
        (None, None) => 0,
    };
    match (&loaded.head, mark.generation) {
        (_, generation) if generation <= last_generation => Fate::Remove,
        (None, generation) if generation == last_generation + 1 => Fate::RemoveReserved,
        // The store was restored from an older copy; this name is far from being taken.
        (None, _) => Fate::Remove,
        (Some(_), _) => Fate::Keep,
    }
}
