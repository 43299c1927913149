//! What must be true after every step, looked at with the eyes of one who sees everything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ::store::{Commit, Fence};
use domain::{
    DeploymentId, EndReason, Head, Identity, NoticeBody, Ownership, Participant, Phase, RoomName, StreamId, StreamView,
};

use crate::instance::DEPLOYMENT;
use crate::sim::Sim;

/// Whoever has been there this long is in every listing, however late.
const SURELY_LISTED: Duration = Duration::from_secs(10);

/// A record and its people.
pub(crate) type Record = (Head, Vec<Participant>);

/// What the play has seen so far.
#[derive(Default)]
pub(crate) struct Invariants {
    broken: Option<String>,
    streams: BTreeMap<StreamId, Known>,
    /// Which instance has committed under a fence (partition and number).
    fences: BTreeMap<(u16, u64), usize>,
    /// The newest fence given out of each partition.
    newest_fences: BTreeMap<u16, u64>,
}

/// The newest of a stream that anybody outside could see.
#[derive(Default)]
struct Known {
    newest: Option<(StreamView, u32)>,
    /// Creates that were asked for.
    creates: u64,
    /// Generations that were opened.
    opened: u64,
}

impl Invariants {
    /// Keeps the first broken promise.
    pub(crate) fn fail(&mut self, what: &str) {
        self.broken.get_or_insert_with(|| what.to_owned());
    }

    /// The first broken promise.
    pub(crate) fn broken(&self) -> Option<String> {
        self.broken.clone()
    }

    /// A lease was given out.
    pub(crate) fn fence_given(&mut self, fence: Fence) {
        let newest = self.newest_fences.entry(fence.partition.number()).or_default();
        *newest = fence.number.max(*newest);
    }

    /// Somebody asks for this stream to be created.
    pub(crate) fn create_asked(&mut self, id: &StreamId) {
        self.streams.entry(id.clone()).or_default().creates += 1;
    }
}

impl Sim {
    /// A commit was done: everything that must hold between before and after.
    pub(crate) fn committed(
        &self,
        instance: usize,
        id: &StreamId,
        (before, after): (Option<Record>, Option<Record>),
        commit: Commit<'_>,
    ) {
        self.count(|counts| counts.commits += 1);
        self.log.write(format!("i{instance} {id}: {}", describe(after.as_ref())));
        let checks = [
            self.check_fence(instance, commit),
            check_counts(after.as_ref()),
            self.check_versions(id, before.as_ref(), after.as_ref(), commit),
            self.check_generations(id, before.as_ref(), after.as_ref()),
            self.check_end(before.as_ref(), after.as_ref()),
        ];
        for what in checks.into_iter().filter_map(Result::err) {
            self.fail(format!("{id}: {what}"));
        }
    }

    /// A room is about to be deleted: never that of an active stream, never somebody else's.
    pub(crate) fn room_is_deleted(&self, instance: usize, room: &RoomName) {
        self.log.write(format!("i{instance} deletes room {room}"));
        let head = room.stream().and_then(|(id, _)| self.stored(&id)).map(|(head, _)| head);
        if head.is_some_and(|head| head.phase.is_active() && head.room.name == *room) {
            self.fail(format!("the room {room} of an active stream is deleted"));
        }
        let own = DeploymentId(DEPLOYMENT.to_owned());
        let rooms = self.moment().rooms;
        let foreign = |metadata: &str| Ownership::of(metadata, &own) == Ownership::Foreign;
        if rooms.iter().any(|there| there.name == *room && foreign(&there.metadata)) {
            self.fail(format!("the room {room} of another deployment is deleted"));
        }
    }

    fn check_fence(&self, instance: usize, commit: Commit<'_>) -> Result<(), String> {
        let Some(fence) = commit.fence else { return Ok(()) };
        let mut invariants = self.invariants.lock();
        let newest = invariants.newest_fences.get(&fence.partition.number()).copied().unwrap_or(0);
        if fence.number < newest {
            return Err(format!("{fence:?} was used although {newest} had been given out"));
        }
        let holder = *invariants.fences.entry((fence.partition.number(), fence.number)).or_insert(instance);
        if holder == instance { Ok(()) } else { Err(format!("{fence:?} was used by i{holder} and i{instance}")) }
    }

    fn check_versions(
        &self,
        id: &StreamId,
        before: Option<&Record>,
        after: Option<&Record>,
        commit: Commit<'_>,
    ) -> Result<(), String> {
        let (was, is) = (before.and_then(visible), after.and_then(visible));
        let mut invariants = self.invariants.lock();
        let known = invariants.streams.entry(id.clone()).or_default();
        let Some((view, people)) = &is else { return Ok(()) };
        let newest = known.newest.replace((view.clone(), after.map_or(0, |(head, _)| generation(head))));
        let Some((last, last_generation)) = newest else { return Ok(()) };
        if last.epoch != view.epoch {
            return Err(format!("epoch {} became {}", last.epoch, view.epoch));
        }
        if after.is_some_and(|(head, _)| generation(head) < last_generation) {
            return Err(format!("generation fell from {last_generation}"));
        }
        let same = was
            .as_ref()
            .is_some_and(|(old, old_people)| without_version(old) == without_version(view) && old_people == people);
        let expected = if same { last.version } else { last.version + 1 };
        // A record that vanished and came again goes on from its tombstone.
        if view.version != expected {
            return Err(format!("version {} where {expected} was due (different: {})", view.version, !same));
        }
        let told = commit.decision.notice.as_ref().is_some_and(|notice| match &notice.body {
            NoticeBody::Changed { view: told, .. } => **told == *view,
            NoticeBody::Removed { .. } => false,
        });
        if same || told { Ok(()) } else { Err("a change was not told".to_owned()) }
    }

    fn check_generations(&self, id: &StreamId, before: Option<&Record>, after: Option<&Record>) -> Result<(), String> {
        let active = |record: Option<&Record>| record.is_some_and(|(head, _)| head.phase.is_active());
        let ended = before.is_some_and(|(head, _)| head.phase == Phase::Ended);
        if ended && active(after) {
            return Err("an ended stream is active again without a reservation".to_owned());
        }
        if !active(before) && active(after) {
            let mut invariants = self.invariants.lock();
            let known = invariants.streams.entry(id.clone()).or_default();
            known.opened += 1;
            if known.opened > known.creates {
                return Err(format!("opened {} times, asked for {} times", known.opened, known.creates));
            }
        }
        Ok(())
    }

    fn check_end(&self, before: Option<&Record>, after: Option<&Record>) -> Result<(), String> {
        let (Some((before, _)), Some((after, _))) = (before, after) else { return Ok(()) };
        if !before.phase.is_active() || after.phase != Phase::Ended {
            return Ok(());
        }
        let rooms = self.moment().rooms;
        let alive =
            rooms.iter().any(|room| room.name == before.room.name && Some(&room.sid) == before.room.sid.as_ref());
        let there_since = |person: &domain::ParticipantSnapshot| person.joined_at.map(|at| self.true_now().since(at));
        match after.end_reason {
            Some(reason @ (EndReason::Lost | EndReason::RoomFinished)) if alive => {
                Err(format!("ended {} while its room is there", reason.as_str()))
            }
            Some(EndReason::Idle) => {
                let people = self.people_in(&before.room.name);
                let somebody = people
                    .iter()
                    .filter(|person| person.active && person.kind.keeps_alive())
                    .find(|person| there_since(person).is_some_and(|time| time > SURELY_LISTED));
                match somebody {
                    Some(person) => Err(format!("ended idle while {} is there", person.identity)),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// The record's counts are those of its list.
fn check_counts(record: Option<&Record>) -> Result<(), String> {
    let Some((head, people)) = record else { return Ok(()) };
    let persons: BTreeSet<&Identity> = people.iter().filter(|p| p.kind.is_person()).map(|p| &p.identity).collect();
    let keepers = people.iter().filter(|p| p.kind.keeps_alive()).count();
    let tracks: u32 = people.iter().map(Participant::live_tracks).sum();
    let counted = (head.people as usize, head.keepers as usize, head.tracks);
    let listed = (persons.len(), keepers, tracks);
    if counted == listed { Ok(()) } else { Err(format!("counts {counted:?}, but the list says {listed:?}")) }
}

/// What anybody outside can see of a record.
pub(crate) fn visible((head, people): &Record) -> Option<(StreamView, BTreeSet<Identity>)> {
    if head.phase == Phase::Reserved {
        return head.replaced.as_ref().map(|replaced| (StreamView::from(&**replaced), BTreeSet::new()));
    }
    let persons = people.iter().filter(|p| p.kind.is_person()).map(|p| p.identity.clone()).collect();
    Some((StreamView::from(head), persons))
}

fn generation(head: &Head) -> u32 {
    head.replaced.as_ref().map_or(head.generation, |replaced| replaced.generation)
}

fn without_version(view: &StreamView) -> StreamView {
    StreamView { version: 0, ..view.clone() }
}

/// A record in one line.
pub(crate) fn describe(record: Option<&Record>) -> String {
    let Some((head, people)) = record else { return "no record".to_owned() };
    let sids: Vec<_> = people.iter().map(|p| format!("{}:{}:{}", p.identity, p.sid, p.tracks.len())).collect();
    let intents: Vec<_> = head.intents.iter().map(|intent| format!("{:?}", intent.kind)).collect();
    format!(
        "r{} v{} g{} {} {} room {} {:?} [{}] {intents:?}",
        head.revision,
        head.version,
        head.generation,
        head.phase.as_str(),
        head.end_reason.map_or("", EndReason::as_str),
        head.room.name,
        head.room.sid,
        sids.join(" ")
    )
}
