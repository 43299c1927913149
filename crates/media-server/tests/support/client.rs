//! A signalling client without media: sends and receives raw protocol messages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::{SinkExt, StreamExt};
use livekit_protocol as proto;
use livekit_protocol::signal_request::Message as Ask;
use livekit_protocol::signal_response::Message;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::PATIENCE;
use super::server::Server;

/// An open signalling connection.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Every message so far.
    pub(crate) seen: Vec<Message>,
    /// The close code, once it was closed.
    pub(crate) closed: Option<u16>,
}

/// The query of `/rtc` for a current client.
pub(crate) const V0: &str = "sdk=js&protocol=17&version=2.23.0&auto_subscribe=1";

/// The status of a refused connection.
pub(crate) fn refused(error: &tungstenite::Error) -> u16 {
    match error {
        tungstenite::Error::Http(response) => response.status().as_u16(),
        other => panic!("not an HTTP answer: {other}"),
    }
}

impl Client {
    /// Opens a path with query, without any expectation.
    pub(crate) async fn open(server: &Server, path: &str) -> Result<Self, tungstenite::Error> {
        let (socket, _) = connect_async(format!("ws://{}{path}", server.address)).await?;
        Ok(Self { socket, seen: Vec::new(), closed: None })
    }

    /// Joins on `/rtc`.
    pub(crate) async fn v0(server: &Server, token: &str) -> Result<Self, tungstenite::Error> {
        Self::open(server, &format!("/rtc?access_token={token}&{V0}")).await
    }

    /// Joins on `/rtc/v1` with this request.
    pub(crate) async fn v1(
        server: &Server,
        token: &str,
        request: proto::JoinRequest,
    ) -> Result<Self, tungstenite::Error> {
        Self::open(server, &v1_path(token, request)).await
    }

    /// Joins on `/rtc/v1` and takes the join response.
    pub(crate) async fn join(server: &Server, token: &str) -> (Self, proto::JoinResponse) {
        let mut client = Self::v1(server, token, join_request()).await.unwrap();
        let join = client.joined().await;
        (client, join)
    }

    /// The join response, which is the first message.
    pub(crate) async fn joined(&mut self) -> proto::JoinResponse {
        match self.next().await {
            Some(Message::Join(join)) => join,
            other => panic!("not a join: {other:?}"),
        }
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, ask: Ask) {
        let bytes = proto::SignalRequest { message: Some(ask) }.encode_to_vec();
        self.socket.send(Frame::Binary(bytes.into())).await.unwrap();
    }

    /// Sends a frame as it is.
    pub(crate) async fn send_frame(&mut self, frame: Frame) -> Result<(), tungstenite::Error> {
        self.socket.send(frame).await
    }

    /// The next frame as it is. `None`: closed.
    pub(crate) async fn next_frame(&mut self) -> Option<Frame> {
        tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something is sent in time")?.ok()
    }

    /// The next message. `None`: closed.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            match self.next_frame().await {
                Some(Frame::Binary(bytes)) => {
                    let message = proto::SignalResponse::decode(bytes).unwrap().message.unwrap();
                    self.seen.push(message.clone());
                    return Some(message);
                }
                Some(Frame::Close(frame)) => {
                    self.closed = frame.map(|f| f.code.into());
                    return None;
                }
                Some(_) => {}
                None => return None,
            }
        }
    }

    /// The next message this function takes something from; others are passed over.
    pub(crate) async fn until<T>(&mut self, what: &str, mut take: impl FnMut(&Message) -> Option<T>) -> T {
        let search = async {
            while let Some(message) = self.next().await {
                if let Some(found) = take(&message) {
                    return found;
                }
            }
            panic!("closed before: {what}; seen {:?}", self.seen);
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("did not come: {what}"))
    }

    /// The next Leave.
    pub(crate) async fn leave(&mut self) -> proto::LeaveRequest {
        self.until("leave", |m| if let Message::Leave(l) = m { Some(l.clone()) } else { None }).await
    }

    /// An update about somebody that fits.
    pub(crate) async fn update(
        &mut self,
        what: &str,
        identity: &str,
        fits: impl Fn(&proto::ParticipantInfo) -> bool,
    ) -> proto::ParticipantInfo {
        self.until(what, |m| match m {
            Message::Update(u) => u.participants.iter().find(|p| p.identity == identity && fits(p)).cloned(),
            _ => None,
        })
        .await
    }

    /// Goes away without goodbye.
    pub(crate) fn cut(self) {
        drop(self.socket);
    }
}

/// A request as a current client makes it.
pub(crate) fn join_request() -> proto::JoinRequest {
    proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: proto::client_info::Sdk::Js.into(),
            version: "2.23.0".into(),
            protocol: 17,
            ..Default::default()
        }),
        connection_settings: Some(proto::ConnectionSettings { auto_subscribe: true, ..Default::default() }),
        ..Default::default()
    }
}

/// The path of a v1 connection.
pub(crate) fn v1_path(token: &str, request: proto::JoinRequest) -> String {
    let wrapped = proto::WrappedJoinRequest { compression: 0, join_request: request.encode_to_vec() };
    let encoded = URL_SAFE.encode(wrapped.encode_to_vec()).replace('=', "%3D");
    format!("/rtc/v1?access_token={token}&join_request={encoded}")
}
