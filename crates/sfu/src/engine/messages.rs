//! Messages on data channels, in both directions. What is in them is the caller's affair.

use bytes::Bytes;
use str0m::channel::{ChannelData, ChannelId};

use super::Engine;
use crate::command::{DataChannel, PeerMode};
use crate::data::Sent;
use crate::event::{Event, Target};
use crate::ids::ParticipantId;
use crate::transport::TransportKey;

impl Engine {
    /// Sends one message to several participants.
    pub(super) fn send_data(&mut self, to: &[ParticipantId], channel: DataChannel, payload: &Bytes) {
        for participant in to {
            self.send_data_to(*participant, channel, payload);
        }
    }

    /// Writes what waited for room on a transport. Returns whether anything went.
    pub(super) fn flush_data(&mut self, key: TransportKey) -> bool {
        let Some(transport) = self.transports.get_mut(key) else { return false };
        if !transport.channels.is_waiting() {
            return false;
        }
        let sent = transport.channels.flush(&mut transport.rtc);
        self.counters.data_out += sent;
        sent > 0
    }

    /// A message has come.
    pub(super) fn on_data(&mut self, key: TransportKey, data: ChannelData) {
        let Some(transport) = self.transports.get(key) else { return };
        let Some(channel) = transport.channels.by_id(data.id) else { return };
        let participant = transport.participant;
        self.counters.data_in += 1;
        self.tell(Event::Data { participant, channel, payload: Bytes::from(data.data) });
    }

    /// A channel has opened.
    pub(super) fn on_channel_open(&mut self, key: TransportKey, id: ChannelId, label: &str) {
        let Some(channel) = DataChannel::from_label(label) else { return };
        let Some(transport) = self.transports.get_mut(key) else { return };
        let ready = transport.channels.opened(channel, id);
        let (participant, target) = (transport.participant, transport.target);
        let mode = self.participants.get(&participant).map(|participant| participant.mode);
        let receives = mode == Some(PeerMode::Single) || target == Target::Subscriber;
        if ready && receives {
            self.tell(Event::DataReady { participant });
        }
    }

    /// A channel has closed.
    pub(super) fn on_channel_close(&mut self, key: TransportKey, id: ChannelId) {
        if let Some(transport) = self.transports.get_mut(key) {
            transport.channels.closed(id);
        }
    }

    /// Sends a message to one participant.
    fn send_data_to(&mut self, id: ParticipantId, channel: DataChannel, payload: &Bytes) {
        let Some(key) = self.receiving_transport(id) else {
            self.counters.data_dropped += u64::from(self.participants.contains_key(&id));
            return;
        };
        let Some(transport) = self.transports.get_mut(key) else { return };
        let limit = self.config.data_queue_bytes;
        match transport.channels.send(&mut transport.rtc, channel, payload, limit) {
            Sent::Written => {
                self.counters.data_out += 1;
                self.mark(key);
            }
            Sent::Queued => {}
            Sent::Dropped => self.counters.data_dropped += 1,
            Sent::Overflow => {
                self.counters.data_dropped += 1;
                self.tell(Event::DataOverflow { participant: id });
            }
        }
    }
}
