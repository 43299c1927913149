//! What the engine can be told at the start. Nothing here changes while it runs.

use std::net::SocketAddr;
use std::time::Duration;

/// Settings of an [`Engine`](crate::Engine).
#[derive(Debug, Clone)]
pub struct Config {
    /// The UDP addresses offered to clients as host candidates. The `destination` given to
    /// [`Engine::receive`](crate::Engine::receive) must be one of them, also behind 1:1 NAT, where it is the public one.
    pub candidates: Vec<SocketAddr>,

    /// Silence on a transport after which it counts as disconnected. LiveKit: 10 s.
    pub disconnected_after: Duration,

    /// Silence on a transport after which it counts as failed; later than `disconnected_after`. LiveKit: 15 s.
    pub failed_after: Duration,

    /// How long the engine waits for the answer to its own offer before it reports
    /// [`Event::NegotiationFailed`](crate::Event::NegotiationFailed). LiveKit: 15 s.
    pub answer_timeout: Duration,

    /// How long changes are gathered before a new negotiation is asked for. LiveKit: 150 ms; less shows a new track
    /// sooner, and what comes a little later is gathered anyway while the first negotiation is under way.
    pub negotiation_delay: Duration,

    /// Reliable messages of one participant that may wait until its channel is writable, in bytes. One more is reported
    /// as [`Event::DataOverflow`](crate::Event::DataOverflow), once; lossy messages never wait.
    pub data_queue_bytes: usize,

    /// The largest data-channel message accepted from a client and advertised as `a=max-message-size`, in bytes.
    pub max_message_size: u32,

    /// The largest SDP accepted from a client, in bytes.
    pub max_sdp_bytes: usize,

    /// The most media sections one client may offer on one connection. JS adds one for every publication.
    pub max_sections: usize,

    /// How often speakers are computed. LiveKit: 400 ms.
    pub speaker_interval: Duration,

    /// How often connection quality is computed. LiveKit: 5 s.
    pub quality_interval: Duration,

    /// A layer that sends nothing for this long is treated as gone, and the best one that flows is forwarded instead.
    pub starved_after: Duration,

    /// Sent packets kept per video for retransmission.
    pub rtx_packets: usize,

    /// Whether viewers get only what their connection carries, by measuring it. Off: they get all they want.
    pub congestion_control: bool,

    /// What a viewer's connection is taken to carry before anything was measured, in bits per second. Measuring
    /// begins at once, with more than this.
    pub initial_bandwidth: u64,

    /// How long nobody must want a layer before its publisher is told to stop it (dynacast). LiveKit: 5 s.
    pub demand_patience: Duration,

    /// The same for a video that nobody ever wanted. LiveKit: 10 s.
    pub first_demand_patience: Duration,
}

impl Config {
    /// The defaults, which are LiveKit's where it has them, for a server reachable at `candidates`.
    pub fn new(candidates: Vec<SocketAddr>) -> Self {
        Config {
            candidates,
            disconnected_after: Duration::from_secs(10),
            failed_after: Duration::from_secs(15),
            answer_timeout: Duration::from_secs(15),
            negotiation_delay: Duration::from_millis(50),
            data_queue_bytes: 4 << 20,
            max_message_size: 65_535,
            max_sdp_bytes: 1 << 20,
            max_sections: 512,
            speaker_interval: Duration::from_millis(400),
            quality_interval: Duration::from_secs(5),
            starved_after: Duration::from_millis(1500),
            rtx_packets: 600,
            congestion_control: true,
            initial_bandwidth: 2_000_000,
            demand_patience: Duration::from_secs(5),
            first_demand_patience: Duration::from_secs(10),
        }
    }
}
