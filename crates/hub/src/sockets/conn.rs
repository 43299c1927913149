//! One handed-over connection: what it was sent, and what the kernel would not take yet.

use std::any::Any;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;

use bytes::{Buf, Bytes};
use mio::net::TcpStream;

use super::meters::Reason;

/// Bytes that a reader may send after its request, which it has no reason to.
const MAX_INPUT: u32 = 16 * 1024;
/// Room for what a reader sends and nobody wants.
const SINK: usize = 4 * 1024;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// All of it went out.
    All,
    /// Some of it did; the rest is kept and goes first.
    Part,
    /// The kernel takes nothing now.
    Nothing,
    /// The reader is gone.
    Gone,
}

/// What became of a look at what the reader sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing of interest.
    Nothing,
    /// The reader has gone.
    Gone,
    /// More than anybody has to say here.
    TooMuch,
}

/// One handed-over connection. Times are the engine's milliseconds.
pub(super) struct Conn {
    pub(super) socket: TcpStream,
    /// What it is fed with.
    pub(super) topic: usize,
    /// Its place in the topic's roster.
    pub(super) place: u32,
    /// Mark of what it was sent last.
    pub(super) seen: u64,
    /// When it last took something.
    pub(super) touched: u64,
    /// Its time is over then.
    pub(super) expires: u64,
    /// The kernel takes nothing until it says so.
    pub(super) blocked: bool,
    /// It ends once the rest is out, the last chunk among it.
    pub(super) leaving: Option<Reason>,
    /// Bytes it sent.
    input: u32,
    /// What the kernel would not take of the last write.
    rest: Option<Box<Bytes>>,
    /// Whatever is held as long as the connection is open.
    _permit: Box<dyn Any + Send>,
}

impl Conn {
    pub(super) fn new(socket: TcpStream, permit: Box<dyn Any + Send>) -> Self {
        Self {
            socket,
            topic: 0,
            place: 0,
            seen: 0,
            touched: 0,
            expires: 0,
            blocked: false,
            leaving: None,
            input: 0,
            rest: None,
            _permit: permit,
        }
    }

    /// Writes `bytes`, which must begin a frame: nothing may wait.
    pub(super) fn send(&mut self, bytes: &Bytes, now: u64) -> Sent {
        debug_assert!(self.rest.is_none() && !self.blocked, "a frame would begin within another");
        match write(&self.socket, bytes) {
            Ok(0) => {
                self.blocked = true;
                Sent::Nothing
            }
            Ok(written) if written == bytes.len() => {
                self.touched = now;
                Sent::All
            }
            Ok(written) => {
                (self.touched, self.blocked) = (now, true);
                self.rest = Some(Box::new(bytes.slice(written..)));
                Sent::Part
            }
            Err(_) => Sent::Gone,
        }
    }

    /// Like [`Self::send`], for what must not be left out: it is kept until the kernel takes it.
    pub(super) fn send_surely(&mut self, bytes: &Bytes, now: u64) -> Sent {
        let waiting = match &self.rest {
            Some(rest) => Bytes::from([rest.as_ref(), bytes.as_ref()].concat()),
            None if self.blocked => bytes.clone(),
            None => match self.send(bytes, now) {
                Sent::Nothing => bytes.clone(),
                sent => return sent,
            },
        };
        self.rest = Some(Box::new(waiting));
        Sent::Part
    }

    /// The kernel takes more: what waits goes first.
    pub(super) fn resume(&mut self, now: u64) -> Sent {
        self.blocked = false;
        let Some(rest) = &mut self.rest else { return Sent::All };
        match write(&self.socket, rest) {
            Ok(written) if written == rest.len() => {
                (self.rest, self.touched) = (None, now);
                Sent::All
            }
            Ok(written) => {
                self.blocked = true;
                if written == 0 {
                    return Sent::Nothing;
                }
                rest.advance(written);
                self.touched = now;
                Sent::Part
            }
            Err(_) => Sent::Gone,
        }
    }

    /// Reads what the reader sends, and forgets it. It reads to the end of what is
    /// there, because it is told of more only then; how much that is in all is bounded.
    pub(super) fn listen(&mut self) -> Heard {
        let mut sink = [0; SINK];
        loop {
            match self.socket.read(&mut sink) {
                Ok(0) => return Heard::Gone,
                Ok(read) => {
                    self.input = self.input.saturating_add(u32::try_from(read).unwrap_or(u32::MAX));
                    if self.input > MAX_INPUT {
                        return Heard::TooMuch;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Heard::Nothing,
                Err(_) => return Heard::Gone,
            }
        }
    }

    /// After the last chunk: the reader sees an orderly end, not a reset.
    pub(super) fn say_goodbye(&mut self) {
        // It is gone already, or the kernel sends what is there and then the end.
        let _ = self.socket.shutdown(Shutdown::Write);
        self.listen();
    }
}

/// What the kernel took; 0 when it takes nothing now.
fn write(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match socket.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => return Ok(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
