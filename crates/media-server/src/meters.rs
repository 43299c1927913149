//! Totals of rooms and engine as metrics (`media_*`).

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use sfu::Counters;

use crate::room::Counts;

/// Publishes totals and describes them once.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    described: bool,
}

impl Meters {
    /// Sets every metric to what was counted: rooms, participants, tracks, and the engine's own.
    pub(crate) fn publish(&mut self, of: Counts, c: Counters) {
        if !std::mem::replace(&mut self.described, true) {
            describe();
        }
        gauge!("media_rooms").set(of.rooms as f64);
        gauge!("media_participants").set(of.participants as f64);
        gauge!("media_joining").set(of.joining as f64);
        gauge!("media_tracks").set(of.tracks as f64);
        gauge!("media_subscriptions").set(c.subscriptions as f64);
        counter!("media_datagrams_total", "direction" => "in").absolute(c.datagrams_in);
        counter!("media_datagrams_total", "direction" => "out").absolute(c.datagrams_out);
        counter!("media_datagrams_unknown_total").absolute(c.datagrams_unknown);
        counter!("media_bytes_total", "direction" => "in").absolute(c.bytes_in);
        counter!("media_bytes_total", "direction" => "out").absolute(c.bytes_out);
        counter!("media_packets_total", "direction" => "in").absolute(c.packets_in);
        counter!("media_packets_total", "direction" => "out").absolute(c.packets_out);
        counter!("media_packets_lost_total").absolute(c.packets_lost);
        counter!("media_nacks_total", "direction" => "in").absolute(c.nacks_in);
        counter!("media_nacks_total", "direction" => "out").absolute(c.nacks_out);
        counter!("media_plis_total", "direction" => "in").absolute(c.plis_in);
        counter!("media_plis_total", "direction" => "out").absolute(c.plis_out);
        counter!("media_videos_paused_total").absolute(c.videos_paused);
        counter!("media_layers_lowered_total").absolute(c.layers_lowered);
        counter!("media_data_messages_total", "direction" => "in").absolute(c.data_in);
        counter!("media_data_messages_total", "direction" => "out").absolute(c.data_out);
        counter!("media_data_dropped_total").absolute(c.data_dropped);
    }
}

fn describe() {
    describe_gauge!("media_rooms", "Rooms that exist on the embedded media server");
    describe_gauge!("media_participants", "Sessions in those rooms, connecting ones included");
    describe_gauge!("media_joining", "Sessions whose media connection is not up yet");
    describe_gauge!("media_tracks", "Published tracks");
    describe_gauge!("media_subscriptions", "Subscriptions whose section is negotiated");
    describe_counter!("media_datagrams_total", "Datagrams on the media sockets");
    describe_counter!("media_datagrams_unknown_total", "Datagrams that belong to no connection");
    describe_counter!("media_datagrams_dropped_total", "Datagrams the system did not take");
    describe_counter!("media_bytes_total", Unit::Bytes, "Bytes of those datagrams");
    describe_counter!("media_packets_total", "Media packets received from publishers and forwarded to viewers");
    describe_counter!("media_packets_lost_total", "Media packets viewers reported lost");
    describe_counter!("media_nacks_total", "NACKs received from viewers and sent to publishers");
    describe_counter!("media_plis_total", "Key frame requests received from viewers and sent to publishers");
    describe_counter!("media_videos_paused_total", "Videos paused because a viewer's connection could not carry them");
    describe_counter!("media_layers_lowered_total", "Viewers moved to a lower layer for the same reason");
    describe_counter!("media_data_messages_total", "Messages on data channels");
    describe_counter!("media_data_dropped_total", "Data messages dropped for slow or absent receivers");
    describe_counter!("media_data_ignored_total", "Data packets not relayed, by reason");
    describe_counter!("media_signal_ignored_total", "Signal messages that are unknown or not supported");
    describe_counter!(
        "media_signal_refused_total",
        "Signalling connections ended or not opened for breaking a limit, by limit"
    );
    describe_counter!("media_webhooks_total", "Webhooks by result");
}
