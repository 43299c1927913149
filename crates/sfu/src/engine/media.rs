//! Media: packets from publishers to viewers, key-frame requests back, and layers that come and go.

use std::time::Duration;

use slotmap::SlotMap;
use str0m::format::PayloadParams;
use str0m::media::{KeyframeRequestKind, Mid, Pt};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};

use super::{Due, Engine, mark};
use crate::command::{Codec, MediaKind};
use crate::event::{Event, LayerInfo};
use crate::forward::{Incoming, Renumbered, Sink};
use crate::track::{Track, TrackKey};
use crate::transport::{Transport, TransportKey};

/// How often the layers of a watched video are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

impl Engine {
    /// Forwards a packet of a publisher.
    pub(super) fn on_packet(&mut self, transport: TransportKey, packet: RtpPacket) {
        self.counters.packets_in += 1;
        let Some((key, rank)) = self.uplink(transport, &packet) else { return };
        let now = self.now;
        let Some(track) = self.tracks.get_mut(key).filter(|track| !track.muted) else { return };
        let (Some(codec), Some(format)) = (track.codec, track.format) else { return };
        let heard = packet.header.ext_vals.audio_level.filter(|_| codec == Codec::Opus);
        let extensions = passed_extensions(&packet.header.ext_vals);
        let packet = Incoming::read(packet, codec, rank);
        if let Some(layer) = track.layers.get_mut(rank) {
            layer.frames.count(packet.time, packet.vp8.map_or(0, |vp8| vp8.temporal), now);
            layer.rate.count(packet.payload.len(), now);
        }
        if packet.starts {
            track.layers.got_key(rank);
        }
        let woke = track.layers.heard(rank, now);
        if let Some(level) = heard {
            self.on_level(key, level, packet.time);
        }
        if woke {
            self.retarget(key);
        }
        let Some(Track { downlinks, layers, .. }) = self.tracks.get_mut(key) else { return };
        for downlink in downlinks {
            let stood = downlink.current().is_none();
            let Some(numbers) = downlink.forward(&packet, layers) else { continue };
            let Some(sink) = &mut downlink.sink else { continue };
            if let Some(transport) = self.transports.get_mut(sink.transport).filter(|_| stood) {
                // What is missing of what came before is of no use any more. Asked for again and again it would take
                // what this needs.
                transport.forget_sent(&sink.ssrc, self.config.rtx_packets);
            }
            if write(&mut self.transports, sink, &packet, numbers, &format, &extensions) {
                self.counters.packets_out += 1;
                mark(&mut self.transports, &mut self.dirty, sink.transport);
            }
        }
    }

    /// A viewer asks for a key frame of what it gets in a section.
    pub(super) fn on_key_request(&mut self, transport: TransportKey, mid: Mid) {
        self.counters.plis_in += 1;
        let Some(transport) = self.transports.get(transport) else { return };
        let viewer = transport.participant;
        let slot = transport.slots.iter().find(|slot| Mid::from(slot.mid.as_str()) == mid);
        let Some(key) = slot.and_then(|slot| slot.track()) else { return };
        let Some(track) = self.tracks.get_mut(key) else { return };
        let downlink = track.downlinks.iter().find(|downlink| downlink.viewer == viewer);
        let Some(rank) = downlink.and_then(|downlink| downlink.current().or(downlink.waits_for())) else { return };
        track.layers.want_key(rank);
        self.ask_for_keys(key);
    }

    /// Chooses anew what every viewer of a track gets.
    pub(super) fn retarget(&mut self, key: TrackKey) {
        let Some(track) = self.tracks.get_mut(key) else { return };
        let Track { downlinks, layers, muted, .. } = track;
        let mut changed = Vec::new();
        for downlink in downlinks {
            let before = downlink.target();
            downlink.retarget(layers, *muted);
            let video = track.kind == MediaKind::Video;
            changed.extend(downlink.sink.filter(|_| video && downlink.target() != before).map(|sink| sink.transport));
        }
        self.ask_for_keys(key);
        for transport in changed {
            self.reallocate_on(transport);
        }
    }

    /// A track's deadline has come: notices layers that fell silent, repeats requests for key frames.
    pub(super) fn look_after(&mut self, key: TrackKey) {
        self.weigh_demand(key);
        let Some(track) = self.tracks.get_mut(key) else { return };
        if track.layers.expire(self.config.starved_after, self.now) {
            self.retarget(key);
        } else {
            self.ask_for_keys(key);
        }
    }

    /// A connection is up: what it should get may flow.
    pub(super) fn connect_sinks(&mut self, transport: TransportKey) {
        self.switch_sinks(transport, true);
    }

    /// A connection is down: nothing flows, and after it a key frame must come first.
    pub(super) fn disconnect_sinks(&mut self, transport: TransportKey) {
        self.switch_sinks(transport, false);
    }

    /// Gives a subscription its negotiated section, or takes it away.
    pub(super) fn set_sink(&mut self, key: TrackKey, transport: TransportKey, mid: Option<&str>) {
        let Some(connection) = self.transports.get_mut(transport) else { return };
        let viewer = connection.participant;
        let sink = mid.and_then(|mid| {
            let ssrc = connection.start_stream(mid, self.config.rtx_packets, self.now)?;
            Some(Sink { transport, mid: mid.into(), ssrc, types: None, connected: connection.connected })
        });
        let delivers = sink.is_some();
        let Some(track) = self.tracks.get_mut(key) else { return };
        let id = track.id;
        let Some(downlink) = track.downlinks.iter_mut().find(|downlink| downlink.viewer == viewer) else { return };
        downlink.set_sink(sink, rand::random(), self.now);
        self.retarget(key);
        if delivers {
            self.tell(Event::Subscribed { participant: viewer, track: id });
        }
    }

    /// Sets whether the sinks of a connection may be written to.
    fn switch_sinks(&mut self, transport: TransportKey, connected: bool) {
        let Some(connection) = self.transports.get(transport) else { return };
        let carried: Vec<TrackKey> = connection.slots.iter().filter_map(|slot| slot.track()).collect();
        for key in carried {
            let Some(track) = self.tracks.get_mut(key) else { continue };
            let sinks = track.downlinks.iter_mut().filter_map(|downlink| downlink.sink.as_mut());
            for sink in sinks.filter(|sink| sink.transport == transport) {
                sink.connected = connected;
            }
            self.retarget(key);
        }
    }

    /// Sends the requests for key frames that are due, and sets the track's next deadline.
    pub(super) fn ask_for_keys(&mut self, key: TrackKey) {
        let Some(track) = self.tracks.get_mut(key) else { return };
        if track.kind == MediaKind::Audio {
            return;
        }
        for downlink in &track.downlinks {
            for rank in [downlink.waits_for(), downlink.starts_on(&track.layers)].into_iter().flatten() {
                track.layers.want_key(rank);
            }
        }
        let due = track.layers.due_plis(self.now);
        let look = (!track.downlinks.is_empty()).then(|| self.now + LOOK_INTERVAL);
        let next = look.into_iter().chain(track.layers.next_pli()).chain(track.demand.due()).min();
        self.timers.arm(&mut track.timer, Due::Track(key), next);
        let Some(source) = track.source.as_ref().map(|source| source.transport).filter(|_| !due.is_empty()) else {
            return;
        };
        let Some(transport) = self.transports.get_mut(source) else { return };
        let mut api = transport.rtc.direct_api();
        for ssrc in due {
            if let Some(stream) = api.stream_rx(&ssrc.into()) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
                self.counters.plis_out += 1;
            }
        }
        self.mark(source);
    }

    /// The track and layer of a packet. Knows the common case by its SSRC; a new SSRC or payload type is looked into.
    fn uplink(&mut self, key: TransportKey, packet: &RtpPacket) -> Option<(TrackKey, usize)> {
        let (ssrc, pt) = (packet.header.ssrc, packet.header.payload_type);
        let known = self.transports.get(key)?.uplinks.get(&ssrc).copied();
        let same_format = |track: &Track| track.format.is_some_and(|format| format.pt() == pt);
        if let Some((track, _)) = known
            && self.tracks.get(track).is_some_and(same_format)
        {
            return known;
        }
        self.discover(key, packet)
    }

    /// Finds the track and layer of a stream that is new or has changed its format, and says so.
    fn discover(&mut self, key: TransportKey, packet: &RtpPacket) -> Option<(TrackKey, usize)> {
        let (ssrc, pt) = (packet.header.ssrc, packet.header.payload_type);
        let transport = self.transports.get_mut(key)?;
        let (mid, rid) = {
            let mut api = transport.rtc.direct_api();
            let stream = api.stream_rx(&ssrc)?;
            (stream.mid(), stream.rid())
        };
        let section = transport.sends.iter().find(|section| Mid::from(section.mid.as_str()) == mid)?;
        let track_key = section.track?;
        let format = *transport.rtc.codec_config().find(|format| format.pt() == pt)?;
        let codec = codec_of(&format)?;
        let track = self.tracks.get_mut(track_key)?;
        let rank = track.layers.rank_of(rid.as_deref())?;
        let layer = track.layers.get_mut(rank)?;
        let before = layer.ssrc.replace(*ssrc);
        if let Some(before) = before.filter(|before| *before != *ssrc) {
            transport.uplinks.remove(&before.into());
            track.downlinks.iter_mut().for_each(|downlink| downlink.restart(rank));
        }
        transport.uplinks.insert(ssrc, (track_key, rank));
        let news = before != Some(*ssrc) || track.codec != Some(codec);
        track.codec = Some(codec);
        track.format = Some(format);
        let started = started(track).filter(|_| news);
        started.into_iter().for_each(|event| self.tell(event));
        Some((track_key, rank))
    }
}

/// What is known of a track by now, as an event.
fn started(track: &Track) -> Option<Event> {
    let flowing = track.layers.iter().enumerate().filter_map(|(rank, layer)| {
        let quality = track.layers.quality(rank);
        Some(LayerInfo { rid: layer.rid.clone(), quality, spatial: rank as u32, ssrc: layer.ssrc? })
    });
    let mid = track.source.as_ref()?.mid.clone();
    Some(Event::TrackStarted { track: track.id, mid, codec: track.codec?, layers: flowing.collect() })
}

/// Writes a packet to a viewer's connection. Returns whether it can be decoded there.
fn write(
    transports: &mut SlotMap<TransportKey, Transport>,
    sink: &mut Sink<TransportKey>,
    packet: &Incoming,
    numbers: Renumbered,
    format: &PayloadParams,
    extensions: &ExtensionValues,
) -> bool {
    let Some(transport) = transports.get_mut(sink.transport) else { return false };
    let pt = match sink.types {
        Some((incoming, pt)) if incoming == packet.pt => pt,
        _ => {
            let pt = viewer_type(transport, sink.mid, format);
            sink.types = Some((packet.pt, pt));
            pt
        }
    };
    let Some(pt) = pt else { return false };
    let mut api = transport.rtc.direct_api();
    let Some(stream) = api.stream_tx(&sink.ssrc) else { return false };
    let rtp = RtpWrite::new(pt, numbers.seq.into(), numbers.time, numbers.wall, packet.payload.clone())
        .marker(packet.marker)
        .ext_vals(extensions.clone())
        .nackable(packet.clock != 48_000);
    stream.write_rtp(match numbers.patch {
        Some(patch) => rtp.vp8_patch(patch),
        None => rtp,
    });
    transport.waiting.written();
    true
}

/// The viewer's payload type for a publisher's format, if its section takes it.
fn viewer_type(transport: &Transport, mid: Mid, format: &PayloadParams) -> Option<Pt> {
    let pt = transport.rtc.codec_config().match_params(*format)?.pt();
    transport.rtc.media(mid)?.remote_pts().contains(&pt).then_some(pt)
}

/// The header extensions that belong to the content rather than to one connection.
fn passed_extensions(incoming: &ExtensionValues) -> ExtensionValues {
    ExtensionValues {
        audio_level: incoming.audio_level,
        voice_activity: incoming.voice_activity,
        video_orientation: incoming.video_orientation,
        ..ExtensionValues::default()
    }
}

/// The codec of a format, if the engine forwards it.
fn codec_of(format: &PayloadParams) -> Option<Codec> {
    match format.spec().codec {
        str0m::format::Codec::Opus => Some(Codec::Opus),
        str0m::format::Codec::Vp8 => Some(Codec::Vp8),
        str0m::format::Codec::H264 => Some(Codec::H264),
        _ => None,
    }
}
