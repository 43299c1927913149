//! A connection that is cut when its reader takes nothing for too long, and
//! whose socket can be taken from under it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::seat::Seat;

/// A TCP connection with a time limit on each write that can't go on. When its
/// socket has been taken it reads as ended, and what is written is gone.
#[derive(Debug)]
pub(super) struct GuardedStream {
    seat: Arc<Seat>,
    limit: Duration,
    /// Runs while a write can't go on; made only then, because that is rare.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl GuardedStream {
    pub(super) fn new(seat: Arc<Seat>, limit: Duration) -> Self {
        Self { seat, limit, stalled: None }
    }

    fn write(
        &mut self,
        cx: &mut Context<'_>,
        length: usize,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(written) = self.seat.with(|socket| write(Pin::new(socket), cx)) else {
            return Poll::Ready(Ok(length));
        };
        self.seat.set_held_up(written.is_pending());
        self.guard(written, cx)
    }

    fn guard(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        let alarm = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        match alarm.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.seat.with(|socket| Pin::new(socket).poll_read(cx, buffer)).unwrap_or(Poll::Ready(Ok(())))
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, bytes.len(), |socket, cx| socket.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        self.write(cx, length, |socket, cx| socket.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        // Asked before anything is taken; a TCP stream always is.
        self.seat.with(|socket| socket.is_write_vectored()).unwrap_or(true)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seat.with(|socket| Pin::new(socket).poll_flush(cx)).unwrap_or(Poll::Ready(Ok(())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seat.with(|socket| Pin::new(socket).poll_shutdown(cx)).unwrap_or(Poll::Ready(Ok(())))
    }
}
