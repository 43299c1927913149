//! Where the socket of a connection is, and how it is taken from under hyper.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::net::TcpStream;

/// The place of one connection's socket. Once it is taken, hyper reads an end and writes into nothing.
#[derive(Debug)]
pub(super) struct Seat {
    socket: Mutex<Option<TcpStream>>,
    /// The last write could not go on: hyper holds bytes of an earlier response.
    held_up: AtomicBool,
    /// A request was served on it before the present one.
    used: AtomicBool,
}

impl Seat {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket: Mutex::new(Some(socket)), held_up: AtomicBool::new(false), used: AtomicBool::new(false) }
    }

    /// Does something with the socket, if it is still there.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut TcpStream) -> T) -> Option<T> {
        self.socket.lock().as_mut().map(work)
    }

    pub(super) fn set_held_up(&self, held_up: bool) {
        self.held_up.store(held_up, Ordering::Relaxed);
    }

    /// A request begins. Returns whether there was one before it.
    pub(super) fn begin_request(&self) -> bool {
        self.used.swap(true, Ordering::Relaxed)
    }

    /// Takes the socket, unless bytes of an earlier response are still to be written.
    pub(super) fn take(&self) -> Option<TcpStream> {
        if self.held_up.load(Ordering::Relaxed) {
            return None;
        }
        self.socket.lock().take()
    }
}
