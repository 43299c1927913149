//! What the caller decides about a media server: keys, addresses, limits, timeouts.
//!
//! Plain values with defaults; nothing here reads files, the environment or a clock.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::keys::ApiKey;

/// Everything [`MediaServer::start`](crate::MediaServer::start) needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Keys whose tokens are accepted. The first one signs refreshed tokens and webhooks.
    pub keys: Vec<ApiKey>,
    /// Address and port of the media socket. With an unspecified address one socket is bound on
    /// every interface; with port 0 the system picks one port for all of them.
    pub udp_bind: SocketAddr,
    /// Addresses told to clients. Empty: the addresses that were bound. One that is not local
    /// (a public address behind 1:1 NAT) is told in place of the local one.
    pub advertised: Vec<IpAddr>,
    /// Where room events are posted, in order per room.
    pub webhook_urls: Vec<String>,
    /// Whether joining a room that does not exist creates it. Off: 404.
    pub auto_create_rooms: bool,
    /// Bounds on what clients may ask for.
    pub limits: Limits,
    /// Times after which the server acts by itself.
    pub timeouts: Timeouts,
}

impl Config {
    /// Defaults for one key: loopback, a free UDP port, no webhook.
    pub fn new(key: ApiKey) -> Self {
        Self {
            keys: vec![key],
            udp_bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            advertised: Vec::new(),
            webhook_urls: Vec::new(),
            auto_create_rooms: true,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// Bounds on what one client, one room or the whole server may hold.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Participants on this server over all rooms; joining beyond is 503.
    pub participants: usize,
    /// Connections to [`MediaServer::serve`](crate::MediaServer::serve) whose first request is not answered yet; when
    /// there are more, the oldest is closed.
    pub half_open: usize,
    /// Participants whose media connection is not up yet, over all rooms; joining beyond is 503. Each costs a
    /// handshake, and is given [`Timeouts::join`] to complete it.
    pub joining: usize,
    /// Joins per second on average over all rooms; beyond it is 503. Who resumes a session or is in the room already
    /// under the same identity does not count as one more in [`joining`](Limits::joining), but every join counts here.
    pub joins_per_second: u32,
    /// Joins at once before the average counts.
    pub join_burst: u32,
    /// Rooms on this server; creating one beyond is refused as `resource_exhausted`.
    pub rooms: usize,
    /// Tracks one participant may publish; beyond is `LIMIT_EXCEEDED`.
    pub tracks_per_participant: usize,
    /// Bytes of one signalling message; a larger one closes the connection.
    pub signal_message_bytes: usize,
    /// Signalling messages a client may send per second on average; beyond it is disconnected.
    pub signal_messages_per_second: u32,
    /// Signalling messages a client may send at once before the average counts.
    pub signal_burst: u32,
    /// Messages waiting for one client's socket; a client that falls behind further is cut and
    /// resumes.
    pub signal_queue: usize,
    /// Bytes of a join request after decompression.
    pub join_request_bytes: usize,
    /// Bytes of one data packet.
    pub data_packet_bytes: usize,
    /// Bytes of a room or participant name or identity.
    pub name_bytes: usize,
    /// Bytes of room or participant metadata.
    pub metadata_bytes: usize,
    /// Bytes of all attribute keys and values of a participant.
    pub attributes_bytes: usize,
    /// Bytes of a RoomService request body.
    pub twirp_body_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            participants: 2_000,
            half_open: 1_000,
            joining: 500,
            joins_per_second: 100,
            join_burst: 300,
            rooms: 1_000,
            tracks_per_participant: 32,
            signal_message_bytes: 1 << 20,
            signal_messages_per_second: 100,
            signal_burst: 500,
            signal_queue: 1_024,
            join_request_bytes: 1 << 20,
            data_packet_bytes: 65_535,
            name_bytes: 256,
            metadata_bytes: 512 << 10,
            attributes_bytes: 64 << 10,
            twirp_body_bytes: 2 << 20,
        }
    }
}

/// Times after which the server acts by itself. The defaults are LiveKit's.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// A room nobody ever joined is closed after this, unless its creator said otherwise.
    pub empty_room: Duration,
    /// A room is closed this long after its last participant left, unless its creator said
    /// otherwise.
    pub departure: Duration,
    /// A connection to [`MediaServer::serve`](crate::MediaServer::serve) that sends no whole head of a request for this
    /// long is closed.
    pub head: Duration,
    /// A participant without a working media connection after this is removed.
    pub join: Duration,
    /// A participant whose media connection failed is removed after this if it did not resume.
    pub resume: Duration,
    /// Interval at which clients are told to ping.
    pub ping_interval: Duration,
    /// A signalling connection without any message for this long is closed.
    pub ping: Duration,
    /// Lifetime of a webhook request.
    pub webhook: Duration,
    /// Pause before the first repetition of a webhook; doubles with each of four.
    pub webhook_retry: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            empty_room: Duration::from_secs(300),
            departure: Duration::from_secs(20),
            head: Duration::from_secs(15),
            join: Duration::from_secs(60),
            resume: Duration::from_secs(5),
            ping_interval: Duration::from_secs(5),
            ping: Duration::from_secs(15),
            webhook: Duration::from_secs(5),
            webhook_retry: Duration::from_secs(1),
        }
    }
}

/// The LiveKit version whose protocol and behaviour this server follows. Clients refuse a server
/// without a version, and switch features by it.
pub(crate) const LIVEKIT_VERSION: &str = "1.13.5";

/// The signalling protocol number of that version.
pub(crate) const PROTOCOL: i32 = 17;

/// Text for the log that says what a configuration is without its secrets.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp {} with {} keys, {} webhooks", self.udp_bind, self.keys.len(), self.webhook_urls.len())
    }
}
