//! An orchestrator over the embedded store (in memory) and a simulated LiveKit, with time rules short enough to wait for.

use std::sync::Arc;
use std::time::Duration;

use domain::{
    DeploymentId, Head, Identity, OnDuplicate, Phase, RoomEvent, RoomName, Rules, Settings, StreamId, Timestamp,
};
use orchestrator::{Credential, JobSettings, JoinStream, MediaSide, Orchestrator, Parts};
use rooms::simulated::SimulatedLiveKit;
use rooms::{Tokens, WebhookVerifier};
use store::{EmbeddedStore, Store};

pub(crate) const KEY: &str = "devkey";
pub(crate) const SECRET: &str = "a-secret-that-is-long-enough-for-hs256";

pub(crate) struct Bed {
    pub(crate) orchestrator: Orchestrator,
    pub(crate) livekit: Arc<SimulatedLiveKit>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rules: Rules,
    pub(crate) jobs: JobSettings,
}

/// Rules that never fall due within a test, jobs that hardly run.
pub(crate) fn patient() -> (Rules, JobSettings) {
    let jobs = JobSettings {
        sweep_interval: Duration::from_secs(3600),
        timer_interval: Duration::from_millis(20),
        lease_ttl: Duration::from_millis(600),
        ..JobSettings::default()
    };
    (Rules::default(), jobs)
}

/// A sweep every 60 ms; a lost room is believed after 100 ms.
pub(crate) fn sweeping() -> (Rules, JobSettings) {
    let (rules, jobs) = patient();
    let rules = Rules { lost_grace: Duration::from_millis(100), ..rules };
    (rules, JobSettings { sweep_interval: Duration::from_millis(60), ..jobs })
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::with(patient()).await
    }

    pub(crate) async fn with((rules, jobs): (Rules, JobSettings)) -> Self {
        Self::on(Arc::new(EmbeddedStore::in_memory()), (rules, jobs)).await
    }

    pub(crate) async fn on(store: Arc<dyn Store>, (rules, jobs): (Rules, JobSettings)) -> Self {
        let livekit = Arc::new(SimulatedLiveKit::new(7, store.now()));
        let orchestrator = start(&store, &livekit, &rules, &jobs).await;
        Self { orchestrator, livekit, store, rules, jobs }
    }

    /// Another instance on the same store and LiveKit.
    pub(crate) async fn second(&self) -> Orchestrator {
        start(&self.store, &self.livekit, &self.rules, &self.jobs).await
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.store.now()
    }

    pub(crate) async fn open(&self, id: &str) -> Head {
        let created = self.orchestrator.create_stream(stream(id), Settings::default(), false).await.unwrap();
        assert!(created.is_new);
        created.head
    }

    pub(crate) async fn head(&self, id: &str) -> Head {
        self.orchestrator.get_stream(&stream(id)).await.unwrap()
    }

    pub(crate) async fn people(&self, id: &str) -> Vec<String> {
        let (_, people) = self.orchestrator.get_state(&stream(id)).await.unwrap();
        people.iter().map(ToString::to_string).collect()
    }

    /// Somebody joins the room; the events are not delivered.
    pub(crate) fn enter(&self, room: &str, who: &str) -> Vec<RoomEvent> {
        self.livekit.join(&RoomName::from(room), &person(who), self.now()).unwrap().events
    }

    pub(crate) fn exit(&self, room: &str, who: &str) -> Vec<RoomEvent> {
        self.livekit.leave(&RoomName::from(room), &person(who), self.now())
    }

    pub(crate) async fn deliver(&self, events: Vec<RoomEvent>) -> Vec<&'static str> {
        let mut verdicts = Vec::new();
        for event in events {
            verdicts.push(self.orchestrator.apply_room_event(&event).await.unwrap());
        }
        verdicts
    }

    /// Waits until the head is as wanted; fails with what it is instead.
    pub(crate) async fn until(&self, id: &str, what: &str, wanted: impl Fn(&Head) -> bool) -> Head {
        for _ in 0..600 {
            let head = self.head(id).await;
            if wanted(&head) {
                return head;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{what} did not come; the head is {:#?}", self.head(id).await);
    }

    pub(crate) async fn until_ended(&self, id: &str) -> Head {
        self.until(id, "the end", |head| head.phase == Phase::Ended).await
    }

    pub(crate) async fn room_exists(&self, name: &str) -> bool {
        use rooms::Rooms;
        !self.livekit.find_rooms(&[RoomName::from(name)]).await.unwrap().is_empty()
    }

    pub(crate) async fn until_room_gone(&self, name: &str) {
        for _ in 0..600 {
            if !self.room_exists(name).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("room {name} is still there");
    }
}

async fn start(
    store: &Arc<dyn Store>,
    livekit: &Arc<SimulatedLiveKit>,
    rules: &Rules,
    jobs: &JobSettings,
) -> Orchestrator {
    Orchestrator::start(parts(store, livekit, rules, jobs)).await.unwrap()
}

pub(crate) fn parts(
    store: &Arc<dyn Store>,
    livekit: &Arc<SimulatedLiveKit>,
    rules: &Rules,
    jobs: &JobSettings,
) -> Parts {
    Parts {
        store: store.clone(),
        rooms: livekit.clone(),
        tokens: Tokens::new(KEY, SECRET, Duration::from_secs(600)),
        webhooks: WebhookVerifier::new(vec![(KEY.to_owned(), SECRET.to_owned())]),
        rules: rules.clone(),
        jobs: jobs.clone(),
        media_side: MediaSide::External,
        deployment: Some(DeploymentId("test-deployment".to_owned())),
    }
}

pub(crate) fn stream(id: &str) -> StreamId {
    StreamId::parse(id).unwrap()
}

pub(crate) fn person(name: &str) -> Identity {
    Identity::parse(name).unwrap()
}

pub(crate) fn asking(who: &str) -> JoinStream {
    JoinStream {
        identity: person(who),
        role: None,
        name: None,
        metadata: None,
        credential: Credential::Anybody,
        on_duplicate: OnDuplicate::Replace,
    }
}
