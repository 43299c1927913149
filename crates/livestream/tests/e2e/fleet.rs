//! Instances on one store, without a LiveKit: streams are put into the store, webhooks are signed here,
//! and subscribers are bare sockets, so that there may be many of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::{
    CreateRequest, Creation, Decision, Epoch, EventId, Head, Identity, Kind, ParticipantSid, ParticipantSnapshot,
    RoomEvent, RoomEventKind, RoomName, RoomSid, RoomSnapshot, Rules, Settings, StreamId, Timestamp,
};
use rooms::simulated::signed_webhook;
use serde_json::Value;
use store::{Commit, Committed, EmbeddedStore, RedisConfig, RedisStore, Store};
use testkit::{Livestream, RedisCluster, RedisServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::BINARY;

const KEY: (&str, &str) = ("fleetkey", "a-secret-of-the-fleet-that-is-long-enough");
const LONG: Duration = Duration::from_secs(86_400);

/// Where the state is.
pub(crate) enum Backend {
    Embedded,
    Redis(RedisServer),
    Cluster(RedisCluster),
}

/// Instances with streams.
pub(crate) struct Fleet {
    pub(crate) instances: Vec<Livestream>,
    _backend: Backend,
}

impl Fleet {
    /// Puts `streams` into the store and starts one instance on the embedded store, two on every other.
    pub(crate) async fn start(backend: Backend, streams: usize) -> Self {
        // Every subscriber is a socket.
        drop(rlimit::increase_nofile_limit(u64::MAX));
        let mut instances = vec![instance()];
        let url = match &backend {
            Backend::Embedded => None,
            Backend::Redis(server) => Some(server.url()),
            Backend::Cluster(cluster) => Some(cluster.url()),
        };
        match url {
            None => {
                let store = EmbeddedStore::open(&instances[0].folder().join("data")).unwrap();
                seed(&store, streams).await;
                store.close().await;
            }
            Some(url) => {
                let config = RedisConfig { url: url.clone(), prefix: "livestream".to_owned() };
                let store = RedisStore::connect(config).await.unwrap();
                seed(&store, streams).await;
                store.close().await;
                instances.push(instance());
                instances.iter_mut().for_each(|instance| instance.set("REDIS_URL", &url));
            }
        }
        for instance in &mut instances {
            instance.start().await;
        }
        Self { instances, _backend: backend }
    }

    /// The ports of all instances.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.instances.iter().map(Livestream::port).collect()
    }
}

fn instance() -> Livestream {
    Livestream::new(BINARY)
        .with("LIVEKIT_HOST", "http://127.0.0.1:9")
        .with("LIVEKIT_API_KEY", KEY.0)
        .with("LIVEKIT_API_SECRET", KEY.1)
        .with("RATE_LIMIT", "off")
        .with("EMPTY_TIMEOUT", LONG.as_secs())
        .with("DEPARTURE_TIMEOUT", LONG.as_secs())
        .with("SWEEP_INTERVAL", LONG.as_secs())
        .with("LOG_LEVEL", "warn")
}

/// The id of the stream of that number.
pub(crate) fn name(number: usize) -> String {
    format!("stream-{number}")
}

async fn seed(store: &dyn Store, streams: usize) {
    let rules = Rules { empty_timeout: LONG, departure_timeout: LONG, ..Rules::default() };
    let puts = (0..streams).map(|number| put(store, &rules, number));
    futures(puts).await;
}

async fn put(store: &dyn Store, rules: &Rules, number: usize) {
    let id = StreamId::parse(&name(number)).unwrap();
    let fresh_epoch = Epoch::from(format!("{number:08}"));
    let request = CreateRequest { id: id.clone(), settings: Settings::default(), fresh_epoch, host_key: None };
    let Creation::Reserve(reserved) = domain::create(None, None, request, rules, store.now()) else {
        panic!("the store is empty")
    };
    let head = commit(store, &id, &reserved).await;
    let room = RoomSnapshot {
        name: head.room.name.clone(),
        sid: room_sid(number),
        metadata: String::new(),
        num_participants: 0,
        num_publishers: 0,
    };
    commit(store, &id, &domain::complete(&head, &room, false, rules, store.now()).unwrap()).await;
}

async fn commit(store: &dyn Store, id: &StreamId, decision: &Decision) -> Head {
    let outcome = store.commit(id, Commit { decision, event: None, fence: None }).await.unwrap();
    assert_eq!(outcome, Committed::Done);
    decision.head.clone().unwrap()
}

fn room_sid(number: usize) -> RoomSid {
    RoomSid::from(format!("RM_{number}"))
}

/// Somebody in a stream.
#[derive(Debug, Clone)]
pub(crate) struct Person(u64);

impl Person {
    /// Somebody who was never there.
    pub(crate) fn new() -> Self {
        static PEOPLE: AtomicU64 = AtomicU64::new(0);
        Self(PEOPLE.fetch_add(1, Ordering::Relaxed))
    }

    /// `participant_joined` in the stream of that number.
    pub(crate) fn joins(&self, stream: usize) -> Hook {
        let person = ParticipantSnapshot {
            sid: self.sid(),
            identity: self.identity(),
            name: String::new(),
            kind: Kind::Standard,
            active: true,
            joined_at: None,
            tracks: Vec::new(),
        };
        self.hook(stream, "joined", RoomEventKind::ParticipantJoined(person))
    }

    /// `participant_left`.
    pub(crate) fn leaves(&self, stream: usize) -> Hook {
        self.hook(stream, "left", RoomEventKind::ParticipantLeft { sid: self.sid(), identity: self.identity() })
    }

    fn sid(&self) -> ParticipantSid {
        ParticipantSid::from(format!("PA_{}", self.0))
    }

    fn identity(&self) -> Identity {
        Identity::parse(&format!("user-{}", self.0)).unwrap()
    }

    fn hook(&self, stream: usize, what: &str, kind: RoomEventKind) -> Hook {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap());
        let event = RoomEvent {
            id: EventId(format!("EV_{}_{what}", self.0)),
            room_name: RoomName::from(name(stream)),
            room_sid: room_sid(stream),
            room_metadata: None,
            created_at: now,
            kind,
        };
        let (authorization, body) = signed_webhook(&event, KEY.0, KEY.1, now);
        Hook { authorization, body }
    }
}

/// A webhook, as often as it takes.
pub(crate) struct Hook {
    authorization: String,
    body: Vec<u8>,
}

impl Hook {
    /// Sends it as LiveKit does: again, maybe to another, until somebody takes it.
    pub(crate) async fn send(&self, client: &reqwest::Client, ports: &[u16]) {
        let mut at = rand::random_range(0..ports.len());
        loop {
            let request = client
                .post(format!("http://127.0.0.1:{}/webhook", ports[at]))
                .header("authorization", &self.authorization)
                .header("content-type", "application/webhook+json")
                .body(self.body.clone());
            match request.send().await {
                Ok(answer) if answer.status() == 200 => return,
                Ok(answer) => assert!(answer.status().is_server_error(), "{}", answer.status()),
                // It is being restarted.
                Err(_) => {}
            }
            at = (at + 1) % ports.len();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A subscription over a bare socket; cut when dropped.
pub(crate) struct Reader {
    socket: TcpStream,
    /// Bytes that are not taken apart yet: of the transfer coding, and of events.
    raw: Vec<u8>,
    text: Vec<u8>,
}

/// One event.
#[derive(Debug, Clone, Default)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Event {
    /// Epoch and version.
    pub(crate) fn position(&self) -> (String, u64) {
        let (epoch, version) = self.id.rsplit_once('-').expect("epoch and version");
        (epoch.to_owned(), version.parse().expect("a version"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("the data is JSON")
    }
}

impl Reader {
    /// Subscribes to `path`; `None` when nobody answers or the answer is not 200.
    pub(crate) async fn open(port: u16, path: &str, header: &str) -> Option<Self> {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{header}\r\n");
        socket.write_all(request.as_bytes()).await.ok()?;
        let mut reader = Self { socket, raw: Vec::new(), text: Vec::new() };
        let head = loop {
            if let Some(end) = find(&reader.raw, b"\r\n\r\n") {
                break reader.raw.drain(..end + 4).collect::<Vec<u8>>();
            }
            reader.fill().await?;
        };
        head.starts_with(b"HTTP/1.1 200").then_some(reader)
    }

    /// The next event; `None` when the connection is over. What is cut off in the middle is no event.
    /// May be given up at any time without losing any.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = find(&self.text, b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                match parse(&String::from_utf8(block).expect("events are UTF-8")) {
                    Some(event) => return Some(event),
                    None => continue,
                }
            }
            if !self.take_chunk()? {
                self.fill().await?;
            }
        }
    }

    /// Takes one chunk out of the transfer coding; `false` when there is none yet, `None` after the last one.
    fn take_chunk(&mut self) -> Option<bool> {
        let Some(line) = find(&self.raw, b"\r\n") else { return Some(false) };
        let size = std::str::from_utf8(&self.raw[..line]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a hexadecimal size");
        if size == 0 {
            return None;
        }
        if self.raw.len() < line + 2 + size + 2 {
            return Some(false);
        }
        let chunk: Vec<u8> = self.raw.drain(..line + 2 + size + 2).collect();
        self.text.extend_from_slice(&chunk[line + 2..line + 2 + size]);
        Some(true)
    }

    async fn fill(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        let read = self.socket.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        self.raw.extend_from_slice(&buffer[..read]);
        Some(())
    }
}

/// `None` for a comment.
fn parse(block: &str) -> Option<Event> {
    let mut event = Event::default();
    for line in block.lines() {
        match line.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value))) {
            Some(("id", value)) => value.clone_into(&mut event.id),
            Some(("event", value)) => value.clone_into(&mut event.name),
            Some(("data", value)) => event.data.push_str(value),
            _ => {}
        }
    }
    (!event.data.is_empty()).then_some(event)
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

/// Several at once.
async fn futures(all: impl Iterator<Item = impl Future<Output = ()>>) {
    use futures_util::StreamExt;
    futures_util::stream::iter(all).buffer_unordered(64).collect::<Vec<()>>().await;
}
