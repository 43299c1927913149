//! Many subscribers in one thread: one epoll, one buffer, a few dozen bytes for each.
//!
//! What is sent to them is looked at only as far as the marks in it go.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as BlockingStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};

use crate::clock::{Clock, Mark};
use crate::events::Events;
use crate::figures::Times;
use crate::stop::Stop;
use crate::subject::Subject;
use crate::wire::Answer;

/// Connections that are being opened at once: fewer than wait to be accepted with the usual backlog of 128.
const OPENING: usize = 100;
/// Longest wait for an answer to any of those that are being opened.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// Longest wait in one poll: so often is looked whether to stop.
const TICK: Duration = Duration::from_millis(20);
const BUFFER: usize = 64 * 1024;
/// Bytes that the kernel keeps for a reader that does not read.
const STALLED_BUFFER: usize = 4096;

/// Subscribers of topics.
pub(crate) struct Crowd {
    clock: Clock,
    address: SocketAddr,
    poll: Poll,
    events: mio::Events,
    buffer: Vec<u8>,
    members: Vec<Member>,
    stalled: Vec<BlockingStream>,
    /// Those that are open now.
    open: usize,
    pub(crate) seen: Seen,
}

/// What all of them together have seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// From the start of a connection to the head of its answer.
    pub(crate) opening: Times,
    /// From the request that changed a topic to its arrival.
    pub(crate) delays: Times,
    /// Events with a mark.
    pub(crate) delivered: u64,
    /// Events with a lower mark than the one before.
    pub(crate) out_of_order: u64,
    /// Events with the same mark as the one before: something else has changed.
    pub(crate) repeated: u64,
    /// Bytes of the body, framing taken off.
    pub(crate) bytes: u64,
    /// Connections that the server has ended.
    pub(crate) ended: usize,
}

/// One subscriber.
struct Member {
    stream: TcpStream,
    topic: usize,
    phase: Phase,
    begun: u64,
    answer: Answer,
    events: Events,
    /// The highest mark so far.
    last: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Asked,
    Open,
    Ended,
}

impl Crowd {
    pub(crate) fn new(address: SocketAddr, clock: Clock) -> anyhow::Result<Self> {
        Ok(Self {
            clock,
            address,
            poll: Poll::new().context("no epoll")?,
            events: mio::Events::with_capacity(1024),
            buffer: vec![0; BUFFER],
            members: Vec::new(),
            stalled: Vec::new(),
            open: 0,
            seen: Seen {
                opening: Times::new(),
                delays: Times::new(),
                delivered: 0,
                out_of_order: 0,
                repeated: 0,
                bytes: 0,
                ended: 0,
            },
        })
    }

    /// Opens `count` subscriptions, spread over `topics`; done when each has the head of its answer.
    pub(crate) fn open(
        &mut self,
        subject: &dyn Subject,
        count: usize,
        topics: usize,
        stop: &Stop,
    ) -> anyhow::Result<()> {
        let mut progress = (0, Instant::now());
        while self.open < count && !stop.is_asked() {
            while self.members.len() < count && self.members.len() - self.open < OPENING {
                self.connect(self.members.len() % topics)?;
            }
            self.turn(Some(subject))?;
            if self.seen.ended > 0 {
                bail!("the server has ended a subscription at once");
            }
            if self.open > progress.0 {
                progress = (self.open, Instant::now());
            }
            if progress.1.elapsed() > OPEN_WITHIN {
                bail!("{} of {count} subscriptions are open, and no more within {OPEN_WITHIN:?}", self.open);
            }
        }
        Ok(())
    }

    /// Opens subscriptions that never read what they are sent.
    pub(crate) fn open_stalled(&mut self, subject: &dyn Subject, count: usize, topics: usize) -> anyhow::Result<()> {
        for number in 0..count {
            let socket = socket2::Socket::new(socket2::Domain::for_address(self.address), socket2::Type::STREAM, None)?;
            socket.set_recv_buffer_size(STALLED_BUFFER)?;
            socket.connect(&self.address.into()).context("a stalled reader can't connect")?;
            let mut stream = BlockingStream::from(socket);
            stream.write_all(&subject.watch(number % topics))?;
            self.stalled.push(stream);
        }
        Ok(())
    }

    /// The ports of those that never read.
    pub(crate) fn stalled_ports(&self) -> HashSet<u16> {
        self.stalled.iter().filter_map(|stream| Some(stream.local_addr().ok()?.port())).collect()
    }

    /// Receives until `enough`, which is asked some fifty times a second.
    pub(crate) fn receive(&mut self, mut enough: impl FnMut(&Self) -> bool) -> anyhow::Result<()> {
        let mut asked = Instant::now();
        while asked.elapsed() < TICK || !enough(self) {
            if asked.elapsed() >= TICK {
                asked = Instant::now();
            }
            self.turn(None)?;
        }
        Ok(())
    }

    /// Whether everybody who is still connected has the last change of their topic.
    pub(crate) fn is_up_to_date(&self, last: &[u32]) -> bool {
        self.members.iter().all(|member| member.phase == Phase::Ended || member.last >= last[member.topic])
    }

    /// Events that there should be after these last changes, and how many of them everybody has reached:
    /// what is reached and was not delivered was superseded.
    pub(crate) fn progress(&self, last: &[u32]) -> (u64, u64) {
        let sum = |of: &dyn Fn(&Member) -> u32| self.members.iter().map(|member| u64::from(of(member))).sum();
        (sum(&|member| last[member.topic]), sum(&|member| member.last.min(last[member.topic])))
    }

    fn connect(&mut self, topic: usize) -> anyhow::Result<()> {
        let begun = self.clock.now();
        let mut stream = TcpStream::connect(self.address).context("a subscriber can't connect")?;
        let token = Token(self.members.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (answer, events) = (Answer::expected(), Events::default());
        self.members.push(Member { stream, topic, phase: Phase::Connecting, begun, answer, events, last: 0 });
        Ok(())
    }

    /// One wait, and everything that it brought.
    fn turn(&mut self, subject: Option<&dyn Subject>) -> anyhow::Result<()> {
        match self.poll.poll(&mut self.events, Some(TICK)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled.context("epoll fails")?,
        }
        for event in &self.events {
            let member = &mut self.members[event.token().0];
            if member.phase == Phase::Connecting && event.is_writable() {
                let Some(subject) = subject else { continue };
                member.ask(&subject.watch(member.topic))?;
            }
            if event.is_readable() && member.phase != Phase::Ended {
                let was_open = member.phase == Phase::Open;
                member.read(&mut self.buffer, self.clock, &mut self.seen)?;
                self.open += usize::from(!was_open && member.phase == Phase::Open);
            }
        }
        Ok(())
    }
}

impl Member {
    /// A request is small: a fresh connection takes it whole.
    fn ask(&mut self, request: &[u8]) -> anyhow::Result<()> {
        if let Some(error) = self.stream.take_error()? {
            return Err(error).context("a subscriber can't connect");
        }
        self.stream.write_all(request).context("a subscriber can't connect")?;
        self.phase = Phase::Asked;
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8], clock: Clock, seen: &mut Seen) -> anyhow::Result<()> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => break self.end(seen),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => break self.end(seen),
            };
            self.take(&buffer[..read], clock, seen)?;
            if self.answer.is_done() {
                break self.end(seen);
            }
            // Less than there is room for is all there was: what comes later is told by epoll.
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, bytes: &[u8], clock: Clock, seen: &mut Seen) -> anyhow::Result<()> {
        let now = clock.now();
        let (events, last) = (&mut self.events, &mut self.last);
        self.answer.take(bytes, &mut |body: &[u8]| {
            seen.bytes += body.len() as u64;
            events.take(body, &mut |event: &[u8]| seen.event(event, last, now));
        })?;
        match self.answer.status {
            0 => {}
            200 if self.phase == Phase::Asked => {
                self.phase = Phase::Open;
                seen.opening.add(now - self.begun);
            }
            200 => {}
            status => bail!("a subscription is refused with {status}{}", crate::client::hint(status)),
        }
        Ok(())
    }

    fn end(&mut self, seen: &mut Seen) -> anyhow::Result<()> {
        if self.phase != Phase::Open {
            bail!("the server has closed the connection of a subscriber without an answer");
        }
        self.phase = Phase::Ended;
        seen.ended += 1;
        Ok(())
    }
}

impl Seen {
    fn event(&mut self, event: &[u8], last: &mut u32, now: u64) {
        let Some(mark) = Mark::find(event) else { return };
        if mark.number <= *last {
            let count = if mark.number == *last { &mut self.repeated } else { &mut self.out_of_order };
            *count += 1;
            return;
        }
        *last = mark.number;
        self.delivered += 1;
        self.delays.add(now.saturating_sub(mark.sent));
    }
}
