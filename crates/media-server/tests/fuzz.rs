//! Mutated join requests and RoomService bodies, over real sockets. `make fuzz` runs it for longer.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use livekit_protocol as proto;
use proptest::prelude::{any, proptest};
use proptest::sample::select;
use prost::Message as _;
use support::client::{Client, V0, join_request};
use support::server::{Server, admin, guest};
use testkit::fuzz::{cases, mutated};
use tokio::runtime::Runtime;

/// One server for all cases.
struct Bench {
    runtime: Runtime,
    server: Server,
    client: reqwest::Client,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let server = runtime.block_on(Server::embedded_with(|config| {
            config.limits.joins_per_second = 1_000_000;
            config.limits.join_burst = 1_000_000;
        }));
        Bench { runtime, server, client: reqwest::Client::new() }
    })
}

fn leaked(seeds: Vec<Vec<u8>>) -> Vec<&'static [u8]> {
    seeds.into_iter().map(|seed| &*seed.leak()).collect()
}

/// Join requests, plain.
fn joins() -> &'static [&'static [u8]] {
    static SEEDS: OnceLock<Vec<&'static [u8]>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let track = proto::AddTrackRequest { cid: "cam".into(), r#type: 1, source: 1, ..Default::default() };
        let full = proto::JoinRequest {
            metadata: "m".into(),
            participant_attributes: [("k".to_owned(), "v".to_owned())].into(),
            add_track_requests: vec![track],
            publisher_offer: Some(proto::SessionDescription {
                r#type: "offer".into(),
                sdp: "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n".into(),
                id: 1,
                ..Default::default()
            }),
            reconnect: false,
            participant_sid: "PA_x".into(),
            sync_state: Some(proto::SyncState::default()),
            ..join_request()
        };
        leaked(vec![join_request().encode_to_vec(), full.encode_to_vec()])
    })
}

/// The parameter as it travels.
fn wrapped() -> &'static [&'static [u8]] {
    static SEEDS: OnceLock<Vec<&'static [u8]>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let travelling = |join: &&[u8]| {
            let wrapped = proto::WrappedJoinRequest { compression: 0, join_request: join.to_vec() };
            URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec()).into_bytes()
        };
        leaked(joins().iter().map(travelling).collect())
    })
}

const QUERIES: &[&[u8]] = &[
    b"sdk=js&protocol=17&version=2.23.0&auto_subscribe=1&adaptive_stream=1",
    b"sdk=go&protocol=-1&publish=cam&reconnect=1&sid=PA_x&capabilities=CAP_PACKET_TRAILER,x",
    b"attributes=eyJrIjoidiJ9&client_protocol=1&os=a&os_version=b&device_model=c&network=wifi",
];
const QUERY_WORDS: &[&[u8]] = &[b"%00", b"%ff", b"&&", b"join_request=", b"access_token=", b"=", b"99999999999"];

const BODIES: &[&[u8]] = &[
    b"{\"name\":\"fuzz\",\"empty_timeout\":1,\"max_participants\":2,\"metadata\":\"m\"}",
    b"{\"names\":[\"fuzz\"]}",
    b"{\"room\":\"fuzz\",\"identity\":\"ann\",\"track_sid\":\"TR_x\",\"muted\":true}",
    b"{\"room\":\"fuzz\",\"identity\":\"ann\",\"metadata\":\"m\",\"name\":\"n\",\"permission\":{\"can_publish\":false},\"attributes\":{\"k\":\"v\"}}",
    b"{\"room\":\"fuzz\",\"identity\":\"ann\",\"track_sids\":[\"TR_x\"],\"subscribe\":true}",
    b"{\"room\":\"fuzz\",\"data\":\"aGk=\",\"kind\":\"RELIABLE\",\"destination_identities\":[\"ann\"],\"topic\":\"t\"}",
    b"\x0a\x04fuzz\x12\x03ann\x1a\x01m",
    b"\x0a\x04fuzz\x10\x01\x18\x02\x2a\x01m",
];
const BODY_WORDS: &[&[u8]] =
    &[b"null", b"[]", b"{}", b"1e400", b"-1", b"\"\\ud800\"", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"];
const METHODS: &[&str] = &[
    "CreateRoom",
    "ListRooms",
    "DeleteRoom",
    "ListParticipants",
    "GetParticipant",
    "RemoveParticipant",
    "MutePublishedTrack",
    "UpdateParticipant",
    "UpdateSubscriptions",
    "SendData",
    "UpdateRoomMetadata",
    "PerformRpc",
];

/// Opens a path. Whoever gets in is told so, or told to leave; and leaves.
async fn enter(server: &Server, path: &str) {
    match Client::open(server, path).await {
        Ok(mut client) => drop(client.next().await.expect("a first message")),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
            assert!(answer.status().is_client_error(), "{path}: {}", answer.status());
        }
        Err(error) => panic!("{path}: {error}"),
    }
}

/// What may travel in a query as it is.
fn query(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| {
            if byte.is_ascii_graphic() && !b"#\"<>".contains(byte) {
                char::from(*byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn fuzz_join_requests(join in mutated(joins(), &[b"PA_", b"\x08\x01"])) {
        let Bench { runtime, server, .. } = bench();
        let wrapped = proto::WrappedJoinRequest { compression: 0, join_request: join };
        let encoded = URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec());
        if encoded.len() < 60_000 {
            let token = guest("fuzz", "ann");
            runtime.block_on(enter(server, &format!("/rtc/v1?access_token={token}&join_request={encoded}")));
        }
    }

    #[test]
    fn fuzz_wrapped_join_requests(text in mutated(wrapped(), QUERY_WORDS)) {
        let Bench { runtime, server, .. } = bench();
        if text.len() < 20_000 {
            let token = guest("fuzz", "bob");
            runtime.block_on(enter(server, &format!("/rtc/v1?access_token={token}&join_request={}", query(&text))));
        }
    }

    #[test]
    fn fuzz_join_queries(text in mutated(QUERIES, QUERY_WORDS), current in any::<bool>()) {
        let Bench { runtime, server, .. } = bench();
        if text.len() < 20_000 {
            let (token, current) = (guest("fuzz", "carl"), if current { V0 } else { "" });
            runtime.block_on(enter(server, &format!("/rtc?access_token={token}&{current}&{}", query(&text))));
        }
    }

    #[test]
    fn fuzz_room_service(body in mutated(BODIES, BODY_WORDS), method in select(METHODS), json in any::<bool>()) {
        let Bench { runtime, server, client } = bench();
        runtime.block_on(async {
            let url = format!("http://{}/twirp/livekit.RoomService/{method}", server.address);
            let kind = if json { "application/json" } else { "application/protobuf" };
            let request = client.post(url).bearer_auth(admin("fuzz")).header("content-type", kind).body(body);
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.bytes().await.unwrap();
            // 501 is what is not offered; every refusal says what it is.
            assert!(status < 500 || status == 501, "{method}: {status}");
            if status != 200 {
                let error: serde_json::Value = serde_json::from_slice(&text).unwrap();
                assert!(error["code"].is_string() && error["msg"].is_string(), "{method}: {error}");
            }
        });
    }
}
