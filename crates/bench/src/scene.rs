//! The program with a filled store, and what stands between it and Redis.

use std::sync::Arc;
use std::time::Duration;

use domain::Rules;
use store::{EmbeddedStore, RedisConfig, RedisStore, Store};
use testkit::{Livestream, RedisServer};

use crate::proxy::{self, Counts, Crossed};
use crate::{seed, usage};

/// Key and secret of a LiveKit that is never asked.
pub(crate) const KEY: (&str, &str) = ("benchkey", "a-secret-of-the-bench-that-is-long-enough");

/// Where the state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Embedded,
    Redis,
}

impl Backend {
    /// As it stands in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "Redis",
        }
    }
}

/// A running program with streams.
pub(crate) struct Scene {
    pub(crate) program: Livestream,
    pub(crate) backend: Backend,
    pub(crate) streams: usize,
    /// From the start of the process to its first `/readyz` 200.
    pub(crate) ready: Duration,
    crossed: Option<Arc<Counts>>,
    _redis: Option<RedisServer>,
}

/// What was used between two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// CPU of the program.
    pub(crate) cpu: Duration,
    /// What crossed to and from Redis.
    pub(crate) crossed: Crossed,
}

impl Scene {
    /// Fills a store and starts the program on it; `None` when there is no Redis here.
    pub(crate) async fn start(binary: &str, backend: Backend, streams: usize) -> anyhow::Result<Option<Self>> {
        // Nobody ever joins: without a long patience the streams would end as idle meanwhile.
        let rules = Rules { empty_timeout: Duration::from_secs(86_400), ..Rules::default() };
        let mut program = program(binary).with("EMPTY_TIMEOUT", 86_400).with("SWEEP_INTERVAL", 86_400);
        let (mut crossed, mut redis) = (None, None);
        match backend {
            Backend::Embedded => {
                let store = EmbeddedStore::open(&program.folder().join("data"))?;
                seed::fill(&store, &rules, streams).await?;
                store.close().await;
            }
            Backend::Redis => {
                let Some(server) = RedisServer::start_volatile().await else { return Ok(None) };
                let store = RedisStore::connect(RedisConfig { url: server.url(), prefix: "livestream".into() }).await?;
                seed::fill(&store, &rules, streams).await?;
                store.close().await;
                let (address, counts) = proxy::start(server.port()).await?;
                program.set("REDIS_URL", format!("redis://{address}/"));
                crossed = Some(counts);
                redis = Some(server);
            }
        }
        let ready = program.start().await;
        // Leases, probes and the first look at what is due are not the work that is measured.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(Some(Self { program, backend, streams, ready, crossed, _redis: redis }))
    }

    /// A row of the table.
    pub(crate) fn row(&self, what: &str, figure: &str) -> String {
        format!("| {what} | {} | {} | {figure} |", self.backend.name(), self.streams)
    }

    /// What `work` used beyond what the program uses in the same time when it is idle.
    pub(crate) async fn used_by(&self, work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<Used> {
        let idle_time = Duration::from_secs(2);
        let (cpu, crossed) = (usage::cpu(self.program.id())?, self.crossed());
        tokio::time::sleep(idle_time).await;
        let (idle_cpu, idle) = (usage::cpu(self.program.id())? - cpu, self.since(crossed));

        let (cpu, crossed) = (usage::cpu(self.program.id())?, self.crossed());
        let begun = tokio::time::Instant::now();
        work.await?;
        let share = begun.elapsed().as_secs_f64() / idle_time.as_secs_f64();
        let (cpu, crossed) = (usage::cpu(self.program.id())? - cpu, self.since(crossed));
        let less = |all: u64, idle: u64| all.saturating_sub((idle as f64 * share).round() as u64);
        Ok(Used {
            cpu: cpu.saturating_sub(idle_cpu.mul_f64(share)),
            crossed: Crossed {
                round_trips: less(crossed.round_trips, idle.round_trips),
                bytes: less(crossed.bytes, idle.bytes),
            },
        })
    }

    fn crossed(&self) -> Crossed {
        self.crossed.as_ref().map(|counts| counts.now()).unwrap_or_default()
    }

    fn since(&self, before: Crossed) -> Crossed {
        let now = self.crossed();
        Crossed { round_trips: now.round_trips - before.round_trips, bytes: now.bytes - before.bytes }
    }
}

/// The program as it ships, with a LiveKit that nobody needs.
pub(crate) fn program(binary: &str) -> Livestream {
    Livestream::new(binary)
        .with("LIVEKIT_HOST", "http://127.0.0.1:9")
        .with("LIVEKIT_API_KEY", KEY.0)
        .with("LIVEKIT_API_SECRET", KEY.1)
        .with("RATE_LIMIT", "off")
        .with("LOG_LEVEL", "warn")
}
