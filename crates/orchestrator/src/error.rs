//! Why a use-case did not do what was asked.

use domain::{BanRefusal, JoinRefusal, MAX_BANS, MAX_GRANTS};
use rooms::RoomsError;
use store::StoreError;

/// A use-case's refusal or failure. Nothing is half-done after any of them.
#[derive(Debug, thiserror::Error)]
pub enum UseCaseError {
    /// There is no such stream, or it is private and the caller has nothing that opens it.
    #[error("there is no such stream")]
    NotFound,
    /// The stream has ended.
    #[error("the stream has ended")]
    Finished,
    /// As many people are in it as may be.
    #[error("the stream is full")]
    Full,
    /// The identity is connected already, and the caller asked not to replace it.
    #[error("somebody with this userId is already in the stream")]
    DuplicateIdentity,
    /// Nobody of that identity is connected.
    #[error("nobody with this userId is in the stream")]
    NotInRoom,
    /// The settings tag given is not the current one.
    #[error("the settings were changed meanwhile")]
    ChangedMeanwhile,
    /// What the caller has shown does not allow it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The role asked for is more than the caller may have.
    #[error("the role is more than the caller may have")]
    RoleNotAllowed,
    /// The identity is banned from the stream.
    #[error("this userId is banned from the stream")]
    Banned,
    /// The identity holds a publishing role, and the caller has not shown to be its owner.
    #[error("this userId belongs to a host or speaker of the stream")]
    Held,
    /// As many are banned from the stream as may be.
    #[error("{MAX_BANS} people are banned from this stream already: lift a ban first")]
    TooManyBans,
    /// As many identities hold a role in the stream as may.
    #[error("{MAX_GRANTS} people hold a role in this stream already")]
    TooManyGrants,
    /// Whether a stream is private is settled when it is created.
    #[error("a stream is private from its creation on, or never: create another one")]
    PrivacyIsFixed,
    /// The LiveKit room of that name belongs to another deployment.
    #[error("the LiveKit room of this name belongs to another deployment")]
    RoomTaken,
    /// Somebody else is at it; the same call may succeed in a moment.
    #[error("{0}")]
    Busy(&'static str),
    /// The store can't be reached.
    #[error("the store is unavailable")]
    Store(#[from] StoreError),
    /// LiveKit can't be reached or does not do what it is asked.
    #[error("LiveKit is unavailable")]
    LiveKit(#[from] RoomsError),
}

impl UseCaseError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Busy(_) => true,
            Self::Store(error) => error.is_retryable(),
            Self::LiveKit(error) => error.is_retryable(),
            _ => false,
        }
    }
}

impl From<JoinRefusal> for UseCaseError {
    fn from(refusal: JoinRefusal) -> Self {
        match refusal {
            // A private stream is not to be told from one that is not there.
            JoinRefusal::NotFound | JoinRefusal::Private => Self::NotFound,
            JoinRefusal::Finished => Self::Finished,
            JoinRefusal::Full => Self::Full,
            JoinRefusal::Duplicate => Self::DuplicateIdentity,
            JoinRefusal::Banned => Self::Banned,
            JoinRefusal::RoleNotAllowed => Self::RoleNotAllowed,
            JoinRefusal::Held => Self::Held,
        }
    }
}

impl From<BanRefusal> for UseCaseError {
    fn from(refusal: BanRefusal) -> Self {
        match refusal {
            BanRefusal::Finished => Self::Finished,
            BanRefusal::TooMany => Self::TooManyBans,
        }
    }
}

/// Why the orchestrator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be reached.
    #[error("the store is unavailable")]
    Store(#[from] StoreError),
    /// The stored streams live on another media server.
    #[error(
        "the store has {active} active streams on media side {stored:?}, but this instance is set up for {own:?}: \
         set LIVEKIT_HOST (or unset it) as on the other instances, use another REDIS_URL, REDIS_PREFIX or DATA_DIR, \
         or end the streams first"
    )]
    OtherMediaSide {
        /// What the store says.
        stored: String,
        /// What this instance is.
        own: String,
        /// Active streams there.
        active: u64,
    },
    /// `DEPLOYMENT_ID` differs from the id the active streams are marked with.
    #[error(
        "the store has {active} active streams of deployment {stored:?}, but DEPLOYMENT_ID is {own:?}: \
         unset DEPLOYMENT_ID, or end the streams first"
    )]
    OtherDeployment {
        /// What the store says.
        stored: String,
        /// What was configured.
        own: String,
        /// Active streams there.
        active: u64,
    },
}
