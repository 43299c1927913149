//! Why a subscription could not be opened.

use domain::Visibility;
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
    /// The stream has as many subscribers here as it may; another instance, or a later try, may serve one more.
    #[error("the stream has {most} subscribers here, which is the most")]
    Full {
        /// So many.
        most: usize,
        /// Who may see the stream, and be told of this.
        visibility: Visibility,
    },
}
