//! Random histories against a simple model.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Head, Identity, Kind, Participant, ParticipantChange, ParticipantSid, Phase, StreamId};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use store::{Committed, ListQuery, Totals};

use crate::backend::Backend;
use crate::driver::{Driver, commit, id, joined, room};

const STREAMS: usize = 12;
const STEPS: usize = 600;

/// All that a store has to know, kept as simply as can be.
#[derive(Default)]
struct Model {
    streams: BTreeMap<StreamId, (Head, BTreeMap<ParticipantSid, Participant>)>,
    gone: BTreeSet<(StreamId, ParticipantSid)>,
}

impl Model {
    fn apply(&mut self, id: &StreamId, decision: &domain::Decision) {
        let mut people = self.streams.remove(id).map(|(_, people)| people).unwrap_or_default();
        for change in &decision.participants {
            match change {
                ParticipantChange::Join(p) | ParticipantChange::Update(p) => {
                    drop(people.insert(p.sid.clone(), p.clone()))
                }
                ParticipantChange::Leave(p) => {
                    people.remove(&p.sid);
                    self.gone.insert((id.clone(), p.sid.clone()));
                }
                ParticipantChange::Missing(p) => drop(people.remove(&p.sid)),
                ParticipantChange::Gone(sid) => drop(self.gone.insert((id.clone(), sid.clone()))),
                ParticipantChange::Clear => people.clear(),
            }
        }
        if let Some(head) = &decision.head {
            self.streams.insert(id.clone(), (head.clone(), people));
        }
    }

    fn totals(&self) -> Totals {
        let active = || self.streams.values().filter(|(head, _)| head.phase.is_active());
        Totals {
            streams: active().count() as u64,
            live: active().filter(|(head, _)| head.phase == Phase::Live).count() as u64,
            people: active().map(|(_, people)| identities(people).len() as u64).sum(),
        }
    }

    fn list(&self, phases: &[Phase]) -> Vec<Head> {
        let listed = self.streams.values().filter(|(head, _)| phases.contains(&head.phase));
        let mut heads: Vec<Head> = listed.map(|(head, _)| head.clone()).collect();
        heads.sort_by(|a, b| (b.started_at, b.id.as_str()).cmp(&(a.started_at, a.id.as_str())));
        heads
    }
}

fn identities(people: &BTreeMap<ParticipantSid, Participant>) -> Vec<Identity> {
    let persons = people.values().filter(|p| p.kind.is_person()).map(|p| p.identity.clone());
    BTreeSet::from_iter(persons).into_iter().collect()
}

pub(crate) async fn a_random_history_leaves_what_a_simple_model_says(backend: Backend) {
    let seed: u64 = std::env::var("STORE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("STORE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let driver = Driver::new(&backend.store);
    let mut model = Model::default();
    for step in 0..STEPS {
        let stream = id(&format!("s:{}", random.random_range(0..STREAMS)));
        if let Some(mut decision) = decide(&driver, &stream, &mut random).await {
            if random.random_ratio(1, 10) {
                decision.expected = Some(decision.expected.unwrap_or_default() + 7);
                let verdict = backend.store.commit(&stream, commit(&decision)).await.unwrap();
                assert_eq!(verdict, Committed::Conflict, "step {step}");
            } else {
                driver.done(&stream, &decision).await;
                model.apply(&stream, &decision);
            }
        }
        if step % 60 == 59 {
            compare(&backend, &model, &mut random).await;
        }
    }
}

/// Something that may happen to the stream now.
async fn decide(driver: &Driver, id: &StreamId, random: &mut impl Rng) -> Option<domain::Decision> {
    let now = driver.store.now();
    let head = driver.load(id).await.head;
    let Some(head) = head.filter(|head| head.phase != Phase::Ended || random.random_ratio(1, 2)) else {
        return Some(driver.reservation(id).await);
    };
    let who = format!("u{}", random.random_range(0..4));
    let connection = format!("PA_{}", random.random_range(0..12));
    let (sid, identity) = (ParticipantSid::from(connection.as_str()), Identity::reported(&who));
    let track = domain::TrackSid::from(format!("TR_{}", random.random_range(0..3)));
    match (head.phase, random.random_range(0..10)) {
        (Phase::Reserved, 0..3) => domain::abandon(&head, &driver.rules, now),
        (Phase::Reserved, _) => domain::complete(&head, &room(&head), false, &driver.rules, now),
        (Phase::Ended, _) => match domain::tick(&head, &driver.rules, now + driver.rules.max_retention * 2) {
            domain::Due::Commit(decision) => Some(*decision),
            _ => None,
        },
        (_, 0) => domain::end(&head, domain::EndReason::Stopped, &driver.rules, now),
        (_, 1..5) => {
            let kind = [Kind::Standard, Kind::Sip, Kind::Agent, Kind::Ingress][random.random_range(0..4)];
            driver.decide(id, &joined(&who, &connection, kind)).await
        }
        (_, 5..7) => {
            let known = driver.store.load(id, store::Concern { sid: Some(&sid), ..Default::default() }).await.unwrap();
            let identity = known.participant.map_or(identity, |p| p.identity);
            driver.decide(id, &domain::RoomEventKind::ParticipantLeft { sid, identity }).await
        }
        (_, 7..9) => driver.decide(id, &domain::RoomEventKind::TrackPublished { sid, identity, track }).await,
        _ => driver.decide(id, &domain::RoomEventKind::TrackUnpublished { sid, identity, track }).await,
    }
}

async fn compare(backend: &Backend, model: &Model, random: &mut impl Rng) {
    let store = &backend.store;
    assert_eq!(store.totals().await.unwrap(), model.totals());
    for phases in [Phase::LISTED.as_slice(), &Phase::ACTIVE, &[Phase::Ended], &[Phase::Live, Phase::Ended]] {
        let query = ListQuery { phases: phases.to_vec(), limit: 1000, cursor: None, hidden: false };
        assert_eq!(store.list(&query).await.unwrap().items, model.list(phases));
    }
    for n in 0..STREAMS {
        let id = id(&format!("s:{n}"));
        let Some((head, people)) = model.streams.get(&id) else {
            assert_eq!(store.load_full(&id).await.unwrap(), None);
            continue;
        };
        let mut sorted: Vec<Participant> = people.values().cloned().collect();
        sorted.sort_by(|a, b| (&a.identity, &a.sid).cmp(&(&b.identity, &b.sid)));
        assert_eq!(store.load_full(&id).await.unwrap(), Some((head.clone(), sorted.clone())));
        assert_eq!(store.load_state(&id).await.unwrap(), Some((head.clone(), identities(people))));
        let limit = random.random_range(1..5);
        let page = store.people(&id, limit, None).await.unwrap();
        assert_eq!(page.items, sorted.into_iter().take(limit).collect::<Vec<_>>());
        let sids: Vec<ParticipantSid> = (0..12).map(|n| ParticipantSid::from(format!("PA_{n}"))).collect();
        let gone = sids.iter().filter(|sid| model.gone.contains(&(id.clone(), (*sid).clone()))).cloned();
        assert_eq!(store.gone(&id, &sids).await.unwrap(), gone.collect::<Vec<_>>());
    }
}

pub(crate) async fn totals_equal_a_recount_after_racing_writers(backend: Backend) {
    let driver = Driver::new(&backend.store);
    for n in 0..STREAMS {
        driver.create(&id(&format!("s:{n}"))).await;
    }
    let tasks = (0..8u64).map(|task| {
        let driver = driver.clone();
        tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(task);
            for _ in 0..60 {
                let stream = id(&format!("s:{}", random.random_range(0..STREAMS)));
                if let Some(decision) = decide_event(&driver, &stream, &mut random).await {
                    // Losing a race is part of it.
                    driver.store.commit(&stream, commit(&decision)).await.unwrap();
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let mut recount = Totals::default();
    let query = ListQuery { phases: Phase::ACTIVE.to_vec(), limit: 1000, cursor: None, hidden: false };
    for head in backend.store.list(&query).await.unwrap().items {
        let (full, people) = backend.store.load_full(&head.id).await.unwrap().unwrap();
        let (_, identities) = backend.store.load_state(&head.id).await.unwrap().unwrap();
        assert_eq!(full.people as usize, identities.len(), "{}", head.id);
        let keepers = people.iter().filter(|p| p.kind.keeps_alive()).count();
        assert_eq!(full.keepers as usize, keepers, "{}", head.id);
        recount.streams += 1;
        recount.live += u64::from(full.phase == Phase::Live);
        recount.people += u64::from(full.people);
    }
    assert_eq!(backend.store.totals().await.unwrap(), recount);
}

/// Somebody comes, goes or publishes.
async fn decide_event(driver: &Driver, id: &StreamId, random: &mut StdRng) -> Option<domain::Decision> {
    let number = random.random_range(0..40);
    // One connection is always one person's.
    let (who, connection) = (format!("u{}", number % 4), format!("PA_{number}"));
    let (sid, identity) = (ParticipantSid::from(connection.as_str()), Identity::reported(&who));
    let track = domain::TrackSid::from("TR_1");
    match random.random_range(0..5) {
        0 => driver.decide(id, &domain::RoomEventKind::ParticipantLeft { sid, identity }).await,
        1 => driver.decide(id, &domain::RoomEventKind::TrackPublished { sid, identity, track }).await,
        _ => driver.decide(id, &joined(&who, &connection, Kind::Standard)).await,
    }
}
