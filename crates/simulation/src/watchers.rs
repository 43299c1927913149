//! Subscribers of streams and of the lobby: they connect to some instance, lose
//! the connection, come back with what they saw last, and never want to see a fall.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{Identity, StreamId, StreamView, Visibility};
use hub::{Position, Shape};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::instance::{Instance, LobbyFrame};
use crate::sim::Sim;

const TRY_AGAIN: Duration = Duration::from_secs(1);

/// What a subscriber of a stream sees.
pub(crate) type State = (StreamView, BTreeSet<Identity>);

/// A subscriber of one stream.
pub(crate) struct Watcher {
    number: usize,
    pub(crate) id: StreamId,
    /// What it sees now; `None`: there is no such stream.
    pub(crate) shown: Mutex<Option<State>>,
    /// What it saw last, also of a stream that is gone.
    last: Mutex<Option<State>>,
}

impl Watcher {
    /// Subscribes, for the rest of the play.
    pub(crate) fn start(sim: &Arc<Sim>, number: usize, id: StreamId) -> Arc<Self> {
        let watcher = Arc::new(Self { number, id, shown: Mutex::default(), last: Mutex::default() });
        let (this, sim) = (watcher.clone(), sim.clone());
        tokio::spawn(async move {
            loop {
                if let Some(instance) = sim.any_instance() {
                    // Cut off by a crash: the next connection is to another instance.
                    let _ = instance.alive(this.connect(&sim, &instance)).await;
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
        });
        watcher
    }

    /// One connection, to its end.
    async fn connect(&self, sim: &Sim, instance: &Instance) {
        let position = self.last.lock().as_ref().map(|(view, _)| position(view));
        let mut subscription = match instance.hub.subscribe(&self.id, Shape::Full, position.as_ref()).await {
            Ok(Some(subscription)) => subscription,
            Ok(None) => {
                *self.shown.lock() = None;
                return;
            }
            Err(_) => return,
        };
        let resumed = self.last.lock().clone();
        if let Some(last) = resumed {
            *self.shown.lock() = Some(last);
        }
        // A connection does not last for ever.
        let patience = Duration::from_secs(5) + sim.millis(120_000);
        while let Ok(Some(frame)) = timeout(patience, subscription.next()).await {
            sim.count(|counts| counts.frames += 1);
            match serde_json::from_slice::<State>(&frame) {
                Ok(state) => self.see(sim, instance.number, state),
                Err(error) => sim.fail(format!("a frame can't be read: {error}")),
            }
        }
    }

    fn see(&self, sim: &Sim, instance: usize, state: State) {
        sim.log.write(format!("w{} sees {} v{} on i{instance}", self.number, self.id, state.0.version));
        if let Some(last) = &*self.last.lock() {
            let (old, new) = (last.0.version, state.0.version);
            if last.0.epoch != state.0.epoch {
                sim.fail(format!("w{}: {} has another epoch", self.number, self.id));
            } else if new < old {
                sim.fail(format!("w{}: {} fell from version {old} to {new}", self.number, self.id));
            } else if new == old && *last != state {
                sim.fail(format!("w{}: {} version {new} was shown in two ways", self.number, self.id));
            }
        }
        *self.last.lock() = Some(state.clone());
        *self.shown.lock() = Some(state);
    }
}

fn position(view: &StreamView) -> Position {
    Position { epoch: view.epoch.clone(), version: view.version }
}

/// A subscriber of the lobby.
#[derive(Default)]
pub(crate) struct LobbyWatcher {
    /// What it shows.
    pub(crate) shown: Mutex<BTreeMap<StreamId, StreamView>>,
}

impl LobbyWatcher {
    /// Subscribes, for the rest of the play.
    pub(crate) fn start(sim: &Arc<Sim>) -> Arc<Self> {
        let watcher = Arc::new(Self::default());
        let (this, sim) = (watcher.clone(), sim.clone());
        tokio::spawn(async move {
            loop {
                if let Some(instance) = sim.any_instance() {
                    // Cut off by a crash: the next connection is to another instance.
                    let _ = instance.alive(this.connect(&sim, &instance)).await;
                }
                tokio::time::sleep(TRY_AGAIN).await;
            }
        });
        watcher
    }

    async fn connect(&self, sim: &Sim, instance: &Instance) {
        let Ok(mut subscription) = instance.hub.subscribe_lobby(500).await else { return };
        let patience = Duration::from_secs(5) + sim.millis(120_000);
        while let Ok(Some(frame)) = timeout(patience, subscription.next()).await {
            sim.count(|counts| counts.frames += 1);
            match serde_json::from_slice(&frame) {
                Ok(frame) => {
                    self.check(sim, &frame);
                    self.see(frame);
                }
                Err(error) => sim.fail(format!("a frame of the lobby can't be read: {error}")),
            }
        }
    }

    /// Whatever is not public is in no list.
    fn check(&self, sim: &Sim, frame: &LobbyFrame) {
        let views = match frame {
            LobbyFrame::Snapshot(views) => views.as_slice(),
            LobbyFrame::Upsert(view) => std::slice::from_ref(view),
            LobbyFrame::Remove(_) => &[],
        };
        if let Some(view) = views.iter().find(|view| view.visibility != Visibility::Public) {
            sim.fail(format!("the lobby shows {}, which is {:?}", view.id, view.visibility));
        }
    }

    /// As the documentation tells receivers to do it: a lower version of the same epoch is dropped.
    fn see(&self, frame: LobbyFrame) {
        let mut shown = self.shown.lock();
        match frame {
            LobbyFrame::Snapshot(views) => *shown = views.into_iter().map(|view| (view.id.clone(), view)).collect(),
            LobbyFrame::Remove(id) => drop(shown.remove(&id)),
            LobbyFrame::Upsert(view) => {
                let known = shown.get(&view.id);
                if known.is_none_or(|known| known.epoch != view.epoch || known.version <= view.version) {
                    shown.insert(view.id.clone(), view);
                }
            }
        }
    }
}
