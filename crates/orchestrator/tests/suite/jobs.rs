//! Timers, the sweep and leases, with no webhook delivered unless a test says so.

use std::sync::Arc;
use std::time::Duration;

use domain::{EndReason, Phase, RoomName, Rules, Settings};
use orchestrator::BanRequest;
use rooms::Rooms;
use rooms::simulated::Call;
use store::{EmbeddedStore, Store};

use crate::bed::*;
use crate::losing::LosingStore;

#[tokio::test]
async fn without_webhooks_the_sweep_finds_who_comes_publishes_and_goes() {
    let bed = Bed::with(sweeping()).await;
    bed.open("gold").await;
    bed.enter("gold", "ann");
    bed.until("gold", "ann to be found", |head| head.people == 1).await;
    let room = RoomName::from("gold");
    let (track, _) = bed.livekit.publish(&room, &person("ann"), bed.now()).unwrap();
    bed.until("gold", "live", |head| head.phase == Phase::Live).await;
    bed.livekit.unpublish(&room, &person("ann"), &track, bed.now());
    bed.until("gold", "reconnecting", |head| head.phase == Phase::Reconnecting).await;
}

#[tokio::test]
async fn the_sweep_finds_banned_people_before_livekit_counts_them() {
    let bed = Bed::with(sweeping()).await;
    let room = RoomName::from("gold");
    bed.open("gold").await;
    bed.open("silver").await;
    // From here on LiveKit says that nobody is in either room.
    bed.livekit.freeze_counts(true);
    let until = bed.now() + Duration::from_secs(60);
    let request = BanRequest { identity: person("mallory"), until, reason: None };
    bed.orchestrator.ban(&stream("gold"), &request).await.unwrap();
    bed.enter("gold", "mallory");
    bed.enter("silver", "ann");
    let gone = async {
        while bed.livekit.get_participant(&room, &person("mallory")).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("mallory is still there");
    // Where nobody is banned the count saves a call for each empty room.
    assert!(bed.people("silver").await.is_empty());
    bed.livekit.freeze_counts(false);
    bed.until("silver", "ann to be found", |head| head.people == 1).await;
}

#[tokio::test]
async fn a_participant_missed_once_stays() {
    let bed = Bed::with(sweeping()).await;
    bed.open("gold").await;
    bed.deliver(bed.enter("gold", "ann")).await;
    bed.livekit.miss_participant(&RoomName::from("gold"), &person("ann"), 1);
    let version = bed.head("gold").await.version;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let head = bed.head("gold").await;
    assert_eq!((head.people, head.version), (1, version));
}

#[tokio::test]
async fn a_room_that_is_gone_is_lost_after_two_sweeps_and_the_grace() {
    let bed = Bed::with(sweeping()).await;
    bed.open("gold").await;
    bed.livekit.restart_empty();
    assert_eq!(bed.until_ended("gold").await.end_reason, Some(EndReason::Lost));
}

#[tokio::test]
async fn a_sweep_that_is_not_answered_counts_for_nothing() {
    let bed = Bed::with(sweeping()).await;
    bed.open("gold").await;
    bed.livekit.go_away(true);
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(bed.head("gold").await.phase, Phase::Waiting);
    assert!(!bed.orchestrator.health().livekit.is_ok());
    bed.livekit.go_away(false);
    bed.enter("gold", "ann");
    bed.until("gold", "ann to be found", |head| head.people == 1).await;
}

#[tokio::test]
async fn one_room_that_livekit_cannot_list_keeps_no_other_from_being_looked_at() {
    let bed = Bed::with(sweeping()).await;
    bed.open("first").await;
    bed.enter("first", "ann");
    bed.until("first", "ann to be found", |head| head.people == 1).await;
    // Newest first: this one's turn comes before the other's.
    bed.open("broken").await;
    bed.enter("broken", "bob");
    bed.livekit.fail_listing_of(&RoomName::from("broken"), true);
    bed.exit("first", "ann");
    bed.until("first", "ann to be missed", |head| head.people == 0).await;
    bed.livekit.fail_listing_of(&RoomName::from("broken"), false);
    bed.until("broken", "bob to be found", |head| head.people == 1).await;
}

#[tokio::test]
async fn a_room_that_loses_the_race_to_be_adopted_does_not_count_as_missed() {
    let (rules, jobs) = sweeping();
    let memory: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory());
    let losing = Arc::new(LosingStore::new(memory));
    let bed = Bed::on(losing.clone(), (rules, jobs)).await;
    let former = bed.open("gold").await.room.sid;
    // LiveKit comes back without the room, and somebody who has a token makes it again.
    losing.lose_races_for_other_rooms_than(former.clone());
    bed.livekit.restart_empty();
    let mark = domain::Mark { deployment: bed.orchestrator.deployment().clone(), id: stream("gold"), generation: 1 };
    let spec = rooms::RoomSpec {
        name: RoomName::from("gold"),
        metadata: mark.metadata(&serde_json::Map::new()),
        empty_timeout: Duration::from_secs(330),
        departure_timeout: Duration::from_secs(90),
        max_participants: 0,
    };
    bed.livekit.create_room(&spec).await.unwrap();
    // Several sweeps, and longer than a lost room's grace.
    while losing.lost_races() < 8 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(bed.head("gold").await.phase, Phase::Waiting);
    }
    losing.lose_no_more();
    bed.until("gold", "the new life", |head| head.room.sid != former && head.phase == Phase::Waiting).await;
}

#[tokio::test]
async fn metadata_that_was_overwritten_with_older_ones_is_put_right() {
    let bed = Bed::with(sweeping()).await;
    let head = bed.open("gold").await;
    let room = RoomName::from("gold");
    let mark = domain::Mark { deployment: bed.orchestrator.deployment().clone(), id: stream("gold"), generation: 1 };
    let wanted = mark.metadata(&head.settings.metadata);
    let older = mark.metadata(&serde_json::Map::from_iter([("n".to_owned(), 1.into())]));
    bed.livekit.update_room_metadata(&room, &older).await.unwrap();
    for _ in 0..600 {
        let rooms = bed.livekit.find_rooms(std::slice::from_ref(&room)).await.unwrap();
        if rooms[0].metadata == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the room goes on saying what is not so");
}

#[tokio::test]
async fn an_orphan_is_removed_after_two_sweeps_and_rooms_of_others_never() {
    let bed = Bed::with(sweeping()).await;
    let mark = domain::Mark { deployment: bed.orchestrator.deployment().clone(), id: stream("orphan"), generation: 1 };
    let spec = rooms::RoomSpec {
        name: RoomName::from("orphan"),
        metadata: mark.metadata(&serde_json::Map::new()),
        empty_timeout: Duration::from_secs(330),
        departure_timeout: Duration::from_secs(90),
        max_participants: 0,
    };
    bed.livekit.create_room(&spec).await.unwrap();
    let theirs = rooms::RoomSpec { name: RoomName::from("theirs"), metadata: "{}".into(), ..spec };
    bed.livekit.create_room(&theirs).await.unwrap();
    bed.until_room_gone("orphan").await;
    assert!(bed.room_exists("theirs").await);
}

#[tokio::test]
async fn above_the_limit_every_room_still_gets_its_turn() {
    let (rules, jobs) = sweeping();
    let jobs = orchestrator::JobSettings { sweep_full_rooms: 3, sweep_calls_per_second: 2000, ..jobs };
    let bed = Bed::with((rules, jobs)).await;
    for n in 0..12 {
        let id = format!("s{n}");
        bed.open(&id).await;
        bed.deliver(bed.enter(&id, "ann")).await;
    }
    // The counts stay the same: only a listing shows that somebody else is there.
    for n in 0..12 {
        bed.exit(&format!("s{n}"), "ann");
        bed.enter(&format!("s{n}"), "bob");
    }
    for n in 0..12 {
        let id = format!("s{n}");
        for _ in 0..800 {
            if bed.people(&id).await.contains(&"bob".to_owned()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(bed.people(&id).await.contains(&"bob".to_owned()), "{id}");
    }
}

fn quick(rules: Rules) -> (Rules, orchestrator::JobSettings) {
    (rules, patient().1)
}

#[tokio::test]
async fn nobody_ever_came() {
    let bed = Bed::with(quick(Rules { empty_timeout: Duration::from_millis(80), ..Rules::default() })).await;
    bed.open("gold").await;
    let head = bed.until_ended("gold").await;
    assert_eq!(head.end_reason, Some(EndReason::Idle));
    bed.until_room_gone("gold").await;
}

#[tokio::test]
async fn an_idle_stream_waits_for_livekit_before_it_ends() {
    let bed = Bed::with(quick(Rules { empty_timeout: Duration::from_millis(80), ..Rules::default() })).await;
    bed.open("gold").await;
    bed.livekit.go_away(true);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bed.head("gold").await.phase, Phase::Waiting);
    assert!(bed.livekit.calls().of(Call::ListParticipants) >= 1);
    bed.livekit.go_away(false);
    bed.until_ended("gold").await;
}

#[tokio::test]
async fn somebody_of_whom_no_webhook_told_keeps_the_stream() {
    let bed = Bed::with(quick(Rules { empty_timeout: Duration::from_millis(80), ..Rules::default() })).await;
    bed.open("gold").await;
    bed.enter("gold", "ann");
    let head = bed.until("gold", "ann to be found", |head| head.people == 1).await;
    assert!(head.phase.is_active());
}

#[tokio::test]
async fn the_last_one_left() {
    let bed = Bed::with(quick(Rules { departure_timeout: Duration::from_millis(80), ..Rules::default() })).await;
    bed.open("gold").await;
    bed.deliver(bed.enter("gold", "ann")).await;
    bed.deliver(bed.exit("gold", "ann")).await;
    assert_eq!(bed.until_ended("gold").await.end_reason, Some(EndReason::Idle));
}

#[tokio::test]
async fn an_ended_record_vanishes_and_its_id_goes_on() {
    let bed = Bed::with(quick(Rules { retention: Duration::from_millis(80), ..Rules::default() })).await;
    bed.open("gold").await;
    bed.orchestrator.end_stream(&stream("gold")).await.unwrap();
    let version = bed.head("gold").await.version;
    for _ in 0..300 {
        if bed.orchestrator.get_stream(&stream("gold")).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(bed.orchestrator.get_stream(&stream("gold")).await.is_err());
    let again = bed.open("gold").await;
    assert_eq!((again.generation, again.version), (2, version + 1));
}

#[tokio::test]
async fn max_duration_ends_a_stream_with_people_in_it() {
    let bed = Bed::with(patient()).await;
    let settings = Settings { max_duration: Some(1), ..Settings::default() };
    bed.orchestrator.create_stream(stream("gold"), settings, false).await.unwrap();
    bed.deliver(bed.enter("gold", "ann")).await;
    assert_eq!(bed.until_ended("gold").await.end_reason, Some(EndReason::MaxDuration));
}

#[tokio::test]
async fn when_one_instance_stops_the_other_takes_over() {
    let (rules, jobs) = sweeping();
    let bed = Bed::with((rules, jobs)).await;
    let second = bed.second().await;
    bed.open("gold").await;
    bed.orchestrator.shutdown(Duration::from_secs(2)).await;
    bed.enter("gold", "ann");
    for _ in 0..600 {
        let (view, _) = second.get_state(&stream("gold")).await.unwrap();
        if view.people == 1 {
            second.shutdown(Duration::from_secs(2)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody sweeps");
}
