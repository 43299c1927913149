//! One connection that asks and waits for the answer: for setting up, and for each of the few that put on a load.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::wire::Answer;

/// Longest wait for an answer: longer than any that the server allows itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most bytes of a refusal that are shown.
const SHOWN: usize = 300;

/// A kept connection.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: vec![0; 64 * 1024], body: Vec::new() }
    }

    /// Sends a request; gives the status and the body of the answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect()?,
        };
        stream.write_all(request).context("the server does not take a request")?;
        let mut answer = Answer::expected();
        self.body.clear();
        while !answer.is_done() {
            let read = stream.read(&mut self.buffer).context("the server does not answer")?;
            ensure!(read > 0, "the server has closed the connection without an answer");
            answer.take(&self.buffer[..read], &mut |piece: &[u8]| self.body.extend_from_slice(piece))?;
        }
        self.stream = Some(stream).filter(|_| !answer.is_last);
        Ok((answer.status, &self.body))
    }

    /// Sends a request that must succeed; gives the JSON of the answer, null when there is none.
    pub(crate) fn expect(&mut self, what: &str, request: &[u8]) -> anyhow::Result<Value> {
        let (status, body) = self.ask(request).with_context(|| format!("can't {what}"))?;
        if !(200..300).contains(&status) {
            bail!("can't {what}: {}", refusal(status, body));
        }
        Ok(serde_json::from_slice(body).unwrap_or(Value::Null))
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).context("the server can't be reached")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// A refusal in words.
pub(crate) fn refusal(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]).into_owned();
    format!("answered {status}{} {text}", hint(status))
}

/// What can be done about a status.
pub(crate) fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => " (an API key with the scope `admin` is needed: --api-key, or LIVESTREAM_API_KEY)",
        429 => " (rate limits hold: start the server with RATE_LIMIT=off for a load test)",
        503 => " (the server is full, ends, or can't reach its store or LiveKit)",
        _ => "",
    }
}
