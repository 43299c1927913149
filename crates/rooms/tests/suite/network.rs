//! What a server that is reached over the network does with our tokens, and sends us.

use std::time::Duration;

use domain::{Identity, Role, RoomEvent, RoomEventKind};
use livekit_protocol as proto;
use rooms::{RoomSpec, TokenRequest, Tokens, Webhook, WebhookVerifier};

use super::receiver::Delivery;
use super::signal::Signal;
use super::{Endpoint, eventually, identity, now, spec};

fn request<'a>(room: &'a RoomSpec, identity: &'a Identity, role: Role) -> TokenRequest<'a> {
    TokenRequest { room, identity, name: Some("Ünï"), metadata: Some("{\"a\":1}"), role, now: now() }
}

async fn joined(server: &impl Endpoint, room: &RoomSpec, user: &str, role: Role) -> Signal {
    let token = server.tokens().mint(request(room, &identity(user), role)).token;
    Signal::join(&server.ws_url(), &token).await.unwrap()
}

pub(crate) async fn a_token_grants_what_its_role_may(server: &mut impl Endpoint) {
    let room = spec("gold");
    for (role, publishes) in [(Role::Host, true), (Role::Speaker, true), (Role::Viewer, false)] {
        let mut person = joined(server, &room, role.as_str(), role).await;
        let me = person.joined.participant.clone().unwrap();
        assert_eq!((me.identity.as_str(), me.name.as_str(), me.metadata.as_str()), (role.as_str(), "Ünï", "{\"a\":1}"));
        assert_eq!(me.attributes.get("role").map(String::as_str), Some(role.as_str()));
        let expected = proto::ParticipantPermission {
            can_publish: publishes,
            can_subscribe: true,
            can_publish_data: true,
            ..Default::default()
        };
        assert_eq!(me.permission, Some(expected), "{role:?}");
        assert_eq!(person.try_to_publish().await, publishes, "{role:?}");
    }
}

pub(crate) async fn the_first_join_configures_the_room(server: &mut impl Endpoint) {
    let spec = RoomSpec { max_participants: 7, ..spec("gold") };
    let room = joined(server, &spec, "ada", Role::Viewer).await.joined.room.unwrap();
    assert_eq!((room.name.as_str(), &room.metadata), ("gold", &spec.metadata));
    assert_eq!((room.empty_timeout, room.departure_timeout, room.max_participants), (331, 91, 7));
}

pub(crate) async fn a_changed_role_and_attribute_reach_the_participant(server: &mut impl Endpoint) {
    let (room, ada, rooms) = (spec("gold"), identity("ada"), server.rooms());
    let mut person = joined(server, &room, "ada", Role::Speaker).await;
    for role in [Role::Viewer, Role::Host] {
        assert!(rooms.set_role(&room.name, &ada, role).await.unwrap());
        let is_done = |me: &proto::ParticipantInfo| {
            me.permission.as_ref().is_some_and(|permission| permission.can_publish == role.may_publish())
                && me.attributes.get("role").map(String::as_str) == Some(role.as_str())
        };
        while !is_done(&person.next_of_myself().await) {}
        assert_eq!(person.try_to_publish().await, role.may_publish(), "{role:?}");
    }
    assert!(rooms.set_attribute(&room.name, &ada, "hand", "7").await.unwrap());
    while person.next_of_myself().await.attributes.get("hand").map(String::as_str) != Some("7") {}
    assert!(rooms.set_attribute(&room.name, &ada, "hand", "").await.unwrap());
    let me = loop {
        let me = person.next_of_myself().await;
        if !me.attributes.contains_key("hand") {
            break me;
        }
    };
    assert_eq!(me.attributes.get("role").map(String::as_str), Some("host"), "other attributes stay");
}

pub(crate) async fn a_full_room_takes_nobody(server: &mut impl Endpoint) {
    let spec = RoomSpec { max_participants: 1, ..spec("gold") };
    let _ada = joined(server, &spec, "ada", Role::Viewer).await;
    let token = server.tokens().mint(request(&spec, &identity("bob"), Role::Viewer)).token;
    assert!(Signal::join(&server.ws_url(), &token).await.is_err());
}

pub(crate) async fn an_expired_or_forged_token_does_not_join(server: &mut impl Endpoint) {
    let (room, ada) = (spec("gold"), identity("ada"));
    let (key, _) = server.key();
    let request = request(&room, &ada, Role::Host);
    let forged = Tokens::new(&key, "another-secret-of-sufficient-length", Duration::from_secs(600));
    let old = TokenRequest { now: now() - Duration::from_secs(3600), ..request };
    for token in [forged.mint(request).token, server.tokens().mint(old).token] {
        assert_eq!(Signal::join(&server.ws_url(), &token).await.err(), Some(401));
    }
    assert!(Signal::join(&server.ws_url(), &server.tokens().mint(request).token).await.is_ok());
}

pub(crate) async fn its_webhooks_are_received(server: &mut impl Endpoint) {
    let (room, ada) = (spec("gold"), identity("ada"));
    let created = server.rooms().create_room(&room).await.unwrap();
    let mut person = server.join(&room, &ada, Role::Speaker).await;
    person.publish().await;
    let mut events = until(server, |kind| matches!(kind, RoomEventKind::TrackPublished { .. })).await;
    let RoomEventKind::TrackPublished { track, .. } = events[events.len() - 1].kind.clone() else { unreachable!() };
    let rooms = server.rooms();
    let listed = eventually("the published track is listed", async || {
        rooms.get_participant(&room.name, &ada).await.unwrap().filter(|person| person.tracks.contains(&track))
    })
    .await;
    server.rooms().delete_room(&room.name).await.unwrap();
    events.extend(until(server, |kind| matches!(kind, RoomEventKind::RoomFinished)).await);

    assert!(matches!(events[0].kind, RoomEventKind::RoomStarted));
    let RoomEventKind::ParticipantJoined(snapshot) = &events[1].kind else { panic!("{:?}", events[1]) };
    assert_eq!((&snapshot.sid, &snapshot.identity, snapshot.kind), (&listed.sid, &ada, listed.kind));
    assert!(snapshot.active && snapshot.joined_at.is_some());
    assert!(
        events
            .iter()
            .any(|event| matches!(&event.kind, RoomEventKind::ParticipantLeft { sid, .. } if *sid == listed.sid))
    );
    let mut ids: Vec<_> = events.iter().map(|event| &event.id.0).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), events.len(), "each event has its own id");
    for event in &events {
        assert!(event.id.0.starts_with("EV_"), "{event:?}");
        assert_eq!((&event.room_name, &event.room_sid), (&room.name, &created.sid));
        let of_track =
            matches!(event.kind, RoomEventKind::TrackPublished { .. } | RoomEventKind::TrackUnpublished { .. });
        assert_eq!(event.room_metadata.as_deref(), (!of_track).then_some(room.metadata.as_str()), "{event:?}");
        assert!(now().since(event.created_at) < Duration::from_secs(60));
    }
}

/// Receives until an event of that kind has come; each delivery is also tried forged.
async fn until(server: &mut impl Endpoint, is_last: impl Fn(&RoomEventKind) -> bool) -> Vec<RoomEvent> {
    let verifier = WebhookVerifier::new(vec![server.key()]);
    let mut events = Vec::new();
    loop {
        let delivery = server.receiver().next().await;
        assert_eq!(delivery.content_type.as_deref(), Some("application/webhook+json"));
        check_forgeries(&verifier, &server.key().0, &delivery);
        let received = verifier.receive(delivery.authorization.as_deref(), &delivery.body, now()).unwrap();
        let Webhook::Event(event) = received else { panic!("{received:?}") };
        events.push(event);
        if is_last(&events[events.len() - 1].kind) {
            return events;
        }
    }
}

fn check_forgeries(verifier: &WebhookVerifier, key: &str, delivery: &Delivery) {
    let authorization = delivery.authorization.as_deref();
    let mut changed = delivery.body.to_vec();
    changed.push(b' ');
    assert_eq!(verifier.receive(authorization, &changed, now()).unwrap_err().verdict(), "wrong_body");
    let other = WebhookVerifier::new(vec![(key.to_owned(), "another-secret".to_owned())]);
    assert_eq!(other.receive(authorization, &delivery.body, now()).unwrap_err().verdict(), "bad_signature");
    let later = now() + Duration::from_secs(3600);
    assert_eq!(verifier.receive(authorization, &delivery.body, later).unwrap_err().verdict(), "expired");
}
