//! Creating and ending, with LiveKit there, away, late, or somebody else's.

use std::sync::Arc;
use std::time::Duration;

use domain::{EndReason, Phase, RoomName, Rules, Settings};
use orchestrator::{MediaSide, Orchestrator, StartError, UseCaseError};
use rooms::{RoomSpec, Rooms};
use store::{Concern, MetaKey};

use crate::bed::*;

#[tokio::test]
async fn the_first_create_makes_the_room_and_the_second_returns_what_is() {
    let bed = Bed::new().await;
    let head = bed.open("gold").await;
    assert_eq!((head.phase, head.version, head.generation), (Phase::Waiting, 1, 1));
    assert!(bed.room_exists("gold").await);
    let other = Settings { title: Some("other".into()), ..Settings::default() };
    let again = bed.orchestrator.create_stream(stream("gold"), other, false).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.head.settings.title, None);
}

#[tokio::test]
async fn fifty_creates_at_once_make_one_stream() {
    let bed = Bed::new().await;
    let all: Vec<_> = (0..50)
        .map(|_| {
            let orchestrator = bed.orchestrator.clone();
            tokio::spawn(async move { orchestrator.create_stream(stream("gold"), Settings::default(), false).await })
        })
        .collect();
    let mut made = 0;
    for task in all {
        made += u32::from(task.await.unwrap().unwrap().is_new);
    }
    assert_eq!(made, 1);
    assert_eq!(bed.head("gold").await.version, 1);
}

#[tokio::test]
async fn a_create_that_livekit_refuses_leaves_nothing_behind() {
    let bed = Bed::new().await;
    bed.livekit.go_away(true);
    let refused = bed.orchestrator.create_stream(stream("gold"), Settings::default(), false).await;
    assert!(matches!(refused, Err(UseCaseError::LiveKit(ref error)) if error.is_retryable()), "{refused:?}");
    assert!(matches!(bed.orchestrator.get_stream(&stream("gold")).await, Err(UseCaseError::NotFound)));
    bed.livekit.go_away(false);
    assert_eq!(bed.open("gold").await.version, 1);
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_takes_the_room_that_was_made() {
    let bed = Bed::new().await;
    // The health probe asks first, and would take the lost answer for itself.
    while bed.livekit.calls().total() == 0 {
        tokio::task::yield_now().await;
    }
    bed.livekit.timeout_after_effect(1);
    let lost = bed.orchestrator.create_stream(stream("gold"), Settings::default(), false).await;
    assert!(matches!(lost, Err(UseCaseError::LiveKit(_))));
    assert!(bed.room_exists("gold").await);
    let head = bed.open("gold").await;
    assert!(!head.room.unmarked);
}

#[tokio::test]
async fn a_very_late_creator_does_not_take_anothers_reservation_for_its_own() {
    let (rules, jobs) = patient();
    let rules = Rules { reservation: Duration::from_millis(300), ..rules };
    let bed = Bed::with((rules, jobs)).await;
    bed.livekit.hold_creates();
    let create = || {
        let orchestrator = bed.orchestrator.clone();
        tokio::spawn(async move { orchestrator.create_stream(stream("gold"), Settings::default(), false).await })
    };
    let reserved = || async { bed.store.load(&stream("gold"), Concern::default()).await.unwrap().head };
    let until_reserved = |wanted: bool| async move {
        while reserved().await.is_some() != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let first = create();
    until_reserved(true).await;
    // The timer takes back what is overdue, and somebody else creates the same generation.
    until_reserved(false).await;
    let second = create();
    until_reserved(true).await;
    bed.livekit.let_a_create_pass();
    let first = first.await.unwrap();
    assert!(matches!(first, Err(UseCaseError::Busy(_))), "{first:?}");
    bed.livekit.let_a_create_pass();
    let second = second.await.unwrap().unwrap();
    assert_eq!((second.is_new, second.head.generation), (true, 1));
}

#[tokio::test]
async fn a_room_of_another_deployment_is_left_alone() {
    let bed = Bed::new().await;
    let spec = foreign_room(r#"{"livestream":{"deployment":"theirs","id":"gold","generation":1}}"#);
    bed.livekit.create_room(&spec).await.unwrap();
    let refused = bed.orchestrator.create_stream(stream("gold"), Settings::default(), false).await;
    assert!(matches!(refused, Err(UseCaseError::RoomTaken)));
    assert!(bed.room_exists("gold").await);
    assert_eq!(bed.deliver(bed.enter("gold", "ann")).await, ["orphan"]);
    assert!(bed.room_exists("gold").await);
}

#[tokio::test]
async fn a_room_without_a_mark_is_taken_and_its_metadata_left_alone() {
    let bed = Bed::new().await;
    bed.livekit.create_room(&foreign_room("hand-made")).await.unwrap();
    assert!(bed.open("gold").await.room.unmarked);
    let rooms = bed.livekit.find_rooms(&[RoomName::from("gold")]).await.unwrap();
    assert_eq!(rooms[0].metadata, "hand-made");
}

fn foreign_room(metadata: &str) -> RoomSpec {
    RoomSpec {
        name: RoomName::from("gold"),
        metadata: metadata.to_owned(),
        empty_timeout: std::time::Duration::from_secs(300),
        departure_timeout: std::time::Duration::from_secs(20),
        max_participants: 0,
    }
}

#[tokio::test]
async fn delete_removes_the_room_and_is_idempotent() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    for _ in 0..2 {
        bed.orchestrator.end_stream(&stream("gold")).await.unwrap();
    }
    assert!(!bed.room_exists("gold").await);
    let head = bed.head("gold").await;
    assert_eq!((head.phase, head.end_reason, head.closing()), (Phase::Ended, Some(EndReason::Stopped), false));
    assert!(head.ended_at.is_some());
}

#[tokio::test]
async fn delete_of_a_stream_that_never_was_writes_nothing() {
    let bed = Bed::new().await;
    bed.orchestrator.end_stream(&stream("ghost")).await.unwrap();
    assert!(matches!(bed.orchestrator.get_stream(&stream("ghost")).await, Err(UseCaseError::NotFound)));
}

#[tokio::test]
async fn delete_while_livekit_is_away_is_carried_out_later() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    bed.livekit.go_away(true);
    bed.orchestrator.end_stream(&stream("gold")).await.unwrap();
    let head = bed.head("gold").await;
    assert!(head.phase == Phase::Ended && head.closing());
    bed.livekit.go_away(false);
    bed.until("gold", "closing to be over", |head| !head.closing()).await;
    assert!(!bed.room_exists("gold").await);
}

#[tokio::test]
async fn a_stream_started_again_has_a_room_of_its_own() {
    let bed = Bed::new().await;
    let first = bed.open("gold").await;
    bed.orchestrator.end_stream(&stream("gold")).await.unwrap();
    let ended = bed.head("gold").await;
    let second = bed.open("gold").await;
    assert_eq!((second.generation, second.room.name.as_str()), (2, "gold~2"));
    assert_eq!(second.epoch, first.epoch);
    assert_eq!(second.version, ended.version + 1);
}

#[tokio::test]
async fn a_reservation_of_a_dead_creator_is_completed_or_removed() {
    let (rules, jobs) = patient();
    let rules = domain::Rules { reservation: std::time::Duration::from_millis(50), ..rules };
    let bed = Bed::with((rules, jobs)).await;
    // The creator died before LiveKit was asked …
    reserve_only(&bed, "gone").await;
    // … or after.
    let head = reserve_only(&bed, "made").await;
    let mark = domain::Mark { deployment: bed.orchestrator.deployment().clone(), id: head.id, generation: 1 };
    let spec = RoomSpec { name: RoomName::from("made"), ..foreign_room(&mark.metadata(&serde_json::Map::new())) };
    bed.livekit.create_room(&spec).await.unwrap();
    bed.store.load(&stream("gone"), store::Concern::default()).await.unwrap().head.unwrap();
    for _ in 0..300 {
        let gone = bed.store.load(&stream("gone"), store::Concern::default()).await.unwrap().head;
        let made = bed.orchestrator.get_stream(&stream("made")).await;
        if gone.is_none() && made.is_ok_and(|head| head.phase == Phase::Waiting) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the reservations are still there");
}

#[tokio::test]
async fn no_stream_comes_of_an_orphans_removal_that_was_cut_short() {
    let (rules, jobs) = patient();
    let rules = domain::Rules { reservation: std::time::Duration::from_millis(50), ..rules };
    let bed = Bed::with((rules, jobs)).await;
    let stone = domain::Tombstone {
        epoch: domain::Epoch::from("epoch"),
        version: 7,
        generation: 1,
        room: RoomName::from("gold"),
        banned_until: None,
    };
    let mark = domain::Mark { deployment: bed.orchestrator.deployment().clone(), id: stream("gold"), generation: 2 };
    let spec = RoomSpec { name: RoomName::from("gold~2"), ..foreign_room(&mark.metadata(&serde_json::Map::new())) };
    bed.livekit.create_room(&spec).await.unwrap();
    // An instance took the id for the removal, and died.
    let epoch = domain::Epoch::from("fresh");
    let decision = domain::reserve_removal(stream("gold"), Some(&stone), epoch, &bed.rules, bed.now());
    let commit = store::Commit { decision: &decision, event: None, fence: None };
    assert_eq!(bed.store.commit(&stream("gold"), commit).await.unwrap(), store::Committed::Done);
    bed.until_room_gone("gold~2").await;
    for _ in 0..300 {
        if bed.store.load(&stream("gold"), store::Concern::default()).await.unwrap().head.is_none() {
            return;
        }
        assert!(bed.orchestrator.get_stream(&stream("gold")).await.is_err(), "nobody asked for a stream");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the reservation is still there");
}

async fn reserve_only(bed: &Bed, id: &str) -> domain::Head {
    let request = domain::CreateRequest {
        id: stream(id),
        settings: Settings::default(),
        host_key: None,
        fresh_epoch: domain::Epoch::from("epoch"),
    };
    let domain::Creation::Reserve(decision) = domain::create(None, None, request, &bed.rules, bed.now()) else {
        panic!("it is new");
    };
    let commit = store::Commit { decision: &decision, event: None, fence: None };
    assert_eq!(bed.store.commit(&stream(id), commit).await.unwrap(), store::Committed::Done);
    decision.head.unwrap()
}

#[tokio::test]
async fn another_media_side_is_refused_while_streams_are_active() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    let mut parts = parts(&bed.store, &bed.livekit, &bed.rules, &bed.jobs);
    parts.media_side = MediaSide::Embedded("here".into());
    let refused = Orchestrator::start(parts).await;
    assert!(matches!(refused, Err(StartError::OtherMediaSide { active: 1, .. })));
    bed.orchestrator.end_stream(&stream("gold")).await.unwrap();
    let mut parts = crate::bed::parts(&bed.store, &Arc::clone(&bed.livekit), &bed.rules, &bed.jobs);
    parts.media_side = MediaSide::Embedded("here".into());
    assert!(Orchestrator::start(parts).await.is_ok());
    assert_eq!(bed.store.meta(MetaKey::MediaSide).await.unwrap().as_deref(), Some("embedded:here"));
}
