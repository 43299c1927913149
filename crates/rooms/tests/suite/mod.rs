//! The servers the suite runs on, and its cases.

pub(crate) mod api;
pub(crate) mod embedded;
pub(crate) mod livekit;
pub(crate) mod network;
pub(crate) mod receiver;
pub(crate) mod signal;
pub(crate) mod simulated;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use domain::{DeploymentId, Identity, Mark, Role, RoomName, StreamId, Timestamp};
use rooms::{RoomSpec, Rooms, Tokens};
use serde_json::Map;

/// The deadline of calls in this suite.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
/// Longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server under test.
#[async_trait]
pub(crate) trait Server: Send + Sync + Sized {
    /// `None` when it can't be started here.
    async fn start() -> Option<Self>;

    /// The server, with the right key.
    fn rooms(&self) -> Arc<dyn Rooms>;

    /// The server, asked by somebody who does not know the secret.
    fn asked_by_a_stranger(&self) -> Arc<dyn Rooms>;

    /// Stops answering, without closing anything.
    async fn pause(&mut self);

    /// Answers again.
    async fn resume(&mut self);

    /// Is killed and started again, at the same address.
    async fn restart(&mut self);

    /// Somebody joins with a token of ours, and is active when this returns.
    async fn join(&self, room: &RoomSpec, identity: &Identity, role: Role) -> Box<dyn Person>;
}

/// Somebody in a room.
#[async_trait]
pub(crate) trait Person: Send {
    /// Publishes something.
    async fn publish(&mut self);
}

/// A server that is reached over the network, as a participant reaches it.
pub(crate) trait Endpoint: Server {
    /// `ws://…`
    fn ws_url(&self) -> String;

    /// Mints for its key.
    fn tokens(&self) -> Tokens;

    /// Its API key and secret.
    fn key(&self) -> (String, String);

    /// Where its webhooks arrive.
    fn receiver(&mut self) -> &mut receiver::Receiver;
}

pub(crate) fn name(text: &str) -> RoomName {
    RoomName::from(text)
}

pub(crate) fn identity(text: &str) -> Identity {
    Identity::parse(text).unwrap()
}

pub(crate) fn spec(id: &str) -> RoomSpec {
    let mark = Mark { deployment: DeploymentId("d".into()), id: StreamId::parse(id).unwrap(), generation: 1 };
    RoomSpec {
        name: name(id),
        metadata: mark.metadata(&Map::new()),
        empty_timeout: Duration::from_secs(331),
        departure_timeout: Duration::from_secs(91),
        max_participants: 0,
    }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// Asks again until the answer is there.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}
