//! RoomService answers as JSON in LiveKit's own form: snake_case names, every field present,
//! 64-bit numbers as text, enums by name.
//!
//! The protobuf crate's own JSON is camelCase without defaults; SDKs read both, people with curl
//! and scripts expect this one.

use livekit_protocol as proto;
use serde_json::{Value, json};

/// An answer that has both encodings.
pub(crate) trait TwirpJson {
    /// The JSON form.
    fn to_json(&self) -> Value;
}

impl TwirpJson for proto::Room {
    fn to_json(&self) -> Value {
        json!({
            "sid": self.sid,
            "name": self.name,
            "empty_timeout": self.empty_timeout,
            "departure_timeout": self.departure_timeout,
            "max_participants": self.max_participants,
            "creation_time": self.creation_time.to_string(),
            "creation_time_ms": self.creation_time_ms.to_string(),
            "turn_password": self.turn_password,
            "enabled_codecs": self.enabled_codecs.iter()
                .map(|c| json!({"mime": c.mime, "fmtp_line": c.fmtp_line})).collect::<Vec<_>>(),
            "metadata": self.metadata,
            "num_participants": self.num_participants,
            "num_publishers": self.num_publishers,
            "active_recording": self.active_recording,
            "version": version(self.version.as_ref()),
        })
    }
}

impl TwirpJson for proto::ParticipantInfo {
    fn to_json(&self) -> Value {
        json!({
            "sid": self.sid,
            "identity": self.identity,
            "state": self.state().as_str_name(),
            "tracks": list(&self.tracks),
            "metadata": self.metadata,
            "joined_at": self.joined_at.to_string(),
            "joined_at_ms": self.joined_at_ms.to_string(),
            "name": self.name,
            "version": self.version,
            "permission": self.permission.as_ref().map(TwirpJson::to_json),
            "region": self.region,
            "is_publisher": self.is_publisher,
            "kind": self.kind().as_str_name(),
            "attributes": self.attributes,
            "disconnect_reason": self.disconnect_reason().as_str_name(),
            "kind_details": self.kind_details().map(|k| k.as_str_name()).collect::<Vec<_>>(),
            "data_tracks": [],
            "client_protocol": self.client_protocol,
            "capabilities": self.capabilities().map(|c| c.as_str_name()).collect::<Vec<_>>(),
        })
    }
}

impl TwirpJson for proto::ParticipantPermission {
    #[expect(deprecated, reason = "LiveKit still sends both fields")]
    fn to_json(&self) -> Value {
        json!({
            "can_subscribe": self.can_subscribe,
            "can_publish": self.can_publish,
            "can_publish_data": self.can_publish_data,
            "can_publish_sources": self.can_publish_sources().map(|s| s.as_str_name()).collect::<Vec<_>>(),
            "hidden": self.hidden,
            "recorder": self.recorder,
            "can_update_metadata": self.can_update_metadata,
            "agent": self.agent,
            "can_subscribe_metrics": self.can_subscribe_metrics,
            "can_manage_agent_session": self.can_manage_agent_session,
        })
    }
}

impl TwirpJson for proto::TrackInfo {
    #[expect(deprecated, reason = "LiveKit still sends these fields")]
    fn to_json(&self) -> Value {
        json!({
            "sid": self.sid,
            "type": self.r#type().as_str_name(),
            "name": self.name,
            "muted": self.muted,
            "width": self.width,
            "height": self.height,
            "simulcast": self.simulcast,
            "disable_dtx": self.disable_dtx,
            "source": self.source().as_str_name(),
            "layers": list(&self.layers),
            "mime_type": self.mime_type,
            "mid": self.mid,
            "codecs": list(&self.codecs),
            "stereo": self.stereo,
            "disable_red": self.disable_red,
            "encryption": self.encryption().as_str_name(),
            "stream": self.stream,
            "version": version(self.version.as_ref()),
            "audio_features": self.audio_features().map(|f| f.as_str_name()).collect::<Vec<_>>(),
            "backup_codec_policy": self.backup_codec_policy().as_str_name(),
            "packet_trailer_features": self.packet_trailer_features().map(|f| f.as_str_name()).collect::<Vec<_>>(),
        })
    }
}

impl TwirpJson for proto::VideoLayer {
    fn to_json(&self) -> Value {
        json!({
            "quality": self.quality().as_str_name(),
            "width": self.width,
            "height": self.height,
            "bitrate": self.bitrate,
            "ssrc": self.ssrc,
            "spatial_layer": self.spatial_layer,
            "rid": self.rid,
            "repair_ssrc": self.repair_ssrc,
        })
    }
}

impl TwirpJson for proto::SimulcastCodecInfo {
    fn to_json(&self) -> Value {
        json!({
            "mime_type": self.mime_type,
            "mid": self.mid,
            "cid": self.cid,
            "layers": list(&self.layers),
            "video_layer_mode": self.video_layer_mode().as_str_name(),
            "sdp_cid": self.sdp_cid,
        })
    }
}

impl TwirpJson for proto::ListRoomsResponse {
    fn to_json(&self) -> Value {
        json!({"rooms": list(&self.rooms)})
    }
}

impl TwirpJson for proto::ListParticipantsResponse {
    fn to_json(&self) -> Value {
        json!({"participants": list(&self.participants)})
    }
}

impl TwirpJson for proto::MuteRoomTrackResponse {
    fn to_json(&self) -> Value {
        json!({"track": self.track.as_ref().map(TwirpJson::to_json)})
    }
}

impl TwirpJson for proto::PerformRpcResponse {
    fn to_json(&self) -> Value {
        json!({"payload": self.payload})
    }
}

/// The answers without fields.
macro_rules! empty {
    ($($answer:ty),*) => {
        $(impl TwirpJson for $answer {
            fn to_json(&self) -> Value {
                json!({})
            }
        })*
    };
}

empty!(
    proto::DeleteRoomResponse,
    proto::RemoveParticipantResponse,
    proto::UpdateSubscriptionsResponse,
    proto::SendDataResponse
);

fn list<T: TwirpJson>(items: &[T]) -> Vec<Value> {
    items.iter().map(TwirpJson::to_json).collect()
}

fn version(version: Option<&proto::TimedVersion>) -> Value {
    version.map_or(Value::Null, |v| json!({"unix_micro": v.unix_micro.to_string(), "ticks": v.ticks}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_there_and_reads_back() {
        let info = proto::ParticipantInfo {
            sid: "PA_x".into(),
            joined_at: 5,
            tracks: vec![proto::TrackInfo { sid: "TR_x".into(), r#type: 1, ..Default::default() }],
            permission: Some(proto::ParticipantPermission { can_publish_sources: vec![1], ..Default::default() }),
            ..Default::default()
        };
        let json = info.to_json();
        assert_eq!(json["joined_at"], "5");
        assert_eq!(json["is_publisher"], false);
        assert_eq!(json["tracks"][0]["type"], "VIDEO");
        assert_eq!(serde_json::from_value::<proto::ParticipantInfo>(json).unwrap(), info);
    }
}
