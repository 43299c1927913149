//! The connections in one stream, in memory: by identity and by sid.

use std::collections::{BTreeMap, HashMap};

use domain::{Identity, Participant, ParticipantChange, ParticipantSid};

/// The connections in one stream.
#[derive(Debug, Default)]
pub(crate) struct People {
    /// In the order of lists.
    pub(crate) list: BTreeMap<(Identity, ParticipantSid), Participant>,
    by_sid: HashMap<ParticipantSid, Identity>,
}

impl People {
    /// The connection with this sid.
    pub(crate) fn by_sid(&self, sid: &ParticipantSid) -> Option<&Participant> {
        let identity = self.by_sid.get(sid)?;
        self.list.get(&(identity.clone(), sid.clone()))
    }

    /// The connections of people with this identity.
    pub(crate) fn connections<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a ParticipantSid> {
        let first = (identity.clone(), ParticipantSid::from(""));
        let of_identity = self.list.range(first..).take_while(move |((who, _), _)| who == identity);
        of_identity.filter(|(_, participant)| participant.kind.is_person()).map(|((_, sid), _)| sid)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The distinct identities of people, sorted.
    pub(crate) fn identities(&self) -> Vec<Identity> {
        let people = self.list.values().filter(|participant| participant.kind.is_person());
        let mut identities: Vec<Identity> = people.map(|participant| participant.identity.clone()).collect();
        identities.dedup();
        identities
    }

    /// Carries out a change.
    pub(crate) fn change(&mut self, change: ParticipantChange) {
        match change {
            ParticipantChange::Join(participant) | ParticipantChange::Update(participant) => {
                self.remove(&participant.sid);
                self.by_sid.insert(participant.sid.clone(), participant.identity.clone());
                self.list.insert((participant.identity.clone(), participant.sid.clone()), participant);
            }
            ParticipantChange::Leave(participant) | ParticipantChange::Missing(participant) => {
                self.remove(&participant.sid);
            }
            ParticipantChange::Gone(_) => {}
            ParticipantChange::Clear => {
                *self = Self::default();
            }
        }
    }

    fn remove(&mut self, sid: &ParticipantSid) {
        if let Some(identity) = self.by_sid.remove(sid) {
            self.list.remove(&(identity, sid.clone()));
        }
    }
}
