//! Event streams over every version of HTTP, with the embedded media server: they behave alike on both paths, the
//! handed-over socket (plain HTTP/1.1) and the response body (HTTP/2, HTTP/1.1 in TLS, HTTP/1.0).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Version};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use testkit::{Livestream, SseClient, free_tcp_port, free_udp_port};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;

use crate::tls::{certificate, secured, trusting};
use crate::world::{create, instance};

const PATIENCE: Duration = Duration::from_secs(20);
/// What HTTP/2 lets a server send before it is read, as small as the protocol's own default (RFC 9113, 6.9.2).
const WINDOW: u32 = 65_535;

/// One version of HTTP: its name, an instance that speaks it, and a client that speaks nothing else.
struct Way {
    name: &'static str,
    version: Version,
    one: Livestream,
    client: Client,
    /// The certificate of an instance that speaks TLS.
    trusted: Option<String>,
}

fn ways() -> Vec<Way> {
    let (certificate, key) = certificate();
    let way = |name, version, secure: bool, client: ClientBuilder| {
        let one = match secure {
            true => secured(&certificate, &key),
            false => instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port()),
        };
        let windows = client.http2_initial_stream_window_size(WINDOW).http2_initial_connection_window_size(WINDOW);
        Way { name, version, one, client: windows.build().unwrap(), trusted: secure.then(|| certificate.clone()) }
    };
    vec![
        way("HTTP/2", Version::HTTP_2, true, trusting(&certificate)),
        way("HTTP/1.1 in TLS", Version::HTTP_11, true, trusting(&certificate).http1_only()),
        way("HTTP/1.1", Version::HTTP_11, false, Client::builder()),
        way("HTTP/1.0", Version::HTTP_10, false, Client::builder()),
    ]
}

impl Way {
    async fn started(mut self, settings: &[(&str, &str)]) -> Self {
        for (name, value) in settings {
            self.one.set(name, value);
        }
        self.one.start().await;
        create(&self.one, "gold").await;
        self
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.one.url(path)).version(self.version)
    }

    fn events(&self, last: Option<String>) -> RequestBuilder {
        let request = self.get("/sse/gold/updates");
        last.into_iter().fold(request, |request, id| request.header("last-event-id", id))
    }

    async fn retitle(&self, title: &str) {
        let answer = self.one.send(Method::PATCH, "/streams/gold", Some(json!({"title": title}))).await;
        assert_eq!(answer.status.as_u16(), 200, "{}: {answer:?}", self.name);
    }

    /// How many event streams the instance counts as open.
    async fn open(&self) -> usize {
        let metrics = self.one.metrics().await;
        let gauges = metrics.lines().filter(|line| line.starts_with("livestream_sse_connections"));
        gauges.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>() as usize
    }

    async fn until_open(&self, wanted: usize) {
        let begun = Instant::now();
        while self.open().await != wanted {
            assert!(begun.elapsed() < PATIENCE, "{}: not {wanted} open but {}", self.name, self.open().await);
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Newest state first, changes, heartbeat, resuming, the cap of one stream, the end with the program.
#[tokio::test(flavor = "multi_thread")]
async fn states_come_newest_first_and_end_with_the_program() {
    for way in ways() {
        let settings = [("SSE_HEARTBEAT", "1"), ("SSE_MAX_PER_STREAM", "2"), ("SHUTDOWN_TIMEOUT", "2")];
        let mut way = way.started(&settings).await;
        let name = way.name;
        way.retitle("first").await;
        let mut reader = SseClient::open_by(way.events(None)).await;
        reader.wait_for("the newest state", |state| state["title"] == "first").await;
        assert_eq!(reader.states().len(), 1, "{name}: the newest state alone comes first");
        way.retitle("second").await;
        reader.wait_for("the change", |state| state["title"] == "second").await;
        let last = reader.events().into_iter().rev().find_map(|event| event.id);
        until_heartbeat(name, &reader).await;

        let mut resumed = SseClient::open_by(way.events(last)).await;
        let refused = way.events(None).send().await.unwrap();
        assert_eq!(refused.status().as_u16(), 503, "{name}: a third reader of a stream that may have two");
        assert!(refused.headers().contains_key("retry-after"), "{name}");
        way.retitle("third").await;
        resumed.wait_for("the change after it", |state| state["title"] == "third").await;
        assert_eq!(resumed.states().len(), 1, "{name}: what was seen before is not sent again");

        way.one.terminate();
        for reader in [&mut reader, &mut resumed] {
            reader.wait_for_end().await;
            assert!(reader.has_ended_whole(), "{name}: it was cut off");
        }
        let ended = way.one.wait_for_exit(Duration::from_secs(10)).await;
        assert_eq!(ended.code(), Some(0), "{name}: {}", way.one.log_tail());
    }
}

async fn until_heartbeat(name: &str, reader: &SseClient) {
    let begun = Instant::now();
    let heard = || {
        let events = reader.events();
        events.iter().any(|event| event.data.is_empty() && event.comments.iter().any(|text| text.is_empty()))
    };
    while !heard() {
        assert!(begun.elapsed() < PATIENCE, "{name}: no heartbeat in {:?}", reader.events());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_in_all_and_of_one_address_hold_and_give_their_places_back() {
    for way in ways() {
        let way =
            way.started(&[("SSE_MAX_CONNECTIONS", "3"), ("SSE_MAX_PER_ADDRESS", "2"), ("RATE_LIMIT", "on")]).await;
        let name = way.name;
        // As a proxy on this machine would ask for its callers.
        let from = |address: &str, path: &str| way.get(path).header("x-forwarded-for", address);
        let one = SseClient::open_by(from("192.0.2.1", "/sse/gold/updates")).await;
        let _lobby = SseClient::open_by(from("192.0.2.1", "/sse/streams")).await;
        refused(name, from("192.0.2.1", "/sse/gold/updates"), 429, "too_many_readers_of_address").await;
        let _other = SseClient::open_by(from("192.0.2.2", "/sse/gold/updates?view=summary")).await;
        refused(name, from("192.0.2.3", "/sse/gold/updates"), 503, "too_many_readers").await;
        drop(one);
        way.until_open(2).await;
        let mut next = SseClient::open_by(from("192.0.2.1", "/sse/gold/updates")).await;
        next.wait_for("the state", |state| state["streamId"] == "gold").await;
    }
}

async fn refused(name: &str, request: RequestBuilder, status: u16, code: &str) {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), status, "{name}");
    assert_eq!(answer.headers()["retry-after"], "10", "{name}");
    let problem: Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], code, "{name}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_is_ended_in_order_and_resumed_without_a_repetition() {
    for way in ways() {
        let way = way.started(&[("SSE_MAX_AGE", "1.5"), ("SSE_HEARTBEAT", "1")]).await;
        let mut reader = SseClient::open_by(way.events(None)).await;
        reader.wait_for("the state", |state| state["streamId"] == "gold").await;
        reader.wait_for_end().await;
        assert!(reader.has_ended_whole(), "{}: it was cut off", way.name);
        way.until_open(0).await;
        let last = reader.events().into_iter().rev().find_map(|event| event.id);
        let mut resumed = SseClient::open_by(way.events(last)).await;
        way.retitle("after it").await;
        resumed.wait_for("the change", |state| state["title"] == "after it").await;
        assert_eq!(resumed.states().len(), 1, "{}", way.name);
    }
}

/// A reader in whose connection little has room, so that it is soon behind.
enum LateReader {
    /// HTTP/2, where a window says how much.
    Response(reqwest::Response),
    /// A socket with as small a buffer as the kernel allows.
    Socket(Box<dyn AsyncRead + Unpin>),
}

impl LateReader {
    async fn open(way: &Way) -> Self {
        if way.version == Version::HTTP_2 {
            return Self::Response(way.events(None).send().await.unwrap());
        }
        let version = if way.version == Version::HTTP_10 { "1.0" } else { "1.1" };
        let request = format!("GET /sse/gold/updates HTTP/{version}\r\nhost: 127.0.0.1:{}\r\n\r\n", way.one.port());
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let socket = socket.connect(SocketAddr::from(([127, 0, 0, 1], way.one.port()))).await.unwrap();
        Self::Socket(match &way.trusted {
            None => asking(socket, &request).await,
            Some(certificate) => {
                let name = ServerName::try_from("127.0.0.1").unwrap();
                asking(connector(certificate).connect(name, socket).await.unwrap(), &request).await
            }
        })
    }

    async fn read(&mut self) -> Vec<u8> {
        match self {
            Self::Response(response) => response.chunk().await.unwrap().unwrap_or_default().to_vec(),
            Self::Socket(socket) => {
                let mut bytes = vec![0; 16 * 1024];
                let length = socket.read(&mut bytes).await.unwrap();
                bytes.truncate(length);
                bytes
            }
        }
    }
}

async fn asking(
    mut socket: impl AsyncRead + AsyncWrite + Unpin + 'static,
    request: &str,
) -> Box<dyn AsyncRead + Unpin> {
    socket.write_all(request.as_bytes()).await.unwrap();
    Box::new(socket)
}

fn connector(certificate: &str) -> TlsConnector {
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(trusted).with_no_client_auth()))
}

/// A title as long as may be.
fn long(round: usize) -> String {
    format!("{round:0>250}")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_late_is_sent_the_newest_state_and_not_all() {
    const ROUNDS: usize = 1_000;
    for way in ways() {
        let way = way.started(&[]).await;
        let mut reader = LateReader::open(&way).await;
        for round in 1..=ROUNDS {
            way.retitle(&long(round)).await;
        }
        let (mut text, last) = (String::new(), long(ROUNDS));
        while !text.contains(&last) {
            let more = tokio::time::timeout(PATIENCE, reader.read()).await.expect("more comes");
            assert!(!more.is_empty(), "{}: it ended", way.name);
            text.push_str(&String::from_utf8_lossy(&more));
        }
        let ids = text.lines().filter_map(|line| line.strip_prefix("id:"));
        let versions: Vec<u64> = ids.filter_map(|id| id.rsplit_once('-')?.1.parse().ok()).collect();
        assert!(versions.is_sorted_by(|one, next| one < next), "{}: {versions:?}", way.name);
        let kept = versions.len();
        assert!((2..ROUNDS / 2).contains(&kept), "{}: {kept} of {ROUNDS} states were kept for it", way.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_nothing_is_cut_and_its_place_is_free() {
    for way in ways() {
        let way = way.started(&[("SSE_WRITE_TIMEOUT", "1"), ("SSE_HEARTBEAT", "1")]).await;
        let _stalled = LateReader::open(&way).await;
        way.until_open(1).await;
        let (begun, mut round) = (Instant::now(), 0);
        // Until nothing more fits in between, and then for as long as it may.
        while way.open().await > 0 {
            assert!(begun.elapsed() < PATIENCE, "{}: it is still there", way.name);
            round += 1;
            way.retitle(&long(round)).await;
        }
    }
}
