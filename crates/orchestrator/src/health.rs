//! Whether store and LiveKit answer, as last seen; asking costs nothing.

use std::error::Error;

use parking_lot::Mutex;

/// How a part we depend on is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartHealth {
    /// `None`: it answered. Else what is wrong, without secrets.
    pub trouble: Option<String>,
}

impl PartHealth {
    /// It answered when last asked.
    pub fn is_ok(&self) -> bool {
        self.trouble.is_none()
    }
}

/// How both parts are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// The store: without it nothing is served.
    pub store: PartHealth,
    /// LiveKit: without it what needs it is 503 and the rest is served.
    pub livekit: PartHealth,
}

#[derive(Default)]
pub(crate) struct HealthState(Mutex<Health>);

impl HealthState {
    pub(crate) fn get(&self) -> Health {
        self.0.lock().clone()
    }

    pub(crate) fn livekit_answered(&self) {
        let mut health = self.0.lock();
        if health.livekit.trouble.take().is_some() {
            tracing::info!("LiveKit answers again");
        }
    }

    pub(crate) fn livekit_failed(&self, error: &(dyn Error + 'static)) {
        let text = chain(error);
        let mut health = self.0.lock();
        if health.livekit.trouble.is_none() {
            tracing::warn!(error = %text, "LiveKit does not answer");
        }
        health.livekit.trouble = Some(text);
    }

    pub(crate) fn store_seen(&self, result: Result<(), &(dyn Error + 'static)>) {
        let mut health = self.0.lock();
        match (result, health.store.trouble.is_some()) {
            (Ok(()), true) => tracing::info!("the store answers again"),
            (Err(error), false) => tracing::warn!(error = %chain(error), "the store does not answer"),
            _ => {}
        }
        health.store.trouble = result.err().map(chain);
    }
}

impl crate::Orchestrator {
    /// How store and LiveKit are, as last seen (at most a few seconds ago).
    pub fn health(&self) -> Health {
        self.inner.health.get()
    }
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
