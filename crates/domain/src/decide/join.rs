//! Joining: who gets a token, and for which role. The list of people changes only when
//! LiveKit reports the participant; a publishing role is written down, so that nobody
//! else takes the identity while its owner is away.

use crate::{
    Authority, Ban, Decision, Head, Identity, IdentityChange, MAX_GRANTS, ParticipantSid, Phase, Role, Rules, Timestamp,
};

use super::Draft;

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
    /// As what; `None`: what the caller's authority gives.
    pub role: Option<Role>,
    /// What the caller has shown.
    pub authority: Authority,
    /// When the identity is there already.
    pub on_duplicate: OnDuplicate,
}

/// What the store has of the identity in question.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place<'a> {
    /// Its live connections.
    pub connections: &'a [ParticipantSid],
    /// The publishing role it was given a token for in this generation.
    pub granted: Option<Role>,
    /// The ban that is stored for it, ended or not.
    pub ban: Option<&'a Ban>,
    /// How many identities hold a role in the stream.
    pub grants: u32,
    /// How many bans are stored for the stream.
    pub bans: u32,
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
    /// It is private, and the caller has shown nothing.
    #[error("this stream is private: it needs a key or an invite")]
    Private,
    /// It is over.
    #[error("the stream has ended")]
    Finished,
    /// The identity is banned.
    #[error("this userId is banned from the stream")]
    Banned,
    /// The role asked for is more than the caller may have.
    #[error("the role is more than the caller may have")]
    RoleNotAllowed,
    /// The identity holds a publishing role, and the caller has not shown to be its owner.
    #[error("this userId belongs to a host or speaker of the stream")]
    Held,
    /// As many people are in it as may be.
    #[error("the stream is full")]
    Full,
    /// The identity is connected, and the caller may not, or asked not to, replace it.
    #[error("somebody with this userId is already in the stream")]
    Duplicate,
}

/// Decides about a join.
pub fn join(
    head: Option<&Head>,
    place: Place<'_>,
    request: &JoinRequest,
    now: Timestamp,
) -> Result<Admission, JoinRefusal> {
    let head = head.filter(|head| head.phase != Phase::Reserved).ok_or(JoinRefusal::NotFound)?;
    if !request.authority.may_see(head.settings.visibility) {
        return Err(JoinRefusal::Private);
    }
    if !head.phase.is_active() {
        return Err(JoinRefusal::Finished);
    }
    if place.ban.is_some_and(|ban| ban.holds(now)) {
        return Err(JoinRefusal::Banned);
    }
    let by_hand = head.roles.get(&request.identity).copied();
    let role = role_of(head, request, by_hand, place.granted)?;
    check_place(request, by_hand, place)?;
    let known = !place.connections.is_empty();
    let full = head.settings.max_participants.is_some_and(|most| head.people >= most);
    if full && !known {
        return Err(JoinRefusal::Full);
    }
    Ok(Admission { role })
}

/// A role that a host gave by hand goes before everything but a leader's explicit wish.
fn role_of(
    head: &Head,
    request: &JoinRequest,
    by_hand: Option<Role>,
    granted: Option<Role>,
) -> Result<Role, JoinRefusal> {
    let usual = head.settings.default_role;
    let (most, without_wish) = match request.authority {
        Authority::Anybody => return Ok(by_hand.or(request.role).unwrap_or(usual)),
        Authority::Leader => return Ok(request.role.or(by_hand).unwrap_or(usual)),
        Authority::Stranger | Authority::Reader => (Role::Viewer, Role::Viewer),
        Authority::Invited(role) => (role, role),
        Authority::Owner => {
            let held = by_hand.or(granted).unwrap_or(Role::Viewer);
            (held, held)
        }
    };
    match request.role {
        Some(asked) if !most.covers(asked) => Err(JoinRefusal::RoleNotAllowed),
        asked => Ok(by_hand.filter(|role| most.covers(*role)).or(asked).unwrap_or(without_wish)),
    }
}

/// Whether the identity may be used, and its connection replaced.
fn check_place(request: &JoinRequest, by_hand: Option<Role>, place: Place<'_>) -> Result<(), JoinRefusal> {
    let owned = matches!(request.authority, Authority::Anybody | Authority::Owner | Authority::Leader);
    let held = [by_hand, place.granted].into_iter().flatten().any(Role::may_publish);
    if held && !owned {
        return Err(JoinRefusal::Held);
    }
    let may_replace = owned || request.authority == Authority::Reader;
    if !place.connections.is_empty() && (request.on_duplicate == OnDuplicate::Reject || !may_replace) {
        return Err(JoinRefusal::Duplicate);
    }
    Ok(())
}

/// [`MAX_GRANTS`] identities hold a role already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_GRANTS} people hold a role in this stream already")]
pub struct TooManyGrants;

/// Writes down that `identity` is given a token with `role`. `Ok(None)` when that need not be written:
/// it holds that role already, or one that publishes nothing.
pub fn grant(
    head: &Head,
    identity: &Identity,
    role: Role,
    place: Place<'_>,
    rules: &Rules,
    now: Timestamp,
) -> Result<Option<Decision>, TooManyGrants> {
    if place.granted == Some(role) || (!role.may_publish() && place.granted.is_none()) {
        return Ok(None);
    }
    if place.granted.is_none() && place.grants >= MAX_GRANTS {
        return Err(TooManyGrants);
    }
    let mut draft = Draft::new(head, now);
    draft.identity(IdentityChange::Grant(identity.clone(), role));
    Ok(draft.finish(rules))
}
