//! The embedded media server as a subject of the suite, on a runtime of its own that can be killed.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::middleware;
use domain::{Identity, Role};
use media_server::{ApiKey, Config, MediaServer};
use rooms::{DEFAULT_TOKEN_LIFE, LiveKit, LiveKitHost, RoomSpec, Rooms, TokenRequest, Tokens};
use testkit::Participant;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::livekit::SdkPerson;
use super::receiver::Receiver;
use super::{DEADLINE, Endpoint, Person, Server, eventually, now};

const KEY: &str = "APIembedded";
const SECRET: &str = "a-secret-of-the-embedded-media-server";

pub(crate) struct Embedded {
    address: SocketAddr,
    runtime: Option<Runtime>,
    paused: watch::Sender<bool>,
    rooms: Arc<LiveKit>,
    receiver: Receiver,
}

impl Embedded {
    fn client(address: SocketAddr, secret: &str) -> Arc<LiveKit> {
        let host = LiveKitHost::parse(&format!("ws://{address}")).unwrap();
        Arc::new(LiveKit::new(&host, KEY, secret, DEADLINE).unwrap())
    }

    /// Serves at `address`, or at a free one; the address it has.
    async fn serve(
        runtime: &Runtime,
        address: Option<SocketAddr>,
        webhook: String,
        paused: watch::Receiver<bool>,
    ) -> SocketAddr {
        let started = runtime.spawn(async move {
            let listener = bind(address.unwrap_or_else(|| ([127, 0, 0, 1], 0).into())).await;
            let address = listener.local_addr().unwrap();
            let key = ApiKey { key: KEY.to_owned(), secret: SECRET.to_owned() };
            let server = MediaServer::start(Config { webhook_urls: vec![webhook], ..Config::new(key) }).unwrap();
            let hold = move |request, next: middleware::Next| {
                let mut paused = paused.clone();
                async move {
                    paused.wait_for(|paused| !paused).await.unwrap();
                    next.run(request).await
                }
            };
            let router = server.standalone_router().layer(middleware::from_fn(hold));
            tokio::spawn(async move {
                axum::serve(listener, router).await.unwrap();
                drop(server);
            });
            address
        });
        started.await.unwrap()
    }

    fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What was killed lets go of its address in its own time.
async fn bind(address: SocketAddr) -> TcpListener {
    eventually("the address is free", async || TcpListener::bind(address).await.ok()).await
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.kill();
    }
}

#[async_trait]
impl Server for Embedded {
    async fn start() -> Option<Self> {
        let receiver = Receiver::start().await;
        let (paused, watched) = watch::channel(false);
        let runtime = runtime();
        let address = Self::serve(&runtime, None, receiver.url(), watched).await;
        Some(Self { address, runtime: Some(runtime), paused, rooms: Self::client(address, SECRET), receiver })
    }

    fn rooms(&self) -> Arc<dyn Rooms> {
        self.rooms.clone()
    }

    fn asked_by_a_stranger(&self) -> Arc<dyn Rooms> {
        Self::client(self.address, "a-guessed-secret-of-the-right-length")
    }

    async fn pause(&mut self) {
        self.paused.send_replace(true);
    }

    async fn resume(&mut self) {
        self.paused.send_replace(false);
    }

    async fn restart(&mut self) {
        self.kill();
        let runtime = runtime();
        let watched = self.paused.subscribe();
        Self::serve(&runtime, Some(self.address), self.receiver.url(), watched).await;
        self.runtime = Some(runtime);
    }

    async fn join(&self, room: &RoomSpec, identity: &Identity, role: Role) -> Box<dyn Person> {
        let request = TokenRequest { room, identity, name: None, metadata: None, role, now: now() };
        let token = self.tokens().mint(request).token;
        let participant = Participant::join(identity.as_str(), &self.ws_url(), &token).await;
        Box::new(SdkPerson(participant.expect("the Python SDK is installed by the project's scripts")))
    }
}

impl Endpoint for Embedded {
    fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    fn tokens(&self) -> Tokens {
        Tokens::new(KEY, SECRET, DEFAULT_TOKEN_LIFE)
    }

    fn key(&self) -> (String, String) {
        (KEY.to_owned(), SECRET.to_owned())
    }

    fn receiver(&mut self) -> &mut Receiver {
        &mut self.receiver
    }
}
