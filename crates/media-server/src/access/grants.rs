//! The `video` claim of a token, and what follows from it.
//!
//! The functions that answer "may they" are here and nowhere else.

use livekit_protocol::{ParticipantPermission, TrackSource};
use serde::{Deserialize, Serialize};

/// What a token allows (the `video` claim).
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct VideoGrant {
    /// May create and delete rooms.
    #[serde(skip_serializing_if = "is_default")]
    pub room_create: bool,
    /// May list rooms.
    #[serde(skip_serializing_if = "is_default")]
    pub room_list: bool,
    /// May record rooms.
    #[serde(skip_serializing_if = "is_default")]
    pub room_record: bool,
    /// May administer the room named in `room`.
    #[serde(skip_serializing_if = "is_default")]
    pub room_admin: bool,
    /// May join the room named in `room`.
    #[serde(skip_serializing_if = "is_default")]
    pub room_join: bool,
    /// The room that `room_join` and `room_admin` are about.
    #[serde(skip_serializing_if = "is_default")]
    pub room: String,
    /// Room a participant may be forwarded or moved to.
    #[serde(skip_serializing_if = "is_default")]
    pub destination_room: String,
    /// May publish tracks; absent means yes.
    #[serde(skip_serializing_if = "is_default")]
    pub can_publish: Option<bool>,
    /// May receive tracks; absent means yes.
    #[serde(skip_serializing_if = "is_default")]
    pub can_subscribe: Option<bool>,
    /// May send data; absent means as `can_publish`.
    #[serde(skip_serializing_if = "is_default")]
    pub can_publish_data: Option<bool>,
    /// Sources that may be published, lower case; empty means all.
    #[serde(skip_serializing_if = "is_default")]
    pub can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes; absent means no.
    #[serde(skip_serializing_if = "is_default")]
    pub can_update_own_metadata: Option<bool>,
    /// May receive metrics.
    #[serde(skip_serializing_if = "is_default")]
    pub can_subscribe_metrics: Option<bool>,
    /// May administer ingresses.
    #[serde(skip_serializing_if = "is_default")]
    pub ingress_admin: bool,
    /// Is not shown to others.
    #[serde(skip_serializing_if = "is_default")]
    pub hidden: bool,
    /// Records the room and is not counted.
    #[serde(skip_serializing_if = "is_default")]
    pub recorder: bool,
    /// Is an agent and is not counted.
    #[serde(skip_serializing_if = "is_default")]
    pub agent: bool,
}

impl VideoGrant {
    /// Whether the token administers `room`.
    pub(crate) fn administers(&self, room: &str) -> bool {
        self.room_admin && !room.is_empty() && self.room == room
    }

    /// The permission a participant starts with.
    pub(crate) fn permission(&self) -> ParticipantPermission {
        let can_publish = self.can_publish.unwrap_or(true);
        ParticipantPermission {
            can_subscribe: self.can_subscribe.unwrap_or(true),
            can_publish,
            can_publish_data: self.can_publish_data.unwrap_or(can_publish),
            can_publish_sources: self.can_publish_sources.iter().map(|s| source(s).into()).collect(),
            hidden: self.hidden,
            can_update_metadata: self.can_update_own_metadata.unwrap_or(false),
            can_subscribe_metrics: self.can_subscribe_metrics.unwrap_or(false),
            #[expect(deprecated, reason = "older clients read it")]
            recorder: self.recorder,
            #[expect(deprecated, reason = "older clients read it")]
            agent: self.agent,
            ..ParticipantPermission::default()
        }
    }

    /// Takes over a permission that was changed by an administrator, for refreshed tokens.
    pub(crate) fn set_permission(&mut self, p: &ParticipantPermission) {
        self.can_subscribe = Some(p.can_subscribe);
        self.can_publish = Some(p.can_publish);
        self.can_publish_data = Some(p.can_publish_data);
        self.can_update_own_metadata = Some(p.can_update_metadata);
        self.can_subscribe_metrics = Some(p.can_subscribe_metrics);
        self.hidden = p.hidden;
        self.can_publish_sources = p.can_publish_sources().map(|s| s.as_str_name().to_lowercase()).collect();
    }
}

/// Whether a permission allows publishing a track of this source.
pub(crate) fn may_publish(permission: &ParticipantPermission, source: TrackSource) -> bool {
    permission.can_publish
        && (permission.can_publish_sources.is_empty() || permission.can_publish_sources().any(|s| s == source))
}

fn source(name: &str) -> TrackSource {
    TrackSource::from_str_name(&name.to_uppercase()).unwrap_or_default()
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_grants_mean_what_livekit_says() {
        let p = VideoGrant::default().permission();
        assert!(p.can_publish && p.can_subscribe && p.can_publish_data && !p.can_update_metadata);
        let p = VideoGrant { can_publish: Some(false), ..VideoGrant::default() }.permission();
        assert!(!p.can_publish && !p.can_publish_data && p.can_subscribe);
    }

    #[test]
    fn sources_narrow_publishing() {
        let grant = VideoGrant { can_publish_sources: vec!["camera".into()], ..VideoGrant::default() };
        let p = grant.permission();
        assert!(may_publish(&p, TrackSource::Camera) && !may_publish(&p, TrackSource::Microphone));
        let nonsense = VideoGrant { can_publish_sources: vec!["rubbish".into()], ..VideoGrant::default() };
        assert!(!may_publish(&nonsense.permission(), TrackSource::Camera), "an unknown source allows none");
    }

    #[test]
    fn a_changed_permission_survives_the_token() {
        let mut grant = VideoGrant::default();
        let p = ParticipantPermission { can_subscribe: true, can_publish_sources: vec![2], ..Default::default() };
        grant.set_permission(&p);
        assert_eq!(grant.permission(), p);
    }

    #[test]
    fn an_admin_administers_its_room_only() {
        let grant = VideoGrant { room_admin: true, room: "a".into(), ..VideoGrant::default() };
        assert!(grant.administers("a") && !grant.administers("b") && !grant.administers(""));
    }
}
