//! Everything the store knows, in memory: what is read, and what a step changes.
//!
//! Only what is durable gets in here. No lock, no file, no clock.

use std::collections::{BTreeSet, HashMap, HashSet};

use domain::{
    Ban, EventId, Head, Identity, IdentityChange, Participant, ParticipantChange, ParticipantSid, Phase, Retention,
    Role, StreamId, Timestamp, Tombstone,
};

use crate::people::People;
use crate::{Committed, Fence, MemoSwap, MetaKey, PARTITIONS, Partition, Totals};

use super::commit::Step;
use super::history::Sessions;
use super::lease::Lease;
use super::memo::{MemoRequest, Memos};

/// Most forgotten things one step takes out; more than one step brings in, so that they never pile up.
const MAX_FADED: usize = 64;

/// All streams and what goes with them.
#[derive(Debug, Default)]
pub(super) struct State {
    records: HashMap<StreamId, Record>,
    /// Per listed phase, and apart for those that are not public, in the order of lists (oldest first).
    order: HashMap<(Phase, bool), BTreeSet<(Timestamp, StreamId)>>,
    due: [BTreeSet<(Timestamp, StreamId)>; PARTITIONS as usize],
    totals: Totals,
    /// Until when each applied event is remembered.
    events: HashMap<(Partition, EventId), Timestamp>,
    /// Until when each connection is remembered to have gone.
    gone: HashMap<StreamId, HashMap<ParticipantSid, Timestamp>>,
    tombstones: HashMap<StreamId, (Tombstone, Timestamp)>,
    /// Who is kept out of an id, with or without a record.
    bans: HashMap<StreamId, HashMap<Identity, Ban>>,
    /// What is forgotten when.
    fading: BTreeSet<(Timestamp, Fading)>,
    /// Deployment-wide values.
    pub(super) meta: HashMap<MetaKey, String>,
    /// Small values that end by themselves.
    pub(super) memos: Memos,
    /// What is over.
    pub(super) sessions: Sessions,
    /// One per partition.
    pub(super) leases: [Lease; PARTITIONS as usize],
}

/// One stream.
#[derive(Debug)]
pub(super) struct Record {
    /// Its head.
    pub(super) head: Head,
    /// When it is to be looked at next.
    due: Option<Timestamp>,
    /// Its connections.
    pub(super) people: People,
    /// Who holds a publishing role.
    pub(super) grants: HashMap<Identity, Role>,
}

/// Something remembered for a while.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fading {
    /// An applied event.
    Event(Partition, String),
    /// A connection that went.
    Gone(StreamId, ParticipantSid),
    /// What outlived a record.
    Tombstone(StreamId),
    /// A ban.
    Ban(StreamId, Identity),
}

impl State {
    /// The record of a stream.
    pub(super) fn record(&self, id: &StreamId) -> Option<&Record> {
        self.records.get(id)
    }

    /// What outlived a record.
    pub(super) fn tombstone(&self, id: &StreamId, now: Timestamp) -> Option<&Tombstone> {
        self.tombstones.get(id).filter(|(_, until)| *until > now).map(|(stone, _)| stone)
    }

    /// Whether the event was applied before.
    pub(super) fn knows_event(&self, partition: Partition, event: &EventId, now: Timestamp) -> bool {
        self.events.get(&(partition, event.clone())).is_some_and(|until| *until > now)
    }

    /// Whether the connection is remembered to have gone.
    pub(super) fn is_gone(&self, id: &StreamId, sid: &ParticipantSid, now: Timestamp) -> bool {
        self.gone.get(id).and_then(|sids| sids.get(sid)).is_some_and(|until| *until > now)
    }

    /// The ban of an identity, ended or not.
    pub(super) fn ban(&self, id: &StreamId, identity: &Identity) -> Option<&Ban> {
        self.bans.get(id)?.get(identity)
    }

    /// All bans of an id, ended ones included.
    pub(super) fn bans(&self, id: &StreamId) -> impl Iterator<Item = (&Identity, &Ban)> {
        self.bans.get(id).into_iter().flatten()
    }

    /// The streams of a phase, public or `hidden`, in the order of lists, oldest first.
    pub(super) fn in_phase(&self, phase: Phase, hidden: bool) -> Option<&BTreeSet<(Timestamp, StreamId)>> {
        self.order.get(&(phase, hidden))
    }

    /// Streams of a partition by due time.
    pub(super) fn due(&self, partition: Partition) -> &BTreeSet<(Timestamp, StreamId)> {
        &self.due[usize::from(partition.number())]
    }

    /// Sums over active streams.
    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// What is to be said of `step` if nothing else is under way.
    pub(super) fn check(&self, step: &Step) -> Committed {
        let partition = Partition::of(&step.id);
        if step.fence.is_some_and(|fence| !self.holds(partition, fence)) {
            return Committed::Fenced;
        }
        if step.event.as_ref().is_some_and(|event| self.knows_event(partition, event, step.now)) {
            return Committed::DuplicateEvent;
        }
        let stored = self.records.get(&step.id).map(|record| record.head.revision);
        if stored == step.decision.expected { Committed::Done } else { Committed::Conflict }
    }

    fn holds(&self, partition: Partition, fence: Fence) -> bool {
        fence.partition == partition && self.leases[usize::from(partition.number())].number() == fence.number
    }

    /// Carries out a step that [`check`](Self::check) has passed.
    pub(super) fn apply(&mut self, step: Step) {
        let Step { id, decision, event, now, .. } = step;
        let remembered_until = now + Retention::EVENT;
        if let Some(event) = event {
            self.remember_event(Partition::of(&id), event, remembered_until);
        }
        let (mut people, mut grants) =
            self.unlink(&id).map(|record| (record.people, record.grants)).unwrap_or_default();
        for change in decision.participants {
            if change == ParticipantChange::Clear {
                grants.clear();
            }
            if let Some(sid) = gone_sid(&change) {
                self.remember_gone(&id, sid.clone(), remembered_until);
            }
            people.change(change);
        }
        for change in decision.identities {
            match change {
                IdentityChange::Grant(identity, role) => drop(grants.insert(identity, role)),
                IdentityChange::Ban(identity, ban) => self.remember_ban(&id, identity, ban),
                IdentityChange::Lift(identity) => self.lift_ban(&id, &identity),
            }
        }
        if let Some((stone, keep)) = decision.tombstone {
            self.remember_tombstone(&id, stone, now + keep);
        }
        if let Some((session, keep)) = decision.session {
            self.sessions.add(session, now + keep, now);
        }
        if let Some(head) = decision.head {
            self.link(Record { head, due: decision.due, people, grants });
        }
    }

    /// Puts in a record read from disk.
    pub(super) fn restore(&mut self, head: Head, due: Option<Timestamp>) {
        self.link(Record { head, due, people: People::default(), grants: HashMap::new() });
    }

    /// Puts in a connection read from disk; `false` when its stream is not there.
    pub(super) fn restore_participant(&mut self, id: &StreamId, participant: Participant) -> bool {
        let record = self.records.get_mut(id);
        record.map(|record| record.people.change(ParticipantChange::Join(participant))).is_some()
    }

    /// Puts in a role read from disk; `false` when its stream is not there.
    pub(super) fn restore_grant(&mut self, id: &StreamId, identity: Identity, role: Role) -> bool {
        self.records.get_mut(id).map(|record| record.grants.insert(identity, role)).is_some()
    }

    /// Remembers a ban until it ends.
    pub(super) fn remember_ban(&mut self, id: &StreamId, identity: Identity, ban: Ban) {
        self.fading.insert((ban.until, Fading::Ban(id.clone(), identity.clone())));
        self.bans.entry(id.clone()).or_default().insert(identity, ban);
    }

    fn lift_ban(&mut self, id: &StreamId, identity: &Identity) {
        let Some(bans) = self.bans.get_mut(id) else { return };
        bans.remove(identity);
        if bans.is_empty() {
            self.bans.remove(id);
        }
    }

    /// Remembers an applied event.
    pub(super) fn remember_event(&mut self, partition: Partition, event: EventId, until: Timestamp) {
        self.fading.insert((until, Fading::Event(partition, event.0.clone())));
        self.events.insert((partition, event), until);
    }

    /// Remembers that a connection went.
    pub(super) fn remember_gone(&mut self, id: &StreamId, sid: ParticipantSid, until: Timestamp) {
        self.fading.insert((until, Fading::Gone(id.clone(), sid.clone())));
        self.gone.entry(id.clone()).or_default().insert(sid, until);
    }

    /// Remembers what outlives a record.
    pub(super) fn remember_tombstone(&mut self, id: &StreamId, stone: Tombstone, until: Timestamp) {
        self.fading.insert((until, Fading::Tombstone(id.clone())));
        self.tombstones.insert(id.clone(), (stone, until));
    }

    /// Some of what may be forgotten now.
    pub(super) fn faded(&self, now: Timestamp, steps: usize) -> Vec<(Timestamp, Fading)> {
        let most = MAX_FADED * steps.max(1);
        self.fading.iter().take_while(|(until, _)| *until <= now).take(most).cloned().collect()
    }

    /// Whether something was remembered anew after this entry was made.
    pub(super) fn is_renewed(&self, (until, what): &(Timestamp, Fading)) -> bool {
        let current = match what {
            Fading::Event(partition, event) => self.events.get(&(*partition, EventId(event.clone()))),
            Fading::Gone(id, sid) => self.gone.get(id).and_then(|sids| sids.get(sid)),
            Fading::Tombstone(id) => self.tombstones.get(id).map(|(_, until)| until),
            Fading::Ban(id, identity) => self.ban(id, identity).map(|ban| &ban.until),
        };
        current.is_some_and(|current| current > until)
    }

    /// Forgets it.
    pub(super) fn forget(&mut self, entry: &(Timestamp, Fading)) {
        self.fading.remove(entry);
        if self.is_renewed(entry) {
            return;
        }
        match &entry.1 {
            Fading::Event(partition, event) => drop(self.events.remove(&(*partition, EventId(event.clone())))),
            Fading::Tombstone(id) => drop(self.tombstones.remove(id)),
            Fading::Ban(id, identity) => self.lift_ban(id, identity),
            Fading::Gone(id, sid) => {
                if let Some(sids) = self.gone.get_mut(id) {
                    sids.remove(sid);
                    if sids.is_empty() {
                        self.gone.remove(id);
                    }
                }
            }
        }
    }

    /// Takes a record out of everything that finds it.
    fn unlink(&mut self, id: &StreamId) -> Option<Record> {
        let record = self.records.remove(id)?;
        if let Some(order) = self.order.get_mut(&order_of(&record.head)) {
            order.remove(&(record.head.started_at, id.clone()));
        }
        if let Some(due) = record.due {
            self.due[usize::from(Partition::of(id).number())].remove(&(due, id.clone()));
        }
        let share = share(&record.head);
        self.totals.streams -= share.streams;
        self.totals.live -= share.live;
        self.totals.people -= share.people;
        Some(record)
    }

    fn link(&mut self, record: Record) {
        let head = &record.head;
        if head.phase != Phase::Reserved {
            self.order.entry(order_of(head)).or_default().insert((head.started_at, head.id.clone()));
        }
        if let Some(due) = record.due {
            self.due[usize::from(Partition::of(&head.id).number())].insert((due, head.id.clone()));
        }
        let share = share(head);
        self.totals.streams += share.streams;
        self.totals.live += share.live;
        self.totals.people += share.people;
        self.records.insert(head.id.clone(), record);
    }
}

/// The connection that a change says has gone.
pub(super) fn gone_sid(change: &ParticipantChange) -> Option<&ParticipantSid> {
    match change {
        ParticipantChange::Leave(participant) => Some(&participant.sid),
        ParticipantChange::Gone(sid) => Some(sid),
        ParticipantChange::Join(_)
        | ParticipantChange::Update(_)
        | ParticipantChange::Missing(_)
        | ParticipantChange::Clear => None,
    }
}

/// The order a stream stands in.
fn order_of(head: &Head) -> (Phase, bool) {
    (head.phase, !head.settings.visibility.is_public())
}

/// What a stream adds to the sums.
fn share(head: &Head) -> Totals {
    if !head.phase.is_active() {
        return Totals::default();
    }
    Totals { streams: 1, live: u64::from(head.phase == Phase::Live), people: head.people.into() }
}

/// What is under way with a group of steps that are not visible yet.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    streams: HashSet<StreamId>,
    events: HashSet<(Partition, EventId)>,
    meta: HashMap<MetaKey, String>,
    memos: HashMap<String, Option<Vec<u8>>>,
}

impl Overlay {
    /// What is to be said of `step` after the others of its group.
    pub(super) fn check(&mut self, state: &State, step: &Step) -> Committed {
        let event = step.event.as_ref().map(|event| (Partition::of(&step.id), event.clone()));
        let verdict = match state.check(step) {
            Committed::Fenced => Committed::Fenced,
            _ if event.as_ref().is_some_and(|event| self.events.contains(event)) => Committed::DuplicateEvent,
            Committed::Done if self.streams.contains(&step.id) => Committed::Conflict,
            verdict => verdict,
        };
        if verdict == Committed::Done {
            self.streams.insert(step.id.clone());
            self.events.extend(event);
        }
        verdict
    }

    /// Sets a deployment-wide value if it is `expected`; gives what it is then, and whether it was set.
    pub(super) fn swap(&mut self, state: &State, key: MetaKey, expected: Option<&str>, value: &str) -> (String, bool) {
        let current = self.meta.get(&key).or_else(|| state.meta.get(&key));
        match current {
            Some(current) if Some(current.as_str()) != expected => (current.clone(), false),
            None if expected.is_some() => (String::new(), false),
            _ => {
                self.meta.insert(key, value.to_owned());
                (value.to_owned(), true)
            }
        }
    }

    /// What is to be said of a swap of a memo after the others of its group.
    pub(super) fn swap_memo(&mut self, state: &State, request: &MemoRequest) -> MemoSwap {
        let MemoRequest { expected, change, now } = request;
        let current = match self.memos.get(&change.key) {
            Some(current) => current.as_deref(),
            None => state.memos.get(&change.key, *now),
        };
        if current != expected.as_deref() {
            return MemoSwap::Found(current.map(<[u8]>::to_vec));
        }
        self.memos.insert(change.key.clone(), change.memo.as_ref().map(|memo| memo.value.clone()));
        MemoSwap::Done
    }
}
