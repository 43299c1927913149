//! Joining: who gets a token. Nothing changes until LiveKit reports the participant.

use crate::{Head, Identity, Phase, Role};

/// What to do when the identity is in the room already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDuplicate {
    /// The newcomer takes the place (LiveKit removes the former connection).
    Replace,
    /// The newcomer is refused.
    Reject,
}

/// A request to join.
#[derive(Debug, Clone)]
pub struct JoinRequest {
    /// Who.
    pub identity: Identity,
    /// As what; `None`: the stream's default.
    pub role: Option<Role>,
    /// The caller may overrule a role that was changed by hand.
    pub with_authority: bool,
    /// When the identity is there already.
    pub on_duplicate: OnDuplicate,
}

/// May join, so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The role granted.
    pub role: Role,
}

/// Why a join is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// There is no such stream.
    #[error("there is no such stream")]
    NotFound,
    /// It is over.
    #[error("the stream has ended")]
    Finished,
    /// As many people are in it as may be.
    #[error("the stream is full")]
    Full,
    /// The identity is connected, and the caller asked not to replace it.
    #[error("somebody with this userId is already in the stream")]
    Duplicate,
}

/// Decides about a join. `known` is how many live connections the identity has.
pub fn join(head: Option<&Head>, known: u32, request: &JoinRequest) -> Result<Admission, JoinRefusal> {
    let head = head.filter(|head| head.phase != Phase::Reserved).ok_or(JoinRefusal::NotFound)?;
    if !head.phase.is_active() {
        return Err(JoinRefusal::Finished);
    }
    if known > 0 && request.on_duplicate == OnDuplicate::Reject {
        return Err(JoinRefusal::Duplicate);
    }
    let full = head.settings.max_participants.is_some_and(|most| head.people >= most);
    if full && known == 0 {
        return Err(JoinRefusal::Full);
    }
    Ok(Admission { role: role_of(head, request) })
}

fn role_of(head: &Head, request: &JoinRequest) -> Role {
    let by_hand = head.roles.get(&request.identity).copied();
    match (request.role, by_hand) {
        (Some(asked), _) if request.with_authority => asked,
        (_, Some(by_hand)) => by_hand,
        (asked, None) => asked.unwrap_or(head.settings.default_role),
    }
}
