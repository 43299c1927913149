//! What the suite runs on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use store::{EmbeddedStore, RedisConfig, RedisStore, Store};
use tempfile::TempDir;
use testkit::{RedisCluster, RedisServer};
use tokio::time::{Instant, sleep};

/// What the keys of a test that has Redis to itself begin with.
const PREFIX: &str = "test";

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
    Cluster(Arc<RedisCluster>, String),
    /// One of the test's own, that may be killed.
    OwnCluster(RedisCluster),
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
        Some(Self { store: connect(&server.url(), PREFIX).await, kind: Kind::Redis(server) })
    }

    /// A part of a Redis Cluster's keys, under a prefix of this test's own: a cluster takes seconds to form.
    pub(crate) async fn cluster() -> Option<Self> {
        static PREFIXES: AtomicU64 = AtomicU64::new(0);
        let cluster = shared_cluster().await?;
        let prefix = format!("test{}", PREFIXES.fetch_add(1, Ordering::Relaxed));
        let store = connect(&cluster.url(), &prefix).await;
        Some(Self { store, kind: Kind::Cluster(cluster, prefix) })
    }

    /// Another instance on the same data; the same one where only one can be.
    pub(crate) async fn another(&self) -> Arc<dyn Store> {
        match &self.kind {
            Kind::Memory | Kind::Embedded(_) => self.store.clone(),
            Kind::Redis(server) => connect(&server.url(), PREFIX).await,
            Kind::Cluster(cluster, prefix) => connect(&cluster.urls(), prefix).await,
            Kind::OwnCluster(cluster) => connect(&cluster.url(), PREFIX).await,
        }
    }

    /// Has a backend that may be restarted.
    pub(crate) async fn restartable(self) -> Self {
        let Kind::Cluster(..) = &self.kind else { return self };
        let cluster = RedisCluster::start().await.unwrap();
        Self { store: connect(&cluster.url(), PREFIX).await, kind: Kind::OwnCluster(cluster) }
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
            Kind::Cluster(..) => panic!("others use this cluster too: ask for one of your own first"),
            Kind::OwnCluster(cluster) => {
                cluster.restart().await;
                answers_again(&self.store).await;
            }
        }
    }
}

async fn connect(url: &str, prefix: &str) -> Arc<dyn Store> {
    let config = RedisConfig { url: url.to_owned(), prefix: prefix.to_owned() };
    Arc::new(RedisStore::connect(config).await.unwrap())
}

/// The cluster that all tests of this process share for as long as one of them has it.
async fn shared_cluster() -> Option<Arc<RedisCluster>> {
    static SHARED: tokio::sync::Mutex<Weak<RedisCluster>> = tokio::sync::Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(cluster) = shared.upgrade() {
        return Some(cluster);
    }
    let cluster = Arc::new(RedisCluster::start().await?);
    *shared = Arc::downgrade(&cluster);
    Some(cluster)
}

/// Waits until a store has found its backend again, whichever part of it is asked.
pub(crate) async fn answers_again(store: &Arc<dyn Store>) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = store.totals().await {
        assert!(Instant::now() < deadline, "the store does not answer again: {error}");
        sleep(Duration::from_millis(20)).await;
    }
}
