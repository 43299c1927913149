//! What every server behind the trait does.

use domain::{Kind, Role, TrackSid};
use rooms::{ErrorKind, RoomSpec, TrackSource};

use super::{DEADLINE, Server, eventually, identity, name, now, spec};

pub(crate) async fn creating_twice_returns_the_room_unchanged(server: &mut impl Server) {
    let rooms = server.rooms();
    let first = rooms.create_room(&spec("gold")).await.unwrap();
    assert_eq!((first.name.as_str(), &first.metadata), ("gold", &spec("gold").metadata));
    assert!(!first.sid.as_str().is_empty());
    assert_eq!((first.num_participants, first.num_publishers), (0, 0));
    let again = rooms.create_room(&RoomSpec { metadata: "other".into(), ..spec("gold") }).await.unwrap();
    assert_eq!((again.sid, again.metadata), (first.sid, first.metadata));
}

pub(crate) async fn rooms_are_listed_and_found_by_name(server: &mut impl Server) {
    let rooms = server.rooms();
    assert!(rooms.list_rooms().await.unwrap().is_empty());
    let odd = "gold: \"quoted\" / ünï~";
    for id in ["gold", odd, "silver"] {
        rooms.create_room(&spec(id)).await.unwrap();
    }
    let mut listed: Vec<_> = rooms.list_rooms().await.unwrap().into_iter().map(|room| room.name).collect();
    listed.sort();
    assert_eq!(listed, [name("gold"), name(odd), name("silver")]);
    let found = rooms.find_rooms(&[name(odd), name("tin")]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].name, &found[0].metadata), (&name(odd), &spec(odd).metadata));
    assert!(rooms.find_rooms(&[]).await.unwrap().is_empty(), "no names are no rooms, not all of them");
    assert!(rooms.find_rooms(&[name("tin")]).await.unwrap().is_empty());
}

pub(crate) async fn deleting_twice_is_fine(server: &mut impl Server) {
    let rooms = server.rooms();
    rooms.create_room(&spec("gold")).await.unwrap();
    rooms.delete_room(&name("gold")).await.unwrap();
    assert!(rooms.find_rooms(&[name("gold")]).await.unwrap().is_empty());
    rooms.delete_room(&name("gold")).await.unwrap();
    rooms.delete_room(&name("never was")).await.unwrap();
}

pub(crate) async fn what_is_not_there_is_an_answer(server: &mut impl Server) {
    let rooms = server.rooms();
    let (ada, track) = (identity("ada"), TrackSid::from("TR_none"));
    rooms.create_room(&spec("empty")).await.unwrap();
    for room in [name("never was"), name("empty")] {
        assert!(rooms.list_participants(&room).await.unwrap().is_empty(), "{room}");
        assert_eq!(rooms.get_participant(&room, &ada).await.unwrap(), None, "{room}");
        rooms.remove_participant(&room, &ada).await.unwrap();
        assert!(!rooms.set_role(&room, &ada, Role::Viewer).await.unwrap(), "{room}");
        assert!(!rooms.set_attribute(&room, &ada, "hand", "1").await.unwrap(), "{room}");
        assert_eq!(rooms.published_tracks(&room, &ada).await.unwrap(), None, "{room}");
        assert!(!rooms.mute_track(&room, &ada, &track).await.unwrap(), "{room}");
    }
    assert!(!rooms.update_room_metadata(&name("never was"), "x").await.unwrap());
}

pub(crate) async fn metadata_can_be_changed(server: &mut impl Server) {
    let rooms = server.rooms();
    let before = rooms.create_room(&spec("gold")).await.unwrap();
    assert!(rooms.update_room_metadata(&name("gold"), "{\"a\":\"ü\"}").await.unwrap());
    eventually("the listing shows it", async || {
        let after = rooms.find_rooms(&[name("gold")]).await.unwrap();
        (after[0].sid == before.sid && after[0].metadata == "{\"a\":\"ü\"}").then_some(())
    })
    .await;
}

pub(crate) async fn another_secret_is_unauthorized(server: &mut impl Server) {
    server.rooms().create_room(&spec("gold")).await.unwrap();
    let stranger = server.asked_by_a_stranger();
    let (gold, ada) = (name("gold"), identity("ada"));
    let kinds = [
        stranger.create_room(&spec("tin")).await.unwrap_err().kind,
        stranger.list_rooms().await.unwrap_err().kind,
        stranger.find_rooms(&[name("gold")]).await.unwrap_err().kind,
        stranger.delete_room(&gold).await.unwrap_err().kind,
        stranger.list_participants(&gold).await.unwrap_err().kind,
        stranger.get_participant(&gold, &ada).await.unwrap_err().kind,
        stranger.remove_participant(&gold, &ada).await.unwrap_err().kind,
        stranger.update_room_metadata(&gold, "x").await.unwrap_err().kind,
        stranger.set_role(&gold, &ada, Role::Host).await.unwrap_err().kind,
        stranger.set_attribute(&gold, &ada, "hand", "1").await.unwrap_err().kind,
        stranger.published_tracks(&gold, &ada).await.unwrap_err().kind,
        stranger.mute_track(&gold, &ada, &TrackSid::from("TR_x")).await.unwrap_err().kind,
    ];
    assert_eq!(kinds, [ErrorKind::Unauthorized; 12]);
    assert_eq!(server.rooms().list_rooms().await.unwrap().len(), 1, "nothing was done");
}

pub(crate) async fn a_server_that_does_not_answer_is_unavailable(server: &mut impl Server) {
    let rooms = server.rooms();
    rooms.create_room(&spec("gold")).await.unwrap();
    server.pause().await;
    // A signal takes a moment to stop all of a process, so the first call may still be answered.
    let error = eventually("a call fails", async || {
        // Twice the deadline is no measure of speed: without one, this would wait for ever.
        let asked = tokio::time::timeout(DEADLINE * 2, rooms.find_rooms(&[name("gold")])).await;
        asked.expect("there is a deadline").err()
    })
    .await;
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.is_retryable());
    server.resume().await;
    eventually("the server answers again", async || rooms.list_rooms().await.ok()).await;
}

pub(crate) async fn a_server_that_was_killed_knows_no_room(server: &mut impl Server) {
    let rooms = server.rooms();
    let before = rooms.create_room(&spec("gold")).await.unwrap();
    server.restart().await;
    assert_eq!(rooms.list_rooms().await.unwrap(), [], "the connections of before are not used again");
    let after = rooms.create_room(&spec("gold")).await.unwrap();
    assert_ne!(after.sid, before.sid);
}

pub(crate) async fn people_and_their_tracks_are_listed(server: &mut impl Server) {
    let (rooms, gold, ada) = (server.rooms(), spec("gold"), identity("ünï ada"));
    let mut person = server.join(&gold, &ada, Role::Speaker).await;
    let listed = eventually("ada is active", async || {
        rooms.list_participants(&gold.name).await.unwrap().into_iter().find(|person| person.active)
    })
    .await;
    assert_eq!((&listed.identity, listed.kind, listed.tracks.len()), (&ada, Kind::Standard, 0));
    assert!(listed.sid.as_str().starts_with("PA_"));
    let joined_at = listed.joined_at.unwrap();
    assert!(now().since(joined_at).as_secs() < 60 && joined_at.since(now()).as_secs() < 60, "{joined_at}");
    assert_eq!(rooms.get_participant(&gold.name, &ada).await.unwrap().unwrap().sid, listed.sid);
    assert_eq!(rooms.get_participant(&gold.name, &identity("bob")).await.unwrap(), None);
    person.publish().await;
    let tracks = eventually("ada's tracks are listed", async || {
        let tracks = rooms.get_participant(&gold.name, &ada).await.unwrap().unwrap().tracks;
        (!tracks.is_empty()).then_some(tracks)
    })
    .await;
    assert!(tracks.iter().all(|track| track.as_str().starts_with("TR_")));
    let published = rooms.published_tracks(&gold.name, &ada).await.unwrap().unwrap();
    assert!(tracks.iter().all(|track| published.iter().any(|other| other.sid == *track)));
    assert!(published.iter().all(|track| matches!(track.source, TrackSource::Camera | TrackSource::Microphone)));
    eventually("the room's own counts follow", async || {
        let room = rooms.find_rooms(std::slice::from_ref(&gold.name)).await.unwrap().pop()?;
        (room.num_participants == 1 && room.num_publishers == 1).then_some(())
    })
    .await;
}

pub(crate) async fn a_track_can_be_muted(server: &mut impl Server) {
    let (rooms, gold, ada) = (server.rooms(), spec("gold"), identity("ada"));
    let mut person = server.join(&gold, &ada, Role::Host).await;
    person.publish().await;
    let track = eventually("ada's tracks are listed", async || {
        rooms.get_participant(&gold.name, &ada).await.unwrap()?.tracks.pop()
    })
    .await;
    assert!(rooms.mute_track(&gold.name, &ada, &track).await.unwrap());
    assert!(!rooms.mute_track(&gold.name, &ada, &TrackSid::from("TR_none")).await.unwrap());
    assert!(!rooms.mute_track(&gold.name, &identity("bob"), &track).await.unwrap());
}

pub(crate) async fn who_becomes_a_viewer_loses_their_tracks(server: &mut impl Server) {
    let (rooms, gold, ada) = (server.rooms(), spec("gold"), identity("ada"));
    let mut person = server.join(&gold, &ada, Role::Speaker).await;
    person.publish().await;
    let tracks = async || rooms.get_participant(&gold.name, &ada).await.unwrap().map(|person| person.tracks.len());
    eventually("ada's tracks are listed", async || tracks().await.filter(|&count| count > 0)).await;
    assert!(rooms.set_role(&gold.name, &ada, Role::Viewer).await.unwrap());
    eventually("ada's tracks are gone", async || tracks().await.filter(|&count| count == 0)).await;
    assert!(rooms.set_role(&gold.name, &ada, Role::Speaker).await.unwrap());
}

pub(crate) async fn who_is_removed_is_gone(server: &mut impl Server) {
    let (rooms, gold, ada) = (server.rooms(), spec("gold"), identity("ada"));
    let _person = server.join(&gold, &ada, Role::Viewer).await;
    assert!(rooms.get_participant(&gold.name, &ada).await.unwrap().is_some());
    rooms.remove_participant(&gold.name, &ada).await.unwrap();
    eventually("ada is gone", async || rooms.get_participant(&gold.name, &ada).await.unwrap().is_none().then_some(()))
        .await;
    rooms.remove_participant(&gold.name, &ada).await.unwrap();
}

pub(crate) async fn the_first_join_makes_the_room_as_the_token_says(server: &mut impl Server) {
    let (rooms, gold) = (server.rooms(), spec("gold"));
    let _person = server.join(&gold, &identity("ada"), Role::Viewer).await;
    let found = rooms.find_rooms(std::slice::from_ref(&gold.name)).await.unwrap();
    assert_eq!(found[0].metadata, gold.metadata);
}
