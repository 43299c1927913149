//! Delivery of room events: signed, in order per room and address, repeated, bounded.
//!
//! Each room and address has its own queue and, while it holds something, one task. A full queue
//! refuses the newest event and an event that waited too long is dropped; both are counted. Not
//! here: which events there are (`room`).

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use livekit_protocol::WebhookEvent;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Keyring;
use crate::config::Timeouts;

/// Events of one room that may wait for one address.
const QUEUE: usize = 200;

/// Age at which a waiting event is no longer worth sending.
const MAX_AGE: Duration = Duration::from_secs(30);

/// Repetitions after a failure, each after twice the pause before.
const RETRIES: u32 = 4;

/// A room event and the room it is ordered by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RoomEvent {
    /// Name of the room.
    pub room: String,
    /// What is sent.
    pub event: WebhookEvent,
}

/// Accepts events and delivers them in the background until stopped.
#[derive(Clone)]
pub(crate) struct Webhooks(Arc<Inner>);

struct Inner {
    urls: Vec<String>,
    keys: Keyring,
    retry: Duration,
    client: reqwest::Client,
    runtime: Handle,
    queues: Mutex<HashMap<(usize, String), Queue>>,
    closed: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What waits for one address and room. It is in the map exactly while its task runs.
type Queue = VecDeque<(Instant, WebhookEvent)>;

impl Webhooks {
    /// Delivers to every address on `runtime`.
    pub(crate) fn new(
        urls: Vec<String>,
        keys: Keyring,
        timeouts: &Timeouts,
        runtime: Handle,
    ) -> Result<Self, reqwest::Error> {
        let mut client = reqwest::Client::builder().timeout(timeouts.webhook);
        if !urls.iter().any(|url| url.starts_with("https:")) {
            // Without need for TLS a machine without root certificates will do.
            client = client.tls_certs_only([]);
        }
        let client = client.build()?;
        Ok(Self(Arc::new(Inner {
            urls,
            keys,
            retry: timeouts.webhook_retry,
            client,
            runtime,
            queues: Mutex::default(),
            closed: AtomicBool::new(false),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// Queues an event for every address. Never waits.
    pub(crate) fn send(&self, event: &RoomEvent) {
        for url in 0..self.0.urls.len() {
            self.enqueue(url, event);
        }
    }

    fn enqueue(&self, url: usize, event: &RoomEvent) {
        if self.0.closed.load(Ordering::Acquire) {
            return;
        }
        let key = (url, event.room.clone());
        let mut queues = self.0.queues();
        let idle = !queues.contains_key(&key);
        let queue = queues.entry(key.clone()).or_default();
        if queue.len() >= QUEUE {
            metrics::counter!("media_webhooks_total", "result" => "dropped").increment(1);
            return;
        }
        queue.push_back((Instant::now(), event.event.clone()));
        if idle {
            let inner = self.0.clone();
            self.0.tasks.spawn_on(inner.drain(key), &self.0.runtime);
        }
    }

    /// Takes no more events, and drops what could not be delivered within `patience`.
    pub(crate) async fn stop(&self, patience: Duration) {
        self.0.closed.store(true, Ordering::Release);
        self.0.tasks.close();
        let _ = tokio::time::timeout(patience, self.0.tasks.wait()).await;
        self.0.stop.cancel();
        self.0.tasks.wait().await;
    }
}

impl Inner {
    fn queues(&self) -> MutexGuard<'_, HashMap<(usize, String), Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task of one queue: delivers until it is empty.
    async fn drain(self: Arc<Self>, key: (usize, String)) {
        while let Some(event) = self.next(&key) {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.deliver(key.0, &event) => {}
            }
        }
    }

    /// The next event worth sending; ends the queue if there is none.
    fn next(&self, key: &(usize, String)) -> Option<WebhookEvent> {
        let mut queues = self.queues();
        let queue = queues.get_mut(key)?;
        while let Some((queued, event)) = queue.pop_front() {
            if queued.elapsed() <= MAX_AGE {
                return Some(event);
            }
            metrics::counter!("media_webhooks_total", "result" => "dropped").increment(1);
        }
        queues.remove(key);
        None
    }

    /// Sends one event until it is taken, refused for good, or failed too often.
    async fn deliver(&self, url: usize, event: &WebhookEvent) {
        let Ok(body) = serde_json::to_vec(event) else {
            return;
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let token = self.keys.webhook_token(&body, i64::try_from(now).unwrap_or(i64::MAX));
        let mut pause = self.retry;
        for attempt in 0..=RETRIES {
            match self.post(&self.urls[url], &token, body.clone()).await {
                Outcome::Taken => {
                    metrics::counter!("media_webhooks_total", "result" => "sent").increment(1);
                    return;
                }
                Outcome::Refused(status) => {
                    tracing::warn!(event = %event.event, %status, "webhook refused");
                    break;
                }
                Outcome::Failed(why) => {
                    tracing::warn!(event = %event.event, attempt, %why, "webhook failed");
                    if attempt < RETRIES {
                        tokio::time::sleep(pause).await;
                        pause *= 2;
                    }
                }
            }
        }
        metrics::counter!("media_webhooks_total", "result" => "failed").increment(1);
    }

    async fn post(&self, url: &str, token: &str, body: Vec<u8>) -> Outcome {
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/webhook+json")
            .header(AUTHORIZATION, token)
            .body(body);
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Outcome::Taken,
            Ok(answer) if answer.status().is_client_error() => Outcome::Refused(answer.status()),
            Ok(answer) => Outcome::Failed(answer.status().to_string()),
            // The address may carry a secret in its query, so it stays out of the text.
            Err(error) => Outcome::Failed(error.without_url().to_string()),
        }
    }
}

/// What became of one POST.
enum Outcome {
    Taken,
    Refused(reqwest::StatusCode),
    Failed(String),
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use bytes::Bytes;
    use tokio::sync::mpsc;

    use super::*;
    use crate::keys::ApiKey;

    type Seen = (String, String, Bytes);
    /// What the receiver answers to the n-th request.
    type Script = fn(usize) -> StatusCode;

    struct Receiver {
        url: String,
        seen: mpsc::UnboundedReceiver<Seen>,
    }

    async fn receiver(script: Script) -> Receiver {
        let (tx, seen) = mpsc::unbounded_channel::<Seen>();
        let count = Arc::new(Mutex::new(0usize));
        let handler = move |State(tx): State<mpsc::UnboundedSender<Seen>>, headers: HeaderMap, body: Bytes| async move {
            let header = |name: &str| headers[name].to_str().unwrap().to_owned();
            tx.send((header("authorization"), header("content-type"), body)).unwrap();
            let mut n = count.lock().unwrap();
            *n += 1;
            script(*n - 1)
        };
        let app = Router::new().route("/", post(handler)).with_state(tx);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Receiver { url, seen }
    }

    fn keys() -> Keyring {
        Keyring::new(vec![ApiKey { key: "k".into(), secret: "s".into() }])
    }

    fn webhooks(url: &str) -> Webhooks {
        let timeouts = Timeouts { webhook_retry: Duration::from_millis(5), ..Timeouts::default() };
        Webhooks::new(vec![url.to_owned()], keys(), &timeouts, Handle::current()).unwrap()
    }

    fn event(id: &str) -> RoomEvent {
        RoomEvent {
            room: "x".into(),
            event: WebhookEvent { event: "room_started".into(), id: id.into(), created_at: 7, ..Default::default() },
        }
    }

    #[tokio::test]
    async fn an_event_is_signed_over_its_exact_bytes() {
        let mut r = receiver(|_| StatusCode::OK).await;
        let hooks = webhooks(&r.url);
        hooks.send(&event("EV_1"));
        let (token, content_type, body) = r.seen.recv().await.unwrap();
        assert_eq!(content_type, "application/webhook+json");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let claims = keys().verify(&token, now).unwrap();
        use base64::Engine as _;
        use sha2::Digest as _;
        assert_eq!(claims.sha256, base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(&body)));
        assert_eq!(body, r#"{"event":"room_started","id":"EV_1","createdAt":"7"}"#);
        hooks.stop(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn a_failing_receiver_is_retried_in_order_and_a_refusal_is_final() {
        let script: Script = |n| match n {
            0 | 1 => StatusCode::BAD_GATEWAY,
            3 => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        let mut r = receiver(script).await;
        let hooks = webhooks(&r.url);
        for id in ["EV_1", "EV_2", "EV_3"] {
            hooks.send(&event(id));
        }
        let mut ids = Vec::new();
        let mut tokens = Vec::new();
        for _ in 0..5 {
            let (token, _, body) = r.seen.recv().await.unwrap();
            ids.push(serde_json::from_slice::<WebhookEvent>(&body).unwrap().id);
            tokens.push(token);
        }
        assert_eq!(ids, ["EV_1", "EV_1", "EV_1", "EV_2", "EV_3"]);
        assert_eq!(tokens[0], tokens[2], "a repetition is the same request");
        hooks.stop(Duration::ZERO).await;
        assert!(r.seen.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_the_newest() {
        let mut r = receiver(|n| if n < 5 { StatusCode::BAD_GATEWAY } else { StatusCode::OK }).await;
        let hooks = webhooks(&r.url);
        hooks.send(&event("EV_first"));
        r.seen.recv().await.unwrap();
        // The first one is being repeated now, so these wait.
        for n in 0..QUEUE + 7 {
            hooks.send(&event(&format!("EV_{n}")));
        }
        let mut last = String::new();
        while last != format!("EV_{}", QUEUE - 1) {
            let (_, _, body) = r.seen.recv().await.unwrap();
            last = serde_json::from_slice::<WebhookEvent>(&body).unwrap().id;
        }
        hooks.send(&event("EV_after"));
        let (_, _, body) = r.seen.recv().await.unwrap();
        assert_eq!(serde_json::from_slice::<WebhookEvent>(&body).unwrap().id, "EV_after");
        hooks.stop(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn a_stop_sends_nothing_more() {
        let mut r = receiver(|_| StatusCode::BAD_GATEWAY).await;
        let hooks = webhooks(&r.url);
        hooks.send(&event("EV_1"));
        r.seen.recv().await.unwrap();
        hooks.stop(Duration::ZERO).await;
        hooks.send(&event("EV_2"));
        while let Ok((_, _, body)) = r.seen.try_recv() {
            assert_eq!(serde_json::from_slice::<WebhookEvent>(&body).unwrap().id, "EV_1");
        }
    }
}
