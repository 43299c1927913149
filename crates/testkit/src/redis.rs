//! A Redis server of one test's own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::ports::free_tcp_port;
use crate::process::{ServerProcess, tail};
use crate::skip;

const READY_WITHIN: Duration = Duration::from_secs(10);
const PORT_TRIES: usize = 5;

/// A `redis-server` on 127.0.0.1 with a folder of its own; killed when dropped.
#[derive(Debug)]
pub struct RedisServer {
    process: Option<ServerProcess>,
    port: u16,
    /// Where nodes of a cluster speak to each other.
    bus: Option<u16>,
    options: Vec<String>,
    folder: TempDir,
}

impl RedisServer {
    /// Starts one that loses nothing it has acknowledged (`appendfsync always`,
    /// `noeviction`); `None` when there is no `redis-server` here.
    pub async fn start() -> Option<Self> {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]).await
    }

    /// Starts one that keeps everything in memory only: quick, and empty after [`restart`](Self::restart).
    pub async fn start_volatile() -> Option<Self> {
        Self::start_with(&["--appendonly", "no"]).await
    }

    /// Starts one with `options` as on its command line.
    pub async fn start_with(options: &[&str]) -> Option<Self> {
        match Self::try_start(options, None).await? {
            Ok(server) => Some(server),
            Err(log) => panic!("redis-server does not start:\n{log}"),
        }
    }

    /// Starts one; its log when it does not start.
    pub(crate) async fn try_start(options: &[&str], bus: Option<u16>) -> Option<Result<Self, String>> {
        if Command::new("redis-server").arg("--version").output().is_err() {
            skip("no redis-server on PATH (Debian: apt-get install redis-server)");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut server = Self { process: None, port: 0, bus, options, folder };
        for _ in 0..PORT_TRIES {
            server.port = free_tcp_port();
            if server.launch().await {
                return Some(Ok(server));
            }
        }
        Some(Err(tail(&server.log())))
    }

    /// The port on which nodes of a cluster speak to each other; 0 where there is no cluster.
    pub(crate) fn bus_port(&self) -> u16 {
        self.bus.unwrap_or_default()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:<port>/`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its process id while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(ServerProcess::id)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Kills it if it runs, and starts it again on the same port and folder.
    pub async fn restart(&mut self) {
        self.kill();
        assert!(self.launch().await, "redis-server does not start again:\n{}", tail(&self.log()));
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// Sends one command without spaces in its words, and gives the raw answer.
    pub async fn command(&self, words: &[&str]) -> String {
        ask(self.port, words).await.expect("redis-server answers")
    }

    async fn launch(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--dir"]);
        command.arg(self.folder.path()).args(&self.options);
        let mut process = ServerProcess::spawn(&mut command, &self.log());
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline && !process.has_ended() {
            // A server that wants a password answers too: it is ready.
            let answer = ask(self.port, &["PING"]).await.unwrap_or_default();
            if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") {
                self.process = Some(process);
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("redis.log")
    }
}

/// One command on a connection of its own; `None` when nobody answers.
async fn ask(port: u16, words: &[&str]) -> Option<String> {
    let exchange = async {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        socket.write_all(request.as_bytes()).await.ok()?;
        let mut answer = vec![0; 4096];
        let read = socket.read(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer[..read]).into_owned())
    };
    timeout(Duration::from_secs(2), exchange).await.ok().flatten()
}
