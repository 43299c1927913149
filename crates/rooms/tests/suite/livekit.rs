//! A real LiveKit server as a subject of the suite; its people are LiveKit's Python SDK.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Identity, Role};
use rooms::{DEFAULT_TOKEN_LIFE, LiveKit, LiveKitHost, RoomSpec, Rooms, TokenRequest, Tokens};
use testkit::{LiveKitOptions, LiveKitServer, Participant};

use super::receiver::Receiver;
use super::{DEADLINE, Endpoint, Person, Server, now};

pub(crate) struct RealLiveKit {
    server: LiveKitServer,
    rooms: Arc<LiveKit>,
    receiver: Receiver,
}

/// Somebody who uses LiveKit's Python SDK.
pub(crate) struct SdkPerson(pub(crate) Participant);

impl RealLiveKit {
    fn client(server: &LiveKitServer, secret: &str) -> Arc<LiveKit> {
        let host = LiveKitHost::parse(&server.ws_url()).unwrap();
        Arc::new(LiveKit::new(&host, &server.options().api_key, secret, DEADLINE).unwrap())
    }
}

#[async_trait]
impl Server for RealLiveKit {
    async fn start() -> Option<Self> {
        let receiver = Receiver::start().await;
        let options = LiveKitOptions { webhook_urls: vec![receiver.url()], ..LiveKitOptions::default() };
        let server = LiveKitServer::start(options).await?;
        let rooms = Self::client(&server, &server.options().api_secret);
        Some(Self { server, rooms, receiver })
    }

    fn rooms(&self) -> Arc<dyn Rooms> {
        self.rooms.clone()
    }

    fn asked_by_a_stranger(&self) -> Arc<dyn Rooms> {
        Self::client(&self.server, "a-guessed-secret-of-the-right-length")
    }

    async fn pause(&mut self) {
        self.server.pause();
    }

    async fn resume(&mut self) {
        self.server.resume();
    }

    async fn restart(&mut self) {
        self.server.restart().await;
    }

    async fn join(&self, room: &RoomSpec, identity: &Identity, role: Role) -> Box<dyn Person> {
        let request = TokenRequest { room, identity, name: None, metadata: None, role, now: now() };
        let token = self.tokens().mint(request).token;
        let participant = Participant::join(identity.as_str(), &self.ws_url(), &token).await;
        Box::new(SdkPerson(participant.expect("the SDK that joins a real server is installed with it")))
    }
}

impl Endpoint for RealLiveKit {
    fn ws_url(&self) -> String {
        self.server.ws_url()
    }

    fn tokens(&self) -> Tokens {
        let (key, secret) = self.key();
        Tokens::new(&key, &secret, DEFAULT_TOKEN_LIFE)
    }

    fn key(&self) -> (String, String) {
        let options = self.server.options();
        (options.api_key.clone(), options.api_secret.clone())
    }

    fn receiver(&mut self) -> &mut Receiver {
        &mut self.receiver
    }
}

#[async_trait]
impl Person for SdkPerson {
    async fn publish(&mut self) {
        self.0.publish().await;
    }
}
