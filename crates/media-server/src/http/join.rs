//! What a client says when it opens a signalling connection: the query of `/rtc`, the wrapped
//! join request of `/rtc/v1`.
//!
//! Pure decoding with bounds. Not here: tokens, rooms, the upgrade itself.

use std::collections::HashMap;
use std::io::Read;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use livekit_protocol as proto;
use livekit_protocol::wrapped_join_request::Compression;
use prost::Message as _;

use crate::signal::{Dialect, JoinParams};

/// Why a join request could not be understood. All are 400: the client sent something else.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinRequestError {
    /// `/rtc/v1` without the parameter.
    #[error("join_request is required")]
    Missing,
    /// Not base64.
    #[error("cannot base64 decode wrapped join request")]
    Base64,
    /// The outer message is not protobuf.
    #[error("cannot unmarshal wrapped join request")]
    Wrapper,
    /// A compression this server does not know.
    #[error("unsupported compression of the join request: {0}")]
    Compression(i32),
    /// Broken gzip.
    #[error("cannot decompress join request")]
    Gzip,
    /// More bytes than allowed after decompression.
    #[error("join request is larger than {0} bytes")]
    TooLarge(usize),
    /// The inner message is not protobuf.
    #[error("cannot unmarshal join request")]
    Inner,
    /// The `attributes` parameter is not base64url of a JSON map of strings.
    #[error("cannot decode attributes: expected base64url of a JSON object of strings")]
    Attributes,
}

/// Base64 of both alphabets with padding optional, because clients differ.
fn engines() -> [GeneralPurpose; 2] {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    [GeneralPurpose::new(&URL_SAFE, config), GeneralPurpose::new(&STANDARD, config)]
}

fn base64(text: &str) -> Option<Vec<u8>> {
    engines().iter().find_map(|engine| engine.decode(text).ok())
}

/// The parameters of `/rtc`.
pub(crate) fn from_query(query: &HashMap<String, String>) -> Result<JoinParams, JoinRequestError> {
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let flag = |name: &str| query.get(name).map(|v| v == "1" || v == "true");
    Ok(JoinParams {
        dialect: Dialect::Dual,
        auto_subscribe: flag("auto_subscribe").unwrap_or(true),
        adaptive_stream: flag("adaptive_stream").unwrap_or(false),
        allow_pause: flag("subscriber_allow_pause").unwrap_or(true),
        reconnect: flag("reconnect").unwrap_or(false),
        participant_sid: text("sid"),
        publish_only: text("publish"),
        client: client_info(query),
        metadata: String::new(),
        attributes: attributes(query)?,
        add_tracks: Vec::new(),
        offer: None,
        sync_state: None,
    })
}

fn attributes(query: &HashMap<String, String>) -> Result<HashMap<String, String>, JoinRequestError> {
    match query.get("attributes").filter(|v| !v.is_empty()) {
        None => Ok(HashMap::new()),
        Some(text) => {
            let bytes = base64(text).ok_or(JoinRequestError::Attributes)?;
            serde_json::from_slice(&bytes).map_err(|_| JoinRequestError::Attributes)
        }
    }
}

fn client_info(query: &HashMap<String, String>) -> proto::ClientInfo {
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let number = |name: &str| query.get(name).and_then(|v| v.parse().ok()).unwrap_or_default();
    let capability = |name: &str| {
        let full = format!("CAP_{}", name.trim().trim_start_matches("CAP_").to_uppercase());
        proto::client_info::Capability::from_str_name(&full).map(i32::from)
    };
    proto::ClientInfo {
        sdk: sdk(&text("sdk")).into(),
        version: text("version"),
        protocol: number("protocol"),
        os: text("os"),
        os_version: text("os_version"),
        device_model: text("device_model"),
        browser: text("browser"),
        browser_version: text("browser_version"),
        network: text("network"),
        client_protocol: number("client_protocol"),
        capabilities: text("capabilities").split(',').filter_map(capability).collect(),
        ..proto::ClientInfo::default()
    }
}

fn sdk(name: &str) -> proto::client_info::Sdk {
    use proto::client_info::Sdk;
    match name {
        "reactnative" => Sdk::ReactNative,
        "unityweb" => Sdk::UnityWeb,
        other => Sdk::from_str_name(&other.to_uppercase()).unwrap_or_default(),
    }
}

/// The `join_request` parameter of `/rtc/v1`, at most `limit` bytes after decompression.
pub(crate) fn from_wrapped(query: &HashMap<String, String>, limit: usize) -> Result<JoinParams, JoinRequestError> {
    let text = query.get("join_request").filter(|v| !v.is_empty()).ok_or(JoinRequestError::Missing)?;
    let outer = base64(text).ok_or(JoinRequestError::Base64)?;
    let wrapped = proto::WrappedJoinRequest::decode(outer.as_slice()).map_err(|_| JoinRequestError::Wrapper)?;
    let inner = match Compression::try_from(wrapped.compression) {
        Ok(Compression::None) => bounded(wrapped.join_request, limit)?,
        Ok(Compression::Gzip) => gunzip(&wrapped.join_request, limit)?,
        Err(_) => return Err(JoinRequestError::Compression(wrapped.compression)),
    };
    let request = proto::JoinRequest::decode(inner.as_slice()).map_err(|_| JoinRequestError::Inner)?;
    Ok(from_request(request))
}

fn bounded(bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, JoinRequestError> {
    if bytes.len() > limit { Err(JoinRequestError::TooLarge(limit)) } else { Ok(bytes) }
}

/// Unpacks at most one byte more than allowed, so that a bomb costs no memory.
fn gunzip(packed: &[u8], limit: usize) -> Result<Vec<u8>, JoinRequestError> {
    let mut bytes = Vec::new();
    let mut reader = GzDecoder::new(packed).take(limit as u64 + 1);
    reader.read_to_end(&mut bytes).map_err(|_| JoinRequestError::Gzip)?;
    bounded(bytes, limit)
}

fn from_request(request: proto::JoinRequest) -> JoinParams {
    let settings = request.connection_settings.unwrap_or_default();
    JoinParams {
        dialect: Dialect::Single,
        auto_subscribe: settings.auto_subscribe,
        adaptive_stream: settings.adaptive_stream,
        allow_pause: settings.subscriber_allow_pause.unwrap_or(true),
        reconnect: request.reconnect,
        participant_sid: request.participant_sid,
        publish_only: String::new(),
        client: request.client_info.unwrap_or_default(),
        metadata: request.metadata,
        attributes: request.participant_attributes,
        add_tracks: request.add_track_requests,
        offer: request.publisher_offer,
        sync_state: request.sync_state,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::engine::general_purpose::URL_SAFE;
    use flate2::{Compression as Level, write::GzEncoder};

    use super::*;

    fn query(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()
    }

    fn wrap(compression: Compression, bytes: Vec<u8>) -> HashMap<String, String> {
        let wrapped = proto::WrappedJoinRequest { compression: compression.into(), join_request: bytes };
        query(&[("join_request", &URL_SAFE.encode(wrapped.encode_to_vec()))])
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_query_has_livekits_defaults() {
        let params =
            from_query(&query(&[("sdk", "js"), ("protocol", "17"), ("reconnect", "1"), ("sid", "PA_x")])).unwrap();
        assert!(params.auto_subscribe && params.reconnect && params.dialect == Dialect::Dual);
        assert_eq!((params.client.sdk(), params.client.protocol), (proto::client_info::Sdk::Js, 17));
        assert_eq!(params.participant_sid, "PA_x");
        assert!(!from_query(&query(&[("auto_subscribe", "0")])).unwrap().auto_subscribe);
    }

    #[test]
    fn attributes_are_base64url_json() {
        let text = URL_SAFE.encode(r#"{"a":"b"}"#);
        assert_eq!(from_query(&query(&[("attributes", &text)])).unwrap().attributes["a"], "b");
        assert_eq!(from_query(&query(&[("attributes", "{}")])).unwrap_err(), JoinRequestError::Attributes);
    }

    #[test]
    fn a_wrapped_request_is_read_plain_and_packed() {
        let request = proto::JoinRequest { participant_sid: "PA_x".into(), reconnect: true, ..Default::default() };
        for (how, bytes) in
            [(Compression::None, request.encode_to_vec()), (Compression::Gzip, gzip(&request.encode_to_vec()))]
        {
            let params = from_wrapped(&wrap(how, bytes), 1 << 20).unwrap();
            assert!(params.reconnect && params.participant_sid == "PA_x");
            assert!(!params.auto_subscribe, "absent settings are protobuf's defaults");
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(
            from_wrapped(&wrap(Compression::Gzip, bomb), 1 << 20).unwrap_err(),
            JoinRequestError::TooLarge(1 << 20)
        );
    }

    #[test]
    fn rubbish_is_named() {
        assert_eq!(from_wrapped(&query(&[]), 10).unwrap_err(), JoinRequestError::Missing);
        assert_eq!(from_wrapped(&query(&[("join_request", "*")]), 10).unwrap_err(), JoinRequestError::Base64);
        assert_eq!(from_wrapped(&wrap(Compression::Gzip, vec![1, 2]), 10).unwrap_err(), JoinRequestError::Gzip);
        assert_eq!(from_wrapped(&wrap(Compression::None, vec![0xff]), 10).unwrap_err(), JoinRequestError::Inner);
    }
}
