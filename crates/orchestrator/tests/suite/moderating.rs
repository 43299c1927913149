//! What hosts do: roles, muting, removing, hands, settings.

use domain::{Role, RoomName, SettingsPatch};
use orchestrator::UseCaseError;
use rooms::{Rooms, TrackSource};

use crate::bed::*;

async fn with_ann() -> (Bed, RoomName) {
    let bed = Bed::new().await;
    bed.open("gold").await;
    bed.deliver(bed.enter("gold", "ann")).await;
    (bed, RoomName::from("gold"))
}

#[tokio::test]
async fn a_role_change_reaches_livekit_and_later_tokens() {
    let (bed, room) = with_ann().await;
    let (id, ann) = (stream("gold"), person("ann"));
    bed.orchestrator.raise_hand(&id, &ann, true).await.unwrap();
    assert!(bed.livekit.attribute_of(&room, &ann, "hand").is_some());
    bed.orchestrator.change_role(&id, &ann, Role::Host).await.unwrap();
    assert_eq!(bed.livekit.role_of(&room, &ann), Some(Role::Host));
    assert_eq!(bed.livekit.attribute_of(&room, &ann, "hand"), None, "who may speak need not ask");
    bed.orchestrator.change_role(&id, &ann, Role::Viewer).await.unwrap();
    assert_eq!(bed.orchestrator.join_stream(&id, asking("ann")).await.unwrap().role, Role::Viewer);
    let absent = bed.orchestrator.change_role(&id, &person("bob"), Role::Viewer).await;
    assert!(matches!(absent, Err(UseCaseError::NotInRoom)));
}

#[tokio::test]
async fn what_livekit_did_not_do_is_not_written_down() {
    let (bed, _) = with_ann().await;
    bed.livekit.go_away(true);
    let failed = bed.orchestrator.change_role(&stream("gold"), &person("ann"), Role::Viewer).await;
    assert!(matches!(failed, Err(UseCaseError::LiveKit(_))));
    assert!(bed.head("gold").await.roles.is_empty());
}

#[tokio::test]
async fn muting_takes_the_source_that_was_named() {
    let (bed, room) = with_ann().await;
    let (id, ann) = (stream("gold"), person("ann"));
    let (camera, _) = bed.livekit.publish(&room, &ann, bed.now()).unwrap();
    let (microphone, _) = bed.livekit.publish(&room, &ann, bed.now()).unwrap();
    bed.livekit.set_source(&microphone, TrackSource::Microphone);
    bed.orchestrator.mute(&id, &ann, TrackSource::Microphone).await.unwrap();
    assert!(bed.livekit.is_muted(&microphone) && !bed.livekit.is_muted(&camera));
    let absent = bed.orchestrator.mute(&id, &person("bob"), TrackSource::Camera).await;
    assert!(matches!(absent, Err(UseCaseError::NotInRoom)));
}

#[tokio::test]
async fn removing_takes_somebody_out() {
    let (bed, room) = with_ann().await;
    bed.orchestrator.remove_from_stream(&stream("gold"), &person("ann")).await.unwrap();
    assert!(bed.livekit.list_participants(&room).await.unwrap().is_empty());
    bed.orchestrator.end_stream(&stream("gold")).await.unwrap();
    let over = bed.orchestrator.remove_from_stream(&stream("gold"), &person("ann")).await;
    assert!(matches!(over, Err(UseCaseError::Finished)));
}

#[tokio::test]
async fn settings_are_changed_under_their_tag_and_metadata_follows() {
    let (bed, room) = with_ann().await;
    let id = stream("gold");
    let tag = bed.head("gold").await.settings_tag();
    let metadata = serde_json::from_str(r#"{"colour":"red"}"#).unwrap();
    let patch = SettingsPatch { title: Some(Some("New".into())), metadata: Some(metadata), ..SettingsPatch::default() };
    let head = bed.orchestrator.change_settings(&id, &patch, Some(&tag)).await.unwrap();
    assert_eq!(head.settings.title.as_deref(), Some("New"));
    let stale = bed.orchestrator.change_settings(&id, &patch, Some(&tag)).await;
    assert!(matches!(stale, Err(UseCaseError::ChangedMeanwhile)));
    bed.until("gold", "the metadata to be written", |head| head.intents.is_empty()).await;
    let rooms = bed.livekit.find_rooms(&[room]).await.unwrap();
    assert!(rooms[0].metadata.contains("red") && rooms[0].metadata.contains("test-deployment"));
}
