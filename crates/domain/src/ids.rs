//! Names of things. A value of these types has passed its check.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest user id or display name, in bytes (LiveKit's own limit).
pub const MAX_NAME_BYTES: usize = 256;
const MAX_STREAM_ID_CHARS: usize = 128;
const MAX_STREAM_ID_BYTES: usize = 200;

/// Why a string is not an id; the text says what was expected and follows the
/// quoted name of the field ("`name` …").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing was given.
    #[error("is not allowed to be empty")]
    Empty,
    /// More than the limit of characters or bytes.
    #[error("must be at most {chars} characters and {bytes} bytes long")]
    TooLong {
        /// Most characters allowed.
        chars: usize,
        /// Most bytes of UTF-8 allowed.
        bytes: usize,
    },
    /// A control character would break logs, headers and event streams.
    #[error("must not contain control characters")]
    Control,
    /// `.` and `..` can't be addressed: clients resolve them away in a path.
    #[error("must not be \".\" or \"..\"")]
    Dots,
    /// `x~2` is how the second generation's room of stream `x` is called.
    #[error("must not end in \"~\" and digits")]
    GenerationSuffix,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

macro_rules! opaque {
    ($name:ident) => {
        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }
    };
}

name_type! {
    /// A stream's id, chosen by its creator: 1 to 128 characters, at most 200 bytes.
    StreamId
}
name_type! {
    /// LiveKit's `identity`: the person, whatever the connection.
    Identity
}
name_type! {
    /// Name of a LiveKit room.
    RoomName
}
name_type! {
    /// LiveKit's `RM_…`: one life of a room.
    RoomSid
}
name_type! {
    /// LiveKit's `PA_…`: one connection of a participant. Membership is by this.
    ParticipantSid
}
name_type! {
    /// LiveKit's `TR_…`: one published track.
    TrackSid
}
name_type! {
    /// Eight random characters made with a record: versions compare within one epoch only.
    Epoch
}
opaque!(RoomName);
opaque!(RoomSid);
opaque!(ParticipantSid);
opaque!(TrackSid);
opaque!(Epoch);

impl StreamId {
    /// Checks `text` as a stream id.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        if text.len() > MAX_STREAM_ID_BYTES || text.chars().count() > MAX_STREAM_ID_CHARS {
            return Err(InvalidId::TooLong { chars: MAX_STREAM_ID_CHARS, bytes: MAX_STREAM_ID_BYTES });
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidId::Control);
        }
        if text == "." || text == ".." {
            return Err(InvalidId::Dots);
        }
        if split_generation(text).is_some() {
            return Err(InvalidId::GenerationSuffix);
        }
        Ok(Self(text.into()))
    }

    /// The room of this stream's `generation` (1 and up): `x`, then `x~2`, `x~3`.
    pub fn room_name(&self, generation: u32) -> RoomName {
        if generation <= 1 { RoomName(self.0.clone()) } else { RoomName::from(format!("{}~{generation}", self.0)) }
    }
}

impl Identity {
    /// Checks `text` as a user id: 1 to 256 bytes, no control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        if text.is_empty() {
            return Err(InvalidId::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(InvalidId::TooLong { chars: MAX_NAME_BYTES, bytes: MAX_NAME_BYTES });
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidId::Control);
        }
        Ok(Self(text.into()))
    }

    /// Takes what LiveKit reports: whoever is in the room counts, however named.
    pub fn reported(text: &str) -> Self {
        Self(text.into())
    }
}

impl RoomName {
    /// The stream and generation this room would belong to, or `None` when no
    /// stream of ours can have a room of that name.
    pub fn stream(&self) -> Option<(StreamId, u32)> {
        let (base, generation) = split_generation(&self.0).unwrap_or((&self.0, 1));
        StreamId::parse(base).ok().map(|id| (id, generation))
    }
}

/// `x~12` → `("x", 12)`. Generation 1 and leading zeros are not forms we write,
/// but an id ending so is refused all the same: the room would be ambiguous.
fn split_generation(text: &str) -> Option<(&str, u32)> {
    let (base, digits) = text.rsplit_once('~')?;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((base, digits.parse().unwrap_or(u32::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_are_refused_say_why() {
        let cases = [
            ("", InvalidId::Empty),
            (".", InvalidId::Dots),
            ("..", InvalidId::Dots),
            ("a\nb", InvalidId::Control),
            ("x~2", InvalidId::GenerationSuffix),
            ("x~99999999999999", InvalidId::GenerationSuffix),
        ];
        for (text, expected) in cases {
            assert_eq!(StreamId::parse(text), Err(expected), "{text:?}");
        }
        assert!(matches!(StreamId::parse(&"x".repeat(129)), Err(InvalidId::TooLong { .. })));
        assert!(matches!(StreamId::parse(&"ü".repeat(101)), Err(InvalidId::TooLong { .. })));
    }

    #[test]
    fn ids_that_are_taken() {
        for text in ["a", "a:b", "a/b", "x~", "x~y", "~", "ünï", "\"><img src=x onerror=alert(1)>", "a b"] {
            assert_eq!(StreamId::parse(text).map(|id| id.to_string()), Ok(text.to_owned()));
        }
        assert!(StreamId::parse(&"ü".repeat(100)).is_ok());
    }

    #[test]
    fn a_room_name_leads_back_to_its_stream_and_generation() {
        let id = StreamId::parse("gold:1").unwrap();
        for generation in [1, 2, 3, 40] {
            assert_eq!(id.room_name(generation).stream(), Some((id.clone(), generation)));
        }
        assert_eq!(RoomName::from("~2").stream(), None);
    }
}
