//! The data channels of one connection, with a bounded queue for reliable messages that cannot be written yet.

use std::collections::VecDeque;

use bytes::Bytes;
use str0m::Rtc;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};

use crate::command::DataChannel;

/// Lossy bytes in flight beyond which further messages are dropped: late ones are of no use.
const LOSSY_BUFFER: usize = 64 << 10;

/// The channels of a connection.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// Their ids once open, by kind.
    open: [Option<ChannelId>; 3],
    /// Reliable messages that wait, oldest first.
    waiting: VecDeque<Bytes>,
    /// Bytes in `waiting`.
    waiting_bytes: usize,
    /// Whether both that matter have been open.
    ready: bool,
    /// Whether messages were lost: nothing reliable can follow.
    overflowed: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Given to the transport.
    Written,
    /// Waits for it.
    Queued,
    /// Dropped.
    Dropped,
    /// Dropped, and the queue is lost with it. Told once.
    Overflow,
}

/// How a channel is opened by the engine.
pub(crate) fn channel_config(channel: DataChannel) -> ChannelConfig {
    let reliable = channel == DataChannel::Reliable;
    ChannelConfig {
        label: channel.label().to_owned(),
        ordered: reliable,
        reliability: if reliable { Reliability::Reliable } else { Reliability::MaxRetransmits { retransmits: 0 } },
        ..ChannelConfig::default()
    }
}

impl Channels {
    /// A channel has opened. Returns whether with it the reliable and the lossy one are open for the first time; some
    /// clients open no third.
    pub(crate) fn opened(&mut self, channel: DataChannel, id: ChannelId) -> bool {
        self.open[channel as usize] = Some(id);
        let usable =
            [DataChannel::Reliable, DataChannel::Lossy].iter().all(|channel| self.open[*channel as usize].is_some());
        usable && !std::mem::replace(&mut self.ready, true)
    }

    /// A channel has closed.
    pub(crate) fn closed(&mut self, id: ChannelId) {
        for open in self.open.iter_mut().filter(|open| **open == Some(id)) {
            *open = None;
        }
    }

    /// The channel with this id.
    pub(crate) fn by_id(&self, id: ChannelId) -> Option<DataChannel> {
        DataChannel::ALL.into_iter().find(|channel| self.open[*channel as usize] == Some(id))
    }

    /// Sends a message, at most `limit` bytes of reliable ones waiting.
    pub(crate) fn send(&mut self, rtc: &mut Rtc, channel: DataChannel, payload: &Bytes, limit: usize) -> Sent {
        if channel != DataChannel::Reliable {
            let written = self.open[channel as usize].is_some_and(|id| write(rtc, id, payload, LOSSY_BUFFER));
            return if written { Sent::Written } else { Sent::Dropped };
        }
        let id = self.open[channel as usize].filter(|_| self.waiting.is_empty());
        if !self.overflowed && id.is_some_and(|id| write(rtc, id, payload, usize::MAX)) {
            return Sent::Written;
        }
        self.queue(payload, limit)
    }

    /// Writes what waits, as far as it goes. Returns how many messages went.
    pub(crate) fn flush(&mut self, rtc: &mut Rtc) -> u64 {
        let Some(id) = self.open[DataChannel::Reliable as usize] else { return 0 };
        let mut written = 0;
        while self.waiting.front().is_some_and(|payload| write(rtc, id, payload, usize::MAX)) {
            let payload = self.waiting.pop_front();
            self.waiting_bytes -= payload.map_or(0, |payload| payload.len());
            written += 1;
        }
        written
    }

    /// Whether anything waits.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Keeps a reliable message, or gives up if too much waits.
    fn queue(&mut self, payload: &Bytes, limit: usize) -> Sent {
        if self.overflowed {
            return Sent::Dropped;
        }
        if self.waiting_bytes + payload.len() > limit {
            self.overflowed = true;
            self.waiting.clear();
            self.waiting_bytes = 0;
            return Sent::Overflow;
        }
        self.waiting_bytes += payload.len();
        self.waiting.push_back(payload.clone());
        Sent::Queued
    }
}

/// Writes to an open channel unless more than `most` bytes are in flight on it.
fn write(rtc: &mut Rtc, id: ChannelId, payload: &Bytes, most: usize) -> bool {
    let Some(mut channel) = rtc.channel(id) else { return false };
    channel.buffered_amount() < most && channel.write(true, payload).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_waits_is_bounded_and_its_loss_is_told_once() {
        let (mut channels, mut rtc) = (Channels::default(), Rtc::new(Instant::now()));
        let payload = Bytes::from_static(&[0; 100]);
        let mut send = || channels.send(&mut rtc, DataChannel::Reliable, &payload, 250);
        assert_eq!([send(), send()], [Sent::Queued, Sent::Queued]);
        assert_eq!([send(), send()], [Sent::Overflow, Sent::Dropped]);
        assert!(!channels.is_waiting());
    }

    #[test]
    fn lossy_messages_never_wait() {
        let (mut channels, mut rtc) = (Channels::default(), Rtc::new(Instant::now()));
        let sent = channels.send(&mut rtc, DataChannel::Lossy, &Bytes::from_static(b"x"), 1000);
        assert_eq!((sent, channels.is_waiting()), (Sent::Dropped, false));
    }
}
