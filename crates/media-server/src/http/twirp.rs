//! RoomService over Twirp: one route, JSON and protobuf, each method with its grant.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use livekit_protocol as proto;
use prost::Message;
use serde::de::DeserializeOwned;

use super::twirp_error::{Code, TwirpError};
use super::twirp_json::TwirpJson;
use super::{App, bearer};
use crate::access::Claims;
use crate::room::{AdminError, Now, Rooms};

/// LiveKit's other services, which this server does not have.
const OTHER_SERVICES: [&str; 8] = [
    "livekit.Egress",
    "livekit.Ingress",
    "livekit.SIP",
    "livekit.AgentDispatchService",
    "livekit.AgentService",
    "livekit.CloudAgent",
    "livekit.Connector",
    "livekit.PhoneNumberService",
];

/// One call, before its method is known.
struct Call {
    app: App,
    /// `None`: no token came.
    claims: Option<Claims>,
    format: Format,
    body: Bytes,
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Protobuf,
}

/// `POST /twirp/<service>/<method>`.
pub(crate) async fn call(
    State(app): State<App>,
    Path((service, name)): Path<(String, String)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let claims = match bearer(&headers) {
        None => None,
        Some(Err(why)) => return (StatusCode::UNAUTHORIZED, why).into_response(),
        Some(Ok(token)) => match app.verify(token) {
            Ok(claims) => Some(claims),
            Err(error) => return (StatusCode::UNAUTHORIZED, error.to_string()).into_response(),
        },
    };
    let answer = async {
        let format = route(&service, &method, &uri, &headers)?;
        let body = body.map_err(|e| TwirpError::new(Code::Malformed, e.body_text()))?;
        dispatch(&name, &method, &uri, Call { app, claims, format, body }).await
    };
    answer.await.unwrap_or_else(IntoResponse::into_response)
}

/// Whether anybody listens here, and in which format the caller speaks.
fn route(service: &str, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Format, TwirpError> {
    let bad = |msg| Err(TwirpError::bad_route(msg, format!("{method} {}", uri.path())));
    if OTHER_SERVICES.contains(&service) {
        let msg = format!("{service} is not part of this server; use a LiveKit deployment that has it");
        return Err(TwirpError::new(Code::Unimplemented, msg));
    }
    if service != "livekit.RoomService" {
        return bad(format!("no handler for path {:?}", uri.path()));
    }
    if method != Method::POST {
        return bad(format!("unsupported method {:?} (only POST is allowed)", method.as_str()));
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => Ok(Format::Json),
        "application/protobuf" => Ok(Format::Protobuf),
        other => bad(format!("unexpected Content-Type: {other:?}")),
    }
}

async fn dispatch(name: &str, method: &Method, uri: &Uri, call: Call) -> Result<Response, TwirpError> {
    match name {
        "CreateRoom" => call.run(creates, Rooms::create_room).await,
        "ListRooms" => call.run(lists, |rooms, _, r| Ok(rooms.list_rooms(&r))).await,
        "DeleteRoom" => {
            call.run(creates, |rooms, now, r: proto::DeleteRoomRequest| rooms.delete_room(now, &r.room)).await
        }
        "ListParticipants" => call.run(admin, |rooms, _, r| Ok(list_participants(rooms, &r))).await,
        "GetParticipant" => call.run(admin, |rooms, _, r| get_participant(rooms, &r)).await,
        "RemoveParticipant" => call.run(admin, remove_participant).await,
        "MutePublishedTrack" => call.run(admin, |rooms, now, r| rooms.mute_published_track(now, &r)).await,
        "UpdateParticipant" => call.run(admin, Rooms::update_participant).await,
        "UpdateSubscriptions" => call.run(admin, Rooms::update_subscriptions).await,
        "SendData" => call.run(admin, |rooms, _, r| rooms.send_data(r)).await,
        "UpdateRoomMetadata" => call.run(admin, |rooms, _, r| rooms.update_room_metadata(r)).await,
        "ForwardParticipant" | "MoveParticipant" | "PerformRpc" => {
            Err(TwirpError::new(Code::Unimplemented, format!("{name} is not offered by this server")))
        }
        _ => {
            let msg = format!("no handler for path {:?}", uri.path());
            Err(TwirpError::bad_route(msg, format!("{method} {}", uri.path())))
        }
    }
}

impl Call {
    /// Decodes, checks the grant, asks the rooms, encodes.
    async fn run<Asked, Answer>(
        self,
        allowed: fn(&Claims, &Asked) -> bool,
        act: impl FnOnce(&mut Rooms, Now, Asked) -> Result<Answer, AdminError> + Send + 'static,
    ) -> Result<Response, TwirpError>
    where
        Asked: Message + Default + DeserializeOwned + 'static,
        Answer: Message + TwirpJson + 'static,
    {
        let asked: Asked = self.decode()?;
        if !self.claims.as_ref().is_some_and(|claims| allowed(claims, &asked)) {
            return Err(TwirpError::denied());
        }
        let answer = self.app.ask(move |rooms, now| act(rooms, now, asked)).await;
        let answer = answer.map_err(|e| TwirpError::new(Code::Unavailable, e.to_string()))??;
        Ok(match self.format {
            Format::Json => {
                ([(header::CONTENT_TYPE, "application/json")], answer.to_json().to_string()).into_response()
            }
            Format::Protobuf => {
                ([(header::CONTENT_TYPE, "application/protobuf")], answer.encode_to_vec()).into_response()
            }
        })
    }

    fn decode<Asked: Message + Default + DeserializeOwned>(&self) -> Result<Asked, TwirpError> {
        let malformed =
            |what: &str| TwirpError::new(Code::Malformed, format!("the {what} request could not be decoded"));
        match self.format {
            Format::Json => serde_json::from_slice(&self.body).map_err(|_| malformed("json")),
            Format::Protobuf => Asked::decode(self.body.clone()).map_err(|_| malformed("protobuf")),
        }
    }
}

impl From<AdminError> for TwirpError {
    fn from(error: AdminError) -> Self {
        let code = match error {
            AdminError::RoomNotFound | AdminError::ParticipantNotFound => Code::NotFound,
            AdminError::Invalid(_) => Code::InvalidArgument,
            AdminError::RemoteUnmute => Code::FailedPrecondition,
            AdminError::TooManyRooms => Code::ResourceExhausted,
        };
        Self::new(code, error.to_string())
    }
}

fn creates<T>(claims: &Claims, _: &T) -> bool {
    claims.video.room_create
}

fn lists(claims: &Claims, _: &proto::ListRoomsRequest) -> bool {
    claims.video.room_list
}

fn admin<T: InRoom>(claims: &Claims, asked: &T) -> bool {
    claims.video.administers(asked.room())
}

fn list_participants(rooms: &Rooms, r: &proto::ListParticipantsRequest) -> proto::ListParticipantsResponse {
    rooms.list_participants(&r.room)
}

fn get_participant(rooms: &Rooms, r: &proto::RoomParticipantIdentity) -> Result<proto::ParticipantInfo, AdminError> {
    rooms.get_participant(&r.room, &r.identity)
}

fn remove_participant(
    rooms: &mut Rooms,
    now: Now,
    r: proto::RoomParticipantIdentity,
) -> Result<proto::RemoveParticipantResponse, AdminError> {
    rooms.remove_participant(now, &r.room, &r.identity)
}

/// A request about one room.
trait InRoom {
    /// Its name.
    fn room(&self) -> &str;
}

macro_rules! in_room {
    ($($request:ty),*) => {
        $(impl InRoom for $request {
            fn room(&self) -> &str {
                &self.room
            }
        })*
    };
}

in_room!(
    proto::ListParticipantsRequest,
    proto::RoomParticipantIdentity,
    proto::MuteRoomTrackRequest,
    proto::UpdateParticipantRequest,
    proto::UpdateSubscriptionsRequest,
    proto::SendDataRequest,
    proto::UpdateRoomMetadataRequest
);
