//! Paging.

use domain::{Identity, ParticipantSid, Phase, Session, StreamId, Timestamp};

/// Where a page ended: opaque to callers, stable while streams come and go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub String);

/// A cursor that this store did not give out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`cursor` must be one that a previous page returned")]
pub struct InvalidCursor;

/// Which streams, and which page of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Streams in any of these phases; `Reserved` is never listed.
    pub phases: Vec<Phase>,
    /// Most items; 1 to 1,000.
    pub limit: usize,
    /// After this one.
    pub cursor: Option<Cursor>,
    /// Also those that are not public.
    pub hidden: bool,
}

/// Which page of what is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Most items; 1 to 1,000.
    pub limit: usize,
    /// After this one.
    pub cursor: Option<Cursor>,
    /// Also those that were not public.
    pub hidden: bool,
    /// Only those that ended then or later.
    pub since: Timestamp,
}

/// One page, newest first (streams by `startedAt` and id, sessions by `endedAt`, id and generation).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub next: Option<Cursor>,
}

/// One page of the people in a stream, by identity and connection.
pub type PeoplePage = Page<domain::Participant>;

/// Most items of one page.
pub(crate) const MAX_LIMIT: usize = 1000;
const HEX_DIGITS: usize = 16;

impl Cursor {
    /// The place of a stream in the order of lists.
    pub fn at(started_at: Timestamp, id: &str) -> Self {
        Self(format!("{:016x}.{id}", started_at.as_millis()))
    }

    /// The place of a session in the order of history. No id ends in `~` and digits, so that it can be told apart.
    pub(crate) fn of_session(session: &Session) -> Self {
        Self::at(session.ended_at, &format!("{}~{}", session.stream_id, session.generation))
    }

    /// The place before all sessions that ended then or later.
    pub(crate) fn from_end(ended_at: Timestamp) -> Self {
        Self(format!("{:016x}.", ended_at.as_millis()))
    }

    /// Checks a cursor for [`Store::history`](crate::Store::history) that came from outside.
    pub fn of_history(text: &str) -> Result<Self, InvalidCursor> {
        let cursor = Self(text.to_owned());
        cursor.session().map(|_| ()).ok_or(InvalidCursor)?;
        Ok(cursor)
    }

    /// What [`of_session`](Self::of_session) made it of.
    pub(crate) fn session(&self) -> Option<(Timestamp, StreamId, u32)> {
        let (ended_at, rest) = self.place()?;
        let (id, generation) = rest.rsplit_once('~')?;
        Some((ended_at, StreamId::parse(id).ok()?, generation.parse().ok()?))
    }

    /// Checks a cursor for [`Store::list`](crate::Store::list) that came from outside.
    pub fn of_streams(text: &str) -> Result<Self, InvalidCursor> {
        let cursor = Self(text.to_owned());
        cursor.place().map(|_| ()).ok_or(InvalidCursor)?;
        Ok(cursor)
    }

    /// Checks a cursor for [`Store::people`](crate::Store::people) that came from outside.
    pub fn of_people(text: &str) -> Result<Self, InvalidCursor> {
        let cursor = Self(text.to_owned());
        cursor.connection().map(|_| ()).ok_or(InvalidCursor)?;
        Ok(cursor)
    }

    /// What [`at`](Self::at) made it of.
    pub(crate) fn place(&self) -> Option<(Timestamp, &str)> {
        let (hex, id) = self.0.split_at_checked(HEX_DIGITS)?;
        let id = id.strip_prefix('.').filter(|id| !id.is_empty())?;
        let started_at = u64::from_str_radix(hex, 16).ok()?;
        Some((Timestamp::from_millis(started_at.cast_signed()), id))
    }

    /// The place of a connection in the order of people. Hexadecimal, because identities may
    /// hold anything and a cursor travels in a URL.
    pub(crate) fn after(identity: &Identity, sid: &ParticipantSid) -> Self {
        let mut text = hex(identity.as_str());
        text.push('.');
        text.push_str(&hex(sid.as_str()));
        Self(text)
    }

    /// What [`after`](Self::after) made it of.
    pub(crate) fn connection(&self) -> Option<(Identity, ParticipantSid)> {
        let (identity, sid) = self.0.split_once('.')?;
        Some((Identity::reported(&unhex(identity)?), ParticipantSid::from(unhex(sid)?)))
    }
}

fn hex(text: &str) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    text.bytes().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<String> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let bytes = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_back() {
        let at = Cursor::at(Timestamp::from_millis(1_795_429_101_951), "a.b{ü}");
        assert_eq!(at.place(), Some((Timestamp::from_millis(1_795_429_101_951), "a.b{ü}")));
        assert_eq!(Cursor::of_streams(&at.0), Ok(at));
        let end = Timestamp::from_millis(1_795_429_101_951);
        let session = Cursor::at(end, "a~b~12");
        assert_eq!(session.session(), Some((end, StreamId::parse("a~b").unwrap(), 12)));
        assert_eq!(Cursor::of_history(&session.0), Ok(session));
        let (identity, sid) = (Identity::reported("a.\0ü"), ParticipantSid::from("PA_1"));
        let after = Cursor::after(&identity, &sid);
        assert_eq!(after.connection(), Some((identity, sid)));
        assert_eq!(Cursor::of_people(&after.0), Ok(after));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in
            ["", "x", "0000019a0000000", "0000019a00000000", "0000019a00000000.", "üüüüüüüüü.x", "zzzzzzzzzzzzzzzz.x"]
        {
            assert_eq!(Cursor::of_streams(text), Err(InvalidCursor), "{text}");
        }
        for text in ["", "x", "0000019a00000000.gold", "0000019a00000000.gold~", "0000019a00000000.gold~x"] {
            assert_eq!(Cursor::of_history(text), Err(InvalidCursor), "{text}");
        }
        for text in ["", "61", "6.61", "zz.61", "ff.61", "+1.61"] {
            assert_eq!(Cursor::of_people(text), Err(InvalidCursor), "{text}");
        }
    }
}
