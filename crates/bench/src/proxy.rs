//! A proxy before Redis that counts what crosses it.
//!
//! One write of the client is one round trip: a pipeline and a script are sent
//! whole, and the next is not sent before somebody wants it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What has crossed so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    round_trips: AtomicU64,
    bytes: AtomicU64,
}

/// The counts at a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Crossed {
    /// Writes of clients.
    pub(crate) round_trips: u64,
    /// Bytes both ways.
    pub(crate) bytes: u64,
}

impl Counts {
    /// What has crossed so far.
    pub(crate) fn now(&self) -> Crossed {
        Crossed { round_trips: self.round_trips.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }
}

/// Starts a proxy to `127.0.0.1:<port>` that lives as long as the runtime; gives its address.
pub(crate) async fn start(port: u16) -> anyhow::Result<(SocketAddr, Arc<Counts>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let counts = Arc::new(Counts::default());
    let shared = counts.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, port, shared.clone()));
        }
    });
    Ok((address, counts))
}

async fn carry(client: TcpStream, port: u16, counts: Arc<Counts>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    // Nagle's wait would be counted as Redis's.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, &counts, 1) => {}
        () = copy(from_server, to_client, &counts, 0) => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, counts: &Counts, round_trips: u64) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        counts.round_trips.fetch_add(round_trips, Ordering::Relaxed);
        counts.bytes.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}
