//! The media thread: one loop that owns the rooms, the forwarding engine and the media sockets.
//!
//! It is the only place in this crate where commands, packets and time meet. Everything else
//! reaches it through a bounded queue of [`Command`]s.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use livekit_protocol::SignalRequest;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::access::Claims;
use crate::meters::Meters;
use crate::room::{ConnId, JoinError, Now, Output, Rooms};
use crate::signal::{JoinParams, ToSocket};
use crate::udp::Sockets;
use crate::webhook::Webhooks;

/// Commands that may wait for the loop. When it is full, sockets stop reading.
pub(crate) const COMMANDS: usize = 4_096;

/// Commands or datagrams of one socket handled before the others get their turn.
const TURN: usize = 64;

/// How often the rooms look at the clock.
const TICK: Duration = Duration::from_millis(100);

/// How often totals are published as metrics.
const METERS: Duration = Duration::from_secs(1);

/// How long datagrams are left to gather after some were handled. A frame comes in many packets; carried out together
/// they cost less, and the first of them is not kept waiting.
const GATHER: Duration = Duration::from_millis(1);

/// Larger than any packet that is sent over a real network.
const DATAGRAM: usize = 4_096;

/// A question to the rooms, answered through whatever it captured.
pub(crate) type Ask = Box<dyn FnOnce(&mut Rooms, Now) + Send>;

/// What the rest of the crate tells the loop.
pub(crate) enum Command {
    /// A client with a valid token opened a connection.
    Join {
        /// Its token.
        claims: Box<Claims>,
        /// What it said.
        params: Box<JoinParams>,
        /// Where its messages go.
        socket: mpsc::Sender<ToSocket>,
        /// The connection it got, or why not.
        reply: oneshot::Sender<Result<ConnId, JoinError>>,
    },
    /// A client sent a message.
    Signal(ConnId, Box<SignalRequest>),
    /// A connection ended without goodbye.
    Closed(ConnId),
    /// An API call.
    Ask(Ask),
    /// Say goodbye to everybody; answered when that is queued.
    Shutdown(oneshot::Sender<()>),
}

/// Everything the loop owns.
pub(crate) struct MediaLoop {
    rooms: Rooms,
    engine: sfu::Engine,
    sockets: Sockets,
    webhooks: Webhooks,
    conns: HashMap<ConnId, mpsc::Sender<ToSocket>>,
    next_conn: u64,
    deadline: Option<Instant>,
    /// When to look for datagrams again.
    next_turn: Instant,
    meters: Meters,
    datagram: Box<[u8; DATAGRAM]>,
}

impl MediaLoop {
    /// A loop with nobody in it.
    pub(crate) fn new(rooms: Rooms, engine: sfu::Engine, sockets: Sockets, webhooks: Webhooks) -> Self {
        Self {
            rooms,
            engine,
            sockets,
            webhooks,
            conns: HashMap::new(),
            next_conn: 0,
            deadline: None,
            next_turn: Instant::now(),
            meters: Meters::default(),
            datagram: Box::new([0; DATAGRAM]),
        }
    }

    /// Runs until stopped or until nobody can send commands any more.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>, stop: CancellationToken) {
        let mut tick = interval(TICK);
        let mut meters = interval(METERS);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        meters.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (deadline, next_turn) = (self.deadline, self.next_turn);
            tokio::select! {
                () = stop.cancelled() => return,
                command = commands.recv() => match command {
                    Some(first) => self.take_commands(first, &mut commands),
                    None => return,
                },
                () = readable(&self.sockets, next_turn) => self.take_datagrams(),
                () = until(deadline) => {
                    self.engine.handle_timeout(Instant::now());
                    self.pump(now());
                }
                _ = tick.tick() => {
                    self.rooms.tick(now());
                    self.pump(now());
                }
                _ = meters.tick() => self.meters.publish(self.rooms.counts(), self.engine.counters()),
            }
            self.sockets.flush();
        }
    }

    fn take_commands(&mut self, first: Command, queue: &mut mpsc::Receiver<Command>) {
        let mut next = Some(first);
        for _ in 0..TURN {
            let Some(command) = next.take() else {
                return;
            };
            let now = now();
            self.command(now, command);
            self.pump(now);
            next = queue.try_recv().ok();
        }
        if let Some(command) = next {
            let now = now();
            self.command(now, command);
            self.pump(now);
        }
    }

    fn command(&mut self, now: Now, command: Command) {
        match command {
            Command::Join { claims, params, socket, reply } => {
                let answer = self.join(now, *claims, *params, socket);
                if let Err(Ok(conn)) = reply.send(answer) {
                    self.rooms.signal_closed(now, conn);
                    self.conns.remove(&conn);
                }
            }
            Command::Signal(conn, request) => self.rooms.signal(now, conn, *request),
            Command::Closed(conn) => {
                self.conns.remove(&conn);
                self.rooms.signal_closed(now, conn);
            }
            Command::Ask(ask) => ask(&mut self.rooms, now),
            Command::Shutdown(reply) => {
                self.rooms.shutdown();
                self.pump(now);
                let _ = reply.send(());
            }
        }
    }

    fn join(
        &mut self,
        now: Now,
        claims: Claims,
        params: JoinParams,
        socket: mpsc::Sender<ToSocket>,
    ) -> Result<ConnId, JoinError> {
        self.next_conn += 1;
        let conn = ConnId(self.next_conn);
        self.conns.insert(conn, socket);
        let joined = self.rooms.join(now, conn, claims, params);
        if joined.is_err() {
            self.conns.remove(&conn);
        }
        joined.map(|()| conn)
    }

    fn take_datagrams(&mut self) {
        for socket in 0..self.sockets.len() {
            for _ in 0..TURN {
                let Some((length, from, to)) = self.sockets.receive(socket, &mut self.datagram[..]) else {
                    break;
                };
                self.engine.receive(from, to, &self.datagram[..length], Instant::now());
            }
        }
        let now = now();
        self.pump(now);
        self.next_turn = now.at + GATHER;
    }

    /// Carries out everything that follows, until nothing does.
    fn pump(&mut self, now: Now) {
        loop {
            self.drain_engine(now);
            let Some(output) = self.rooms.poll() else {
                return;
            };
            self.carry_out(now, output);
        }
    }

    fn drain_engine(&mut self, now: Now) {
        loop {
            match self.engine.poll() {
                sfu::Output::Transmit(datagram) => self.sockets.send(datagram),
                sfu::Output::Event(event) => self.rooms.media_event(now, event),
                sfu::Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    fn carry_out(&mut self, now: Now, output: Output) {
        match output {
            Output::Signal(conn, frame) => self.deliver(now, conn, ToSocket::Frame(frame)),
            Output::Close(conn) => {
                self.deliver(now, conn, ToSocket::Close);
                self.conns.remove(&conn);
            }
            Output::Webhook(event) => self.webhooks.send(&event),
            Output::Media(command) => {
                let sender = sender(&command);
                if let Err(error) = self.engine.handle(command, now.at) {
                    tracing::warn!(%error, "media command refused");
                    if let Some(participant) = sender {
                        self.rooms.media_refused(now, participant);
                    }
                }
            }
        }
    }

    /// A client that does not read is cut off; it resumes when it can.
    fn deliver(&mut self, now: Now, conn: ConnId, message: ToSocket) {
        let Some(socket) = self.conns.get(&conn) else {
            return;
        };
        if socket.try_send(message).is_err() {
            self.conns.remove(&conn);
            self.rooms.signal_closed(now, conn);
        }
    }
}

/// Whose session description a command carries.
fn sender(command: &sfu::Command) -> Option<sfu::ParticipantId> {
    match command {
        sfu::Command::Offer { participant, .. } | sfu::Command::Answer { participant, .. } => Some(*participant),
        _ => None,
    }
}

/// Waits until there is something to read, but not before this time.
async fn readable(sockets: &Sockets, at: Instant) {
    if at > Instant::now() {
        sleep_until(at.into()).await;
    }
    sockets.readable().await;
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Reads both clocks.
fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { at: Instant::now(), ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
}
