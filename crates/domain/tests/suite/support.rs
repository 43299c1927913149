//! One stream in memory: applies decisions the way a store does, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use domain::*;
use serde_json::Map;

/// A store of one stream.
pub(crate) struct World {
    pub(crate) head: Option<Head>,
    pub(crate) people: BTreeMap<ParticipantSid, Participant>,
    pub(crate) gone: HashSet<ParticipantSid>,
    pub(crate) grants: HashMap<Identity, Role>,
    pub(crate) bans: HashMap<Identity, Ban>,
    pub(crate) tombstone: Option<Tombstone>,
    pub(crate) sessions: Vec<Session>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) events: HashSet<String>,
    pub(crate) now: Timestamp,
    pub(crate) rules: Rules,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            head: None,
            people: BTreeMap::new(),
            gone: HashSet::new(),
            grants: HashMap::new(),
            bans: HashMap::new(),
            tombstone: None,
            sessions: Vec::new(),
            notices: Vec::new(),
            events: HashSet::new(),
            now: Timestamp::from_millis(1_800_000_000_000),
            rules: Rules::default(),
        }
    }

    /// A stream in `waiting` with room life `RM_1`.
    pub(crate) fn opened(settings: Settings) -> Self {
        let mut world = Self::new();
        world.create(settings);
        world.complete("RM_1");
        world
    }

    pub(crate) fn id() -> StreamId {
        StreamId::parse("gold").unwrap()
    }

    pub(crate) fn head(&self) -> &Head {
        self.head.as_ref().unwrap()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.head().phase
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    pub(crate) fn create(&mut self, settings: Settings) -> bool {
        let request = CreateRequest { id: Self::id(), settings, host_key: None, fresh_epoch: Epoch::from("epoch001") };
        match create(self.head.as_ref(), self.tombstone.as_ref(), request, &self.rules, self.now) {
            Creation::Reserve(decision) => {
                self.apply(*decision);
                true
            }
            Creation::Existing | Creation::UnderWay => false,
        }
    }

    pub(crate) fn complete(&mut self, sid: &str) {
        let room = self.room(sid);
        let decision = complete(self.head(), &room, false, &self.rules, self.now);
        self.apply_if(decision);
    }

    pub(crate) fn room(&self, sid: &str) -> RoomSnapshot {
        RoomSnapshot {
            name: self.head().room.name.clone(),
            sid: RoomSid::from(sid),
            metadata: String::new(),
            num_participants: 0,
            num_publishers: 0,
        }
    }

    pub(crate) fn apply_if(&mut self, decision: Option<Decision>) -> bool {
        decision.map(|decision| self.apply(decision)).is_some()
    }

    pub(crate) fn apply(&mut self, decision: Decision) {
        assert_eq!(decision.expected, self.head.as_ref().map(|head| head.revision), "compare-and-set");
        for change in decision.participants {
            match change {
                ParticipantChange::Join(p) => {
                    assert!(self.people.insert(p.sid.clone(), p).is_none(), "joined twice");
                }
                ParticipantChange::Update(p) => {
                    assert!(self.people.insert(p.sid.clone(), p).is_some(), "updated somebody unknown");
                }
                ParticipantChange::Leave(p) => {
                    assert!(self.people.remove(&p.sid).is_some(), "somebody unknown left");
                    self.gone.insert(p.sid);
                }
                ParticipantChange::Missing(p) => {
                    assert!(self.people.remove(&p.sid).is_some(), "somebody unknown is missing");
                }
                ParticipantChange::Gone(sid) => drop(self.gone.insert(sid)),
                ParticipantChange::Clear => {
                    self.people.clear();
                    self.grants.clear();
                }
            }
        }
        for change in decision.identities {
            match change {
                IdentityChange::Grant(identity, role) => drop(self.grants.insert(identity, role)),
                IdentityChange::Ban(identity, ban) => drop(self.bans.insert(identity, ban)),
                IdentityChange::Lift(identity) => drop(self.bans.remove(&identity)),
            }
        }
        self.tombstone = decision.tombstone.map(|(stone, _)| stone).or(self.tombstone.take());
        self.sessions.extend(decision.session.map(|(session, _)| session));
        self.notices.extend(decision.notice);
        self.head = decision.head;
    }

    /// Asks to join, and writes down the role that is given.
    pub(crate) fn join(&mut self, who: &str, role: Option<Role>, authority: Authority) -> Result<Role, JoinRefusal> {
        let on_duplicate = OnDuplicate::Replace;
        let request = JoinRequest { identity: Identity::parse(who).unwrap(), role, authority, on_duplicate };
        let connections = self.sids(&request.identity);
        let (grants, bans) = (self.grants.clone(), self.bans.clone());
        let place = place(&request.identity, &connections, &grants, &bans);
        let role = join(self.head.as_ref(), place, &request, self.now)?.role;
        let decision = grant(self.head(), &request.identity, role, place, &self.rules, self.now).unwrap();
        self.apply_if(decision);
        Ok(role)
    }

    /// Bans somebody for so many seconds.
    pub(crate) fn ban(&mut self, who: &str, seconds: u64) -> Result<(), BanRefusal> {
        let identity = Identity::parse(who).unwrap();
        let connections = self.sids(&identity);
        let (grants, bans) = (self.grants.clone(), self.bans.clone());
        let lapsed: Vec<_> =
            bans.iter().filter(|(_, ban)| !ban.holds(self.now)).map(|(identity, _)| identity.clone()).collect();
        let until = self.now + Duration::from_secs(seconds);
        let new = Ban { until, since: self.now, reason: None };
        let place = place(&identity, &connections, &grants, &bans);
        let decision = ban(self.head(), &identity, new, place, &lapsed, &self.rules, self.now)?;
        self.apply_if(decision);
        Ok(())
    }

    pub(crate) fn lift(&mut self, who: &str) -> bool {
        let identity = Identity::parse(who).unwrap();
        let bans = self.bans.clone();
        let place = place(&identity, &[], &HashMap::new(), &bans);
        let decision = lift_ban(self.head(), &identity, place, &self.rules, self.now);
        self.apply_if(decision)
    }

    fn sids(&self, identity: &Identity) -> Vec<ParticipantSid> {
        let own = self.people.values().filter(|p| p.kind.is_person() && p.identity == *identity);
        own.map(|p| p.sid.clone()).collect()
    }

    /// Delivers an event as the orchestrator does; the verdict's name.
    pub(crate) fn deliver(&mut self, id: &str, room: (&str, &str), kind: RoomEventKind) -> &'static str {
        let event = RoomEvent {
            id: EventId(id.to_owned()),
            room_name: RoomName::from(room.0),
            room_sid: RoomSid::from(room.1),
            room_metadata: None,
            created_at: self.now,
            kind,
        };
        if self.events.contains(id) {
            return "known";
        }
        let Some(head) = self.head.clone() else { return "no stream" };
        let about = event.kind.participant().map(|(sid, identity)| (sid.clone(), identity.clone()));
        let participant = about.as_ref().and_then(|(sid, _)| self.people.get(sid)).cloned();
        let context = EventContext {
            head: &head,
            participant: participant.as_ref(),
            identity_sids: about.as_ref().map_or(0, |(_, identity)| self.connections(identity)),
            sid_gone: about.as_ref().is_some_and(|(sid, _)| self.gone.contains(sid)),
            banned: about.as_ref().is_some_and(|(_, identity)| self.is_banned(identity)),
        };
        match apply_event(context, &event, &self.rules, self.now) {
            Verdict::Apply(decision) => {
                self.apply(*decision);
                self.events.insert(id.to_owned());
                "applied"
            }
            Verdict::Unknown(decision) => {
                self.apply(*decision);
                self.events.insert(id.to_owned());
                "unknown"
            }
            Verdict::Duplicate => "duplicate",
            Verdict::Stale => "stale",
            Verdict::Late => "late",
            Verdict::Confirm => "confirm",
            Verdict::Orphan => "orphan",
            Verdict::Reconcile => "reconcile",
        }
    }

    fn is_banned(&self, identity: &Identity) -> bool {
        self.bans.get(identity).is_some_and(|ban| ban.holds(self.now))
    }

    fn connections(&self, identity: &Identity) -> u32 {
        u32::try_from(self.sids(identity).len()).unwrap()
    }

    pub(crate) fn tick(&mut self) -> &'static str {
        match tick(self.head(), &self.rules, self.now) {
            Due::Nothing => "nothing",
            Due::AskWhoIsThere => "ask",
            Due::Reservation => "reservation",
            Due::Commit(decision) => {
                self.apply(*decision);
                "committed"
            }
        }
    }

    pub(crate) fn end(&mut self, reason: EndReason) -> bool {
        let decision = end(self.head(), reason, &self.rules, self.now);
        self.apply_if(decision)
    }

    pub(crate) fn sweep(
        &mut self,
        room: Option<&RoomSnapshot>,
        people: Option<&[ParticipantSnapshot]>,
        memory: &mut SweepMemory,
    ) -> Vec<DriftKind> {
        let known: Vec<_> = self.people.values().cloned().collect();
        let gone = self.gone.clone();
        let banned = self.bans.keys().filter(|identity| self.is_banned(identity)).cloned().collect();
        let seen = Observation { room, participants: people, gone: &gone, banned: &banned };
        let (decision, drift) = observe(self.head(), &known, seen, memory, &self.rules, self.now);
        self.apply_if(decision);
        drift.into_iter().map(|drift| drift.kind).collect()
    }

    pub(crate) fn adopt(&mut self, sid: &str) -> bool {
        let room = self.room(sid);
        let people: Vec<_> = self.people.values().cloned().collect();
        let decision = adopt(self.head(), &people, &room, &self.rules, self.now);
        self.apply_if(decision)
    }

    /// The counts in the head are what the list of people says.
    pub(crate) fn check_counts(&self) {
        let Some(head) = &self.head else { return };
        let people: BTreeSet<_> =
            self.people.values().filter(|p| p.kind.is_person()).map(|p| p.identity.clone()).collect();
        let keepers = self.people.values().filter(|p| p.kind.keeps_alive()).count();
        let tracks: u32 = self.people.values().map(Participant::live_tracks).sum();
        assert_eq!(head.people as usize, people.len(), "people");
        assert_eq!(head.keepers as usize, keepers, "keepers");
        assert_eq!(head.tracks, tracks, "tracks");
        assert!(head.peak >= head.people);
        if head.phase.is_active() {
            assert_eq!(head.phase == Phase::Live, tracks > 0, "live exactly while somebody publishes");
            assert_eq!(head.empty_since.is_some(), keepers == 0 && head.ever_joined, "empty_since");
        }
    }
}

fn place<'a>(
    identity: &Identity,
    connections: &'a [ParticipantSid],
    grants: &HashMap<Identity, Role>,
    bans: &'a HashMap<Identity, Ban>,
) -> Place<'a> {
    let count = |length: usize| u32::try_from(length).unwrap();
    Place {
        connections,
        granted: grants.get(identity).copied(),
        ban: bans.get(identity),
        grants: count(grants.len()),
        bans: count(bans.len()),
    }
}

pub(crate) fn snapshot(sid: &str, identity: &str) -> ParticipantSnapshot {
    ParticipantSnapshot {
        sid: ParticipantSid::from(sid),
        identity: Identity::reported(identity),
        name: String::new(),
        kind: Kind::Standard,
        active: true,
        joined_at: None,
        tracks: Vec::new(),
    }
}

pub(crate) fn joined(sid: &str, identity: &str) -> RoomEventKind {
    RoomEventKind::ParticipantJoined(snapshot(sid, identity))
}

pub(crate) fn left(sid: &str, identity: &str) -> RoomEventKind {
    RoomEventKind::ParticipantLeft { sid: ParticipantSid::from(sid), identity: Identity::reported(identity) }
}

pub(crate) fn published(sid: &str, identity: &str, track: &str) -> RoomEventKind {
    RoomEventKind::TrackPublished {
        sid: ParticipantSid::from(sid),
        identity: Identity::reported(identity),
        track: TrackSid::from(track),
    }
}

pub(crate) fn unpublished(sid: &str, identity: &str, track: &str) -> RoomEventKind {
    RoomEventKind::TrackUnpublished {
        sid: ParticipantSid::from(sid),
        identity: Identity::reported(identity),
        track: TrackSid::from(track),
    }
}

pub(crate) fn user_metadata() -> Map<String, serde_json::Value> {
    Map::from_iter([("colour".to_owned(), "red".into())])
}
