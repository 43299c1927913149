//! The simulated server does what a real one does; the shared suite in `tests/` checks the API part.

use domain::{Identity, Kind, RoomEventKind, RoomName, Timestamp};

use super::*;
use crate::{ErrorKind, Rooms};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + seconds * 1000)
}

fn server() -> (SimulatedLiveKit, RoomName, Identity) {
    (SimulatedLiveKit::new(7, at(0)), RoomName::from("gold"), Identity::parse("ada").unwrap())
}

fn names(events: &[RoomEvent]) -> Vec<&'static str> {
    let name = |event: &RoomEvent| match event.kind {
        RoomEventKind::RoomStarted => "started",
        RoomEventKind::RoomFinished => "finished",
        RoomEventKind::ParticipantJoined(_) => "joined",
        RoomEventKind::ParticipantLeft { .. } => "left",
        RoomEventKind::TrackPublished { .. } => "published",
        RoomEventKind::TrackUnpublished { .. } => "unpublished",
    };
    events.iter().map(name).collect()
}

#[tokio::test]
async fn a_session_sends_what_livekit_sends() {
    let (server, room, ada) = server();
    let joined = server.join(&room, &ada, at(1)).unwrap();
    assert_eq!(names(&joined.events), ["started", "joined"]);
    let (track, events) = server.publish(&room, &ada, at(2)).unwrap();
    assert_eq!(names(&events), ["published"]);
    assert_eq!(server.list_participants(&room).await.unwrap()[0].tracks, [track]);
    assert_eq!(names(&server.leave(&room, &ada, at(3))), ["unpublished", "left"]);
    assert_eq!(names(&server.pass_time(at(22))), [""; 0], "the departure timeout is 20 s");
    assert_eq!(names(&server.pass_time(at(23))), ["finished"]);
    assert!(server.list_rooms().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_second_connection_replaces_the_first() {
    let (server, room, ada) = server();
    let first = server.join(&room, &ada, at(1)).unwrap();
    let second = server.join(&room, &ada, at(2)).unwrap();
    assert_ne!(first.sid, second.sid);
    assert_eq!(names(&second.events), ["left", "joined"]);
    let RoomEventKind::ParticipantLeft { sid, .. } = &second.events[0].kind else { panic!() };
    assert_eq!(*sid, first.sid);
    assert_eq!(server.list_participants(&room).await.unwrap().len(), 1);
}

#[tokio::test]
async fn joining_people_are_listed_but_not_active() {
    let (server, room, ada) = server();
    server.begin_joining(&room, &Guest::person(&ada), None, at(1)).unwrap();
    assert!(!server.get_participant(&room, &ada).await.unwrap().unwrap().active);
    assert_eq!(names(&server.finish_joining(&room, &ada, at(2))), ["joined"]);
    assert!(server.get_participant(&room, &ada).await.unwrap().unwrap().active);
    assert_eq!(names(&server.finish_joining(&room, &ada, at(2))), [""; 0]);
}

#[tokio::test]
async fn a_full_room_takes_nobody_but_programs() {
    let (server, room, ada) = server();
    let spec = RoomSpec {
        name: room.clone(),
        metadata: "m".into(),
        empty_timeout: std::time::Duration::from_secs(5),
        departure_timeout: std::time::Duration::from_secs(5),
        max_participants: 1,
    };
    server.join_as(&room, &Guest::person(&ada), Some(&spec), at(1)).unwrap();
    let bob = Identity::parse("bob").unwrap();
    assert_eq!(server.join(&room, &bob, at(1)).unwrap_err(), RoomFull);
    let agent = Guest { identity: bob, name: String::new(), kind: Kind::Agent };
    assert!(server.join_as(&room, &agent, None, at(1)).is_ok());
    assert!(server.join(&room, &ada, at(2)).is_ok(), "who is replaced frees the place first");
    assert_eq!(server.list_rooms().await.unwrap()[0].metadata, "m");
}

#[tokio::test]
async fn failures_come_as_ordered() {
    let (server, room, ada) = server();
    server.join(&room, &ada, at(1)).unwrap();
    server.go_away(true);
    assert_eq!(server.list_rooms().await.unwrap_err().kind, ErrorKind::Unavailable);
    server.go_away(false);
    server.timeout_after_effect(1);
    assert_eq!(server.delete_room(&room).await.unwrap_err().kind, ErrorKind::Unavailable);
    assert!(server.list_rooms().await.unwrap().is_empty(), "it was deleted all the same");
    assert_eq!(names(&server.take_events()), ["left", "finished"]);
    assert_eq!(server.calls().of(Call::ListRooms), 2);
    assert_eq!(server.calls().total(), 3);
}

#[tokio::test]
async fn listings_lag_as_ordered() {
    let (server, room, ada) = server();
    server.freeze_listings(true);
    server.join(&room, &ada, at(1)).unwrap();
    assert!(server.list_rooms().await.unwrap().is_empty());
    server.freeze_listings(false);
    server.miss_room(&room, 1);
    server.miss_participant(&room, &ada, 1);
    assert!(server.find_rooms(std::slice::from_ref(&room)).await.unwrap().is_empty());
    assert!(server.list_participants(&room).await.unwrap().is_empty());
    assert_eq!(server.list_rooms().await.unwrap().len(), 1);
    assert_eq!(server.list_participants(&room).await.unwrap().len(), 1);
}

#[tokio::test]
async fn counts_lag_as_ordered() {
    let (server, room, ada) = server();
    server.join(&room, &ada, at(1)).unwrap();
    server.freeze_counts(true);
    server.leave(&room, &ada, at(2));
    server.join(&room, &Identity::parse("bob").unwrap(), at(3)).unwrap();
    server.join(&room, &ada, at(4)).unwrap();
    assert_eq!(server.list_rooms().await.unwrap()[0].num_participants, 1);
    assert_eq!(server.list_participants(&room).await.unwrap().len(), 2);
    server.freeze_counts(false);
    assert_eq!(server.list_rooms().await.unwrap()[0].num_participants, 2);
}

#[tokio::test]
async fn a_restart_forgets_and_a_new_life_has_a_new_sid() {
    let (server, room, ada) = server();
    let before = server.join(&room, &ada, at(1)).unwrap();
    server.restart_empty();
    assert!(server.list_rooms().await.unwrap().is_empty());
    let after = server.join(&room, &ada, at(2)).unwrap();
    assert_ne!(before.events[0].room_sid, after.events[0].room_sid);
    assert_eq!(names(&server.take_events()), [""; 0]);
}

#[test]
fn the_same_seed_gives_the_same_story() {
    let story = || {
        let (server, room, ada) = server();
        let mut events = server.join(&room, &ada, at(1)).unwrap().events;
        events.extend(server.publish(&room, &ada, at(2)).unwrap().1);
        events.extend(server.leave(&room, &ada, at(3)));
        events
    };
    assert_eq!(story(), story());
}

#[tokio::test]
async fn what_the_api_gave_a_connection_goes_with_it() {
    let (server, room, ada) = server();
    server.join(&room, &ada, at(1)).unwrap();
    assert!(server.set_attribute(&room, &ada, "hand", "7").await.unwrap());
    assert!(server.set_role(&room, &ada, Role::Viewer).await.unwrap());
    assert_eq!(server.attribute_of(&room, &ada, "hand").as_deref(), Some("7"));
    server.join(&room, &ada, at(2)).unwrap();
    assert_eq!(server.attribute_of(&room, &ada, "hand"), None);
    assert_eq!(server.role_of(&room, &ada), None);
}
