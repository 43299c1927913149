//! What one instance remembers of the streams it handles, so that the usual step needs no load.
//!
//! Of each stream: its head at one revision, and those of its connections that
//! this instance has seen. Nobody is believed to be banned. Every change of either raises the revision, so that
//! whoever commits for that revision may rely on them; whatever else was assumed
//! is checked with the commit. Nothing here is ever told to a user.

use std::collections::HashMap;

use domain::{Decision, Head, ParticipantChange, StreamId};
use parking_lot::Mutex;

use crate::people::People;
use crate::{Concern, Loaded};

/// Streams and connections of one of the two generations: some ten megabytes at most.
const CAPACITY: usize = 20_000;
/// Connections of one stream; beyond it those seen so far are forgotten.
const MOST_PEOPLE: usize = 1_000;

/// A bounded memory of streams.
///
/// Full: what was not used since the last time it was full is forgotten.
#[derive(Debug, Default)]
pub struct Beliefs {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<StreamId, Known>,
    old: HashMap<StreamId, Known>,
    /// Streams and connections in `young`.
    weight: usize,
}

/// One stream at one revision.
#[derive(Debug)]
struct Known {
    head: Head,
    /// Some of its connections, as they are at that revision.
    people: People,
}

impl Beliefs {
    /// What a load would give if nobody else has changed the stream.
    pub fn recall(&self, id: &StreamId, concern: Concern<'_>) -> Option<Loaded> {
        let mut generations = self.generations.lock();
        let known = generations.get(id)?;
        let connections = concern.identity.map(|who| known.people.connections(who).cloned().collect());
        Some(Loaded {
            head: Some(known.head.clone()),
            participant: concern.sid.and_then(|sid| known.people.by_sid(sid)).cloned(),
            identity_sids: connections.unwrap_or_default(),
            ..Loaded::default()
        })
    }

    /// The store has said this.
    pub fn learn(&self, id: &StreamId, loaded: &Loaded) {
        let mut generations = self.generations.lock();
        let Some(head) = &loaded.head else { return generations.remove(id) };
        let mut known = match generations.take(id) {
            Some(known) if known.head == *head => known,
            // The answer has been overtaken by a later one.
            Some(known) if is_later(&known.head, head) => return generations.put(id, known),
            _ => Known { head: head.clone(), people: People::default() },
        };
        if let Some(participant) = loaded.participant.clone() {
            known.people.change(ParticipantChange::Join(participant));
        }
        generations.put(id, known);
    }

    /// This instance has committed this.
    pub fn committed(&self, id: &StreamId, decision: &Decision) {
        let mut generations = self.generations.lock();
        let Some(head) = decision.head.as_ref().filter(|head| head.phase.is_active()) else {
            return generations.remove(id);
        };
        let mut known = match generations.take(id) {
            Some(known) if is_later(&known.head, head) => return generations.put(id, known),
            Some(known) if follows(head, decision.expected, &known.head) => known,
            _ => Known { head: head.clone(), people: People::default() },
        };
        known.head.clone_from(head);
        for change in &decision.participants {
            known.people.change(change.clone());
        }
        generations.put(id, known);
    }

    /// Nothing is known of it any more.
    pub fn forget(&self, id: &StreamId) {
        self.generations.lock().remove(id);
    }
}

/// Revisions begin anew with a record that was removed; its start tells them apart.
fn is_later(known: &Head, other: &Head) -> bool {
    known.started_at == other.started_at && known.revision > other.revision
}

fn follows(head: &Head, expected: Option<u64>, known: &Head) -> bool {
    known.started_at == head.started_at && Some(known.revision) == expected
}

impl Generations {
    fn get(&mut self, id: &StreamId) -> Option<&Known> {
        if !self.young.contains_key(id) {
            let known = self.old.remove(id)?;
            self.put(id, known);
        }
        self.young.get(id)
    }

    fn take(&mut self, id: &StreamId) -> Option<Known> {
        let Some(known) = self.young.remove(id) else { return self.old.remove(id) };
        self.weight -= known.weight();
        Some(known)
    }

    /// Puts in what was not there, or was taken out.
    fn put(&mut self, id: &StreamId, mut known: Known) {
        if known.people.len() > MOST_PEOPLE {
            known.people = People::default();
        }
        if self.weight + known.weight() > CAPACITY {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += known.weight();
        self.young.insert(id.clone(), known);
    }

    fn remove(&mut self, id: &StreamId) {
        drop(self.take(id));
    }
}

impl Known {
    fn weight(&self) -> usize {
        1 + self.people.len()
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        CreateRequest, Creation, Epoch, Identity, Kind, Participant, ParticipantSid, Phase, RoomSid, Rules, Settings,
        Timestamp, create,
    };

    use super::*;

    fn id(n: usize) -> StreamId {
        StreamId::parse(&format!("s{n}")).unwrap()
    }

    fn head(n: usize, revision: u64, started_at: i64) -> Head {
        let fresh_epoch = Epoch::from("e");
        let request = CreateRequest { id: id(n), settings: Settings::default(), fresh_epoch, host_key: None };
        let now = Timestamp::from_millis(started_at);
        let Creation::Reserve(decision) = create(None, None, request, &Rules::default(), now) else {
            panic!("reserved")
        };
        Head { phase: Phase::Waiting, revision, ..decision.head.unwrap() }
    }

    fn participant(sid: &str) -> Participant {
        Participant {
            sid: ParticipantSid::from(sid),
            identity: Identity::reported("ada"),
            name: String::new(),
            kind: Kind::Standard,
            joined_at: Timestamp::from_millis(0),
            room_sid: RoomSid::from("RM_1"),
            tracks: Default::default(),
        }
    }

    fn step(head: Head, expected: u64, participants: Vec<ParticipantChange>) -> Decision {
        let (due, notice, tombstone, session) = (None, None, None, None);
        let (head, expected, identities) = (Some(head), Some(expected), Vec::new());
        Decision { head, expected, participants, identities, due, notice, tombstone, session }
    }

    /// Revision and connections of `ada`, as they are believed to be.
    fn believed(beliefs: &Beliefs, n: usize) -> Option<(u64, Vec<String>)> {
        let who = Identity::reported("ada");
        let loaded = beliefs.recall(&id(n), Concern { identity: Some(&who), ..Concern::default() })?;
        Some((loaded.head?.revision, loaded.identity_sids.iter().map(|sid| sid.as_str().to_owned()).collect()))
    }

    #[test]
    fn own_steps_are_followed_and_others_make_it_forget_people() {
        let beliefs = Beliefs::default();
        assert_eq!(believed(&beliefs, 1), None);
        let join = |sid: &str| vec![ParticipantChange::Join(participant(sid))];
        beliefs.committed(&id(1), &step(head(1, 2, 0), 1, join("PA_1")));
        beliefs.committed(&id(1), &step(head(1, 3, 0), 2, join("PA_2")));
        assert_eq!(believed(&beliefs, 1), Some((3, vec!["PA_1".into(), "PA_2".into()])));
        // Revision 4 was somebody else's, and may have been about anybody.
        beliefs.committed(&id(1), &step(head(1, 5, 0), 4, join("PA_3")));
        assert_eq!(believed(&beliefs, 1), Some((5, vec!["PA_3".into()])));
        let loaded = Loaded { head: Some(head(1, 7, 0)), ..Loaded::default() };
        beliefs.learn(&id(1), &loaded);
        assert_eq!(believed(&beliefs, 1), Some((7, vec![])));
        // What was overtaken changes nothing.
        beliefs.committed(&id(1), &step(head(1, 6, 0), 5, join("PA_4")));
        beliefs.learn(&id(1), &Loaded { head: Some(head(1, 5, 0)), ..Loaded::default() });
        assert_eq!(believed(&beliefs, 1), Some((7, vec![])));
        beliefs.learn(&id(1), &Loaded { participant: Some(participant("PA_5")), ..loaded });
        assert_eq!(believed(&beliefs, 1), Some((7, vec!["PA_5".into()])));
    }

    #[test]
    fn another_record_of_the_same_id_and_revision_is_another() {
        let beliefs = Beliefs::default();
        let join = |sid: &str| vec![ParticipantChange::Join(participant(sid))];
        beliefs.committed(&id(1), &step(head(1, 9, 0), 8, join("PA_1")));
        beliefs.committed(&id(1), &step(head(1, 2, 77), 9, join("PA_2")));
        assert_eq!(believed(&beliefs, 1), Some((2, vec!["PA_2".into()])));
        let ended = Head { phase: Phase::Ended, ..head(1, 3, 77) };
        beliefs.committed(&id(1), &step(ended, 2, Vec::new()));
        assert_eq!(believed(&beliefs, 1), None);
    }

    #[test]
    fn it_is_bounded_and_what_is_used_stays() {
        let beliefs = Beliefs::default();
        for n in 0..CAPACITY * 5 {
            beliefs.committed(&id(n), &step(head(n, 2, 0), 1, Vec::new()));
            assert!(believed(&beliefs, 0).is_some(), "after {n}");
        }
        let kept = (0..CAPACITY * 5).filter(|n| beliefs.generations.lock().take(&id(*n)).is_some()).count();
        assert!((CAPACITY..=2 * CAPACITY).contains(&kept), "{kept}");
        assert_eq!(beliefs.generations.lock().weight, 0);
        let crowd = (0..=MOST_PEOPLE).map(|n| ParticipantChange::Join(participant(&format!("PA_{n}")))).collect();
        beliefs.committed(&id(1), &step(head(1, 2, 0), 1, crowd));
        assert_eq!(believed(&beliefs, 1), Some((2, vec![])));
    }
}
