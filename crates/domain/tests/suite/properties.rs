//! What holds whatever happens in whatever order.

use domain::*;
use proptest::prelude::*;

use crate::support::*;

/// One thing that can happen to a stream.
#[derive(Debug, Clone)]
enum Happening {
    Event { id: u8, life: u8, generation: u8, what: What },
    Adopt(u8),
    Sweep { life: Option<u8>, people: Vec<(u8, bool)> },
    Tick,
    Pass(u16),
    Stop,
    Create,
    RoomGone,
}

#[derive(Debug, Clone)]
enum What {
    Started,
    Finished,
    Joined(u8),
    Left(u8),
    Published(u8, u8),
    Unpublished(u8, u8),
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        1 => Just(What::Started),
        1 => Just(What::Finished),
        8 => (0..8u8).prop_map(What::Joined),
        6 => (0..8u8).prop_map(What::Left),
        5 => (0..8u8, 0..3u8).prop_map(|(p, t)| What::Published(p, t)),
        4 => (0..8u8, 0..3u8).prop_map(|(p, t)| What::Unpublished(p, t)),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        20 => (any::<u8>(), 1..4u8, 1..3u8, what())
            .prop_map(|(id, life, generation, what)| Happening::Event { id, life, generation, what }),
        1 => (1..5u8).prop_map(Happening::Adopt),
        4 => (proptest::option::of(1..4u8), proptest::collection::vec((0..8u8, any::<bool>()), 0..6))
            .prop_map(|(life, people)| Happening::Sweep { life, people }),
        3 => Just(Happening::Tick),
        3 => (0..400u16).prop_map(Happening::Pass),
        1 => Just(Happening::Stop),
        2 => Just(Happening::Create),
        1 => Just(Happening::RoomGone),
    ]
}

/// Connections 0 to 7 belong to four people, two each; 7 is a recorder.
fn who(n: u8) -> (String, String) {
    (format!("PA_{n}"), format!("user{}", n % 4))
}

fn event_kind(what: &What) -> RoomEventKind {
    let track = |t: u8| format!("TR_{t}");
    match what {
        What::Started => RoomEventKind::RoomStarted,
        What::Finished => RoomEventKind::RoomFinished,
        What::Joined(n) => RoomEventKind::ParticipantJoined(row(*n, false)),
        What::Left(n) => left(&who(*n).0, &who(*n).1),
        What::Published(n, t) => published(&who(*n).0, &who(*n).1, &track(*t)),
        What::Unpublished(n, t) => unpublished(&who(*n).0, &who(*n).1, &track(*t)),
    }
}

fn row(n: u8, publishes: bool) -> ParticipantSnapshot {
    let (sid, identity) = who(n);
    let kind = if n == 7 { Kind::Recorder } else { Kind::Standard };
    let tracks = if publishes { vec![TrackSid::from(format!("TR_s{n}"))] } else { Vec::new() };
    ParticipantSnapshot { kind, tracks, ..snapshot(&sid, &identity) }
}

struct History {
    world: World,
    memory: SweepMemory,
    lives: u8,
}

impl History {
    fn new() -> Self {
        Self { world: World::opened(Settings::default()), memory: SweepMemory::default(), lives: 1 }
    }

    fn happen(&mut self, happening: &Happening) {
        let world = &mut self.world;
        match happening {
            Happening::Event { id, life, generation, what } => {
                let room = World::id().room_name((*generation).into());
                let sid = format!("RM_{life}");
                world.deliver(&format!("EV_{id}_{what:?}"), (room.as_str(), &sid), event_kind(what));
            }
            Happening::Pass(seconds) => world.pass((*seconds).into()),
            Happening::Create => {
                if world.create(Settings::default()) {
                    self.lives += 1;
                    world.complete(&format!("RM_{}", self.lives));
                }
            }
            _ if world.head.is_none() => {}
            Happening::Adopt(life) => drop(world.adopt(&format!("RM_{life}"))),
            Happening::Tick => drop(world.tick()),
            Happening::Stop => drop(world.end(EndReason::Stopped)),
            Happening::Sweep { life, people } => {
                let room = life.map(|life| world.room(&format!("RM_{life}")));
                let mut seen = std::collections::BTreeSet::new();
                let rows: Vec<_> = people.iter().filter(|(n, _)| seen.insert(*n)).map(|(n, p)| row(*n, *p)).collect();
                world.sweep(room.as_ref(), Some(&rows), &mut self.memory);
            }
            Happening::RoomGone => {
                let intent = world.head().intents.first().map(|intent| intent.kind.clone());
                if let Some(kind) = intent {
                    let decision = close_intent(world.head(), &kind, &world.rules, world.now);
                    world.apply_if(decision);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn counts_equal_the_set_and_versions_never_fall(history in proptest::collection::vec(happening(), 1..80)) {
        let mut run = History::new();
        let mut last: Option<Head> = run.world.head.clone();
        let mut version = 0;
        for happening in &history {
            run.happen(happening);
            run.world.check_counts();
            if let Some(head) = &run.world.head {
                prop_assert!(head.version >= version, "version fell");
                version = head.version;
                if let Some(before) = &last {
                    let same = before.generation == head.generation && before.epoch == head.epoch;
                    prop_assert!(!(same && before.phase == Phase::Ended && head.phase != Phase::Ended), "rose again");
                    prop_assert!(head.generation >= before.generation);
                }
            }
            last = run.world.head.clone().or(last);
        }
    }

    #[test]
    fn notices_follow_each_other_without_a_hole(history in proptest::collection::vec(happening(), 1..80)) {
        let mut run = History::new();
        for happening in &history {
            run.happen(happening);
        }
        let mut version = 0;
        let mut people = std::collections::BTreeSet::new();
        for notice in run.world.notices.clone() {
            match notice.body {
                NoticeBody::Changed { view, joined, left, cleared } => {
                    prop_assert_eq!(view.version, version + 1);
                    version = view.version;
                    if cleared {
                        people.clear();
                    }
                    people.extend(joined);
                    for identity in left {
                        prop_assert!(people.remove(&identity), "somebody left who had not come");
                    }
                    prop_assert_eq!(people.len(), view.people as usize, "who follows the notices has the list");
                }
                NoticeBody::Removed { version: last, .. } => {
                    prop_assert_eq!(last, version);
                    people.clear();
                }
            }
        }
    }

    #[test]
    fn every_event_again_changes_nothing(history in proptest::collection::vec(happening(), 1..50)) {
        let mut run = History::new();
        for happening in &history {
            run.happen(happening);
            if matches!(happening, Happening::Event { .. }) {
                let before = run.world.head.clone();
                run.happen(happening);
                prop_assert_eq!(&run.world.head, &before);
            }
        }
    }

    #[test]
    fn events_of_stale_rooms_and_lives_change_nothing(
        history in proptest::collection::vec(happening(), 1..50),
        what in what(),
        life in 1..5u8,
        generation in 1..4u8,
    ) {
        let mut run = History::new();
        for happening in &history {
            run.happen(happening);
        }
        let Some(before) = run.world.head.clone() else { return Ok(()) };
        let room = World::id().room_name(generation.into());
        let sid = RoomSid::from(format!("RM_{life}"));
        let current = room == before.room.name && Some(&sid) == before.room.sid.as_ref();
        let verdict = run.world.deliver("EV_probe", (room.as_str(), sid.as_str()), event_kind(&what));
        if !current || before.phase == Phase::Ended {
            prop_assert_eq!(run.world.head.as_ref(), Some(&before), "verdict {}", verdict);
        }
    }

    #[test]
    fn left_of_an_unknown_connection_decrements_nothing(history in proptest::collection::vec(happening(), 1..50)) {
        let mut run = History::new();
        for happening in &history {
            run.happen(happening);
        }
        let Some(before) = run.world.head.clone() else { return Ok(()) };
        let Some(sid) = before.room.sid.clone() else { return Ok(()) };
        run.world.deliver("EV_probe", (before.room.name.as_str(), sid.as_str()), left("PA_never", "user1"));
        let after = run.world.head();
        prop_assert_eq!(
            (after.people, after.keepers, after.tracks, after.version),
            (before.people, before.keepers, before.tracks, before.version)
        );
    }

    #[test]
    fn a_due_time_is_always_set_for_a_record(history in proptest::collection::vec(happening(), 1..60)) {
        let mut run = History::new();
        for happening in &history {
            run.happen(happening);
            if let Some(head) = &run.world.head {
                let ends_some_day = head.keepers > 0 || head.due_at(&run.world.rules).is_some();
                prop_assert!(ends_some_day, "nothing will ever look at {:?}", head);
            }
        }
    }
}
