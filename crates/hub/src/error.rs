//! Why a subscription could not be opened.

use store::StoreError;

/// A subscription that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The state could not be read; trying again helps when the source says so.
    #[error("the state to be watched can't be read")]
    Store(#[from] StoreError),
    /// The hub is draining: another instance, or a later try, will serve it.
    #[error("live updates are closing down here")]
    Draining,
}
