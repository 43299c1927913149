//! Who gets in, as what, and who is kept out.

use std::time::Duration;

use domain::*;

use crate::support::{World, joined, snapshot};

const ROOM: (&str, &str) = ("gold", "RM_1");

fn invited(role: Role) -> Authority {
    Authority::Invited(role)
}

#[test]
fn a_role_is_what_the_caller_has_shown_to_be_entitled_to() {
    use JoinRefusal::RoleNotAllowed;
    use Role::{Host, Speaker, Viewer};
    let rows = [
        (Authority::Anybody, [Ok(Speaker), Ok(Host), Ok(Speaker), Ok(Viewer)]),
        (Authority::Leader, [Ok(Speaker), Ok(Host), Ok(Speaker), Ok(Viewer)]),
        (Authority::Stranger, [Ok(Viewer), Err(RoleNotAllowed), Err(RoleNotAllowed), Ok(Viewer)]),
        (Authority::Reader, [Ok(Viewer), Err(RoleNotAllowed), Err(RoleNotAllowed), Ok(Viewer)]),
        (Authority::Owner, [Ok(Viewer), Err(RoleNotAllowed), Err(RoleNotAllowed), Ok(Viewer)]),
        (invited(Viewer), [Ok(Viewer), Err(RoleNotAllowed), Err(RoleNotAllowed), Ok(Viewer)]),
        (invited(Speaker), [Ok(Speaker), Err(RoleNotAllowed), Ok(Speaker), Ok(Viewer)]),
    ];
    for (authority, expected) in rows {
        for (asked, expected) in [None, Some(Host), Some(Speaker), Some(Viewer)].into_iter().zip(expected) {
            let mut world = World::opened(Settings::default());
            assert_eq!(world.join("ann", asked, authority), expected, "{authority:?} asks for {asked:?}");
        }
    }
}

#[test]
fn an_identity_with_a_role_is_its_owners_until_the_generation_ends() {
    let mut world = World::opened(Settings::default());
    assert_eq!(world.join("ann", Some(Role::Host), Authority::Leader), Ok(Role::Host));
    for other in [Authority::Stranger, Authority::Reader, invited(Role::Speaker)] {
        assert_eq!(world.join("ann", None, other), Err(JoinRefusal::Held), "{other:?}: she is not even connected");
    }
    assert_eq!(world.join("ann", None, Authority::Owner), Ok(Role::Host), "her own token brings her back as she was");
    assert_eq!(world.join("ann", Some(Role::Speaker), Authority::Owner), Ok(Role::Speaker));
    assert_eq!(world.join("bob", None, Authority::Stranger), Ok(Role::Viewer));
    assert_eq!(world.join("bob", None, Authority::Stranger), Ok(Role::Viewer), "viewers hold nothing");
    world.end(EndReason::RoomFinished);
    world.create(Settings::default());
    world.complete("RM_2");
    assert_eq!(world.join("ann", None, Authority::Stranger), Ok(Role::Viewer), "another generation, another host");
}

#[test]
fn a_connected_person_is_replaced_only_by_who_may() {
    let mut world = World::opened(Settings::default());
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    for (authority, expected) in [
        (Authority::Stranger, Err(JoinRefusal::Duplicate)),
        (invited(Role::Viewer), Err(JoinRefusal::Duplicate)),
        (Authority::Reader, Ok(Role::Viewer)),
        (Authority::Owner, Ok(Role::Viewer)),
    ] {
        assert_eq!(world.join("ann", None, authority), expected, "{authority:?}");
    }
}

#[test]
fn a_private_stream_is_shown_to_nobody_without_a_word() {
    let private = Settings { visibility: Visibility::Private, ..Settings::default() };
    let mut world = World::opened(private);
    assert_eq!(world.join("ann", None, Authority::Stranger), Err(JoinRefusal::Private));
    for other in [Authority::Anybody, Authority::Reader, invited(Role::Viewer), Authority::Owner, Authority::Leader] {
        assert!(world.join("ann", Some(Role::Viewer), other).is_ok(), "{other:?}");
    }
    assert!(Authority::Stranger.may_see(Visibility::Unlisted));
}

#[test]
fn privacy_is_settled_at_the_creation() {
    let change = |world: &World, visibility| {
        let patch = SettingsPatch { visibility: Some(visibility), ..SettingsPatch::default() };
        change_settings(world.head(), &patch, None, &world.rules, world.now)
    };
    let mut world = World::opened(Settings::default());
    assert_eq!(change(&world, Visibility::Private), Err(SettingsRefusal::PrivacyIsFixed));
    let version = world.head().version;
    let decision = change(&world, Visibility::Unlisted).unwrap();
    assert!(world.apply_if(decision));
    assert_eq!(world.head().version, version + 1, "the lobby has to hear of it");
    let private = World::opened(Settings { visibility: Visibility::Private, ..Settings::default() });
    assert_eq!(change(&private, Visibility::Public), Err(SettingsRefusal::PrivacyIsFixed));
    assert_eq!(change(&private, Visibility::Private), Ok(None));
}

#[test]
fn a_banned_person_is_taken_out_refused_and_taken_out_again() {
    let mut world = World::opened(Settings::default());
    world.deliver("EV_1", ROOM, joined("PA_1", "ann"));
    let version = world.head().version;
    world.ban("ann", 60).unwrap();
    let removal = |world: &World, sids: &[&str]| {
        let kind = IntentKind::RemoveParticipant {
            identity: Identity::parse("ann").unwrap(),
            sids: sids.iter().map(|sid| ParticipantSid::from(*sid)).collect(),
        };
        world.head().intents.iter().any(|intent| intent.kind == kind)
    };
    assert!(removal(&world, &["PA_1"]));
    assert_eq!(world.head().version, version, "nobody sees a ban");
    for authority in [Authority::Anybody, Authority::Leader, Authority::Owner, Authority::Stranger] {
        assert_eq!(world.join("ann", None, authority), Err(JoinRefusal::Banned), "{authority:?}");
    }
    // A token from before still opens the room: LiveKit reports her, and she is taken out.
    world.deliver("EV_2", ROOM, joined("PA_2", "ann"));
    assert!(removal(&world, &["PA_1", "PA_2"]));
    world.pass(60);
    assert!(world.join("ann", None, Authority::Stranger).is_err(), "she is connected");
    assert!(world.join("ann", None, Authority::Owner).is_ok(), "it has ended by itself");
}

#[test]
fn the_sweep_takes_out_a_banned_person_of_whom_nobody_told() {
    let mut world = World::opened(Settings::default());
    world.ban("ann", 600).unwrap();
    let room = world.room("RM_1");
    let mut memory = SweepMemory::default();
    let rows = [snapshot("PA_1", "ann"), snapshot("PA_2", "bob")];
    world.sweep(Some(&room), Some(&rows), &mut memory);
    assert_eq!(world.head().people, 2, "what LiveKit says is so");
    let [intent] = world.head().intents.as_slice() else { panic!("{:?}", world.head().intents) };
    let sids = vec![ParticipantSid::from("PA_1")];
    assert_eq!(intent.kind, IntentKind::RemoveParticipant { identity: Identity::parse("ann").unwrap(), sids });
    let revision = world.head().revision;
    world.sweep(Some(&room), Some(&rows), &mut memory);
    assert_eq!(world.head().revision, revision, "it is asked for already");
}

#[test]
fn bans_outlive_generations_and_records() {
    let mut world = World::opened(Settings::default());
    world.ban("ann", 7 * 24 * 3600).unwrap();
    world.end(EndReason::RoomFinished);
    world.pass(301);
    assert_eq!(world.tick(), "committed");
    assert!(world.head.is_none());
    world.create(Settings::default());
    world.complete("RM_2");
    assert!(world.head().may_have_bans(world.now));
    assert_eq!(world.join("ann", None, Authority::Stranger), Err(JoinRefusal::Banned));
    world.pass(8 * 24 * 3600);
    assert!(!world.head().may_have_bans(world.now));
}

#[test]
fn a_tombstone_stays_as_long_as_somebody_is_banned() {
    let mut world = World::opened(Settings::default());
    let week = Duration::from_secs(7 * 24 * 3600);
    world.ban("ann", week.as_secs()).unwrap();
    let ended = end(world.head(), EndReason::Stopped, &world.rules, world.now).unwrap();
    let (stone, keep) = ended.tombstone.unwrap();
    assert_eq!((stone.banned_until, keep), (Some(world.now + week), week));
}

#[test]
fn a_lifted_ban_keeps_nobody_out() {
    let mut world = World::opened(Settings::default());
    assert!(!world.lift("ann"));
    world.ban("ann", 60).unwrap();
    let revision = world.head().revision;
    assert!(world.lift("ann"));
    assert!(world.head().revision > revision, "whoever remembers the head must look again");
    assert_eq!(world.head().banned_until, None);
    assert_eq!(world.join("ann", None, Authority::Stranger), Ok(Role::Viewer));
}

#[test]
fn bans_are_bounded_and_ended_ones_make_room() {
    let mut world = World::opened(Settings::default());
    for n in 0..MAX_BANS {
        world.ban(&format!("u{n}"), if n == 0 { 10 } else { 1000 }).unwrap();
    }
    assert_eq!(world.ban("ann", 60), Err(BanRefusal::TooMany));
    assert_eq!(world.ban("u5", 60), Ok(()), "a second ban replaces the first");
    world.pass(11);
    assert_eq!(world.ban("ann", 60), Ok(()));
    assert!(!world.bans.contains_key(&Identity::parse("u0").unwrap()));
    assert_eq!(world.bans.len(), MAX_BANS as usize);
}
