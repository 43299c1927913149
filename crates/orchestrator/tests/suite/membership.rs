//! Who is in a stream, by webhooks; joining and leaving.

use domain::{Phase, RoomName};
use orchestrator::UseCaseError;
use rooms::Rooms;

use crate::bed::*;

#[tokio::test]
async fn webhooks_make_the_state() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    let room = RoomName::from("gold");
    bed.deliver(bed.livekit.take_events()).await;
    assert_eq!(bed.deliver(bed.enter("gold", "ann")).await, ["applied"]);
    let (track, published) = bed.livekit.publish(&room, &person("ann"), bed.now()).unwrap();
    assert_eq!(bed.deliver(published.clone()).await, ["applied"]);
    assert_eq!(bed.head("gold").await.phase, Phase::Live);
    assert_eq!(bed.deliver(published).await, ["duplicate"]);
    let taken_back = bed.livekit.unpublish(&room, &person("ann"), &track, bed.now());
    bed.deliver(taken_back).await;
    assert_eq!(bed.head("gold").await.phase, Phase::Reconnecting);
    assert_eq!(bed.people("gold").await, ["ann"]);
    bed.deliver(bed.exit("gold", "ann")).await;
    assert!(bed.people("gold").await.is_empty());
}

#[tokio::test]
async fn somebody_who_rejoined_stays_when_the_old_left_comes_late() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    bed.deliver(bed.enter("gold", "ann")).await;
    let events = bed.enter("gold", "ann");
    let (left, joined): (Vec<_>, Vec<_>) =
        events.into_iter().partition(|event| event.kind.name() == "participant_left");
    bed.deliver(joined).await;
    bed.deliver(left).await;
    assert_eq!(bed.people("gold").await, ["ann"]);
    assert_eq!(bed.head("gold").await.people, 1);
}

#[tokio::test]
async fn a_room_that_livekit_made_again_is_adopted() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    bed.deliver(bed.enter("gold", "ann")).await;
    bed.deliver(bed.enter("gold", "bob")).await;
    bed.livekit.restart_empty();
    assert!(bed.deliver(bed.enter("gold", "ann")).await.contains(&"applied"));
    let head = bed.head("gold").await;
    assert!(head.phase.is_active());
    assert_eq!(head.room.stale_sids.len(), 1);
    bed.deliver(bed.enter("gold", "bob")).await;
    assert_eq!(bed.people("gold").await, ["ann", "bob"]);
    let marked = bed.until("gold", "the metadata to be restored", |head| head.intents.is_empty()).await;
    assert_eq!(marked.generation, 1);
    let room = &bed.livekit.find_rooms(&[RoomName::from("gold")]).await.unwrap()[0];
    assert!(room.metadata.contains("test-deployment"), "{}", room.metadata);
}

#[tokio::test]
async fn a_room_that_outlives_its_stream_is_removed_when_it_shows() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    let mark = domain::Mark { deployment: bed.orchestrator.deployment().clone(), id: stream("gold"), generation: 1 };
    bed.orchestrator.end_stream(&stream("gold")).await.unwrap();
    let spec = rooms::RoomSpec {
        name: RoomName::from("gold"),
        metadata: mark.metadata(&serde_json::Map::new()),
        empty_timeout: std::time::Duration::from_secs(330),
        departure_timeout: std::time::Duration::from_secs(90),
        max_participants: 0,
    };
    let guest = rooms::simulated::Guest::person(&person("late"));
    let late = bed.livekit.join_as(&RoomName::from("gold"), &guest, Some(&spec), bed.now()).unwrap();
    assert!(bed.deliver(late.events).await.contains(&"orphan"));
    bed.until_room_gone("gold").await;
    assert_eq!(bed.head("gold").await.phase, Phase::Ended);
}

#[tokio::test]
async fn rooms_of_others_are_ignored() {
    let bed = Bed::new().await;
    bed.enter("theirs", "zoe");
    let events = bed.exit("theirs", "zoe");
    bed.deliver(bed.enter("theirs", "yan")).await;
    bed.deliver(events).await;
    assert!(bed.room_exists("theirs").await);
    assert_eq!(bed.orchestrator.totals().await.unwrap().streams, 0);
}

#[tokio::test]
async fn joining_gives_a_token_that_proves_who_one_is() {
    let bed = Bed::new().await;
    assert!(matches!(bed.orchestrator.join_stream(&stream("gold"), asking("ann")).await, Err(UseCaseError::NotFound)));
    bed.open("gold").await;
    let joined = bed.orchestrator.join_stream(&stream("gold"), asking("ann")).await.unwrap();
    let read = bed.orchestrator.read_credential(&joined.token);
    let Ok(orchestrator::Credential::JoinToken(proof)) = read else { panic!("{read:?}") };
    assert_eq!((proof.identity, proof.room), (person("ann"), RoomName::from("gold")));
    assert!(joined.expires_at > bed.now());
    bed.orchestrator.end_stream(&stream("gold")).await.unwrap();
    assert!(matches!(bed.orchestrator.join_stream(&stream("gold"), asking("ann")).await, Err(UseCaseError::Finished)));
}

#[tokio::test]
async fn leaving_takes_out_the_connection_of_that_moment() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    bed.deliver(bed.enter("gold", "ann")).await;
    bed.orchestrator.leave_stream(&stream("gold"), &person("ann")).await.unwrap();
    bed.orchestrator.leave_stream(&stream("gold"), &person("nobody")).await.unwrap();
    bed.until("gold", "the removal to be done", |head| head.intents.is_empty()).await;
    bed.deliver(bed.livekit.take_events()).await;
    assert!(bed.people("gold").await.is_empty());
}

#[tokio::test]
async fn leaving_while_livekit_is_away_spares_whoever_came_back() {
    let bed = Bed::new().await;
    bed.open("gold").await;
    bed.deliver(bed.enter("gold", "ann")).await;
    bed.livekit.go_away(true);
    bed.orchestrator.leave_stream(&stream("gold"), &person("ann")).await.unwrap();
    let again = bed.enter("gold", "ann");
    bed.livekit.go_away(false);
    bed.deliver(again).await;
    bed.until("gold", "the removal to be settled", |head| head.intents.is_empty()).await;
    assert_eq!(bed.people("gold").await, ["ann"]);
    let there = bed.livekit.list_participants(&RoomName::from("gold")).await.unwrap();
    assert_eq!(there.len(), 1);
}

#[tokio::test]
async fn a_room_that_finishes_while_livekit_stops_does_not_end_the_stream() {
    use rooms::Rooms;
    let bed = Bed::new().await;
    bed.open("gold").await;
    bed.deliver(bed.enter("gold", "ann")).await;
    bed.livekit.take_events();
    bed.livekit.delete_room(&RoomName::from("gold")).await.unwrap();
    let finished: Vec<_> =
        bed.livekit.take_events().into_iter().filter(|event| event.kind.name() == "room_finished").collect();
    assert_eq!(finished.len(), 1);
    bed.livekit.go_away(true);
    let unanswered = bed.orchestrator.apply_room_event(&finished[0]).await;
    assert!(matches!(unanswered, Err(UseCaseError::LiveKit(_))), "{unanswered:?}");
    assert!(bed.head("gold").await.phase.is_active());
    bed.livekit.go_away(false);
    assert_eq!(bed.deliver(finished).await, ["applied"]);
    assert_eq!(bed.head("gold").await.end_reason, Some(domain::EndReason::RoomFinished));
}
