//! Schemas of what others send us, for the document alone: it is read elsewhere, and with more patience.
#![expect(dead_code, reason = "only their schemas are used")]

use utoipa::ToSchema;

/// An event of LiveKit's, as far as it is read here (`livekit.WebhookEvent` in proto3 JSON).
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", as = LiveKitWebhook)]
pub(crate) struct LiveKitWebhook {
    /// What happened. Events that are not listed here are taken and change nothing.
    event: String,
    /// By it the same event is known when it comes twice.
    id: String,
    /// Seconds since 1970; a text, as proto3 writes 64-bit numbers.
    created_at: String,
    /// Which room.
    room: LiveKitRoom,
    /// Who; absent in events of the room.
    #[schema(nullable = false)]
    participant: Option<LiveKitParticipant>,
    /// Which track; absent elsewhere than in events of tracks.
    #[schema(nullable = false)]
    track: Option<LiveKitTrack>,
}

/// A room in an event of LiveKit's.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", as = LiveKitRoom)]
pub(crate) struct LiveKitRoom {
    /// The life of the room: another one under the same name has another.
    sid: String,
    /// The room's name: of a stream's first generation, its id.
    name: String,
    /// Tells whose room it is.
    #[schema(nullable = false)]
    metadata: Option<String>,
}

/// A participant in an event of LiveKit's.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", as = LiveKitParticipant)]
pub(crate) struct LiveKitParticipant {
    /// The connection.
    sid: String,
    /// The person.
    identity: String,
    /// Display name.
    #[schema(nullable = false)]
    name: Option<String>,
    /// `JOINING`, `JOINED`, `ACTIVE` or `DISCONNECTED`.
    #[schema(nullable = false)]
    state: Option<String>,
    /// `STANDARD`, `INGRESS`, `EGRESS`, `SIP`, `AGENT`, `CONNECTOR` or `BRIDGE`.
    #[schema(nullable = false)]
    kind: Option<String>,
    /// Seconds since 1970.
    #[schema(nullable = false)]
    joined_at: Option<String>,
    /// Milliseconds since 1970.
    #[schema(nullable = false)]
    joined_at_ms: Option<String>,
}

/// A track in an event of LiveKit's.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", as = LiveKitTrack)]
pub(crate) struct LiveKitTrack {
    /// The track.
    sid: String,
    /// `AUDIO`, `VIDEO` or `DATA`.
    #[schema(nullable = false)]
    r#type: Option<String>,
    /// `CAMERA`, `MICROPHONE`, `SCREEN_SHARE` or `SCREEN_SHARE_AUDIO`.
    #[schema(nullable = false)]
    source: Option<String>,
}
