//! Creating a stream: reserve, make the room, complete; or leave nothing behind.

use std::time::Duration;

use domain::{
    CreateRequest, Creation, Head, Ownership, Phase, RoomSnapshot, Settings, StreamId, abandon, complete, create,
    is_removal, is_reservation_overdue,
};
use rooms::RoomsError;
use store::Concern;
use tokio::time::Instant;

use crate::orchestrator::fresh_epoch;
use crate::update::{Scope, Step, Updated};
use crate::{HostKey, Orchestrator, UseCaseError};

/// A create or delete waits this long for another create of the same id.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(25);
const UNDER_WAY: &str = "this stream is being created";

/// The answer to a create.
#[derive(Debug, Clone)]
pub struct Created {
    /// The stream as it is now.
    pub head: Head,
    /// `false`: it was active before, and its settings are what they were.
    pub is_new: bool,
    /// Leads this generation of the stream. It is kept nowhere else; only whoever created it gets it.
    pub host_key: Option<HostKey>,
}

impl Orchestrator {
    /// Creates a stream, or returns the active one of that id. `with_host_key`: callers are told
    /// apart, so whoever creates it is given the key that leads it.
    ///
    /// Fails with `RoomTaken`, `LiveKit` or `Store`, and then leaves nothing
    /// behind, and with `Busy` when another create of the id takes over 5 s.
    pub async fn create_stream(
        &self,
        id: StreamId,
        settings: Settings,
        with_host_key: bool,
    ) -> Result<Created, UseCaseError> {
        let this = self.clone();
        let key = with_host_key.then(HostKey::random);
        self.detached(async move { this.create_to_the_end(id, settings, key).await }).await?
    }

    async fn create_to_the_end(
        &self,
        id: StreamId,
        settings: Settings,
        host_key: Option<HostKey>,
    ) -> Result<Created, UseCaseError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.reserve(&id, &settings, host_key.as_ref()).await? {
                Reservation::Existing(head) => return Ok(Created { head: *head, is_new: false, host_key: None }),
                Reservation::Made(head) => {
                    let head = self.open(*head).await?;
                    return Ok(Created { head, is_new: true, host_key });
                }
                Reservation::Overdue(head) => self.settle_reservation(&head).await?,
                Reservation::UnderWay if Instant::now() >= deadline => return Err(UseCaseError::Busy(UNDER_WAY)),
                Reservation::UnderWay => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    async fn reserve(
        &self,
        id: &StreamId,
        settings: &Settings,
        host_key: Option<&HostKey>,
    ) -> Result<Reservation, UseCaseError> {
        let rules = &self.inner.rules;
        let host_key = host_key.map(HostKey::hash);
        let updated = self
            .update(id, Scope::default(), |loaded, now| {
                let request = CreateRequest {
                    id: id.clone(),
                    settings: settings.clone(),
                    host_key: host_key.clone(),
                    fresh_epoch: fresh_epoch(),
                };
                Ok(match (create(loaded.head.as_ref(), loaded.tombstone.as_ref(), request, rules, now), &loaded.head) {
                    (Creation::Reserve(decision), _) => {
                        let head = decision.head.clone().map(Box::new);
                        match head {
                            Some(head) => Step::Commit(decision, Reservation::Made(head)),
                            None => Step::Done(Reservation::UnderWay),
                        }
                    }
                    (Creation::Existing, Some(head)) => Step::Done(Reservation::Existing(Box::new(head.clone()))),
                    (Creation::UnderWay, Some(head)) if is_reservation_overdue(head, rules, now) => {
                        Step::Done(Reservation::Overdue(Box::new(head.clone())))
                    }
                    _ => Step::Done(Reservation::UnderWay),
                })
            })
            .await?;
        Ok(match updated {
            Updated::Done(reservation) => reservation,
            Updated::DuplicateEvent | Updated::Fenced => Reservation::UnderWay,
        })
    }

    /// Makes the reserved stream's room.
    async fn open(&self, reserved: Head) -> Result<Head, UseCaseError> {
        match self.inner.rooms.create_room(&self.room_to_create(&reserved)).await {
            Ok(room) => {
                self.inner.health.livekit_answered();
                self.take_room(&reserved, &room).await
            }
            Err(error) => {
                self.give_up(&reserved, &error).await;
                Err(error.into())
            }
        }
    }

    async fn take_room(&self, reserved: &Head, room: &RoomSnapshot) -> Result<Head, UseCaseError> {
        let ownership = Ownership::of(&room.metadata, &self.inner.deployment);
        if !may_take(reserved, &ownership) {
            self.undo_reservation(reserved).await?;
            return Err(UseCaseError::RoomTaken);
        }
        let unmarked = ownership == Ownership::Unmarked;
        self.complete_reservation(reserved, room, unmarked).await
    }

    async fn complete_reservation(
        &self,
        reserved: &Head,
        room: &RoomSnapshot,
        unmarked: bool,
    ) -> Result<Head, UseCaseError> {
        let updated = self
            .update(&reserved.id, Scope::default(), |loaded, now| {
                let head = loaded.head.as_ref().filter(|head| comes_of(head, reserved));
                let Some(head) = head else {
                    return Err(UseCaseError::Busy("the stream was changed while it was created"));
                };
                let decision = complete(head, room, unmarked, &self.inner.rules, now);
                Ok(match decision.and_then(|d| d.head.clone().map(|head| (d, head))) {
                    Some((decision, head)) => Step::Commit(Box::new(decision), head),
                    // Somebody found the reservation overdue and completed it.
                    None => Step::Done(head.clone()),
                })
            })
            .await?;
        match updated {
            Updated::Done(head) => Ok(head),
            Updated::DuplicateEvent | Updated::Fenced => Err(UseCaseError::Busy(UNDER_WAY)),
        }
    }

    /// The room can't be had: takes the reservation back. If the store fails now, the timer does it.
    async fn give_up(&self, reserved: &Head, cause: &RoomsError) {
        // The caller is told why, and the log with it.
        tracing::debug!(stream = %reserved.id, error = %cause, source = ?cause.source, "LiveKit did not make the room");
        self.inner.health.livekit_failed(cause);
        if let Err(error) = self.undo_reservation(reserved).await {
            tracing::warn!(stream = %reserved.id, %error, "a reservation is left to the timer");
        }
    }

    pub(crate) async fn undo_reservation(&self, reserved: &Head) -> Result<(), UseCaseError> {
        self.update(&reserved.id, Scope::default(), |loaded, now| {
            let head = loaded.head.as_ref().filter(|head| comes_of(head, reserved));
            Ok(match head.and_then(|head| abandon(head, &self.inner.rules, now)) {
                Some(decision) => Step::Commit(Box::new(decision), ()),
                None => Step::Done(()),
            })
        })
        .await
        .map(drop)
    }

    /// An overdue reservation: LiveKit knows whether its room was made.
    pub(crate) async fn settle_reservation(&self, reserved: &Head) -> Result<(), UseCaseError> {
        let room = self.inner.lookup.find(&reserved.room.name).await?;
        let ours = |room: &RoomSnapshot| self.own_mark(&room.metadata).is_some_and(|mark| mark.id == reserved.id);
        if is_removal(reserved) {
            // Whoever was removing an orphan has died; the next create must not find the room.
            if room.as_ref().is_some_and(ours) {
                self.inner.rooms.delete_room(&reserved.room.name).await?;
            }
            return self.undo_reservation(reserved).await;
        }
        match room {
            Some(room) if may_complete(reserved, &Ownership::of(&room.metadata, &self.inner.deployment)) => {
                self.complete_reservation(reserved, &room, false).await.map(drop)
            }
            _ => self.undo_reservation(reserved).await,
        }
    }

    /// Waits until nobody is creating `id`; the head as it is then.
    pub(crate) async fn wait_for_creation(&self, id: &StreamId) -> Result<Option<Head>, UseCaseError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let loaded = self.inner.store.load(id, Concern::default()).await?;
            match loaded.head {
                Some(head) if head.phase == Phase::Reserved => {}
                other => return Ok(other),
            }
            if Instant::now() >= deadline {
                return Err(UseCaseError::Busy(UNDER_WAY));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

enum Reservation {
    Made(Box<Head>),
    Existing(Box<Head>),
    UnderWay,
    Overdue(Box<Head>),
}

/// The head is that reservation, or the stream that came of it. Another reservation of the same
/// generation was made after this one had been found overdue and given up.
fn comes_of(head: &Head, reserved: &Head) -> bool {
    let same_generation = head.epoch == reserved.epoch && head.generation == reserved.generation;
    same_generation && (head.phase != Phase::Reserved || head.phase_since == reserved.phase_since)
}

/// A caller asked for exactly this room: also one without anybody's mark.
fn may_take(reserved: &Head, ownership: &Ownership) -> bool {
    match ownership {
        Ownership::Ours(mark) => mark.id == reserved.id,
        Ownership::Unmarked => true,
        Ownership::Foreign => false,
    }
}

/// Nobody is asking any more: only a room that was made for this reservation.
fn may_complete(reserved: &Head, ownership: &Ownership) -> bool {
    matches!(ownership, Ownership::Ours(mark) if mark.id == reserved.id && mark.generation == reserved.generation)
}
