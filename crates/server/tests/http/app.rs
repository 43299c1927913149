//! A whole server in memory, and a hand that plays its callers, LiveKit and the people.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, StatusCode};
use axum::{Router, response::Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};
use domain::{DeploymentId, Identity, RoomEvent, RoomName, Rules, StreamId};
use http_body_util::BodyExt;
use hub::{Hub, HubSettings};
use orchestrator::{JobSettings, MediaSide, Orchestrator, Parts};
use rooms::simulated::{SimulatedLiveKit, signed_webhook};
use rooms::{Tokens, WebhookVerifier};
use serde_json::{Value, json};
use server::{ApiKey, AppState, Auth, KeyRing, Pages, PeerAddr, Scope, ServerConfig, SseEncoder, app, install_metrics};
use sha2::{Digest, Sha256};
use store::{EmbeddedStore, Store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

pub(crate) const KEY: &str = "devkey";
pub(crate) const SECRET: &str = "a-secret-that-is-long-enough-for-hs256";
pub(crate) const ADMIN: &str = "the-admin-key";
pub(crate) const READER: &str = "the-reading-key";
const SOON: Duration = Duration::from_secs(5);

/// How event streams are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// From the body of the response.
    Body,
    /// From a socket, which is handed over.
    HandedOver,
}

/// Makes each of these functions of a [`Path`] a test on either.
macro_rules! on_both_paths {
    ($($name:ident)*) => {
        mod from_the_body {
            $(#[tokio::test] async fn $name() { super::$name(crate::app::Path::Body).await; })*
        }
        mod handed_over {
            $(#[tokio::test] async fn $name() { super::$name(crate::app::Path::HandedOver).await; })*
        }
    };
}
pub(crate) use on_both_paths;

/// How the server under test is set up.
pub(crate) struct Setup {
    pub(crate) path: Path,
    pub(crate) hub: HubSettings,
    pub(crate) config: ServerConfig,
    pub(crate) rules: Rules,
    pub(crate) jobs: JobSettings,
    pub(crate) pages: Pages,
    pub(crate) extra: Option<Router>,
}

impl Default for Setup {
    /// Rules that never fall due within a test, jobs that hardly run.
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        let timer_interval = Duration::from_millis(20);
        let jobs = JobSettings { sweep_interval: hour, timer_interval, ..JobSettings::default() };
        Self {
            path: Path::Body,
            hub: HubSettings::default(),
            config: ServerConfig::default(),
            rules: Rules::default(),
            jobs,
            pages: Pages::placeholder(),
            extra: None,
        }
    }
}

/// `AUTH=keys`: [`ADMIN`] and [`READER`].
pub(crate) fn keys() -> ServerConfig {
    let key = |name: &str, scope, text: &str| ApiKey {
        name: name.to_owned(),
        scope,
        hash: Sha256::digest(text.as_bytes()).into(),
        from_file: false,
    };
    let auth = Auth::Keys(KeyRing::new(vec![key("boss", Scope::Admin, ADMIN), key("watcher", Scope::Read, READER)]));
    ServerConfig { auth, ..ServerConfig::default() }
}

/// A server in memory.
pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) state: AppState,
    pub(crate) livekit: Arc<SimulatedLiveKit>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) orchestrator: Orchestrator,
    pub(crate) hub: Hub,
    /// Where event streams are handed over.
    address: Option<SocketAddr>,
    _serving: DropGuard,
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn on(path: Path) -> Self {
        Self::with(Setup { path, ..Setup::default() }).await
    }

    /// With `AUTH=keys`: [`ADMIN`] and [`READER`].
    pub(crate) async fn with_keys() -> Self {
        Self::with(Setup { config: keys(), ..Setup::default() }).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let store: Arc<dyn Store> = Arc::new(EmbeddedStore::in_memory());
        let livekit = Arc::new(SimulatedLiveKit::new(7, store.now()));
        let parts = Parts {
            store: store.clone(),
            rooms: livekit.clone(),
            tokens: Tokens::new(KEY, SECRET, Duration::from_secs(600)),
            webhooks: WebhookVerifier::new(vec![(KEY.to_owned(), SECRET.to_owned())]),
            rules: setup.rules,
            jobs: setup.jobs,
            media_side: MediaSide::External,
            deployment: Some(DeploymentId("test-deployment".to_owned())),
        };
        let orchestrator = Orchestrator::start(parts).await.unwrap();
        let hub = Hub::new(store.clone(), Arc::new(SseEncoder), setup.hub);
        let state = AppState::new(orchestrator.clone(), hub.clone(), setup.config, setup.pages, install_metrics());
        let router = app(state.clone(), setup.extra);
        let shutdown = CancellationToken::new();
        let address = match setup.path {
            Path::Body => None,
            Path::HandedOver => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let address = listener.local_addr().unwrap();
                tokio::spawn(server::serve(listener, router.clone(), state.clone(), shutdown.clone(), async {}));
                Some(address)
            }
        };
        Self { router, state, livekit, store, orchestrator, hub, address, _serving: shutdown.drop_guard() }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.open(request).await).await
    }

    /// The answer with its body unread.
    pub(crate) async fn open(&self, mut request: Request<Body>) -> Response {
        if request.extensions().get::<PeerAddr>().is_none() {
            request.extensions_mut().insert(PeerAddr("127.0.0.1".parse().unwrap()));
        }
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, None, None)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(request("DELETE", path, None, None)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(request("POST", path, None, Some(body))).await
    }

    /// As a caller with a bearer.
    pub(crate) async fn call(&self, method: &str, path: &str, bearer: &str, body: Option<Value>) -> Answer {
        self.send(request(method, path, Some(bearer), body)).await
    }

    pub(crate) async fn create(&self, name: &str) {
        assert_eq!(self.post("/streams", json!({ "name": name })).await.status, StatusCode::CREATED);
    }

    /// An event stream, from its first byte.
    pub(crate) async fn watch(&self, path: &str) -> Events {
        self.watch_with(request("GET", path, None, None)).await
    }

    pub(crate) async fn watch_with(&self, request: Request<Body>) -> Events {
        if let Some(address) = self.address {
            return Events::over_tcp(address, &request).await;
        }
        let response = self.open(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let (parts, body) = response.into_parts();
        Events { headers: parts.headers, bytes: Bytes::new(), source: EventSource::Body(body), text: String::new() }
    }

    /// Somebody comes into the room, and LiveKit's webhooks say so.
    pub(crate) async fn enter(&self, room: &str, who: &str) {
        let joined = self.livekit.join(&RoomName::from(room), &person(who), self.store.now()).unwrap();
        self.tell(&joined.events).await;
    }

    /// Waits until LiveKit has nobody of that name in the room.
    pub(crate) async fn until_outside(&self, room: &str, who: &str) {
        use rooms::Rooms;
        let out = async {
            while self.livekit.get_participant(&RoomName::from(room), &person(who)).await.unwrap().is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, out).await.expect("still in the room");
        let events = self.livekit.take_events();
        self.tell(&events).await;
    }

    pub(crate) async fn publish(&self, room: &str, who: &str) {
        let (_, events) = self.livekit.publish(&RoomName::from(room), &person(who), self.store.now()).unwrap();
        self.tell(&events).await;
    }

    /// Delivers webhooks, each signed.
    pub(crate) async fn tell(&self, events: &[RoomEvent]) {
        for event in events {
            assert_eq!(self.send(self.webhook(event)).await.status, StatusCode::OK);
        }
    }

    pub(crate) fn webhook(&self, event: &RoomEvent) -> Request<Body> {
        let (authorization, body) = signed_webhook(event, KEY, SECRET, self.store.now());
        webhook_request(&authorization, body)
    }

    pub(crate) async fn state_of(&self, id: &str) -> Value {
        self.get(&format!("/streams/{id}/state")).await.json()
    }

    pub(crate) async fn room_exists(&self, name: &str) -> bool {
        use rooms::Rooms;
        !self.livekit.find_rooms(&[RoomName::from(name)]).await.unwrap().is_empty()
    }
}

pub(crate) fn webhook_request(authorization: &str, body: Vec<u8>) -> Request<Body> {
    Request::post("/webhook")
        .header("content-type", "application/webhook+json")
        .header("authorization", authorization)
        .body(Body::from(body))
        .unwrap()
}

pub(crate) fn request(method: &str, path: &str, bearer: Option<&str>, body: Option<Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "stream.example:3000");
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    match body {
        Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    }
    .unwrap()
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = timeout(SOON, body.collect()).await.expect("the body did not end").unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A problem document with this status, code and classic text.
    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16, code: &str, error: &str) {
        let problem = self.json();
        assert_eq!((self.status.as_u16(), problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(problem["error"], error);
        assert_eq!(problem["detail"], error);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:livestream:problem:{code}"));
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        assert_eq!(self.header("content-type"), "application/problem+json");
    }

    /// A problem document with this status and code.
    #[track_caller]
    pub(crate) fn assert_code(&self, status: u16, code: &str) {
        let error = self.json()["error"].as_str().unwrap_or_default().to_owned();
        self.assert_problem(status, code, &error);
    }
}

/// An open event stream.
pub(crate) struct Events {
    pub(crate) headers: HeaderMap,
    source: EventSource,
    /// Read from a socket, and not understood yet.
    bytes: Bytes,
    text: String,
}

enum EventSource {
    Body(Body),
    Tcp(TcpStream),
}

impl Events {
    /// Asks as plainly as a client can, and checks that the socket was handed over.
    async fn over_tcp(address: SocketAddr, request: &Request<Body>) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        socket.write_all(format!("{head}\r\n").as_bytes()).await.unwrap();
        let source = EventSource::Tcp(socket);
        let mut events = Self { headers: HeaderMap::new(), source, bytes: Bytes::new(), text: String::new() };
        assert_eq!(events.line().await, "HTTP/1.1 200 OK");
        loop {
            let line = events.line().await;
            let Some((name, value)) = line.split_once(": ") else { break };
            let former = events.headers.insert(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            assert!(former.is_none(), "{name} twice");
        }
        let header = |name: &str| events.headers[name].to_str().unwrap();
        assert_eq!((header("connection"), header("transfer-encoding")), ("close", "chunked"), "it was not handed over");
        assert!(header("date").ends_with(" GMT") && events.headers.get("content-length").is_none());
        events
    }

    /// The next block, without the empty line after it; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let data = self.data_frame().await?;
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    async fn data_frame(&mut self) -> Option<Bytes> {
        if let EventSource::Body(body) = &mut self.source {
            let frame = timeout(SOON, body.frame()).await.expect("no event came")?;
            return Some(frame.unwrap().into_data().unwrap());
        }
        let length = usize::from_str_radix(&self.line().await, 16).unwrap();
        let data = self.take(length).await;
        assert_eq!(self.take(2).await, "\r\n", "a chunk ends where it says");
        (length > 0).then_some(data)
    }

    async fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.extend_from_slice(&self.take(1).await);
        }
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// So many bytes from the socket.
    async fn take(&mut self, length: usize) -> Bytes {
        let EventSource::Tcp(socket) = &mut self.source else { panic!("there is no socket") };
        let mut buffer = BytesMut::from(&*self.bytes);
        while buffer.len() < length {
            let read = timeout(SOON, socket.read_buf(&mut buffer)).await.expect("no event came").unwrap();
            assert!(read > 0, "it was cut after {buffer:?}");
            // What came is kept even if nobody waits for the rest.
            self.bytes = buffer.clone().freeze();
        }
        self.bytes = buffer.split_off(length).freeze();
        buffer.freeze()
    }

    /// The next event with data: its lines.
    pub(crate) async fn event(&mut self) -> Option<String> {
        loop {
            let block = self.block().await?;
            if block.contains("data: ") {
                return Some(block);
            }
        }
    }

    /// The data of the next event.
    pub(crate) async fn data(&mut self) -> Value {
        let event = self.event().await.expect("the event stream ended");
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        serde_json::from_str(data).unwrap()
    }

    /// Data of events until one is as wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let data = self.data().await;
            if wanted(&data) {
                return data;
            }
        }
    }

    /// Nothing comes for a moment.
    pub(crate) async fn silence(&mut self) {
        let came = timeout(Duration::from_millis(100), self.event()).await;
        assert!(came.is_err(), "something came: {came:?}");
    }
}

/// The claims of a JWT, unchecked.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub(crate) fn person(name: &str) -> Identity {
    Identity::parse(name).unwrap()
}

pub(crate) fn stream(id: &str) -> StreamId {
    StreamId::parse(id).unwrap()
}
