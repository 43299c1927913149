//! Bodies of requests, taken from their JSON in the order in which classic would complain.

use std::time::Duration;

use domain::{
    Identity, MARK_MEMBER, MAX_NAME_BYTES, OnDuplicate, Role, Settings, SettingsPatch, StreamId, Timestamp, Visibility,
};
use orchestrator::LONGEST_BAN;
use rooms::TrackSource;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::body::{Members, refuse};
use crate::problem::Problem;

/// Most bytes of a stream's metadata as JSON.
const MAX_STREAM_METADATA: usize = 16 * 1024;
/// Most bytes of a participant's metadata: it travels in the token, and the token in a URL.
const MAX_PARTICIPANT_METADATA: usize = 4 * 1024;
const MAX_EMPTY_TIMEOUT: u32 = 7 * 24 * 3600;
const MAX_DURATION: u32 = 365 * 24 * 3600;
const MAX_WITHOUT_PUBLISHER: u32 = 24 * 3600;
const MAX_PARTICIPANTS: u32 = 1_000_000;

const ROLES: [(&str, Role); 3] = [("host", Role::Host), ("speaker", Role::Speaker), ("viewer", Role::Viewer)];
const INVITED: [(&str, Role); 2] = [("speaker", Role::Speaker), ("viewer", Role::Viewer)];
const MIN_INVITE: u32 = 60;
const USUAL_INVITE: u32 = 24 * 3600;
const MAX_INVITE: u32 = 30 * 24 * 3600;
/// Most bytes of the reason for a ban.
const MAX_REASON: usize = 500;
const UNTIL: &str = "must be a time such as 2026-11-23T10:18:21Z, in the future and at most a year from now";
const VISIBILITIES: [(&str, Visibility); 3] =
    [("public", Visibility::Public), ("unlisted", Visibility::Unlisted), ("private", Visibility::Private)];
const SOURCES: [(&str, TrackSource); 4] = [
    ("camera", TrackSource::Camera),
    ("microphone", TrackSource::Microphone),
    ("screen_share", TrackSource::ScreenShare),
    ("screen_share_audio", TrackSource::ScreenShareAudio),
];
const ON_DUPLICATE: [(&str, OnDuplicate); 2] = [("replace", OnDuplicate::Replace), ("reject", OnDuplicate::Reject)];

/// A stream to be created.
#[derive(Debug, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct CreateStreamBody {
    /// The stream's id: 1 to 128 characters, at most 200 bytes, no control
    /// characters, not `.` or `..`, not ending in `~` and digits.
    #[schema(value_type = String, min_length = 1, max_length = 128, example = "gold")]
    pub(crate) name: StreamId,
    /// Shown in the lobby.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    pub(crate) title: Option<String>,
    /// The creator's own data, at most 16 KiB of JSON; also put into the LiveKit
    /// room's metadata. A member `livestream` is refused: it is ours.
    #[schema(value_type = Object, required = false)]
    pub(crate) metadata: Map<String, Value>,
    /// Most people at once; absent: no limit.
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000)]
    pub(crate) max_participants: Option<u32>,
    /// Role of a join that names none; absent: `speaker`.
    #[schema(value_type = RoleName, required = false)]
    pub(crate) default_role: Option<Role>,
    /// Seconds after which a stream that nobody ever joined ends; absent: the server's rule.
    #[schema(nullable = false, minimum = 1, maximum = 604_800)]
    pub(crate) empty_timeout: Option<u32>,
    /// Seconds after which the stream ends whatever happens; absent: never.
    #[schema(nullable = false, minimum = 1, maximum = 31_536_000)]
    pub(crate) max_duration: Option<u32>,
    /// Seconds without a publisher after which a stream that was live ends; absent: it waits for one.
    #[schema(nullable = false, minimum = 0, maximum = 86_400)]
    pub(crate) end_without_publisher: Option<u32>,
    /// Who finds the stream, and who may look at it; absent: `public`. `private` needs `AUTH=keys`.
    #[schema(value_type = VisibilityName, required = false)]
    pub(crate) visibility: Option<Visibility>,
}

/// Who finds a stream, and who may look at it.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase", as = Visibility)]
#[expect(dead_code, reason = "the schema of domain::Visibility, which knows no HTTP")]
pub(crate) enum VisibilityName {
    /// In lists and in the lobby.
    Public,
    /// In no list; whoever knows its id may watch.
    Unlisted,
    /// In no list; looking and joining need a key, the host key or an invite.
    Private,
}

/// What somebody may do in a stream.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase", as = Role)]
#[expect(dead_code, reason = "the schema of domain::Role, which knows no HTTP")]
pub(crate) enum RoleName {
    /// Publishes, watches, sends data; leads the stream.
    Host,
    /// Publishes, watches, sends data.
    Speaker,
    /// Watches and sends data.
    Viewer,
}

/// What happens when the identity is in the stream already.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "lowercase", as = OnDuplicate)]
#[expect(dead_code, reason = "the schema of domain::OnDuplicate, which knows no HTTP")]
pub(crate) enum OnDuplicateName {
    /// The newcomer takes the place.
    Replace,
    /// The newcomer is refused with 409.
    Reject,
}

/// Somebody who wants to join.
#[derive(Debug, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct JoinStreamBody {
    /// Who: LiveKit's identity, at most 256 bytes, no control characters.
    #[schema(value_type = String, min_length = 1, max_length = 256, example = "ann")]
    pub(crate) user_id: Identity,
    /// As what; absent: the stream's `defaultRole`. Where keys are in use: `defaultRole` for an `admin` or
    /// host key, the invite's role, the role held before for an own join token, else `viewer`.
    #[schema(value_type = RoleName, required = false)]
    pub(crate) role: Option<Role>,
    /// Display name for the others.
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    pub(crate) name: Option<String>,
    /// The participant's own metadata, at most 4 KiB; LiveKit shows it to everybody in the room.
    #[schema(nullable = false, min_length = 1, max_length = 4096)]
    pub(crate) metadata: Option<String>,
    /// When the identity is there already; absent: `replace`. Where keys are in use, a caller who brings
    /// neither a key nor this identity's own join token is refused whatever this says.
    #[schema(value_type = OnDuplicateName, required = false)]
    pub(crate) on_duplicate: Option<OnDuplicate>,
}

/// Somebody who leaves.
#[derive(Debug, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct LeaveStreamBody {
    /// Who.
    #[schema(value_type = String, min_length = 1, max_length = 256, example = "ann")]
    pub(crate) user_id: Identity,
}

/// Settings to be changed; what is absent stays as it is.
#[derive(Debug, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct PatchStreamBody {
    /// Shown in the lobby; `null` takes it away.
    #[schema(value_type = Option<String>, required = false, min_length = 1, max_length = 256)]
    pub(crate) title: Option<Option<String>>,
    /// Role of a join that names none.
    #[schema(value_type = RoleName, required = false)]
    pub(crate) default_role: Option<Role>,
    /// Replaces the creator's own data as a whole, at most 16 KiB of JSON.
    #[schema(value_type = Object, required = false)]
    pub(crate) metadata: Option<Map<String, Value>>,
    /// `public` or `unlisted`; a `private` stream stays so, and no other becomes it.
    #[schema(value_type = VisibilityName, required = false)]
    pub(crate) visibility: Option<Visibility>,
}

/// An invite to be made.
#[derive(Debug, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct InviteBody {
    /// The most an invited person may be: `viewer` (absent) or `speaker`. Who is to lead is given the host key.
    #[schema(value_type = RoleName, required = false)]
    pub(crate) role: Role,
    /// Seconds after which it ends, if the stream does not end before; absent: a day.
    #[schema(nullable = false, minimum = 60, maximum = 2_592_000)]
    pub(crate) expires_in: Option<u32>,
}

/// Somebody to be kept out.
#[derive(Debug, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct BanBody {
    /// Whose userId.
    #[schema(value_type = String, min_length = 1, max_length = 256, example = "mallory")]
    pub(crate) identity: Identity,
    /// When it ends: in the future, at most a year from now; absent: in a day.
    #[schema(value_type = String, format = DateTime, required = false)]
    pub(crate) until: Option<Timestamp>,
    /// For whoever lists bans.
    #[schema(nullable = false, min_length = 1, max_length = 500)]
    pub(crate) reason: Option<String>,
}

/// A participant's new role.
#[derive(Debug, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct PatchParticipantBody {
    /// Holds at once, and for tokens issued later.
    #[schema(value_type = RoleName)]
    pub(crate) role: Role,
}

/// What is to be muted.
#[derive(Debug, PartialEq, ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct MuteBody {
    /// Where it comes from.
    #[schema(value_type = SourceName)]
    pub(crate) source: TrackSource,
}

/// Where a track comes from: LiveKit's `TrackSource`.
#[derive(Debug, Clone, Copy, ToSchema)]
#[schema(rename_all = "snake_case", as = TrackSource)]
#[expect(dead_code, reason = "the schema of rooms::TrackSource, which knows no HTTP")]
pub(crate) enum SourceName {
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen.
    ScreenShare,
    /// The sound of a shared screen.
    ScreenShareAudio,
}

impl InviteBody {
    pub(crate) fn take(mut members: Members) -> Result<Self, Problem> {
        let body = Self {
            role: members.optional_word("role", &INVITED)?.unwrap_or(Role::Viewer),
            expires_in: members.optional_integer("expiresIn", MIN_INVITE..=MAX_INVITE)?,
        };
        members.finish()?;
        Ok(body)
    }

    pub(crate) fn life(&self) -> Duration {
        Duration::from_secs(self.expires_in.unwrap_or(USUAL_INVITE).into())
    }
}

impl BanBody {
    pub(crate) fn take(mut members: Members, now: Timestamp) -> Result<Self, Problem> {
        let identity = members.required_string("identity")?;
        let identity = Identity::parse(&identity).map_err(|why| refuse("identity", &why.to_string()))?;
        let until = members.optional_string("until", MAX_NAME_BYTES)?;
        let until = until.map(|text| Timestamp::parse(&text).ok_or_else(|| refuse("until", UNTIL))).transpose()?;
        if until.is_some_and(|until| until <= now || until > now + LONGEST_BAN) {
            return Err(refuse("until", UNTIL));
        }
        let body = Self { identity, until, reason: members.optional_string("reason", MAX_REASON)? };
        members.finish()?;
        Ok(body)
    }
}

impl PatchStreamBody {
    pub(crate) fn take(mut members: Members) -> Result<Self, Problem> {
        let title = if members.take_null("title") {
            Some(None)
        } else {
            members.optional_string("title", MAX_NAME_BYTES)?.map(Some)
        };
        let has_metadata = members.has("metadata");
        let metadata = members.optional_object("metadata", MAX_STREAM_METADATA)?;
        let body = Self {
            title,
            default_role: members.optional_word("defaultRole", &ROLES)?,
            metadata: has_metadata.then_some(metadata),
            visibility: members.optional_word("visibility", &VISIBILITIES)?,
        };
        if body.metadata.as_ref().is_some_and(|metadata| metadata.contains_key(MARK_MEMBER)) {
            return Err(refuse("metadata.livestream", "is not allowed"));
        }
        members.finish()?;
        Ok(body)
    }

    pub(crate) fn into_patch(self) -> SettingsPatch {
        SettingsPatch {
            title: self.title,
            default_role: self.default_role,
            visibility: self.visibility,
            metadata: self.metadata,
        }
    }
}

impl PatchParticipantBody {
    pub(crate) fn take(mut members: Members) -> Result<Self, Problem> {
        let role = members.optional_word("role", &ROLES)?.ok_or_else(|| refuse("role", "is required"))?;
        members.finish()?;
        Ok(Self { role })
    }
}

impl MuteBody {
    pub(crate) fn take(mut members: Members) -> Result<Self, Problem> {
        let source = members.optional_word("source", &SOURCES)?.ok_or_else(|| refuse("source", "is required"))?;
        members.finish()?;
        Ok(Self { source })
    }
}

impl CreateStreamBody {
    pub(crate) fn take(mut members: Members) -> Result<Self, Problem> {
        let name = members.required_string("name")?;
        let body = Self {
            name: StreamId::parse(&name).map_err(|why| refuse("name", &why.to_string()))?,
            title: members.optional_string("title", MAX_NAME_BYTES)?,
            metadata: members.optional_object("metadata", MAX_STREAM_METADATA)?,
            max_participants: members.optional_integer("maxParticipants", 1..=MAX_PARTICIPANTS)?,
            default_role: members.optional_word("defaultRole", &ROLES)?,
            empty_timeout: members.optional_integer("emptyTimeout", 1..=MAX_EMPTY_TIMEOUT)?,
            max_duration: members.optional_integer("maxDuration", 1..=MAX_DURATION)?,
            end_without_publisher: members.optional_integer("endWithoutPublisher", 0..=MAX_WITHOUT_PUBLISHER)?,
            visibility: members.optional_word("visibility", &VISIBILITIES)?,
        };
        if body.metadata.contains_key(MARK_MEMBER) {
            return Err(refuse("metadata.livestream", "is not allowed"));
        }
        members.finish()?;
        Ok(body)
    }

    pub(crate) fn into_parts(self) -> (StreamId, Settings) {
        let settings = Settings {
            title: self.title,
            metadata: self.metadata,
            max_participants: self.max_participants,
            default_role: self.default_role.unwrap_or(Role::Speaker),
            visibility: self.visibility.unwrap_or_default(),
            empty_timeout: self.empty_timeout,
            max_duration: self.max_duration,
            end_without_publisher: self.end_without_publisher,
        };
        (self.name, settings)
    }
}

impl JoinStreamBody {
    pub(crate) fn take(mut members: Members) -> Result<Self, Problem> {
        let body = Self {
            user_id: user_id(&mut members)?,
            role: members.optional_word("role", &ROLES)?,
            name: members.optional_string("name", MAX_NAME_BYTES)?,
            metadata: members.optional_text("metadata", MAX_PARTICIPANT_METADATA)?,
            on_duplicate: members.optional_word("onDuplicate", &ON_DUPLICATE)?,
        };
        members.finish()?;
        Ok(body)
    }
}

impl LeaveStreamBody {
    pub(crate) fn take(mut members: Members) -> Result<Self, Problem> {
        let body = Self { user_id: user_id(&mut members)? };
        members.finish()?;
        Ok(body)
    }
}

fn user_id(members: &mut Members) -> Result<Identity, Problem> {
    let text = members.required_string("userId")?;
    Identity::parse(&text).map_err(|why| refuse("userId", &why.to_string()))
}
