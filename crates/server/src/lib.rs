//! The HTTP edge: one route list that is also the OpenAPI document, access
//! checks, problem documents, event streams, pages, and an orderly shutdown.
//!
//! Handlers parse, call one use-case and render. This crate decides nothing
//! about streams and names no concrete store or LiveKit.

mod access;
mod api;
mod body;
mod client;
mod complaints;
mod config;
mod deadline;
mod edge;
mod extract;
mod guard;
mod idempotency;
mod keys;
mod limits;
mod meters;
mod openapi;
mod origin;
mod pages;
mod problem;
mod router;
mod routes;
mod serve;
mod sse;
mod state;

pub use client::PeerAddr;
pub use config::{ApiKey, Auth, MediaUrl, Scope, ServerConfig};
pub use keys::KeyRing;
pub use limits::{Quota, RateLimits};
pub use meters::install_metrics;
pub use pages::Pages;
pub use router::{app, openapi_document, webhook_app};
pub use serve::{Tls, TlsError, serve};
pub use sse::SseEncoder;
pub use state::AppState;
