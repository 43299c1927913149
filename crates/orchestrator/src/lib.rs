//! What is done with streams: one file per use-case, and the jobs that keep
//! every record true when nobody asks.
//!
//! A use-case loads, lets `domain` decide, commits, and starts over when it
//! lost the race. This crate knows neither HTTP nor a concrete store or LiveKit.

mod access;
mod ban;
mod confirm;
mod create;
mod end;
mod error;
mod health;
mod intake;
mod intents;
mod invite;
mod jobs;
mod join;
mod leave;
mod moderate;
mod orchestrator;
mod orphan;
mod read;
mod reconcile;
mod seal;
mod settings;
mod update;
mod webhook;

pub use access::{Credential, CredentialError, HostKey};
pub use ban::{BanRequest, LONGEST_BAN};
pub use create::Created;
pub use error::{StartError, UseCaseError};
pub use health::{Health, PartHealth};
pub use invite::{Issued, LONGEST_INVITE, TICKET_LIFE};
pub use jobs::JobSettings;
pub use join::{JoinStream, Joined};
pub use orchestrator::{MediaSide, Orchestrator, Parts};
pub use webhook::{WebhookFailure, WebhookVerdict};
