//! Who may be in a stream: its visibility, what a caller has shown, and bans.

use serde::{Deserialize, Serialize};

use crate::{Role, Timestamp};

/// Most bans of one stream at a time.
pub const MAX_BANS: u32 = 1_000;
/// Most identities that hold a publishing role in one generation of a stream.
pub const MAX_GRANTS: u32 = 20_000;

/// Who finds a stream, and who may look at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// In lists and in the lobby.
    #[default]
    Public,
    /// In no list; whoever knows its id may watch.
    Unlisted,
    /// In no list; looking and joining need a key or an invite.
    Private,
}

impl Visibility {
    /// In lists and in the lobby.
    pub fn is_public(&self) -> bool {
        *self == Self::Public
    }

    /// As it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
            Self::Private => "private",
        }
    }
}

/// Somebody is kept out of a stream id, whatever its generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ban {
    /// It ends by itself then.
    pub until: Timestamp,
    /// When it was decided.
    pub since: Timestamp,
    /// The host's words, shown to whoever lists bans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Ban {
    /// It keeps somebody out now.
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }
}

/// What a caller has shown about itself, as far as one stream is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// Callers are not told apart.
    Anybody,
    /// Nothing.
    Stranger,
    /// A key that may read everything and lead nothing.
    Reader,
    /// An invite to take part in this role at most.
    Invited(Role),
    /// A join token of the very identity, for the stream's current room.
    Owner,
    /// An admin key, or this stream's host key.
    Leader,
}

impl Authority {
    /// May look at a stream of this visibility.
    pub fn may_see(self, visibility: Visibility) -> bool {
        visibility != Visibility::Private || self != Self::Stranger
    }

    /// May end the stream, change it, and moderate.
    pub fn may_lead(self) -> bool {
        matches!(self, Self::Anybody | Self::Leader)
    }
}
