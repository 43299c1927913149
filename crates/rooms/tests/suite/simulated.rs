//! The simulated server as a subject of the suite.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Identity, Role, RoomName};
use rooms::simulated::{Guest, SimulatedLiveKit};
use rooms::{ErrorKind, RoomSpec, Rooms};

use super::{Person, Server, now};

pub(crate) struct Simulated(Arc<SimulatedLiveKit>);

struct SimulatedPerson {
    server: Arc<SimulatedLiveKit>,
    room: RoomName,
    identity: Identity,
}

#[async_trait]
impl Server for Simulated {
    async fn start() -> Option<Self> {
        Some(Self(Arc::new(SimulatedLiveKit::new(1, now()))))
    }

    fn rooms(&self) -> Arc<dyn Rooms> {
        self.0.clone()
    }

    fn asked_by_a_stranger(&self) -> Arc<dyn Rooms> {
        let refusing = SimulatedLiveKit::new(1, now());
        refusing.fail_with(Some(ErrorKind::Unauthorized));
        Arc::new(refusing)
    }

    async fn pause(&mut self) {
        self.0.go_away(true);
    }

    async fn resume(&mut self) {
        self.0.go_away(false);
    }

    async fn restart(&mut self) {
        self.0.restart_empty();
    }

    async fn join(&self, room: &RoomSpec, identity: &Identity, _: Role) -> Box<dyn Person> {
        self.0.join_as(&room.name, &Guest::person(identity), Some(room), now()).unwrap();
        Box::new(SimulatedPerson { server: self.0.clone(), room: room.name.clone(), identity: identity.clone() })
    }
}

#[async_trait]
impl Person for SimulatedPerson {
    async fn publish(&mut self) {
        self.server.publish(&self.room, &self.identity, now()).unwrap();
    }
}
