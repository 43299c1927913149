//! Events as the bytes of a webhook, signed as LiveKit signs them, for tests
//! that go through an HTTP edge.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::{Kind, ParticipantSnapshot, RoomEvent, RoomEventKind, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::jwt::Key;

/// The `Authorization` header and the body of the webhook that LiveKit would send for `event`.
pub fn signed_webhook(event: &RoomEvent, api_key: &str, api_secret: &str, now: Timestamp) -> (String, Vec<u8>) {
    let body = webhook_body(event);
    (sign_webhook(&body, api_key, api_secret, now), body)
}

/// The `Authorization` header of a webhook with this body, valid for five minutes.
pub fn sign_webhook(body: &[u8], api_key: &str, api_secret: &str, now: Timestamp) -> String {
    let seconds = now.as_millis() / 1000;
    let digest = STANDARD.encode(Sha256::digest(body));
    Key::new(api_key, api_secret)
        .sign(&json!({ "iss": api_key, "nbf": seconds, "exp": seconds + 300, "sha256": digest }))
}

/// The body of the webhook for `event`, in proto3 JSON.
pub fn webhook_body(event: &RoomEvent) -> Vec<u8> {
    let mut room = json!({ "name": event.room_name.as_str(), "sid": event.room_sid.as_str() });
    if let Some(metadata) = &event.room_metadata {
        room["metadata"] = json!(metadata);
    }
    let mut body = json!({
        "event": event_name(&event.kind),
        "room": room,
        "id": event.id.0,
        "createdAt": (event.created_at.as_millis() / 1000).to_string(),
    });
    match &event.kind {
        RoomEventKind::RoomStarted | RoomEventKind::RoomFinished => {}
        RoomEventKind::ParticipantJoined(person) => body["participant"] = participant(person),
        RoomEventKind::ParticipantLeft { sid, identity } => {
            body["participant"] =
                json!({ "sid": sid.as_str(), "identity": identity.as_str(), "state": "DISCONNECTED" });
        }
        RoomEventKind::TrackPublished { sid, identity, track }
        | RoomEventKind::TrackUnpublished { sid, identity, track } => {
            body["participant"] = json!({ "sid": sid.as_str(), "identity": identity.as_str() });
            body["track"] = json!({ "sid": track.as_str(), "type": "VIDEO", "source": "CAMERA" });
        }
    }
    body.to_string().into_bytes()
}

fn participant(person: &ParticipantSnapshot) -> Value {
    let joined = person.joined_at.map_or(0, Timestamp::as_millis);
    json!({
        "sid": person.sid.as_str(),
        "identity": person.identity.as_str(),
        "name": person.name,
        "state": if person.active { "ACTIVE" } else { "JOINED" },
        "kind": kind_name(person.kind),
        "joinedAt": (joined / 1000).to_string(),
        "joinedAtMs": joined.to_string(),
        "permission": { "canSubscribe": true, "recorder": person.kind == Kind::Recorder },
        "tracks": person.tracks.iter().map(|track| json!({ "sid": track.as_str() })).collect::<Vec<_>>(),
    })
}

fn event_name(kind: &RoomEventKind) -> &'static str {
    match kind {
        RoomEventKind::RoomStarted => "room_started",
        RoomEventKind::RoomFinished => "room_finished",
        RoomEventKind::ParticipantJoined(_) => "participant_joined",
        RoomEventKind::ParticipantLeft { .. } => "participant_left",
        RoomEventKind::TrackPublished { .. } => "track_published",
        RoomEventKind::TrackUnpublished { .. } => "track_unpublished",
    }
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Standard | Kind::Recorder => "STANDARD",
        Kind::Ingress => "INGRESS",
        Kind::Egress => "EGRESS",
        Kind::Sip => "SIP",
        Kind::Agent => "AGENT",
        Kind::Connector => "CONNECTOR",
        Kind::Bridge => "BRIDGE",
    }
}
