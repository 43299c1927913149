//! One signalling connection: frames in, frames out, limits on both.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use livekit_protocol::SignalRequest;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::App;
use crate::allowance::Allowance;
use crate::engine::Command;
use crate::room::ConnId;
use crate::signal::ToSocket;

/// How often the socket itself is probed.
const PROBE: Duration = Duration::from_secs(10);

/// How long a client may take to accept one frame.
const WRITE: Duration = Duration::from_secs(10);

/// How long we wait for the client's half of a closing handshake.
const CLOSING: Duration = Duration::from_secs(2);

/// A joined connection. When it is dropped the rooms learn that it is gone.
pub(crate) struct Connection {
    app: App,
    conn: ConnId,
    messages: mpsc::Receiver<ToSocket>,
    /// Held until the socket is closed, so that a shutdown waits for it.
    open: Option<TaskTrackerToken>,
}

impl Connection {
    /// A connection the rooms have let in.
    pub(crate) fn new(app: App, conn: ConnId, messages: mpsc::Receiver<ToSocket>) -> Self {
        let open = Some(app.sockets.token());
        Self { app, conn, messages, open }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (commands, closed) = (self.app.commands.clone(), Command::Closed(self.conn));
        if let Err(mpsc::error::TrySendError::Full(closed)) = commands.try_send(closed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // The queue is full for a moment only; the news must not be lost.
            runtime.spawn(async move { commands.send(closed).await });
        }
    }
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The rooms said everything they had to say.
    Finished,
    /// The client went away or does not read.
    Gone,
    /// The client broke a limit.
    Refused,
    /// The rooms gave up on it, or the server stops.
    Cut,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(socket: WebSocket, mut connection: Connection) {
    let (mut sink, mut stream) = socket.split();
    let mut talk = Talk::new(&connection);
    let end = talk.run(&mut connection, &mut sink, &mut stream).await;
    let code = match end {
        End::Finished => close_code::NORMAL,
        End::Refused => close_code::POLICY,
        End::Cut => close_code::AWAY,
        End::Gone => return,
    };
    let _open = connection.open.take();
    drop(connection);
    let frame = CloseFrame { code, reason: "".into() };
    if timeout(WRITE, sink.send(Message::Close(Some(frame)))).await.is_ok() {
        let _ = timeout(CLOSING, async { while let Some(Ok(_)) = stream.next().await {} }).await;
    }
}

/// What changes while a connection is served.
struct Talk {
    /// The client speaks JSON, so it is answered in JSON.
    text: bool,
    heard: Instant,
    allowance: Allowance,
}

impl Talk {
    fn new(connection: &Connection) -> Self {
        let limits = &connection.app.limits;
        let now = Instant::now();
        let allowance = Allowance::new(limits.signal_messages_per_second, limits.signal_burst, now.into_std());
        Self { text: false, heard: now, allowance }
    }

    async fn run(
        &mut self,
        connection: &mut Connection,
        sink: &mut SplitSink<WebSocket, Message>,
        stream: &mut SplitStream<WebSocket>,
    ) -> End {
        let silence = connection.app.timeouts.ping.max(PROBE * 2);
        let mut probe = interval_at(Instant::now() + PROBE, PROBE);
        probe.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                () = connection.app.stop.cancelled() => Err(End::Cut),
                message = connection.messages.recv() => self.write(sink, message).await,
                message = stream.next() => self.read(connection, message).await,
                _ = probe.tick() => write(sink, Message::Ping(Bytes::new())).await,
                () = tokio::time::sleep_until(self.heard + silence) => Err(End::Gone),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn write(&self, sink: &mut SplitSink<WebSocket, Message>, message: Option<ToSocket>) -> Result<(), End> {
        match message {
            Some(ToSocket::Frame(frame)) if self.text => write(sink, Message::Text(frame.text())).await,
            Some(ToSocket::Frame(frame)) => write(sink, Message::Binary(frame.binary())).await,
            Some(ToSocket::Close) => Err(End::Finished),
            None => Err(End::Cut),
        }
    }

    async fn read(
        &mut self,
        connection: &Connection,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<(), End> {
        let message = match message {
            Some(Ok(message)) => message,
            // Among other things, a message above the limit.
            Some(Err(_)) => return Err(refused("broken")),
            None => return Err(End::Gone),
        };
        self.heard = Instant::now();
        if !self.allowance.take(self.heard.into_std()) {
            return Err(refused("rate"));
        }
        let request = match message {
            Message::Binary(bytes) => {
                self.text = false;
                SignalRequest::decode(bytes).ok()
            }
            Message::Text(text) => {
                self.text = true;
                serde_json::from_str(&text).ok()
            }
            Message::Close(_) => return Err(End::Gone),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
        };
        // What cannot be decoded is counted there as an unknown message.
        let command = Command::Signal(connection.conn, Box::new(request.unwrap_or_default()));
        connection.app.commands.send(command).await.map_err(|_| End::Cut)
    }
}

fn refused(limit: &'static str) -> End {
    metrics::counter!("media_signal_refused_total", "limit" => limit).increment(1);
    End::Refused
}

async fn write(sink: &mut SplitSink<WebSocket, Message>, message: Message) -> Result<(), End> {
    match timeout(WRITE, sink.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(End::Gone),
    }
}
