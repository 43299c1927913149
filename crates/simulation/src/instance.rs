//! One instance of the program: use-cases, jobs and hub, which may crash at any await.
//!
//! A crash cuts the instance's ways to store and LiveKit for ever: calls that are
//! under way may take effect or not, and none of them returns. Its tasks stand
//! still where they wait, which from outside is the same as their being gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::rooms::{Tokens, WebhookVerifier};
use bytes::Bytes;
use domain::{DeploymentId, Identity, StreamId, StreamView};
use hub::{Encoder, Hub, HubSettings, Shape};
use orchestrator::{JobSettings, MediaSide, Orchestrator, Parts};

use crate::pulse::Pulse;
use crate::rooms::FaultyRooms;
use crate::sim::{Sim, encode};
use crate::store::FaultyStore;

const KEY: &str = "devkey";
const SECRET: &str = "a-secret-that-is-long-enough-for-hs256";
/// Marks the rooms of the play.
pub(crate) const DEPLOYMENT: &str = "the-deployment";
/// For a shutdown in good order.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// A running instance.
pub(crate) struct Instance {
    /// Which, from 0; never used twice.
    pub(crate) number: usize,
    pulse: Pulse,
    /// Its way to the store.
    pub(crate) store: Arc<FaultyStore>,
    /// The use-cases.
    pub(crate) orchestrator: Orchestrator,
    /// Its subscribers.
    pub(crate) hub: Hub,
}

impl Instance {
    /// Starts; tries again until it does. `None`: it crashed before.
    pub(crate) async fn start(sim: &Arc<Sim>, number: usize) -> Arc<Self> {
        let pulse = Pulse::default();
        let store = FaultyStore::new(sim, number, pulse.clone());
        let rooms = FaultyRooms::new(sim, number, pulse.clone());
        let orchestrator = loop {
            match Orchestrator::start(parts(sim, &store, &rooms)).await {
                Ok(orchestrator) => break orchestrator,
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        };
        let hub = Hub::new(store.clone(), Arc::new(Text), HubSettings::default());
        sim.log.write(format!("i{number} runs"));
        let instance = Arc::new(Self { number, pulse, store, orchestrator, hub });
        sim.instances.lock().push(instance.clone());
        instance
    }

    /// Does something on this instance; `None` when it crashes meanwhile.
    pub(crate) async fn alive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.pulse.stopped() => None,
            done = work => Some(done),
        }
    }

    /// Ends without a word.
    pub(crate) fn crash(&self, sim: &Sim) {
        sim.log.write(format!("i{} crashes", self.number));
        sim.count(|counts| counts.crashes += 1);
        self.leave(sim);
        self.pulse.stop();
    }

    /// Does nothing for a while, and goes on where it was.
    pub(crate) fn stand_still(&self, sim: &Sim, time: Duration) {
        sim.log.write(format!("i{} stands still for {} ms", self.number, time.as_millis()));
        self.pulse.stand_still(time);
    }

    /// Ends in good order.
    pub(crate) async fn stop(&self, sim: &Sim) {
        sim.log.write(format!("i{} stops", self.number));
        self.leave(sim);
        self.hub.drain(Duration::from_secs(1)).await;
        self.orchestrator.shutdown(SHUTDOWN).await;
        self.pulse.stop();
        sim.log.write(format!("i{} has stopped", self.number));
    }

    fn leave(&self, sim: &Sim) {
        sim.instances.lock().retain(|other| other.number != self.number);
    }
}

fn parts(sim: &Sim, store: &Arc<FaultyStore>, rooms: &Arc<FaultyRooms>) -> Parts {
    Parts {
        store: store.clone(),
        rooms: rooms.clone(),
        tokens: Tokens::new(KEY, SECRET, Duration::from_secs(600)),
        webhooks: WebhookVerifier::new(vec![(KEY.to_owned(), SECRET.to_owned())]),
        rules: sim.rules.clone(),
        jobs: JobSettings { timer_interval: Duration::from_secs(2), ..JobSettings::default() },
        media_side: MediaSide::External,
        deployment: Some(DeploymentId(DEPLOYMENT.to_owned())),
    }
}

/// Encodes states so that subscribers of the play can read them back.
struct Text;

impl Encoder for Text {
    fn state(&self, _: Shape, view: &StreamView, people: &BTreeSet<Identity>) -> Bytes {
        encode(view, people).into()
    }

    fn lobby_snapshot(&self, streams: &[&StreamView], _: usize) -> Bytes {
        serde_json::to_vec(&LobbyFrame::Snapshot(streams.iter().map(|view| (*view).clone()).collect()))
            .unwrap_or_default()
            .into()
    }

    fn lobby_upsert(&self, view: &StreamView) -> Bytes {
        serde_json::to_vec(&LobbyFrame::Upsert(view.clone())).unwrap_or_default().into()
    }

    fn lobby_remove(&self, id: &StreamId) -> Bytes {
        serde_json::to_vec(&LobbyFrame::Remove(id.clone())).unwrap_or_default().into()
    }
}

/// What a subscriber of the lobby gets.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) enum LobbyFrame {
    Snapshot(Vec<StreamView>),
    Upsert(StreamView),
    Remove(StreamId),
}
