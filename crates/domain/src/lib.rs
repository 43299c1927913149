//! What a stream *is*: ids, the stream's state machine, roles, events and the
//! decisions over them.
//!
//! Everything here is pure: no I/O, no async, no clock. `now` is always an
//! argument, and a decision is a value that somebody else commits. Nothing in
//! this crate knows Redis, LiveKit's API or HTTP.

mod access;
mod decide;
mod event;
mod ids;
mod mark;
mod participant;
mod stream;
mod time;
mod view;

pub use access::{Authority, Ban, MAX_BANS, MAX_GRANTS, Visibility};
pub use decide::adopt::adopt;
pub use decide::ban::{BanRefusal, ban, lift_ban};
pub use decide::create::{
    CreateRequest, Creation, abandon, complete, create, is_removal, is_reservation_overdue, reserve_removal,
};
pub use decide::end::end;
pub use decide::event::{EventContext, Verdict, apply_event};
pub use decide::intent::{TooManyIntents, close_intent, correct_metadata, postpone_intent, request_removal};
pub use decide::join::{Admission, JoinRefusal, JoinRequest, OnDuplicate, Place, TooManyGrants, grant, join};
pub use decide::observe::{Drift, DriftKind, Observation, SweepMemory, observe};
pub use decide::settings::{RoleRefusal, SettingsPatch, SettingsRefusal, assign_role, change_settings};
pub use decide::tick::{Due, tick};
pub use decide::{Decision, IdentityChange, ParticipantChange, Retention};
pub use event::{EventId, ParticipantSnapshot, RoomEvent, RoomEventKind, RoomSnapshot};
pub use ids::{Epoch, Identity, InvalidId, MAX_NAME_BYTES, ParticipantSid, RoomName, RoomSid, StreamId, TrackSid};
pub use mark::{DeploymentId, MARK_MEMBER, Mark, Ownership};
pub use participant::{Kind, Participant, Role};
pub use stream::{
    EndReason, Head, Intent, IntentKind, MAX_INTENTS, MAX_ROLES, Phase, Room, Rules, Session, Settings, Status,
    Tombstone,
};
pub use time::Timestamp;
pub use view::{Notice, NoticeBody, StreamView};
