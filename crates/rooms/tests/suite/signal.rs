//! A participant at the level of LiveKit's signalling: joins, asks, reads answers; no media.

use futures_util::{SinkExt, StreamExt};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as Ask;
use proto::signal_response::Message as Answer;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

pub(crate) struct Signal {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The first answer: room, participant and what they may do.
    pub(crate) joined: proto::JoinResponse,
}

impl Signal {
    /// Connects with `token`; the HTTP status where it is refused.
    pub(crate) async fn join(ws_url: &str, token: &str) -> Result<Self, u16> {
        let url = format!("{ws_url}/rtc?protocol=16&auto_subscribe=1&sdk=rust&version=0");
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let socket = match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => socket,
            Err(Error::Http(answer)) => return Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        };
        let mut signal = Self { socket, joined: proto::JoinResponse::default() };
        match signal.answer().await {
            Answer::Join(joined) => signal.joined = joined,
            other => panic!("the first answer is {other:?}"),
        }
        Ok(signal)
    }

    /// Asks to publish a track; whether it was taken.
    pub(crate) async fn try_to_publish(&mut self) -> bool {
        let track = proto::AddTrackRequest {
            cid: "camera".into(),
            name: "camera".into(),
            r#type: proto::TrackType::Video as i32,
            source: proto::TrackSource::Camera as i32,
            ..Default::default()
        };
        self.ask(Ask::AddTrack(track)).await;
        loop {
            match self.answer().await {
                Answer::TrackPublished(_) => return true,
                Answer::RequestResponse(refusal) => {
                    assert_eq!(refusal.reason(), proto::request_response::Reason::NotAllowed, "{refusal:?}");
                    return false;
                }
                _ => {}
            }
        }
    }

    /// What the server says of this participant next.
    pub(crate) async fn next_of_myself(&mut self) -> proto::ParticipantInfo {
        let me = self.joined.participant.clone().unwrap();
        loop {
            if let Answer::Update(update) = self.answer().await
                && let Some(info) = update.participants.into_iter().find(|info| info.sid == me.sid)
            {
                return info;
            }
        }
    }

    async fn ask(&mut self, message: Ask) {
        let request = proto::SignalRequest { message: Some(message) };
        self.socket.send(Message::Binary(request.encode_to_vec().into())).await.unwrap();
    }

    async fn answer(&mut self) -> Answer {
        let next = async {
            loop {
                if let Message::Binary(bytes) = self.socket.next().await.unwrap().unwrap() {
                    let response = proto::SignalResponse::decode(bytes.as_ref()).unwrap();
                    if let Some(message) = response.message {
                        return message;
                    }
                }
            }
        };
        tokio::time::timeout(super::PATIENCE, next).await.expect("an answer comes")
    }
}
