//! A webhook receiver that verifies what it gets.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use base64::Engine as _;
use jsonwebtoken::{DecodingKey, Validation, decode};
use livekit_protocol::WebhookEvent;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::server::SECRET;
use super::until;

/// Received events in order.
#[derive(Clone)]
pub(crate) struct Hooks {
    /// Where to post.
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<WebhookEvent>>>,
}

impl Hooks {
    /// A receiver on a free port.
    pub(crate) async fn start() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().route("/", post(receive)).with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, seen }
    }

    /// Events of a room so far.
    pub(crate) fn of(&self, room: &str) -> Vec<WebhookEvent> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|e| e.room.as_ref().is_some_and(|r| r.name == room)).cloned().collect()
    }

    /// Their names.
    pub(crate) fn names(&self, room: &str) -> Vec<String> {
        self.of(room).into_iter().map(|e| e.event).collect()
    }

    /// Waits for an event of a room.
    pub(crate) async fn wait(&self, room: &str, event: &str) -> WebhookEvent {
        until(&format!("{event} of {room}"), || async { self.of(room).into_iter().find(|e| e.event == event) }).await
    }
}

async fn receive(State(seen): State<Arc<Mutex<Vec<WebhookEvent>>>>, headers: HeaderMap, body: Bytes) {
    assert_eq!(headers["content-type"], "application/webhook+json");
    let token = headers["authorization"].to_str().unwrap();
    let claims = decode::<Value>(token, &DecodingKey::from_secret(SECRET.as_bytes()), &Validation::default());
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&body));
    assert_eq!(claims.unwrap().claims["sha256"], hash, "the hash covers the exact bytes");
    seen.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
}
