//! The orchestrator's parts, how they are put together and taken apart.

use std::sync::Arc;
use std::time::Duration;

use domain::{DeploymentId, Epoch, Head, Mark, Rules, Timestamp};
use rand::RngExt;
use rooms::{RoomSpec, Rooms, Tokens, WebhookVerifier};
use serde_json::Map;
use store::{MetaKey, Store};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::confirm::RoomLookup;
use crate::error::StartError;
use crate::health::HealthState;
use crate::intake::Intake;
use crate::jobs::{self, JobSettings};
use crate::seal::Seal;

/// LiveKit's own timeouts are this much later than ours: a backstop only.
const BACKSTOP: Duration = Duration::from_secs(30);
/// Characters of what nobody may guess: 36 of them are a little over 5 bits each.
pub(crate) const SECRET_LENGTH: usize = 40;
/// Letters and digits, for ids that nobody types.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// Which media server the records are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaSide {
    /// A LiveKit at `LIVEKIT_HOST`; two of these are never told apart, because one server has many names.
    External,
    /// The embedded one; the id is kept in its `DATA_DIR`.
    Embedded(String),
}

impl MediaSide {
    fn as_stored(&self) -> String {
        match self {
            Self::External => "external".to_owned(),
            Self::Embedded(id) => format!("embedded:{id}"),
        }
    }
}

/// What an orchestrator is made of.
pub struct Parts {
    /// Where streams are kept.
    pub store: Arc<dyn Store>,
    /// The media server.
    pub rooms: Arc<dyn Rooms>,
    /// Signs join tokens.
    pub tokens: Tokens,
    /// Checks webhooks.
    pub webhooks: WebhookVerifier,
    /// The deployment's time rules.
    pub rules: Rules,
    /// How the background jobs run.
    pub jobs: JobSettings,
    /// Which media server the records are about.
    pub media_side: MediaSide,
    /// `DEPLOYMENT_ID`; `None`: the stored one, made at the first start.
    pub deployment: Option<DeploymentId>,
}

/// All use-cases. Cheap to clone: clones are the same orchestrator.
#[derive(Clone)]
pub struct Orchestrator {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) rooms: Arc<dyn Rooms>,
    pub(crate) tokens: Tokens,
    pub(crate) webhooks: WebhookVerifier,
    pub(crate) rules: Rules,
    pub(crate) jobs: JobSettings,
    pub(crate) deployment: DeploymentId,
    /// Signs invites and tickets.
    pub(crate) seal: Seal,
    pub(crate) lookup: RoomLookup,
    pub(crate) intake: Intake,
    pub(crate) health: HealthState,
    /// Every background task, so that shutdown can wait for all of them.
    pub(crate) tasks: TaskTracker,
    /// Asks the jobs to end.
    pub(crate) stop: CancellationToken,
}

impl Orchestrator {
    /// Agrees with the store on deployment and media side, then starts the jobs.
    pub async fn start(parts: Parts) -> Result<Self, StartError> {
        let deployment = agree_on_deployment(&*parts.store, parts.deployment).await?;
        agree_on_media_side(&*parts.store, &parts.media_side).await?;
        let seal = agree_on_seal(&*parts.store).await?;
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let inner = Inner {
            lookup: RoomLookup::start(parts.rooms.clone(), &tasks, stop.clone()),
            store: parts.store,
            rooms: parts.rooms,
            tokens: parts.tokens,
            webhooks: parts.webhooks,
            rules: parts.rules,
            jobs: parts.jobs,
            deployment,
            seal,
            intake: Intake::default(),
            health: HealthState::default(),
            tasks,
            stop,
        };
        let orchestrator = Self { inner: Arc::new(inner) };
        jobs::start(&orchestrator);
        Ok(orchestrator)
    }

    /// Ends the jobs, waits for what is under way (at most `limit`) and gives the leases back.
    pub async fn shutdown(&self, limit: Duration) {
        self.inner.stop.cancel();
        self.inner.tasks.close();
        if tokio::time::timeout(limit, self.inner.tasks.wait()).await.is_err() {
            tracing::warn!("background work was still under way at shutdown; it is taken up by the next instance");
        }
    }

    /// The store's clock.
    pub fn now(&self) -> Timestamp {
        self.inner.store.now()
    }

    /// The id that marks this deployment's rooms.
    pub fn deployment(&self) -> &DeploymentId {
        &self.inner.deployment
    }

    /// The room a create asks for: mark and the user's metadata.
    pub(crate) fn room_to_create(&self, head: &Head) -> RoomSpec {
        self.room_spec(head, self.mark(head).metadata(&head.settings.metadata))
    }

    /// The room a token may make by itself: never with the user's metadata, because tokens travel in URLs.
    pub(crate) fn room_in_token(&self, head: &Head) -> RoomSpec {
        self.room_spec(head, self.mark(head).metadata(&Map::new()))
    }

    pub(crate) fn mark(&self, head: &Head) -> Mark {
        Mark { deployment: self.inner.deployment.clone(), id: head.id.clone(), generation: head.generation }
    }

    fn room_spec(&self, head: &Head, metadata: String) -> RoomSpec {
        let own = head.settings.empty_timeout.map(|s| Duration::from_secs(s.into()));
        RoomSpec {
            name: head.room.name.clone(),
            metadata,
            empty_timeout: own.unwrap_or(self.inner.rules.empty_timeout) + BACKSTOP,
            departure_timeout: self.inner.rules.departure_timeout + BACKSTOP,
            max_participants: head.settings.max_participants.unwrap_or(0),
        }
    }

    /// Runs to its end even if the caller goes away: a request that is cut off leaves nothing half-done.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, crate::UseCaseError> {
        let task = self.inner.tasks.spawn(work);
        task.await.map_err(|_| crate::UseCaseError::Busy("the server is shutting down"))
    }
}

async fn agree_on_deployment(store: &dyn Store, wanted: Option<DeploymentId>) -> Result<DeploymentId, StartError> {
    let stored = store.meta(MetaKey::Deployment).await?;
    let own = match (&stored, wanted) {
        (Some(stored), None) => return Ok(DeploymentId(stored.clone())),
        (_, Some(wanted)) => wanted.0,
        (None, None) => random_id(16),
    };
    match &stored {
        Some(stored) if *stored == own => return Ok(DeploymentId(own)),
        Some(stored) => {
            let active = store.totals().await?.streams;
            if active > 0 {
                return Err(StartError::OtherDeployment { stored: stored.clone(), own, active });
            }
        }
        None => {}
    }
    Ok(DeploymentId(store.swap_meta(MetaKey::Deployment, stored.as_deref(), &own).await?))
}

async fn agree_on_media_side(store: &dyn Store, side: &MediaSide) -> Result<(), StartError> {
    let own = side.as_stored();
    let stored = store.meta(MetaKey::MediaSide).await?;
    if stored.as_ref() == Some(&own) {
        return Ok(());
    }
    let stored = match stored {
        // Whoever came first between our look and our write decides.
        None => store.swap_meta(MetaKey::MediaSide, None, &own).await?,
        Some(stored) => stored,
    };
    if stored == own {
        return Ok(());
    }
    let active = store.totals().await?.streams;
    if active > 0 {
        return Err(StartError::OtherMediaSide { stored, own, active });
    }
    tracing::warn!(%stored, %own, "the store was used with another media side; no stream is active, so it is taken over");
    store.swap_meta(MetaKey::MediaSide, Some(&stored), &own).await?;
    Ok(())
}

async fn agree_on_seal(store: &dyn Store) -> Result<Seal, StartError> {
    let secret = match store.meta(MetaKey::AccessKey).await? {
        Some(secret) => secret,
        None => store.swap_meta(MetaKey::AccessKey, None, &random_id(SECRET_LENGTH)).await?,
    };
    Ok(Seal::new(&secret))
}

/// `length` random letters and digits.
pub(crate) fn random_id(length: usize) -> String {
    let mut random = rand::rng();
    (0..length).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

pub(crate) fn fresh_epoch() -> Epoch {
    Epoch::from(random_id(8))
}
