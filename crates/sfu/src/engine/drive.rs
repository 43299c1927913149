//! Driving transports: datagrams and time go in, datagrams and events come out, and silence is noticed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::net::{Protocol, Receive};
use str0m::{Event as RtcEvent, Input, Output as RtcOutput, PacerReason, Reason};

use super::{Due, Engine};
use crate::demux::{is_stun, stun_ufrag};
use crate::event::{Event, Output, Transmit, TransportState};
use crate::transport::{Transport, TransportKey};

/// Deadlines further away than this mean that nothing is scheduled.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// How often a transport may ask to be called again at once before it must wait.
const IMMEDIATE_TIMEOUTS: usize = 256;

/// How long it then waits.
const PAUSE: Duration = Duration::from_millis(1);

/// How much later than now still is now: between packets that it may send at once, `str0m`'s pacer asks for a
/// microsecond.
const AT_ONCE: Duration = Duration::from_micros(300);

/// How long a connection that gave out all that was written to it is left alone. Media comes more often than that.
const REST: Duration = Duration::from_millis(40);

impl Engine {
    /// Gives a datagram to its transport. Returns whether it has one.
    pub(super) fn route(&mut self, source: SocketAddr, destination: SocketAddr, datagram: &[u8]) -> bool {
        let Ok(received) = Receive::new(Protocol::Udp, source, destination, datagram) else { return false };
        // A STUN request names the connection it is for: it may come from a new address, or from one that was used
        // by another connection before.
        let named = if is_stun(datagram) { stun_ufrag(datagram) } else { None };
        let Some(key) = named.map_or_else(|| self.demux.by_address(source), |ufrag| self.demux.by_ufrag(ufrag)) else {
            return false;
        };
        let Some(transport) = self.transports.get_mut(key) else { return false };
        let input = Input::Receive(self.now, received);
        if named.is_some() {
            if !transport.rtc.accepts(&input) {
                return false;
            }
            self.demux.bind(&mut transport.known, key, source);
        }
        transport.last_heard = self.now;
        let result = transport.rtc.handle_input(input);
        self.after_input(key, result);
        true
    }

    /// Polls a transport until it gives a datagram; events are acted upon. `None`: it has nothing more to say.
    pub(super) fn step(&mut self, key: TransportKey) -> Option<Output> {
        let mut timeouts = 0;
        loop {
            let transport = self.transports.get_mut(key)?;
            if std::mem::take(&mut transport.rests) && transport.waiting.is_done() {
                return self.settle(key, self.now + REST);
            }
            if transport.waiting.is_gated()
                && let Err(error) = transport.rtc.handle_input(Input::Timeout(self.now))
            {
                self.broken(key, &error);
                return None;
            }
            match transport.rtc.poll_output() {
                Ok(RtcOutput::Transmit(transmit)) => {
                    let payload: Vec<u8> = transmit.contents.into();
                    self.counters.datagrams_out += 1;
                    self.counters.bytes_out += payload.len() as u64;
                    // `str0m` gives out media last: after it, only more of it can come.
                    let media = transport.waiting.gave_out(&payload);
                    transport.rests = media && transport.waiting.is_done() && transport.bandwidth.is_calm(self.now);
                    let (source, destination) = (transmit.source, transmit.destination);
                    return Some(Output::Transmit(Transmit { source, destination, payload }));
                }
                Ok(RtcOutput::Event(event)) => self.on_event(key, event),
                Ok(RtcOutput::Timeout(at)) => {
                    if at > self.now && is_at_leisure(transport, self.now) {
                        return self.settle(key, at.max(self.now + REST));
                    }
                    if at > self.now + AT_ONCE || timeouts == IMMEDIATE_TIMEOUTS {
                        transport.recount();
                        return self.settle(key, at.max(self.now + PAUSE));
                    }
                    if is_done(transport, self.now) {
                        return self.settle(key, self.now + REST);
                    }
                    timeouts += 1;
                    if let Err(error) = transport.rtc.handle_input(Input::Timeout(at.max(self.now))) {
                        self.broken(key, &error);
                        return None;
                    }
                }
                Err(error) => {
                    self.broken(key, &error);
                    return None;
                }
            }
        }
    }

    /// Polls a transport until it has nothing more to say. After each datagram that is received this must be done
    /// before the next, since `str0m` keeps one packet only.
    pub(super) fn drain(&mut self, key: TransportKey) {
        while let Some(output) = self.step(key) {
            self.output.push_back(output);
        }
    }

    /// A transport's deadline has come.
    pub(super) fn wake(&mut self, key: TransportKey) {
        self.check_silence(key);
        let Some(transport) = self.transports.get_mut(key) else { return };
        let result = transport.rtc.handle_input(Input::Timeout(self.now));
        self.after_input(key, result);
    }

    /// Reports a new state of a transport, once.
    pub(super) fn set_state(&mut self, key: TransportKey, state: TransportState) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        if transport.state.replace(state) != Some(state) {
            let (participant, target) = (transport.participant, transport.target);
            self.tell(Event::Transport { participant, target, state });
        }
    }

    /// Drains a transport after an input, or gives it up.
    fn after_input(&mut self, key: TransportKey, result: Result<(), str0m::RtcError>) {
        if let Some(transport) = self.transports.get_mut(key) {
            transport.rests = false;
        }
        match result {
            Ok(()) => self.drain(key),
            Err(error) => self.broken(key, &error),
        }
    }

    /// A transport has nothing more to say until `at`: writes what waited for room, sets its deadline.
    fn settle(&mut self, key: TransportKey, at: Instant) -> Option<Output> {
        if self.flush_data(key) {
            return self.step(key);
        }
        let transport = self.transports.get_mut(key)?;
        transport.waiting.rest();
        let own = (at < self.now + NEVER).then_some(at);
        let silence = match transport.state {
            Some(TransportState::Connected) => Some(transport.last_heard + self.config.disconnected_after),
            Some(TransportState::Disconnected) => Some(transport.last_heard + self.config.failed_after),
            _ => None,
        };
        let next = own.into_iter().chain(silence).min();
        self.timers.arm(&mut transport.timer, Due::Transport(key), next);
        None
    }

    /// Compares how long the client was silent with what is allowed.
    fn check_silence(&mut self, key: TransportKey) {
        let Some(transport) = self.transports.get(key) else { return };
        let silent = self.now.saturating_duration_since(transport.last_heard);
        let state = match transport.state {
            Some(TransportState::Connected | TransportState::Disconnected) => {
                if silent >= self.config.failed_after {
                    TransportState::Failed
                } else if silent >= self.config.disconnected_after {
                    TransportState::Disconnected
                } else {
                    TransportState::Connected
                }
            }
            _ => return,
        };
        self.set_state(key, state);
    }

    /// A transport cannot go on.
    fn broken(&mut self, key: TransportKey, error: &str0m::RtcError) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        tracing::warn!(participant = %transport.participant, target = ?transport.target, %error, "connection broke");
        transport.rtc.disconnect();
        self.disconnect_sinks(key);
        self.set_state(key, TransportState::Failed);
    }

    /// Acts on an event of a transport.
    fn on_event(&mut self, key: TransportKey, event: RtcEvent) {
        match event {
            RtcEvent::RtpPacket(packet) => self.on_packet(key, packet),
            RtcEvent::KeyframeRequest(request) => self.on_key_request(key, request.mid),
            RtcEvent::ChannelData(data) => self.on_data(key, data),
            RtcEvent::ChannelOpen(id, label) => self.on_channel_open(key, id, &label),
            RtcEvent::ChannelClose(id) => self.on_channel_close(key, id),
            RtcEvent::MediaIngressStats(stats) => self.on_ingress(key, &stats),
            RtcEvent::MediaEgressStats(stats) => self.on_egress(key, &stats),
            RtcEvent::PeerStats(stats) => self.on_peer_stats(key, &stats),
            RtcEvent::EgressBitrateEstimate(estimate) => self.on_estimate(key, &estimate),
            RtcEvent::Connected => self.on_connected(key),
            RtcEvent::Closed => {
                self.disconnect_sinks(key);
                self.set_state(key, TransportState::Closed);
            }
            // ICE states are not asked for: as the lite side `str0m` only sees silence, which is measured here.
            _ => {}
        }
    }

    /// ICE and DTLS are up.
    fn on_connected(&mut self, key: TransportKey) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        transport.connected = true;
        let participant = transport.participant;
        self.set_state(key, TransportState::Connected);
        self.connect_sinks(key);
        self.start_quality(participant);
    }
}

/// Whether a connection may be looked at later than it asks to be, by as much as it is while media flows: after every
/// report of its client it asks for looks that change nothing, a round trip apart. Not while anything is sent or measured, and not
/// where media comes in, of which what is missing has to be asked for soon.
fn is_at_leisure(transport: &Transport, now: Instant) -> bool {
    let housekeeping = matches!(
        transport.rtc.last_timeout_reason(),
        Reason::Pacer(PacerReason::Handle)
            | Reason::BweDelayControl
            | Reason::BweProbeControl
            | Reason::BweProbeEstimator
            | Reason::SendStream
            | Reason::PauseCheck
            | Reason::Feedback
            | Reason::Ice
    );
    let idle = transport.connected && transport.uplinks.is_empty() && transport.waiting.is_empty();
    housekeeping && idle && transport.bandwidth.is_calm(now)
}

/// Whether a connection that asks to be called again at once has nothing to do: its pacer asks after every packet, as
/// there may be another, and looking costs as much as sending one. Not while it measures, when it sends of its own
/// accord.
fn is_done(transport: &mut Transport, now: Instant) -> bool {
    match transport.rtc.last_timeout_reason() {
        Reason::Pacer(PacerReason::Immediate) => transport.waiting.is_done() && transport.bandwidth.is_calm(now),
        Reason::Pacer(PacerReason::Probe1 | PacerReason::Probe2) => {
            transport.bandwidth.is_probing(now);
            false
        }
        _ => false,
    }
}
