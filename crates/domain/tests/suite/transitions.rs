//! The transition table of ARCHITECTURE.md, a test per row, and the fences.

use domain::*;

use crate::support::*;

const ROOM: (&str, &str) = ("gold", "RM_1");

fn live() -> World {
    let mut world = World::opened(Settings::default());
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    world.deliver("EV_2", ROOM, published("PA_1", "ann", "TR_1"));
    assert_eq!(world.phase(), Phase::Live);
    world
}

#[test]
fn created_is_waiting_and_its_reservation_is_seen_by_nobody() {
    let mut world = World::new();
    assert!(world.create(Settings { metadata: user_metadata(), ..Settings::default() }));
    assert_eq!(world.phase(), Phase::Reserved);
    assert!(world.notices.is_empty());
    assert_eq!(world.head().version, 0);
    world.complete("RM_1");
    assert_eq!(world.phase(), Phase::Waiting);
    assert_eq!(world.head().version, 1);
    assert_eq!(world.notices.len(), 1);
    assert!(!world.create(Settings::default()), "an active stream is returned, not made anew");
}

#[test]
fn an_abandoned_reservation_leaves_nothing() {
    let mut world = World::new();
    world.create(Settings::default());
    let decision = abandon(world.head(), &world.rules, world.now);
    world.apply_if(decision);
    assert_eq!(world.head, None);
    assert!(world.notices.is_empty());
}

#[test]
fn an_abandoned_restart_brings_the_ended_record_back() {
    let mut world = live();
    world.end(EndReason::Stopped);
    let ended = world.head().clone();
    assert!(world.create(Settings::default()));
    let decision = abandon(world.head(), &world.rules, world.now);
    world.apply_if(decision);
    let back = world.head();
    assert_eq!((back.version, back.phase, back.closing()), (ended.version, Phase::Ended, true));
    assert_eq!(back.intents, ended.intents);
}

#[test]
fn a_room_that_goes_during_an_abandoned_restart_is_a_visible_change() {
    let mut world = live();
    world.end(EndReason::Stopped);
    let ended = world.head().clone();
    assert!(world.create(Settings::default()));
    let gone = IntentKind::DeleteRoom { room: ended.room.name.clone() };
    let decision = close_intent(world.head(), &gone, &world.rules, world.now);
    assert!(world.apply_if(decision));
    let decision = abandon(world.head(), &world.rules, world.now);
    world.apply_if(decision);
    let back = world.head();
    assert_eq!((back.version, back.closing()), (ended.version + 1, false));
    let told = world.notices.last().map(|notice| &notice.body);
    assert!(matches!(told, Some(NoticeBody::Changed { view, .. }) if **view == StreamView::from(back)));
}

#[test]
fn an_overdue_reservation_is_noticed_after_15_s() {
    let mut world = World::new();
    world.create(Settings::default());
    assert_eq!(world.tick(), "nothing");
    world.pass(15);
    assert_eq!(world.tick(), "reservation");
    assert_eq!(world.head().due_at(&world.rules), Some(world.now));
}

#[test]
fn waiting_becomes_live_when_somebody_publishes() {
    let world = live();
    assert_eq!((world.head().people, world.head().peak, world.head().joins), (1, 1, 1));
}

#[test]
fn live_becomes_reconnecting_then_waiting_after_60_s() {
    let mut world = live();
    assert_eq!(world.deliver("EV_3", ROOM, unpublished("PA_1", "ann", "TR_1")), "applied");
    assert_eq!(world.phase(), Phase::Reconnecting);
    assert_eq!(world.head().phase_until, Some(world.now + std::time::Duration::from_secs(60)));
    world.pass(59);
    assert_eq!(world.tick(), "nothing");
    world.pass(1);
    assert_eq!(world.tick(), "committed");
    assert_eq!((world.phase(), world.head().phase_until), (Phase::Waiting, None));
}

#[test]
fn reconnecting_becomes_live_when_a_track_comes_back() {
    let mut world = live();
    world.deliver("EV_3", ROOM, unpublished("PA_1", "ann", "TR_1"));
    world.deliver("EV_4", ROOM, published("PA_1", "ann", "TR_2"));
    assert_eq!(world.phase(), Phase::Live);
}

#[test]
fn with_end_without_publisher_reconnecting_ends_the_stream() {
    let mut world = World::opened(Settings { end_without_publisher: Some(5), ..Settings::default() });
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    world.deliver("EV_2", ROOM, published("PA_1", "ann", "TR_1"));
    world.deliver("EV_3", ROOM, unpublished("PA_1", "ann", "TR_1"));
    world.pass(5);
    assert_eq!(world.tick(), "committed");
    assert_eq!(world.head().end_reason, Some(EndReason::PublisherLeft));
}

#[test]
fn nobody_ever_came_is_asked_about_after_300_s() {
    let mut world = World::opened(Settings::default());
    world.pass(299);
    assert_eq!(world.tick(), "nothing");
    world.pass(1);
    assert_eq!(world.tick(), "ask");
    world.end(EndReason::Idle);
    assert_eq!((world.phase(), world.head().end_reason), (Phase::Ended, Some(EndReason::Idle)));
    let mut own = World::opened(Settings { empty_timeout: Some(10), ..Settings::default() });
    own.pass(10);
    assert_eq!(own.tick(), "ask");
}

#[test]
fn the_last_participant_left_is_asked_about_after_60_s() {
    let mut world = World::opened(Settings::default());
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    world.pass(1000);
    assert_eq!(world.tick(), "nothing", "somebody is there");
    world.deliver("EV_2", ROOM, left("PA_1", "ann"));
    world.pass(59);
    assert_eq!(world.tick(), "nothing");
    world.pass(1);
    assert_eq!(world.tick(), "ask");
}

#[test]
fn delete_ends_with_closing_until_the_room_is_gone() {
    let mut world = live();
    assert!(world.end(EndReason::Stopped));
    assert!(world.people.is_empty());
    assert!(world.head().closing());
    assert_eq!((world.head().people, world.head().peak), (0, 1));
    let session = world.sessions[0].clone();
    assert_eq!((session.peak, session.joins, session.publishers), (1, 1, 1));
    let intent = world.head().intents[0].kind.clone();
    let decision = close_intent(world.head(), &intent, &world.rules, world.now);
    world.apply_if(decision);
    assert!(!world.head().closing());
    assert!(!world.end(EndReason::Idle), "ended is final");
    assert_eq!(world.head().end_reason, Some(EndReason::Stopped));
}

#[test]
fn max_duration_wins_over_rules_that_fall_due_with_it() {
    let mut world = World::opened(Settings { max_duration: Some(300), ..Settings::default() });
    world.pass(300);
    assert_eq!(world.tick(), "committed");
    assert_eq!(world.head().end_reason, Some(EndReason::MaxDuration));
}

#[test]
fn room_finished_ends_with_time_and_reason_and_nothing_to_close() {
    let mut world = live();
    assert_eq!(world.deliver("EV_3", ROOM, RoomEventKind::RoomFinished), "applied");
    assert_eq!(world.head().end_reason, Some(EndReason::RoomFinished));
    assert_eq!(world.head().ended_at, Some(world.now));
    assert!(!world.head().closing());
}

#[test]
fn a_room_missing_in_two_sweeps_and_for_60_s_is_lost() {
    let mut world = live();
    let mut memory = SweepMemory::default();
    assert!(world.sweep(None, None, &mut memory).is_empty());
    world.pass(30);
    assert!(world.sweep(None, None, &mut memory).is_empty(), "two misses, but not for 60 s");
    world.pass(30);
    assert_eq!(world.sweep(None, None, &mut memory), [DriftKind::RoomLost]);
    assert_eq!(world.head().end_reason, Some(EndReason::Lost));
}

#[test]
fn a_room_that_is_back_in_between_is_not_lost() {
    let mut world = live();
    let mut memory = SweepMemory::default();
    world.sweep(None, None, &mut memory);
    world.pass(40);
    let room = world.room("RM_1");
    world.sweep(Some(&room), None, &mut memory);
    world.pass(40);
    world.sweep(None, None, &mut memory);
    assert!(world.phase().is_active());
}

#[test]
fn a_room_that_came_back_after_the_list_was_read_is_not_lost() {
    let mut world = live();
    let mut memory = SweepMemory::default();
    world.sweep(None, None, &mut memory);
    world.pass(60);
    assert!(world.adopt("RM_2"));
    assert!(world.sweep(None, None, &mut memory).is_empty(), "the list is older than the adoption");
    assert!(world.phase().is_active());
    world.pass(60);
    assert_eq!(world.sweep(None, None, &mut memory), [DriftKind::RoomLost]);
}

#[test]
fn an_ended_record_goes_after_retention_and_versions_continue() {
    let mut world = live();
    world.deliver("EV_3", ROOM, RoomEventKind::RoomFinished);
    let last = world.head().clone();
    world.pass(299);
    assert_eq!(world.tick(), "nothing");
    world.pass(1);
    assert_eq!(world.tick(), "committed");
    assert_eq!(world.head, None);
    assert!(matches!(world.notices.last().unwrap().body, NoticeBody::Removed { .. }));
    world.create(Settings::default());
    world.complete("RM_2");
    let again = world.head();
    assert_eq!((again.generation, again.room.name.as_str()), (2, "gold~2"));
    assert_eq!((&again.epoch, again.version), (&last.epoch, last.version + 1));
}

#[test]
fn a_record_whose_room_cannot_be_removed_goes_after_24_h() {
    let mut world = live();
    world.end(EndReason::Stopped);
    world.pass(24 * 3600 - 1);
    assert_eq!(world.tick(), "nothing");
    world.pass(1);
    assert_eq!(world.tick(), "committed");
    assert_eq!(world.head, None);
}

#[test]
fn an_adopted_room_puts_live_into_reconnecting_and_counts_nobody_twice() {
    let mut world = live();
    assert_eq!(world.deliver("EV_3", ("gold", "RM_2"), joined("PA_2", "ann")), "confirm");
    assert!(world.adopt("RM_2"));
    assert_eq!(world.phase(), Phase::Reconnecting);
    assert_eq!(world.head().people, 1);
    assert_eq!(world.deliver("EV_3", ("gold", "RM_2"), joined("PA_2", "ann")), "applied");
    assert_eq!(world.head().people, 1, "the same person on two connections");
    let room = world.room("RM_2");
    world.sweep(Some(&room), Some(&[snapshot("PA_2", "ann")]), &mut SweepMemory::default());
    assert_eq!((world.head().people, world.people.len()), (1, 1));
    assert_eq!(world.deliver("EV_9", ROOM, left("PA_1", "ann")), "stale");
    assert!(world.head().intents.iter().any(|intent| matches!(intent.kind, IntentKind::WriteMetadata { .. })));
}

#[test]
fn an_adopted_room_leaves_waiting_as_it_is() {
    let mut world = World::opened(Settings::default());
    assert!(world.adopt("RM_2"));
    assert_eq!(world.phase(), Phase::Waiting);
    assert!(!world.adopt("RM_1"), "a former life is not adopted again");
}

#[test]
fn forgetting_everybody_after_adoption_starts_the_60_s() {
    let mut world = live();
    world.adopt("RM_2");
    let room = world.room("RM_2");
    world.sweep(Some(&room), Some(&[]), &mut SweepMemory::default());
    assert_eq!((world.head().people, world.head().empty_since), (0, Some(world.now)));
    world.pass(60);
    assert_eq!(world.tick(), "ask");
}

#[test]
fn a_late_left_of_an_old_connection_keeps_the_person() {
    let mut world = World::opened(Settings::default());
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    world.deliver("EV_2", ROOM, joined("PA_2", "ann"));
    world.deliver("EV_3", ROOM, left("PA_1", "ann"));
    assert_eq!((world.head().people, world.people.len()), (1, 1));
}

#[test]
fn left_without_joined_decrements_nothing_and_keeps_a_late_joined_out() {
    let mut world = World::opened(Settings::default());
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    let version = world.head().version;
    assert_eq!(world.deliver("EV_2", ROOM, left("PA_9", "bob")), "unknown");
    assert_eq!((world.head().people, world.head().version), (1, version));
    assert_eq!(world.deliver("EV_3", ROOM, joined("PA_9", "bob")), "late");
    assert_eq!(world.head().people, 1);
}

#[test]
fn somebody_unknown_who_publishes_is_looked_up() {
    let mut world = World::opened(Settings::default());
    assert_eq!(world.deliver("EV_1", ROOM, published("PA_1", "ann", "TR_1")), "reconcile");
}

#[test]
fn recorders_and_agents_are_no_people_and_keep_nothing_alive() {
    let mut world = World::opened(Settings::default());
    for (n, kind) in [Kind::Egress, Kind::Agent, Kind::Recorder].into_iter().enumerate() {
        let who = ParticipantSnapshot { kind, ..snapshot(&format!("PA_{n}"), &format!("robot{n}")) };
        world.deliver(&format!("EV_{n}"), ROOM, RoomEventKind::ParticipantJoined(who));
        world.deliver(&format!("EV_t{n}"), ROOM, published(&format!("PA_{n}"), &format!("robot{n}"), "TR"));
    }
    assert_eq!((world.head().people, world.head().keepers, world.phase()), (0, 0, Phase::Waiting));
    let ingress = ParticipantSnapshot { kind: Kind::Ingress, ..snapshot("PA_i", "obs") };
    world.deliver("EV_i", ROOM, RoomEventKind::ParticipantJoined(ingress));
    world.deliver("EV_j", ROOM, published("PA_i", "obs", "TR_i"));
    assert_eq!((world.head().people, world.phase()), (0, Phase::Live));
}

#[test]
fn a_room_of_an_ended_generation_that_lives_is_an_orphan() {
    let mut world = live();
    world.end(EndReason::Stopped);
    assert_eq!(world.deliver("EV_5", ROOM, joined("PA_7", "late")), "orphan");
    assert_eq!(world.deliver("EV_6", ROOM, left("PA_1", "ann")), "stale");
    world.create(Settings::default());
    world.complete("RM_2");
    let before = world.head().clone();
    assert_eq!(world.deliver("EV_7", ROOM, joined("PA_8", "later")), "orphan");
    assert_eq!(world.deliver("EV_8", ROOM, RoomEventKind::RoomFinished), "stale");
    assert_eq!(*world.head(), before);
}

#[test]
fn the_sweep_finds_who_came_and_who_went() {
    let mut world = World::opened(Settings::default());
    let room = world.room("RM_1");
    let mut memory = SweepMemory::default();
    let listed = [ParticipantSnapshot { tracks: vec![TrackSid::from("TR_1")], ..snapshot("PA_1", "ann") }];
    assert_eq!(world.sweep(Some(&room), Some(&listed), &mut memory), [DriftKind::Joined]);
    assert_eq!((world.head().people, world.phase()), (1, Phase::Live));
    world.pass(30);
    assert!(world.sweep(Some(&room), Some(&[]), &mut memory).is_empty(), "missed once");
    assert_eq!(world.head().people, 1);
    world.pass(30);
    assert_eq!(world.sweep(Some(&room), Some(&[]), &mut memory), [DriftKind::Left]);
    assert_eq!((world.head().people, world.phase()), (0, Phase::Reconnecting));
    // The lists were wrong: whoever they left out twice is there again with the next one that is right.
    assert_eq!(world.sweep(Some(&room), Some(&listed), &mut memory), [DriftKind::Joined]);
    assert_eq!((world.head().people, world.phase()), (1, Phase::Live));
    world.deliver("EV_1", ROOM, left("PA_1", "ann"));
    assert!(world.sweep(Some(&room), Some(&listed), &mut memory).is_empty(), "a webhook said that it is over");
}

#[test]
fn a_webhook_brings_back_whom_two_lists_left_out() {
    let mut world = World::opened(Settings::default());
    let (room, mut memory) = (world.room("RM_1"), SweepMemory::default());
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    for _ in 0..2 {
        world.pass(30);
        world.sweep(Some(&room), Some(&[]), &mut memory);
    }
    assert_eq!(world.head().people, 0);
    let track = RoomEventKind::TrackPublished {
        sid: ParticipantSid::from("PA_1"),
        identity: Identity::reported("ann"),
        track: TrackSid::from("TR_1"),
    };
    assert_eq!(world.deliver("EV_2", ROOM, track), "reconcile", "LiveKit is asked, not told that it is too late");
    assert_eq!(world.deliver("EV_3", ROOM, joined("PA_1", "ann")), "applied");
    assert_eq!(world.head().people, 1);
}

#[test]
fn a_participant_who_still_joins_is_not_counted() {
    let mut world = World::opened(Settings::default());
    let room = world.room("RM_1");
    let listed = [ParticipantSnapshot { active: false, ..snapshot("PA_1", "ann") }];
    world.sweep(Some(&room), Some(&listed), &mut SweepMemory::default());
    assert_eq!(world.head().people, 0);
}

#[test]
fn joins_are_refused_for_what_the_caller_can_understand() {
    let mut world = World::opened(Settings { max_participants: Some(1), ..Settings::default() });
    let place = Place::default();
    let there = [ParticipantSid::from("PA_1")];
    let connected = Place { connections: &there, ..place };
    let now = world.now;
    let ask = |identity: &str, on_duplicate| JoinRequest {
        identity: Identity::parse(identity).unwrap(),
        role: None,
        authority: Authority::Anybody,
        on_duplicate,
    };
    let ann = ask("ann", OnDuplicate::Replace);
    assert_eq!(join(None, place, &ann, now), Err(JoinRefusal::NotFound));
    assert_eq!(join(world.head.as_ref(), place, &ann, now), Ok(Admission { role: Role::Speaker }));
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    let bob = ask("bob", OnDuplicate::Replace);
    assert_eq!(join(world.head.as_ref(), place, &bob, now), Err(JoinRefusal::Full));
    assert!(join(world.head.as_ref(), connected, &ann, now).is_ok(), "she is in already");
    let politely = ask("ann", OnDuplicate::Reject);
    assert_eq!(join(world.head.as_ref(), connected, &politely, now), Err(JoinRefusal::Duplicate));
    world.end(EndReason::Stopped);
    assert_eq!(join(world.head.as_ref(), place, &ann, now), Err(JoinRefusal::Finished));
}

#[test]
fn removals_name_connections_and_back_off() {
    let mut world = World::opened(Settings::default());
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    let ann = Identity::parse("ann").unwrap();
    let sids = vec![ParticipantSid::from("PA_1")];
    let version = world.head().version;
    let decision = request_removal(world.head(), &ann, &sids, &world.rules, world.now).unwrap();
    assert!(world.apply_if(decision));
    let again = request_removal(world.head(), &ann, &sids, &world.rules, world.now).unwrap();
    assert_eq!(again, None, "asked for already");
    assert_eq!(world.head().version, version, "nobody sees an intent");
    let kind = world.head().intents[0].kind.clone();
    let mut waits = Vec::new();
    for _ in 0..7 {
        let decision = postpone_intent(world.head(), &kind, &world.rules, world.now);
        world.apply_if(decision);
        waits.push(world.head().intents[0].next_try.since(world.now).as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn a_role_changed_by_hand_holds_for_later_tokens() {
    let mut world = World::opened(Settings::default());
    let ann = Identity::parse("ann").unwrap();
    let decision = assign_role(world.head(), &ann, Role::Viewer, &world.rules, world.now).unwrap();
    assert!(world.apply_if(decision));
    assert_eq!(world.join("ann", None, Authority::Anybody), Ok(Role::Viewer));
    assert_eq!(world.join("ann", Some(Role::Speaker), Authority::Anybody), Ok(Role::Viewer), "the host's word counts");
    assert_eq!(world.join("ann", Some(Role::Speaker), Authority::Leader), Ok(Role::Speaker));
    assert_eq!(world.join("ann", Some(Role::Speaker), Authority::Invited(Role::Speaker)), Err(JoinRefusal::Held));
    world.end(EndReason::Stopped);
    assert_eq!(assign_role(world.head(), &ann, Role::Host, &world.rules, world.now), Err(RoleRefusal::Finished));
}

#[test]
fn settings_change_under_their_own_tag() {
    let mut world = World::opened(Settings::default());
    let tag = world.head().settings_tag();
    let patch = |title: &str| SettingsPatch { title: Some(Some(title.to_owned())), ..SettingsPatch::default() };
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    assert_eq!(world.head().settings_tag(), tag, "people do not change it");
    let decision = change_settings(world.head(), &patch("New"), Some(&tag), &world.rules, world.now).unwrap();
    assert!(world.apply_if(decision));
    assert_eq!(world.head().settings.title.as_deref(), Some("New"));
    assert_ne!(world.head().settings_tag(), tag);
    let stale = change_settings(world.head(), &patch("Newer"), Some(&tag), &world.rules, world.now);
    assert_eq!(stale, Err(SettingsRefusal::ChangedMeanwhile));
    let same = change_settings(world.head(), &patch("New"), None, &world.rules, world.now);
    assert_eq!(same, Ok(None));
    let metadata = SettingsPatch { metadata: Some(user_metadata()), ..SettingsPatch::default() };
    let decision = change_settings(world.head(), &metadata, None, &world.rules, world.now).unwrap();
    world.apply_if(decision);
    assert!(world.head().intents.iter().any(|intent| matches!(intent.kind, IntentKind::WriteMetadata { .. })));
}

#[test]
fn metadata_that_was_overtaken_while_it_was_written_is_written_again() {
    let mut world = World::opened(Settings::default());
    let change = |world: &mut World, colour: &str| {
        let metadata = serde_json::json!({ "colour": colour }).as_object().cloned();
        let patch = SettingsPatch { metadata, ..SettingsPatch::default() };
        let decision = change_settings(world.head(), &patch, None, &world.rules, world.now).unwrap();
        world.apply_if(decision);
        world.head().intents[0].kind.clone()
    };
    let (first, second) = (change(&mut world, "red"), change(&mut world, "blue"));
    let decision = close_intent(world.head(), &second, &world.rules, world.now);
    assert!(world.apply_if(decision));
    assert!(world.head().intents.is_empty());
    // The first write ends only now, well or not: LiveKit may have red.
    for decide in [close_intent, postpone_intent] {
        let decision = decide(world.head(), &first, &world.rules, world.now).unwrap();
        assert_eq!(decision.head.unwrap().intents[0].kind, second);
    }
    assert_eq!(close_intent(world.head(), &second, &world.rules, world.now), None);
}
