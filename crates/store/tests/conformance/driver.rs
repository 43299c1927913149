//! Takes streams through their life with the decisions of `domain`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::{
    CreateRequest, Creation, Decision, Due, EndReason, Epoch, EventContext, EventId, Head, Identity, Kind,
    ParticipantSid, ParticipantSnapshot, RoomEvent, RoomEventKind, RoomSid, RoomSnapshot, Rules, Settings, StreamId,
    Timestamp, TrackSid, Verdict, Visibility, apply_event, complete, create, end, tick,
};
use store::{Belief, Checked, Commit, Committed, Concern, Loaded, Store, StoreError};

/// What a caller of the store does, in short.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: Rules,
}

pub(crate) fn id(text: &str) -> StreamId {
    StreamId::parse(text).unwrap()
}

pub(crate) fn identity(text: &str) -> Identity {
    Identity::reported(text)
}

pub(crate) fn sid(text: &str) -> ParticipantSid {
    ParticipantSid::from(text)
}

pub(crate) fn commit(decision: &Decision) -> Commit<'_> {
    Commit { decision, event: None, fence: None }
}

impl Driver {
    pub(crate) fn new(store: &Arc<dyn Store>) -> Self {
        Self { store: store.clone(), rules: Rules::default() }
    }

    pub(crate) async fn load(&self, id: &StreamId) -> Loaded {
        self.store.load(id, Concern::default()).await.unwrap()
    }

    pub(crate) async fn head(&self, id: &StreamId) -> Head {
        self.load(id).await.head.unwrap()
    }

    /// Commits and expects it to be done.
    pub(crate) async fn done(&self, id: &StreamId, decision: &Decision) {
        assert_eq!(self.store.commit(id, commit(decision)).await.unwrap(), Committed::Done, "{id}");
    }

    /// The reservation of an id.
    pub(crate) async fn reserve(&self, id: &StreamId) -> Head {
        let decision = self.reservation(id).await;
        self.done(id, &decision).await;
        decision.head.unwrap()
    }

    /// The decision to reserve an id, not committed.
    pub(crate) async fn reservation(&self, id: &StreamId) -> Decision {
        static EPOCHS: AtomicU64 = AtomicU64::new(0);
        let loaded = self.load(id).await;
        let fresh_epoch = Epoch::from(format!("{:08x}", EPOCHS.fetch_add(1, Ordering::Relaxed)));
        let request = CreateRequest { id: id.clone(), settings: Settings::default(), host_key: None, fresh_epoch };
        let now = self.store.now();
        match create(loaded.head.as_ref(), loaded.tombstone.as_ref(), request, &self.rules, now) {
            Creation::Reserve(decision) => *decision,
            other => panic!("{id} can't be reserved: {other:?}"),
        }
    }

    /// A waiting stream.
    pub(crate) async fn create(&self, id: &StreamId) -> Head {
        self.complete(id, self.reserve(id).await).await
    }

    /// A waiting stream that this many see.
    pub(crate) async fn create_for(&self, id: &StreamId, visibility: Visibility) -> Head {
        let mut reservation = self.reservation(id).await;
        reservation.head.as_mut().unwrap().settings.visibility = visibility;
        self.done(id, &reservation).await;
        self.complete(id, reservation.head.unwrap()).await
    }

    async fn complete(&self, id: &StreamId, reserved: Head) -> Head {
        let room = room(&reserved);
        let decision = complete(&reserved, &room, false, &self.rules, self.store.now()).unwrap();
        self.done(id, &decision).await;
        decision.head.unwrap()
    }

    pub(crate) async fn end(&self, id: &StreamId) -> Head {
        let decision = end(&self.head(id).await, EndReason::RoomFinished, &self.rules, self.store.now()).unwrap();
        self.done(id, &decision).await;
        decision.head.unwrap()
    }

    /// Removes an ended record as if its retention were over.
    pub(crate) async fn expire(&self, id: &StreamId) {
        let head = self.head(id).await;
        let later = self.store.now() + self.rules.max_retention + Duration::from_secs(1);
        match tick(&head, &self.rules, later) {
            Due::Commit(decision) => self.done(id, &decision).await,
            other => panic!("{id} does not expire: {other:?}"),
        }
    }

    pub(crate) async fn join(&self, id: &StreamId, who: &str, connection: &str) -> Committed {
        self.join_as(id, who, connection, Kind::Standard).await
    }

    pub(crate) async fn join_as(&self, id: &StreamId, who: &str, connection: &str, kind: Kind) -> Committed {
        self.apply(id, joined(who, connection, kind), None).await
    }

    pub(crate) async fn leave(&self, id: &StreamId, who: &str, connection: &str) -> Committed {
        self.apply(id, RoomEventKind::ParticipantLeft { sid: sid(connection), identity: identity(who) }, None).await
    }

    pub(crate) async fn publish(&self, id: &StreamId, who: &str, connection: &str, track: &str) -> Committed {
        let (sid, identity) = (sid(connection), identity(who));
        self.apply(id, RoomEventKind::TrackPublished { sid, identity, track: TrackSid::from(track) }, None).await
    }

    /// Loads, decides and commits until it is settled. `Conflict` is what an event without consequence gives.
    pub(crate) async fn apply(&self, id: &StreamId, kind: RoomEventKind, event: Option<&EventId>) -> Committed {
        loop {
            let Some(decision) = self.decide(id, &kind).await else { return Committed::Conflict };
            let step = Commit { decision: &decision, event, fence: None };
            match self.store.commit(id, step).await.unwrap() {
                Committed::Conflict => {}
                verdict => return verdict,
            }
        }
    }

    /// The same as `apply`, on what the instance believes while that goes.
    pub(crate) async fn apply_on_belief(
        &self,
        id: &StreamId,
        kind: RoomEventKind,
        event: Option<&EventId>,
    ) -> Committed {
        let (sid, identity) = kind.participant().unwrap();
        let concern = Concern { sid: Some(sid), identity: Some(identity), event };
        let mut believed = self.store.recall(id, concern);
        while let Some(loaded) = believed {
            let Some(decision) = self.decide_on(&loaded, &kind) else { break };
            let step = Commit { decision: &decision, event, fence: None };
            match self.store.commit_if(id, step, Belief { concern, loaded: &loaded }).await.unwrap() {
                Checked::Right(Committed::Conflict) => break,
                Checked::Right(committed) => return committed,
                Checked::Wrong(fresh) => believed = Some(*fresh),
            }
        }
        self.apply(id, kind, event).await
    }

    /// What is to be committed for an event now.
    pub(crate) async fn decide(&self, id: &StreamId, kind: &RoomEventKind) -> Option<Decision> {
        self.try_decide(id, kind).await.unwrap()
    }

    /// The same on a store that may be away.
    pub(crate) async fn try_decide(&self, id: &StreamId, kind: &RoomEventKind) -> Result<Option<Decision>, StoreError> {
        let (sid, identity) = kind.participant().unwrap();
        // An event's load: what a store may remember of it is tried, too.
        let event = EventId("EV_of_nobody".to_owned());
        let concern = Concern { sid: Some(sid), identity: Some(identity), event: Some(&event) };
        let loaded = self.store.load(id, concern).await?;
        Ok(self.decide_on(&loaded, kind))
    }

    /// What is to be committed for an event if this is so.
    pub(crate) fn decide_on(&self, loaded: &Loaded, kind: &RoomEventKind) -> Option<Decision> {
        let head = loaded.head.as_ref()?;
        let context = EventContext {
            head,
            participant: loaded.participant.as_ref(),
            identity_sids: u32::try_from(loaded.identity_sids.len()).unwrap(),
            sid_gone: loaded.sid_gone,
            banned: false,
        };
        let event = RoomEvent {
            id: EventId(String::new()),
            room_name: head.room.name.clone(),
            room_sid: head.room.sid.clone()?,
            room_metadata: None,
            created_at: Timestamp::from_millis(0),
            kind: kind.clone(),
        };
        match apply_event(context, &event, &self.rules, self.store.now()) {
            Verdict::Apply(decision) | Verdict::Unknown(decision) => Some(*decision),
            _ => None,
        }
    }
}

/// The room that LiveKit would have made for a reservation.
pub(crate) fn room(head: &Head) -> RoomSnapshot {
    RoomSnapshot {
        name: head.room.name.clone(),
        sid: RoomSid::from(format!("RM_{}", head.room.name)),
        metadata: String::new(),
        num_participants: 0,
        num_publishers: 0,
    }
}

pub(crate) fn joined(who: &str, connection: &str, kind: Kind) -> RoomEventKind {
    RoomEventKind::ParticipantJoined(ParticipantSnapshot {
        sid: sid(connection),
        identity: identity(who),
        name: format!("the {who}"),
        kind,
        active: true,
        joined_at: None,
        tracks: Vec::new(),
    })
}
