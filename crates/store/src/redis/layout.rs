//! What is in Redis: keys, order members and channels.
//!
//! | Key | Type | Holds |
//! |---|---|---|
//! | `{<prefix>:NN}:head:<id>` | hash | `revision`, `head` (JSON), `by` |
//! | `{<prefix>:NN}:people:<id>` | hash | sid → participant (JSON) |
//! | `{<prefix>:NN}:order:<id>` | sorted set | connections by identity and sid |
//! | `{<prefix>:NN}:grants:<id>` | hash | identity → publishing role held (JSON) |
//! | `{<prefix>:NN}:bans:<id>` | hash | identity → ban (JSON); goes with the last of them |
//! | `{<prefix>:NN}:gone:<id>` | sorted set | sids that went, by the time they are forgotten |
//! | `{<prefix>:NN}:tombstone:<id>` | string | tombstone (JSON) |
//! | `{<prefix>:NN}:event:<event id>` | string | the event was applied |
//! | `{<prefix>:NN}:index:<phase>`, `…:index:<phase>-hidden` | sorted set | list cursors of streams in that phase; apart those that are not public |
//! | `{<prefix>:NN}:places` | hash | id → phase, people and cursor as they are in indexes and totals |
//! | `{<prefix>:NN}:due` | sorted set | ids by due time |
//! | `{<prefix>:NN}:totals` | hash | `streams`, `live`, `people` of active streams |
//! | `{<prefix>:NN}:lease` | hash | `holder`, `until`, `number` |
//! | `{<prefix>:NN}:session:<end>.<id>~<generation>` | string | session (JSON) |
//! | `{<prefix>:NN}:history`, `…:history-hidden` | sorted set | `<end>.<id>~<generation>` of sessions, oldest first; apart those that were not public |
//! | `{<prefix>:meta}:<name>` | string | deployment-wide value |
//! | `{<prefix>:memos}:of:<key>` | string | memo |
//! | `{<prefix>:memos}:age` | sorted set | keys of memos by the time they were written |
//!
//! NN is the partition. Everything one script touches carries one hash tag, so
//! that it is in one slot of a cluster; there the channels it publishes on do so
//! too, the lobby's included. Channels carry the database's number: Pub/Sub knows
//! no databases. `by` in a head is who wrote it, in a cluster alone: its client
//! sends again what was cut off, and must not take its own step for another's.

use domain::{EventId, Identity, Participant, ParticipantSid, Phase, StreamId};

use crate::{ErrorKind, MetaKey, Partition, StoreError};

/// Separates the parts of an order member; escaped inside them.
const SEPARATOR: char = '\0';
/// Starts an escape; sorts right after the separator, so that escaped text keeps its order.
const ESCAPE: char = '\u{1}';
const PERSON: &str = "p";
const OTHER: &str = "-";

/// Names of keys and channels of one deployment.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    prefix: String,
    database: i64,
    cluster: bool,
}

impl Layout {
    /// Checks `prefix`: letters, digits, `.`, `_` and `-`. In a `cluster` notices stay in their partition's slot.
    pub(super) fn new(prefix: &str, database: i64, cluster: bool) -> Result<Self, StoreError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if prefix.is_empty() || !prefix.bytes().all(allowed) {
            let text = "the prefix must be letters, digits, `.`, `_` and `-`, and not empty";
            return Err(StoreError::new(ErrorKind::Misconfigured, "connect", text));
        }
        Ok(Self { prefix: prefix.to_owned(), database, cluster })
    }

    /// A key of one stream.
    pub(super) fn of_stream(&self, what: &str, id: &StreamId) -> String {
        format!("{}:{what}:{id}", self.tag(Partition::of(id)))
    }

    /// A key of one partition.
    pub(super) fn of_partition(&self, what: &str, partition: Partition) -> String {
        format!("{}:{what}", self.tag(partition))
    }

    /// The index of a phase in a partition; that of streams in no public list is apart.
    pub(super) fn index(&self, partition: Partition, phase: Phase, hidden: bool) -> String {
        format!("{}:index:{}", self.tag(partition), index_name(phase, hidden))
    }

    /// All indexes of a partition, in the order in which `scripts/place.lua` names them.
    pub(super) fn indexes(&self, partition: Partition) -> [String; 8] {
        let phases = [Phase::Waiting, Phase::Live, Phase::Reconnecting, Phase::Ended];
        std::array::from_fn(|at| self.index(partition, phases[at % 4], at >= 4))
    }

    /// The memory of an event; it belongs to the stream's partition.
    pub(super) fn event(&self, id: &StreamId, event: &EventId) -> String {
        format!("{}:event:{}", self.tag(Partition::of(id)), event.0)
    }

    /// The history row of a generation.
    pub(super) fn session(&self, id: &StreamId, member: &str) -> String {
        format!("{}:session:{member}", self.tag(Partition::of(id)))
    }

    /// A deployment-wide value.
    pub(super) fn meta(&self, key: MetaKey) -> String {
        format!("{{{}:meta}}:{}", self.prefix, key.as_str())
    }

    /// A memo.
    pub(super) fn memo(&self, key: &str) -> String {
        format!("{{{}:memos}}:of:{key}", self.prefix)
    }

    /// The keys of memos by age.
    pub(super) fn memos(&self) -> String {
        format!("{{{}:memos}}:age", self.prefix)
    }

    /// The channel of a stream's notices.
    pub(super) fn channel(&self, id: &StreamId) -> String {
        format!("{}:{}:notices:{id}", self.tag(Partition::of(id)), self.database)
    }

    /// The channel of all notices of a partition; outside of a cluster all partitions have one.
    pub(super) fn lobby_channel(&self, partition: Partition) -> String {
        if self.cluster {
            format!("{}:{}:lobby", self.tag(partition), self.database)
        } else {
            format!("{{{}:lobby}}:{}:notices", self.prefix, self.database)
        }
    }

    /// A channel of a partition on which nothing is said.
    pub(super) fn silent_channel(&self, partition: Partition) -> String {
        format!("{}:{}:here", self.tag(partition), self.database)
    }

    /// The command that publishes on these channels.
    pub(super) fn publish(&self) -> &'static str {
        if self.cluster { "SPUBLISH" } else { "PUBLISH" }
    }

    fn tag(&self, partition: Partition) -> String {
        format!("{{{}:{:02}}}", self.prefix, partition.number())
    }
}

/// What an index is called, in its key and in places.
pub(super) fn index_name(phase: Phase, hidden: bool) -> String {
    format!("{}{}", phase.as_str(), if hidden { "-hidden" } else { "" })
}

/// A connection in the order of people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Whose.
    pub(super) identity: Identity,
    /// Which.
    pub(super) sid: ParticipantSid,
    /// Whether it is a person's.
    pub(super) person: bool,
}

impl Member {
    /// As it is written.
    pub(super) fn of(participant: &Participant) -> String {
        let kind = if participant.kind.is_person() { PERSON } else { OTHER };
        let (identity, sid) = (escape(participant.identity.as_str()), escape(participant.sid.as_str()));
        format!("{identity}{SEPARATOR}{sid}{SEPARATOR}{kind}")
    }

    /// Reads what [`of`](Self::of) wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(SEPARATOR);
        let (identity, sid, kind) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            identity: Identity::reported(&unescape(identity)),
            sid: ParticipantSid::from(unescape(sid)),
            person: kind == PERSON,
        })
    }

    /// Lexical bounds of all connections of an identity.
    pub(super) fn range(identity: &Identity) -> (String, String) {
        let identity = escape(identity.as_str());
        (format!("[{identity}{SEPARATOR}"), format!("({identity}{ESCAPE}"))
    }

    /// Lower lexical bound of what follows a connection of whatever kind.
    pub(super) fn after(identity: &Identity, sid: &ParticipantSid) -> String {
        format!("({}{SEPARATOR}{}{ESCAPE}", escape(identity.as_str()), escape(sid.as_str()))
    }
}

/// The field of `people` for a connection.
pub(super) fn sid_field(sid: &ParticipantSid) -> String {
    escape(sid.as_str())
}

/// Takes separators out of a part and keeps the order of parts.
fn escape(text: &str) -> String {
    text.replace(ESCAPE, "\u{1}\u{2}").replace(SEPARATOR, "\u{1}\u{1}")
}

fn unescape(text: &str) -> String {
    text.replace("\u{1}\u{1}", "\0").replace("\u{1}\u{2}", "\u{1}")
}

#[cfg(test)]
mod tests {
    use domain::{Kind, RoomSid, Timestamp};

    use super::*;

    fn member(identity: &str, sid: &str, kind: Kind) -> String {
        Member::of(&Participant {
            sid: ParticipantSid::from(sid),
            identity: Identity::reported(identity),
            name: String::new(),
            kind,
            joined_at: Timestamp::from_millis(0),
            room_sid: RoomSid::from("RM_1"),
            tracks: Default::default(),
        })
    }

    #[test]
    fn members_sort_as_identity_and_sid_do_and_are_read_back() {
        let identities =
            ["", "\0", "\0\0", "\u{1}", "\u{1}\u{1}", "\u{1}\u{2}", "\u{2}", "a", "a\0b", "a\u{1}", "ab", "ü"];
        let mut expected: Vec<(&str, &str)> =
            identities.iter().flat_map(|identity| [(*identity, "PA_1"), (*identity, "PA_2")]).collect();
        expected.sort();
        let mut members: Vec<String> = expected.iter().map(|(who, sid)| member(who, sid, Kind::Standard)).collect();
        members.sort();
        let read: Vec<Member> = members.iter().map(|text| Member::parse(text).unwrap()).collect();
        let read: Vec<(&str, &str)> = read.iter().map(|m| (m.identity.as_str(), m.sid.as_str())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn bounds_hold_one_identity_and_start_after_one_connection() {
        let (low, high) = Member::range(&Identity::reported("a"));
        let (low, high) = (&low[1..], &high[1..]);
        for (identity, inside) in [("a", true), ("a\0", false), ("ab", false), ("", false), ("b", false)] {
            let text = member(identity, "PA_1", Kind::Agent);
            assert_eq!(low <= text.as_str() && text.as_str() < high, inside, "{identity:?}");
        }
        let after = Member::after(&Identity::reported("a"), &ParticipantSid::from("PA_1"));
        assert!(member("a", "PA_1", Kind::Standard).as_str() < &after[1..]);
        assert!(member("a", "PA_1", Kind::Agent).as_str() < &after[1..]);
        assert!(member("a", "PA_10", Kind::Agent).as_str() > &after[1..]);
    }

    #[test]
    fn prefixes_are_checked() {
        for prefix in ["livestream", "a.b_c-9"] {
            assert!(Layout::new(prefix, 0, false).is_ok());
        }
        for prefix in ["", "a b", "a:b", "{a}", "ü", "a*"] {
            assert_eq!(Layout::new(prefix, 0, false).unwrap_err().kind, ErrorKind::Misconfigured, "{prefix}");
        }
    }

    /// Golden: other names would lose sight of everything stored.
    #[test]
    fn keys_never_change() {
        let layout = Layout::new("livestream", 3, false).unwrap();
        let id = StreamId::parse("a:{b}").unwrap();
        let number = Partition::of(&id).number();
        assert_eq!(layout.of_stream("head", &id), format!("{{livestream:{number:02}}}:head:a:{{b}}"));
        let index = |hidden| layout.index(Partition::of(&id), Phase::Live, hidden);
        assert_eq!(index(false), format!("{{livestream:{number:02}}}:index:live"));
        assert_eq!(index(true), format!("{{livestream:{number:02}}}:index:live-hidden"));
        assert_eq!(layout.meta(MetaKey::MediaSide), "{livestream:meta}:media_side");
        assert_eq!(layout.memo("k"), "{livestream:memos}:of:k");
        assert_eq!(layout.memos(), "{livestream:memos}:age");
        assert_eq!(layout.channel(&id), format!("{{livestream:{number:02}}}:3:notices:a:{{b}}"));
        assert_eq!(layout.lobby_channel(Partition::of(&id)), "{livestream:lobby}:3:notices");
        let layout = Layout::new("livestream", 0, true).unwrap();
        assert_eq!(layout.channel(&id), format!("{{livestream:{number:02}}}:0:notices:a:{{b}}"));
        assert_eq!(layout.lobby_channel(Partition::of(&id)), format!("{{livestream:{number:02}}}:0:lobby"));
    }
}
