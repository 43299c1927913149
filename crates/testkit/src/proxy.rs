//! A wire that misbehaves: a TCP proxy that delays what crosses it, or cuts connections half-way through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// What the wire does to what crosses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Nothing.
    Good,
    /// Everything arrives this much later, each way.
    Slow(Duration),
    /// Of so many pieces (each way alike) one is delivered by half, and its connection is cut.
    Cutting(u64),
}

/// Chunks on their way; a sender that is quicker waits.
const ON_THE_WAY: usize = 1024;

/// A proxy on 127.0.0.1 to a port of 127.0.0.1; it and its connections are gone when dropped.
#[derive(Debug)]
pub struct FaultyProxy {
    port: u16,
    wire: watch::Sender<Wire>,
    cuts: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// What all connections share.
#[derive(Debug, Clone)]
struct Shared {
    wire: watch::Receiver<Wire>,
    pieces: Arc<AtomicU64>,
    cuts: Arc<AtomicU64>,
}

impl FaultyProxy {
    /// Starts one in front of `server`, a port of 127.0.0.1; the wire is good.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("the listener's address").port();
        let (wire, receiver) = watch::channel(Wire::Good);
        let cuts = Arc::new(AtomicU64::new(0));
        let shared = Shared { wire: receiver, pieces: Arc::default(), cuts: cuts.clone() };
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, shared.clone()));
            }
        });
        Self { port, wire, cuts, task }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on the wire is like that, for connections that are open, too.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// How many connections it has cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for FaultyProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection, until either side closes or the wire is cut.
async fn carry(client: TcpStream, server: u16, shared: Shared) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    // Held-back small packets would come in other pieces.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut gone = shared.wire.clone();
    tokio::select! {
        () = one_way(from_client, to_server, shared.clone()) => {}
        () = one_way(from_server, to_client, shared) => {}
        // The proxy was dropped.
        () = async { while gone.changed().await.is_ok() {} } => {}
    }
}

async fn one_way(mut from: OwnedReadHalf, to: OwnedWriteHalf, shared: Shared) {
    let (late, due) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            let wire = *shared.wire.borrow();
            let mut bytes = buffer[..read].to_vec();
            let wait = if let Wire::Slow(wait) = wire { wait } else { Duration::ZERO };
            let cut = matches!(wire, Wire::Cutting(every)
                if (shared.pieces.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every));
            if cut {
                bytes.truncate(read / 2);
            }
            if late.send((Instant::now() + wait, bytes)).await.is_err() {
                return;
            }
            if cut {
                shared.cuts.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    };
    // Whatever was read before the end is delivered first.
    tokio::join!(reading, deliver(to, due));
}

async fn deliver(mut to: OwnedWriteHalf, mut due: mpsc::Receiver<(Instant, Vec<u8>)>) {
    while let Some((at, bytes)) = due.recv().await {
        sleep_until(at).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every line with itself.
    async fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = socket.split();
                    drop(tokio::io::copy(&mut from, &mut to).await);
                });
            }
        });
        port
    }

    #[tokio::test]
    async fn a_cut_leaves_half_a_piece_and_a_slow_wire_all_of_it() {
        let proxy = FaultyProxy::start(echo().await).await;
        let mut socket = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap();
        let mut answer = [0; 8];
        proxy.set(Wire::Slow(Duration::from_millis(30)));
        let begun = Instant::now();
        socket.write_all(b"12345678").await.unwrap();
        socket.read_exact(&mut answer).await.unwrap();
        assert!(&answer == b"12345678" && begun.elapsed() >= Duration::from_millis(60));
        proxy.set(Wire::Cutting(2));
        // The question passes whole, the answer by half.
        socket.write_all(b"abcdefgh").await.unwrap();
        let mut rest = Vec::new();
        drop(socket.read_to_end(&mut rest).await);
        assert_eq!((rest.as_slice(), proxy.cuts()), (&b"abcd"[..], 1));
    }
}
