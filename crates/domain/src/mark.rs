//! The mark in a room's metadata by which a deployment knows its own rooms.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::StreamId;

/// The member of room metadata that is ours; user metadata must not have it.
pub const MARK_MEMBER: &str = "livestream";

/// Random id of one deployment (all instances on one store).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeploymentId(pub String);

/// `{"livestream":{"deployment":…,"id":…,"generation":…}}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Whose room it is.
    pub deployment: DeploymentId,
    /// The stream.
    pub id: StreamId,
    /// The stream's generation, 1 and up.
    pub generation: u32,
}

/// Whose a room is, by its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Carries this deployment's mark.
    Ours(Mark),
    /// Carries another deployment's mark.
    Foreign,
    /// Carries no mark that can be read.
    Unmarked,
}

impl Mark {
    /// The metadata of a room: the user's members, and the mark.
    pub fn metadata(&self, user: &Map<String, Value>) -> String {
        let mut all = user.clone();
        all.insert(MARK_MEMBER.to_owned(), serde_json::json!(self));
        Value::Object(all).to_string()
    }
}

impl Ownership {
    /// Reads `metadata` with the eyes of deployment `own`.
    pub fn of(metadata: &str, own: &DeploymentId) -> Self {
        #[derive(Deserialize)]
        struct Marked {
            livestream: Mark,
        }
        match serde_json::from_str::<Marked>(metadata) {
            Ok(Marked { livestream: mark }) if mark.deployment == *own => Self::Ours(mark),
            Ok(_) => Self::Foreign,
            Err(_) => Self::Unmarked,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_back_and_told_apart() {
        let own = DeploymentId("d1".into());
        let mark = Mark { deployment: own.clone(), id: StreamId::parse("gold").unwrap(), generation: 2 };
        let mut user = Map::new();
        user.insert("colour".into(), "red".into());
        let text = mark.metadata(&user);
        assert_eq!(Ownership::of(&text, &own), Ownership::Ours(mark));
        assert_eq!(Ownership::of(&text, &DeploymentId("d2".into())), Ownership::Foreign);
        assert!(text.contains("colour"));
        for other in ["", "{}", "{\"livestream\":3}", "not json", "{\"livestream\":{\"id\":\"\"}}"] {
            assert_eq!(Ownership::of(other, &own), Ownership::Unmarked, "{other}");
        }
    }
}
