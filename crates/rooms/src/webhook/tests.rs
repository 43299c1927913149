use domain::{EventId, Identity, Kind, ParticipantSid, RoomEventKind, RoomName, RoomSid, TrackSid};
use serde_json::{Value, json};
use std::time::Duration;

use super::*;
use crate::simulated::sign_webhook;

const NOW: Timestamp = Timestamp::from_millis(1_795_429_101_951);
const BODY: &[u8] =
    br#"{"event":"room_started","room":{"sid":"RM_1","name":"gold"},"id":"EV_1","createdAt":"1795429100"}"#;

fn verifier() -> WebhookVerifier {
    WebhookVerifier::new(vec![("key".into(), "secret".into())])
}

fn authorization(body: &[u8]) -> String {
    sign_webhook(body, "key", "secret", NOW)
}

fn receive(authorization: &str, body: &[u8]) -> Result<Webhook, WebhookError> {
    verifier().receive(Some(authorization), body, NOW)
}

fn verdict(authorization: &str, body: &[u8]) -> &'static str {
    let error = receive(authorization, body).unwrap_err();
    assert_eq!(error.is_unauthorized(), error.verdict() != "unreadable_body");
    error.verdict()
}

/// Decodes a signed body.
fn decoded(body: &Value) -> Webhook {
    let body = body.to_string();
    receive(&authorization(body.as_bytes()), body.as_bytes()).unwrap()
}

fn event(body: &Value) -> RoomEvent {
    match decoded(body) {
        Webhook::Event(event) => event,
        Webhook::Other { event } => panic!("{event:?} is taken for none of ours"),
    }
}

fn is_other(body: &Value) -> bool {
    matches!(decoded(body), Webhook::Other { .. })
}

fn claims(body: &[u8]) -> Value {
    let now = NOW.as_millis() / 1000;
    json!({ "iss": "key", "nbf": now, "exp": now + 300, "sha256": BASE64.encode(Sha256::digest(body)) })
}

fn signed(claims: &Value) -> String {
    Key::new("key", "secret").sign(claims)
}

#[test]
fn a_signed_webhook_is_received_with_and_without_bearer() {
    let token = authorization(BODY);
    let expected = RoomEvent {
        id: EventId("EV_1".into()),
        room_name: RoomName::from("gold"),
        room_sid: RoomSid::from("RM_1"),
        room_metadata: Some(String::new()),
        created_at: Timestamp::from_millis(1_795_429_100_000),
        kind: RoomEventKind::RoomStarted,
    };
    for header in [token.clone(), format!("Bearer {token}"), format!("bearer  {token} ")] {
        assert_eq!(receive(&header, BODY).unwrap(), Webhook::Event(expected.clone()));
    }
}

#[test]
fn without_a_header_it_is_unsigned() {
    assert_eq!(verifier().receive(None, BODY, NOW).unwrap_err().verdict(), "unsigned");
}

#[test]
fn garbage_in_the_header_is_unreadable() {
    for garbage in ["", "Bearer", "Bearer ", "x", "a.b.c", "..", "ü.ü.ü", "eyJ.eyJ.eyJ"] {
        assert_eq!(verdict(garbage, BODY), "unreadable_token", "{garbage:?}");
    }
}

#[test]
fn another_secret_is_a_bad_signature() {
    assert_eq!(verdict(&sign_webhook(BODY, "key", "other", NOW), BODY), "bad_signature");
    let token = authorization(BODY);
    assert_eq!(verdict(token.rsplit_once('.').unwrap().0, BODY), "unreadable_token");
    assert_eq!(verdict(&format!("{}.", token.rsplit_once('.').unwrap().0), BODY), "bad_signature");
}

#[test]
fn another_key_is_named() {
    let error = receive(&sign_webhook(BODY, "other", "secret", NOW), BODY).unwrap_err();
    assert_eq!(error.verdict(), "unknown_key");
    assert!(error.to_string().contains("\"other\""));
}

#[test]
fn alg_none_is_refused() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let token = authorization(BODY);
    let parts: Vec<_> = token.split('.').collect();
    for alg in ["none", "NONE", "RS256", "HS512"] {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#));
        for signature in ["", parts[2]] {
            let error = receive(&format!("{header}.{}.{signature}", parts[1]), BODY).unwrap_err();
            assert!(error.is_unauthorized(), "{alg} {signature}: {error:?}");
        }
    }
}

#[test]
fn several_keys_are_accepted_while_they_are_changed() {
    let verifier = WebhookVerifier::new(vec![("old".into(), "s1".into()), ("new".into(), "s2".into())]);
    for (key, secret, accepted) in
        [("old", "s1", true), ("new", "s2", true), ("old", "s2", false), ("new", "s1", false)]
    {
        let header = sign_webhook(BODY, key, secret, NOW);
        assert_eq!(verifier.receive(Some(&header), BODY, NOW).is_ok(), accepted, "{key} {secret}");
    }
    let none = WebhookVerifier::new(Vec::new());
    assert!(none.receive(Some(&authorization(BODY)), BODY, NOW).is_err());
}

#[test]
fn times_are_checked_with_a_minute_of_leeway() {
    let header = authorization(BODY);
    let at = |seconds: i64| {
        let now = Timestamp::from_millis(NOW.as_millis() / 1000 * 1000 + seconds * 1000);
        verifier().receive(Some(&header), BODY, now).map(|_| "ok").unwrap_or_else(|error| error.verdict())
    };
    assert_eq!([at(-61), at(-60), at(0), at(359), at(360)], ["early", "ok", "ok", "ok", "expired"]);
    let mut endless = claims(BODY);
    endless.as_object_mut().unwrap().remove("exp");
    assert_eq!(verdict(&signed(&endless), BODY), "expired");
}

#[test]
fn a_changed_body_is_refused() {
    let header = authorization(BODY);
    assert_eq!(verdict(&header, b""), "wrong_body");
    assert_eq!(verdict(&header, &[BODY, b" "].concat()), "wrong_body");
    let mut changed = BODY.to_vec();
    changed[20] ^= 1;
    assert_eq!(verdict(&header, &changed), "wrong_body");
    assert_eq!(verdict(&header, b"not even json"), "wrong_body", "the body is read only once it is known to be signed");
}

#[test]
fn a_token_without_the_right_digest_is_refused() {
    let wrong = [json!(""), json!("x"), json!("====="), json!(null), json!(BASE64.encode([0_u8; 32]))];
    for digest in wrong {
        let mut claims = claims(BODY);
        claims["sha256"] = digest;
        assert_eq!(verdict(&signed(&claims), BODY), "wrong_body");
    }
    let mut none = claims(BODY);
    none.as_object_mut().unwrap().remove("sha256");
    assert_eq!(verdict(&signed(&none), BODY), "wrong_body", "an API token of the same key signs no webhook");
    let mut unpadded = claims(BODY);
    unpadded["sha256"] = json!(unpadded["sha256"].as_str().unwrap().trim_end_matches('='));
    assert!(receive(&signed(&unpadded), BODY).is_ok());
}

#[test]
fn a_signed_body_that_is_no_event_is_told_apart() {
    for body in [&b""[..], b"[]x", b"\xff\xfe", b"7", br#"{"event":7}"#] {
        assert_eq!(verdict(&authorization(body), body), "unreadable_body");
    }
}

#[test]
fn a_participant_is_read_whole() {
    let body = json!({
        "event": "participant_joined", "id": "EV_2", "createdAt": "1795429100",
        "room": { "sid": "RM_1", "name": "gold", "emptyTimeout": 300, "metadata": "{}", "enabledCodecs": [{ "mime": "x" }] },
        "participant": {
            "sid": "PA_1", "identity": "ada", "name": "Ada", "state": "ACTIVE", "joinedAt": "1795429099",
            "joinedAtMs": "1795429099123", "kind": "SIP", "permission": { "canPublish": true },
            "tracks": [{ "sid": "TR_1", "type": "VIDEO" }, {}], "version": 3, "isPublisher": true,
        },
    });
    let RoomEvent { room_metadata, kind: RoomEventKind::ParticipantJoined(person), .. } = event(&body) else {
        panic!()
    };
    assert_eq!(room_metadata.as_deref(), Some("{}"));
    assert_eq!((person.sid, person.identity), (ParticipantSid::from("PA_1"), Identity::reported("ada")));
    assert_eq!((person.name.as_str(), person.kind, person.active), ("Ada", Kind::Sip, true));
    assert_eq!(person.joined_at, Some(Timestamp::from_millis(1_795_429_099_123)));
    assert_eq!(person.tracks, [TrackSid::from("TR_1")]);
}

#[test]
fn numbers_and_enums_come_as_text_or_as_numbers() {
    let joined = |participant: Value| {
        let body = json!({
            "event": "participant_joined", "created_at": 1_795_429_100, "room": { "name": "gold" }, "participant": participant,
        });
        let event = event(&body);
        assert_eq!(event.created_at.as_millis(), 1_795_429_100_000);
        let RoomEventKind::ParticipantJoined(person) = event.kind else { panic!() };
        (person.kind, person.active, person.joined_at.map(Timestamp::as_millis))
    };
    let numbers = json!({ "sid": "PA_1", "state": 2, "kind": 7, "joined_at": 5, "joined_at_ms": 5_500 });
    assert_eq!(joined(numbers), (Kind::Connector, true, Some(5_500)));
    let texts = json!({ "sid": "PA_1", "state": "JOINED", "kind": "BRIDGE", "joinedAt": "5" });
    assert_eq!(joined(texts), (Kind::Bridge, false, Some(5_000)));
    let recorder = json!({ "sid": "PA_1", "permission": { "recorder": true, "hidden": true } });
    assert_eq!(joined(recorder), (Kind::Recorder, true, None));
}

#[test]
fn what_a_newer_server_adds_does_no_harm() {
    let body = json!({
        "event": "participant_joined", "id": null, "createdAt": { "strange": [1] }, "novelty": { "deep": [[]] },
        "room": { "name": "gold", "sid": null, "mood": "GOOD" },
        "participant": {
            "sid": "PA_1", "identity": "ada", "kind": "HOLOGRAM", "state": "ACTIVE", "disconnectReason": "BORED",
            "kindDetails": ["NEW"], "tracks": [{ "sid": "TR_1", "source": "SMELL" }], "joinedAt": [],
        },
    });
    let event = event(&body);
    assert_eq!((event.id.0.as_str(), event.room_sid.as_str(), event.created_at), ("", "", NOW));
    let RoomEventKind::ParticipantJoined(person) = event.kind else { panic!() };
    assert!(!person.kind.is_person() && person.kind.keeps_alive());
}

#[test]
fn all_events_of_rooms_are_read() {
    let track = |name: &str| {
        event(&json!({
            "event": name, "room": { "sid": "RM_1", "name": "gold" },
            "participant": { "sid": "PA_1", "identity": "ada" }, "track": { "sid": "TR_1", "source": "CAMERA" },
        }))
    };
    let (sid, identity, id) = (ParticipantSid::from("PA_1"), Identity::reported("ada"), TrackSid::from("TR_1"));
    let published = track("track_published");
    assert_eq!(published.room_metadata, None, "track events do not carry it");
    assert_eq!(
        published.kind,
        RoomEventKind::TrackPublished { sid: sid.clone(), identity: identity.clone(), track: id.clone() }
    );
    let expected = RoomEventKind::TrackUnpublished { sid: sid.clone(), identity: identity.clone(), track: id };
    assert_eq!(track("track_unpublished").kind, expected);
    for name in ["participant_left", "participant_connection_aborted"] {
        assert_eq!(track(name).kind, RoomEventKind::ParticipantLeft { sid: sid.clone(), identity: identity.clone() });
    }
    assert_eq!(track("room_finished").kind, RoomEventKind::RoomFinished);
}

#[test]
fn everything_else_is_other() {
    let room = json!({ "name": "gold", "sid": "RM_1" });
    let participant = json!({ "sid": "PA_1", "identity": "ada" });
    for other in [
        json!({}),
        json!({ "event": null }),
        json!({ "event": "egress_started", "egressInfo": { "egressId": "EG_1" } }),
        json!({ "event": "ingress_ended", "ingressInfo": {} }),
        json!({ "event": "room_levitated", "room": room }),
        json!({ "event": "room_started" }),
        json!({ "event": "room_started", "room": { "sid": "RM_1" } }),
        json!({ "event": "room_started", "room": { "name": "" } }),
        json!({ "event": "participant_joined", "room": room }),
        json!({ "event": "participant_left", "room": room, "participant": { "identity": "ada" } }),
        json!({ "event": "track_published", "room": room, "participant": participant }),
        json!({ "event": "track_published", "room": room, "track": { "sid": "TR_1" } }),
    ] {
        assert!(is_other(&other), "{other}");
    }
    assert_eq!(decoded(&json!({ "event": "egress_started" })), Webhook::Other { event: "egress_started".into() });
}

/// The simulated server's bodies are the ones we read, for every kind of event.
#[test]
fn the_simulated_servers_webhooks_come_back_as_its_events() {
    use crate::simulated::{Guest, SimulatedLiveKit, signed_webhook};
    let server = SimulatedLiveKit::new(3, NOW);
    let (room, ada) = (RoomName::from("gold"), Identity::reported("ada"));
    let mut events = server.join(&room, &ada, NOW).unwrap().events;
    for kind in [Kind::Sip, Kind::Bridge, Kind::Recorder, Kind::Ingress] {
        let guest = Guest { identity: Identity::reported("other"), name: "Other".into(), kind };
        events.extend(server.join_as(&room, &guest, None, NOW).unwrap().events);
    }
    let (track, published) = server.publish(&room, &ada, NOW).unwrap();
    events.extend(published);
    events.extend(server.unpublish(&room, &ada, &track, NOW));
    events.extend(server.leave(&room, &ada, NOW));
    events.extend(server.leave(&room, &Identity::reported("other"), NOW));
    events.extend(server.pass_time(NOW + Duration::from_secs(60)));
    assert!(matches!(events.last().unwrap().kind, RoomEventKind::RoomFinished));
    for event in events {
        let (header, body) = signed_webhook(&event, "key", "secret", NOW);
        assert_eq!(receive(&header, &body).unwrap(), Webhook::Event(event));
    }
}
