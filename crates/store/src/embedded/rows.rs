//! What steps write, as rows: the form in which it stands in the log and waits for the file.
//!
//! One row after the other, each by postcard; what they mean to the tables is in [`layout`](super::layout).

use std::borrow::Cow;

use domain::{Decision, IdentityChange, ParticipantChange, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Partition, StoreError};

use super::commit::Step;
use super::errors::undecodable;
use super::memo::MemoChange;
use super::state::{Fading, gone_sid};

/// A change of one row; ids and keys as in the tables, objects in JSON, times in milliseconds since 1970.
///
/// Stands in logs by its place in this list: new ones come last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Row<'a> {
    /// A head, and when it is due.
    Head(&'a str, Option<i64>, #[serde(borrow)] Cow<'a, str>),
    /// No head any more, nor people and roles.
    NoHead(&'a str),
    /// A participant of a stream.
    Person(&'a str, &'a str, #[serde(borrow)] Cow<'a, str>),
    /// One fewer.
    NoPerson(&'a str, &'a str),
    /// No people and no roles any more.
    NoPeople(&'a str),
    /// An applied event of a partition, and until when it is remembered.
    Event(u16, &'a str, i64),
    /// It is forgotten.
    NoEvent(u16, &'a str),
    /// A connection that went, and until when that is remembered.
    Gone(&'a str, &'a str, i64),
    /// It is forgotten.
    NoGone(&'a str, &'a str),
    /// What outlives a record, and until when.
    Tombstone(&'a str, i64, #[serde(borrow)] Cow<'a, str>),
    /// It is forgotten.
    NoTombstone(&'a str),
    /// A publishing role of an identity.
    Grant(&'a str, &'a str, #[serde(borrow)] Cow<'a, str>),
    /// A ban of an identity.
    Ban(&'a str, &'a str, #[serde(borrow)] Cow<'a, str>),
    /// It is lifted, or has ended.
    NoBan(&'a str, &'a str),
    /// A session of a generation, and until when it is kept.
    Session(i64, &'a str, u32, #[serde(borrow)] Cow<'a, str>),
    /// A memo: when it ends, when it was written, what it holds.
    Memo(&'a str, i64, i64, &'a [u8]),
    /// It has gone.
    NoMemo(&'a str),
    /// A deployment-wide value.
    Text(&'a str, &'a str),
}

/// Rows one after the other, encoded.
#[derive(Debug, Default)]
pub(super) struct Rows(Vec<u8>);

impl Rows {
    /// All of them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Adds what a step writes.
    pub(super) fn add_step(&mut self, step: &Step) -> Result<(), StoreError> {
        let (id, decision) = (step.id.as_str(), &step.decision);
        let remembered_until = (step.now + domain::Retention::EVENT).as_millis();
        match &decision.head {
            Some(head) => self.add(&Row::Head(id, decision.due.map(Timestamp::as_millis), json(head)?))?,
            None => self.add(&Row::NoHead(id))?,
        }
        for change in &decision.participants {
            self.add_person(step, change, remembered_until)?;
        }
        for change in &decision.identities {
            self.add_identity(step, change)?;
        }
        if let Some(event) = &step.event {
            self.add(&Row::Event(Partition::of(&step.id).number(), &event.0, remembered_until))?;
        }
        self.add_remains(step, decision)
    }

    /// Adds a deployment-wide value.
    pub(super) fn add_text(&mut self, key: &str, value: &str) -> Result<(), StoreError> {
        self.add(&Row::Text(key, value))
    }

    /// Adds a change of a memo.
    pub(super) fn add_memo(&mut self, change: &MemoChange) -> Result<(), StoreError> {
        let key = change.key.as_str();
        self.add(&match &change.memo {
            Some(memo) => Row::Memo(key, memo.until.as_millis(), memo.written.as_millis(), &memo.value),
            None => Row::NoMemo(key),
        })
    }

    /// Adds that something is forgotten.
    pub(super) fn add_faded(&mut self, what: &Fading) -> Result<(), StoreError> {
        self.add(&match what {
            Fading::Event(partition, event) => Row::NoEvent(partition.number(), event),
            Fading::Gone(id, sid) => Row::NoGone(id.as_str(), sid.as_str()),
            Fading::Tombstone(id) => Row::NoTombstone(id.as_str()),
            Fading::Ban(id, identity) => Row::NoBan(id.as_str(), identity.as_str()),
        })
    }

    fn add_person(&mut self, step: &Step, change: &ParticipantChange, until: i64) -> Result<(), StoreError> {
        let id = step.id.as_str();
        if let Some(sid) = gone_sid(change) {
            self.add(&Row::Gone(id, sid.as_str(), until))?;
        }
        match change {
            // Without a head there are no people either.
            ParticipantChange::Join(_) | ParticipantChange::Update(_) if step.decision.head.is_none() => Ok(()),
            ParticipantChange::Join(participant) | ParticipantChange::Update(participant) => {
                self.add(&Row::Person(id, participant.sid.as_str(), json(participant)?))
            }
            ParticipantChange::Leave(participant) | ParticipantChange::Missing(participant) => {
                self.add(&Row::NoPerson(id, participant.sid.as_str()))
            }
            ParticipantChange::Gone(_) => Ok(()),
            ParticipantChange::Clear => self.add(&Row::NoPeople(id)),
        }
    }

    fn add_identity(&mut self, step: &Step, change: &IdentityChange) -> Result<(), StoreError> {
        let id = step.id.as_str();
        match change {
            IdentityChange::Grant(_, _) if step.decision.head.is_none() => Ok(()),
            IdentityChange::Grant(identity, role) => self.add(&Row::Grant(id, identity.as_str(), json(role)?)),
            IdentityChange::Ban(identity, ban) => self.add(&Row::Ban(id, identity.as_str(), json(ban)?)),
            IdentityChange::Lift(identity) => self.add(&Row::NoBan(id, identity.as_str())),
        }
    }

    /// What a decision leaves behind a record.
    fn add_remains(&mut self, step: &Step, decision: &Decision) -> Result<(), StoreError> {
        let id = step.id.as_str();
        if let Some((stone, keep)) = &decision.tombstone {
            self.add(&Row::Tombstone(id, (step.now + *keep).as_millis(), json(stone)?))?;
        }
        if let Some((session, keep)) = &decision.session {
            self.add(&Row::Session((step.now + *keep).as_millis(), id, session.generation, json(session)?))?;
        }
        Ok(())
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), StoreError> {
        let before = std::mem::take(&mut self.0);
        self.0 = postcard::to_extend(row, before).map_err(|error| undecodable("row", error))?;
        Ok(())
    }
}

/// The rows in `bytes`, in order; ends after the first that is none.
pub(super) fn decode(mut bytes: &[u8]) -> impl Iterator<Item = Result<Row<'_>, StoreError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        match postcard::take_from_bytes(bytes) {
            Ok((row, rest)) => {
                bytes = rest;
                Some(Ok(row))
            }
            Err(error) => {
                bytes = &[];
                Some(Err(undecodable("row of the log", error)))
            }
        }
    })
}

fn json(value: &impl Serialize) -> Result<Cow<'static, str>, StoreError> {
    serde_json::to_string(value).map(Cow::Owned).map_err(|error| undecodable("object", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_added() {
        let rows = [
            Row::Head("s", Some(-5), Cow::Borrowed("{}")),
            Row::NoHead("s"),
            Row::Session(7, "s", 3, Cow::Borrowed("[1]")),
            Row::Memo("k", 1, 2, &[0, 255]),
            Row::Text("format", "2"),
        ];
        let mut all = Rows::default();
        for row in &rows {
            all.add(row).unwrap();
        }
        let read: Vec<Row<'_>> = decode(all.bytes()).collect::<Result<_, _>>().unwrap();
        assert_eq!(read, rows);
        let cut = &all.bytes()[..all.bytes().len() - 1];
        assert!(decode(cut).last().unwrap().is_err(), "a row that is cut off is no row");
    }
}
