//! What the sockets' thread does, turn by turn: take in, send, look after.
//!
//! No turn is long: each topic with news gets a slice of it, what is left comes
//! in the next, and between turns the kernel and the mailbox are asked again.
//! There are no timers: a coarse scan over all connections finds who is idle,
//! old or stalled.

mod scan;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Token};
use slab::Slab;

use super::SocketSettings;
use super::chunk::{LAST, chunk};
use super::conn::{Conn, Heard, Sent};
use super::feed::{Feed, FeedKey, News, Source};
use super::mailbox::{Arrival, Bell, Mailbox};
use super::meters::{Meters, Reason};
use super::roster::{Key, Roster};

use self::scan::Scan;

/// The mailbox's token; connections have their keys.
pub(super) const MAILBOX: Token = Token(usize::MAX);
/// Sends of one topic before the next one has its turn.
const SLICE: usize = 128;
/// Sends of one turn, in all.
const TURN: usize = 1_024;
/// Looks at connections that need nothing, for each send.
const LOOKS: usize = 16;

/// All sockets that are fed with the same.
struct Topic {
    key: FeedKey,
    feed: Feed,
    roster: Roster,
    bell: Arc<Bell>,
    waker: Waker,
    /// It waits for its slice.
    active: bool,
    /// The stream is gone: its sockets are ended.
    over: bool,
}

/// The sockets and what they are fed with.
pub(super) struct Engine<'a> {
    poll: &'a mut mio::Poll,
    mailbox: &'a Arc<Mailbox>,
    settings: &'a SocketSettings,
    meters: &'a Meters,
    conns: Slab<Conn>,
    /// Keys are below this.
    keys_below: usize,
    topics: Slab<Topic>,
    by_key: HashMap<FeedKey, usize>,
    /// Topics that wait for a slice.
    active: VecDeque<usize>,
    /// There is mail left for the next turn.
    more: bool,
    scan: Scan,
    began: Instant,
    /// Milliseconds since it began, as of this turn.
    now: u64,
    /// Sockets of groups below this have to leave.
    leave_below: u16,
}

impl<'a> Engine<'a> {
    pub(super) fn new(
        poll: &'a mut mio::Poll,
        mailbox: &'a Arc<Mailbox>,
        settings: &'a SocketSettings,
        meters: &'a Meters,
    ) -> Self {
        Self {
            poll,
            mailbox,
            settings,
            meters,
            conns: Slab::new(),
            keys_below: 0,
            topics: Slab::new(),
            by_key: HashMap::new(),
            active: VecDeque::new(),
            more: false,
            scan: Scan::at_once(),
            began: Instant::now(),
            now: 0,
            leave_below: 0,
        }
    }

    /// Serves until it is told to stop.
    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(TURN);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let turn = Instant::now();
            self.now = millis(turn - self.began);
            events.iter().for_each(|event| self.attend(event));
            if self.read_mail() {
                self.end_all();
                return Ok(());
            }
            self.send_slices();
            self.continue_scan();
            self.meters.turns.record(turn.elapsed().as_secs_f64());
        }
    }

    /// How long there is nothing to do but for what the kernel and the mailbox bring.
    fn patience(&self) -> Option<Duration> {
        let scan = if self.conns.is_empty() { None } else { Some(self.scan.begins()) };
        match scan {
            _ if self.more || !self.active.is_empty() => Some(Duration::ZERO),
            None => None,
            Some(None) => Some(Duration::ZERO),
            Some(Some(begins)) => Some(Duration::from_millis(begins.saturating_sub(millis(self.began.elapsed())))),
        }
    }

    /// The kernel tells of one connection.
    fn attend(&mut self, event: &Event) {
        let key = event.token().0;
        let Some(conn) = self.conns.get_mut(key) else { return };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            match conn.listen() {
                Heard::Nothing => {}
                Heard::Gone => return self.close(key, Reason::Reader),
                Heard::TooMuch => return self.close(key, Reason::Input),
            }
        }
        if event.is_writable() && self.conns[key].blocked {
            self.resume(key);
        }
    }

    /// The kernel takes more of it: first what waits, then the newest.
    fn resume(&mut self, key: usize) {
        match self.conns[key].resume(self.now) {
            Sent::All => {}
            Sent::Part | Sent::Nothing => return,
            Sent::Gone => return self.close(key, Reason::Reader),
        }
        match self.conns[key].leaving {
            Some(reason) => self.see_off(key, reason),
            None => drop(self.deliver(key)),
        }
    }

    /// Takes in what came. Returns whether everything has to end.
    fn read_mail(&mut self) -> bool {
        let mail = self.mailbox.empty();
        for arrival in mail.arrivals {
            self.take_in(arrival);
        }
        for topic in mail.bells {
            self.look(topic);
        }
        self.more = mail.more;
        if mail.leave_below > self.leave_below {
            self.leave_below = mail.leave_below;
            self.scan = Scan::under_way();
        }
        mail.stop
    }

    /// Takes a socket in: its head, its first words and the newest state go out at once,
    /// in one write, because most readers get all they want with it.
    fn take_in(&mut self, (hand_over, mut source): Arrival) {
        // From its own source: that of all others may be held back for a while.
        let event = match source.poll_frame(&Context::from_waker(Waker::noop())) {
            Poll::Ready(Some(event)) => chunk(&event),
            Poll::Ready(None) | Poll::Pending => Bytes::new(),
        };
        let seen = source.seen();
        // The source counts as a subscriber until the socket does.
        let (index, spare) = self.topic_for(source);
        if spare.is_some() {
            // The feed may not have looked since the reader subscribed, and what it has then can be what the
            // reader has seen, or older.
            self.look(index);
        }
        let mut conn = Conn::new(TcpStream::from_std(hand_over.socket), hand_over.permit);
        (conn.topic, conn.seen, conn.touched) = (index, seen, self.now);
        conn.expires = self.now + millis(self.settings.max_age.mul_f64(rand::random_range(0.9..1.1)));
        let key = self.conns.vacant_key();
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut conn.socket, Token(key), both) {
            tracing::warn!(%error, "a connection can't be watched and is ended");
            return self.forget_if_empty(index);
        }
        let topic = &mut self.topics[index];
        conn.place = topic.roster.add(as_member(key));
        topic.feed.count_socket(true);
        let meters = self.meters.kind(topic.feed.is_lobby());
        meters.connections.increment(1.0);
        meters.events.increment(u64::from(!event.is_empty()));
        let words = opening(&hand_over.head, &hand_over.first_words, &event);
        let sent = conn.send_surely(&words, self.now);
        self.conns.insert(conn);
        self.keys_below = self.keys_below.max(key + 1);
        if sent == Sent::Gone {
            self.close(key, Reason::Reader);
        } else if self.topics[index].over {
            self.finish(key, Reason::Over);
        }
    }

    /// The topic that `source` belongs to, and the source if the topic has one already.
    fn topic_for(&mut self, source: Source) -> (usize, Option<Source>) {
        let key = source.key();
        if let Some(index) = self.by_key.get(&key) {
            return (*index, Some(source));
        }
        let index = self.topics.vacant_key();
        let bell = Arc::new(Bell::new(Arc::clone(self.mailbox), index));
        let waker = Waker::from(Arc::clone(&bell));
        let mut feed = Feed::new(source);
        let over = feed.look(&Context::from_waker(&waker)) == News::Over;
        if !over {
            self.by_key.insert(key.clone(), index);
        }
        self.topics.insert(Topic { key, feed, roster: Roster::default(), bell, waker, active: false, over });
        (index, None)
    }

    /// A topic's bell has rung.
    fn look(&mut self, index: usize) {
        let Some(topic) = self.topics.get_mut(index) else { return };
        topic.bell.hear();
        match topic.feed.look(&Context::from_waker(&topic.waker)) {
            News::Nothing => return,
            News::Changed => {}
            News::Over => {
                topic.over = true;
                self.by_key.remove(&topic.key);
            }
        }
        topic.roster.restart();
        if !std::mem::replace(&mut topic.active, true) {
            self.active.push_back(index);
        }
    }

    fn send_slices(&mut self) {
        let mut sends = TURN;
        for _ in 0..self.active.len() {
            if sends == 0 {
                return;
            }
            let Some(index) = self.active.pop_front() else { return };
            sends = sends.saturating_sub(self.send_slice(index, SLICE.min(sends)).max(1));
        }
    }

    /// Sends the newest to those of a topic who are next. Returns how many.
    fn send_slice(&mut self, index: usize, most: usize) -> usize {
        let (mut sends, mut looks) = (0, most * LOOKS);
        // The topic goes with its last socket.
        while let Some(topic) = self.topics.get_mut(index) {
            if sends == most || looks == 0 {
                self.active.push_back(index);
                return sends;
            }
            let Some(key) = topic.roster.next() else {
                topic.active = false;
                return sends;
            };
            looks -= 1;
            sends += usize::from(self.deliver(key as usize));
        }
        sends
    }

    /// Sends a connection what is newer than what it has, if it takes anything. Returns whether that was tried.
    fn deliver(&mut self, key: usize) -> bool {
        let conn = &mut self.conns[key];
        if conn.blocked || conn.leaving.is_some() {
            return false;
        }
        let topic = &mut self.topics[conn.topic];
        if topic.over {
            self.finish(key, Reason::Over);
            return true;
        }
        let Some((mark, event)) = topic.feed.after(conn.seen) else { return false };
        match conn.send(&event, self.now) {
            sent @ (Sent::All | Sent::Part) => {
                if conn.seen > 0 && !topic.feed.is_lobby() && mark > conn.seen + 1 {
                    self.meters.skipped.increment(mark - conn.seen - 1);
                }
                conn.seen = mark;
                self.meters.kind(topic.feed.is_lobby()).events.increment(1);
                if sent == Sent::Part {
                    self.meters.partial.increment(1);
                }
            }
            Sent::Nothing => self.meters.refused.increment(1),
            Sent::Gone => self.close(key, Reason::Reader),
        }
        true
    }

    /// Ends a connection in order: what was begun, then the last chunk.
    fn finish(&mut self, key: usize, reason: Reason) {
        let conn = &mut self.conns[key];
        conn.leaving = Some(reason);
        match conn.send_surely(&LAST, self.now) {
            Sent::All => self.see_off(key, reason),
            Sent::Part | Sent::Nothing => {}
            Sent::Gone => self.close(key, Reason::Reader),
        }
    }

    /// The last chunk is out.
    fn see_off(&mut self, key: usize, reason: Reason) {
        self.conns[key].say_goodbye();
        self.close(key, reason);
    }

    fn close(&mut self, key: usize, reason: Reason) {
        let mut conn = self.conns.remove(key);
        // Closing it would do as well, where closing is heard of.
        let _ = self.poll.registry().deregister(&mut conn.socket);
        let topic = &mut self.topics[conn.topic];
        for moved in topic.roster.remove(conn.place).into_iter().flatten() {
            self.conns[moved.key as usize].place = moved.place;
        }
        topic.feed.count_socket(false);
        self.meters.kind(topic.feed.is_lobby()).closed(reason);
        self.forget_if_empty(conn.topic);
        if self.conns.is_empty() {
            self.keys_below = 0;
        }
    }

    fn forget_if_empty(&mut self, index: usize) {
        if !self.topics[index].roster.is_empty() {
            return;
        }
        let topic = self.topics.remove(index);
        if !topic.over {
            self.by_key.remove(&topic.key);
        }
        if topic.active {
            // Its index may soon be another's.
            self.active.retain(|active| *active != index);
        }
    }

    /// The last chunk to all who take it now, and the end.
    fn end_all(&mut self) {
        for key in 0..self.keys_below {
            if self.conns.get(key).is_some_and(|conn| conn.leaving.is_none()) {
                self.finish(key, Reason::Drain);
            }
            if self.conns.contains(key) {
                self.close(key, Reason::Drain);
            }
        }
    }
}

impl Drop for Engine<'_> {
    /// Nothing is counted as open any more, whatever happened.
    fn drop(&mut self) {
        for (_, conn) in &self.conns {
            if let Some(topic) = self.topics.get(conn.topic) {
                topic.feed.count_socket(false);
                self.meters.kind(topic.feed.is_lobby()).closed(Reason::Failed);
            }
        }
    }
}

/// The head, the first words as a chunk, and the first event, which is one.
fn opening(head: &[u8], words: &[u8], event: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(head.len() + words.len() + event.len() + 16);
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(&chunk(words));
    bytes.extend_from_slice(event);
    bytes.freeze()
}

/// Keys are below the number of file descriptors, which are numbered by an `i32`.
fn as_member(key: usize) -> Key {
    Key::try_from(key).unwrap_or(Key::MAX)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
