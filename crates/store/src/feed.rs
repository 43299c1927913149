//! The bounded queue of notices to this instance's one receiver.
//!
//! Policy for full: the last place is kept for [`NoticeEvent::Gap`]. While the
//! queue ends in a gap nothing more is queued, and nothing is lost by that: whoever
//! takes the gap out reads again, and then sees what came after it too.

use domain::{Notice, NoticeBody};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::NoticeEvent;

/// How many notices wait for the receiver at most.
const CAPACITY: usize = 4096;

/// Where notices go.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    sender: Mutex<Option<mpsc::Sender<NoticeEvent>>>,
}

impl Feed {
    /// A new receiver; the former one ends after what it has been sent.
    pub(crate) fn receiver(&self) -> mpsc::Receiver<NoticeEvent> {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        *self.sender.lock() = Some(sender);
        receiver
    }

    /// Queues `event`, or a gap in its place when the receiver has fallen behind.
    pub(crate) fn send(&self, event: NoticeEvent) {
        // The lock is held over looking and sending, so that the last place can't be taken in between.
        let mut sender = self.sender.lock();
        let Some(queue) = sender.as_ref() else { return };
        let event = match queue.capacity() {
            0 => return,
            1 => NoticeEvent::Gap,
            _ => event,
        };
        if queue.try_send(event).is_err() {
            *sender = None;
        }
    }

    /// No more notices: the receiver ends.
    pub(crate) fn close(&self) {
        *self.sender.lock() = None;
    }
}

/// A notice for the lobby: the same without lists of people.
pub(crate) fn for_lobby(notice: &Notice) -> Notice {
    let mut notice = notice.clone();
    if let NoticeBody::Changed { joined, left, .. } = &mut notice.body {
        joined.clear();
        left.clear();
    }
    notice
}

#[cfg(test)]
mod tests {
    use domain::{Epoch, StreamId};

    use super::*;

    fn notice(version: u64) -> NoticeEvent {
        let body = NoticeBody::Removed { epoch: Epoch::from("e"), version };
        NoticeEvent::Stream(Notice { id: StreamId::parse("s").unwrap(), body })
    }

    #[test]
    fn a_slow_receiver_finds_a_gap_and_goes_on_after_it() {
        let feed = Feed::default();
        let mut receiver = feed.receiver();
        for version in 0..CAPACITY as u64 + 100 {
            feed.send(notice(version));
        }
        for version in 0..CAPACITY as u64 - 1 {
            assert_eq!(receiver.try_recv(), Ok(notice(version)));
        }
        assert_eq!(receiver.try_recv(), Ok(NoticeEvent::Gap));
        feed.send(notice(7));
        assert_eq!(receiver.try_recv(), Ok(notice(7)));
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn a_gap_is_never_taken_before_something_that_it_hides() {
        let feed = Feed::default();
        let mut receiver = feed.receiver();
        for version in 0..CAPACITY as u64 {
            feed.send(notice(version));
        }
        // One place is free again, before the gap has been read.
        assert_eq!(receiver.try_recv(), Ok(notice(0)));
        feed.send(notice(99_999));
        let rest: Vec<NoticeEvent> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        assert_eq!(rest.last(), Some(&NoticeEvent::Gap));
        assert!(!rest.contains(&notice(99_999)));
    }

    #[test]
    fn a_second_receiver_takes_the_first_ones_place() {
        let feed = Feed::default();
        let mut first = feed.receiver();
        let mut second = feed.receiver();
        feed.send(notice(1));
        assert_eq!(first.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
        assert_eq!(second.try_recv(), Ok(notice(1)));
        feed.close();
        assert_eq!(second.try_recv(), Err(mpsc::error::TryRecvError::Disconnected));
    }
}
