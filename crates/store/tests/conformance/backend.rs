//! What the suite runs on.

use std::sync::Arc;
use std::time::Duration;

use store::{EmbeddedStore, RedisConfig, RedisStore, Store};
use tempfile::TempDir;
use testkit::RedisServer;
use tokio::time::{Instant, sleep};

/// One store, and how to have it again after a restart.
pub(crate) struct Backend {
    /// The store under test.
    pub(crate) store: Arc<dyn Store>,
    kind: Kind,
}

enum Kind {
    Memory,
    Embedded(TempDir),
    Redis(RedisServer),
}

impl Backend {
    /// The embedded store without a file.
    pub(crate) async fn memory() -> Option<Self> {
        Some(Self { store: Arc::new(EmbeddedStore::in_memory()), kind: Kind::Memory })
    }

    /// The embedded store with its file.
    pub(crate) async fn embedded() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        Some(Self { store: Arc::new(EmbeddedStore::open(folder.path()).unwrap()), kind: Kind::Embedded(folder) })
    }

    /// A Redis of this test's own.
    pub(crate) async fn redis() -> Option<Self> {
        let server = RedisServer::start().await?;
        Some(Self { store: connect(&server).await, kind: Kind::Redis(server) })
    }

    /// Another instance on the same data; the same one where only one can be.
    pub(crate) async fn another(&self) -> Arc<dyn Store> {
        match &self.kind {
            Kind::Memory | Kind::Embedded(_) => self.store.clone(),
            Kind::Redis(server) => connect(server).await,
        }
    }

    /// Whether anything outlives the process.
    pub(crate) fn is_lasting(&self) -> bool {
        !matches!(self.kind, Kind::Memory)
    }

    /// Ends the store, or kills Redis, and starts it again. Redis keeps its clients, so that the store
    /// stays the same there. (The embedded store's process is killed in a suite of its own.)
    pub(crate) async fn restart(&mut self) {
        match &mut self.kind {
            Kind::Memory => {}
            Kind::Embedded(folder) => {
                self.store.close().await;
                self.store = Arc::new(EmbeddedStore::open(folder.path()).unwrap());
            }
            Kind::Redis(server) => {
                server.restart().await;
                answers_again(&self.store).await;
            }
        }
    }
}

async fn connect(server: &RedisServer) -> Arc<dyn Store> {
    let config = RedisConfig { url: server.url(), prefix: "test".to_owned() };
    Arc::new(RedisStore::connect(config).await.unwrap())
}

/// Waits until a store has found its backend again.
pub(crate) async fn answers_again(store: &Arc<dyn Store>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.ping().await {
        assert!(Instant::now() < deadline, "the store does not answer again: {error}");
        sleep(Duration::from_millis(20)).await;
    }
}
