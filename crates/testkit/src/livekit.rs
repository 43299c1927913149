//! A LiveKit server of one test's own.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::ports::{free_tcp_port, free_udp_port};
use crate::process::{ServerProcess, tail};
use crate::skip;

const READY_WITHIN: Duration = Duration::from_secs(20);
const PORT_TRIES: usize = 5;

/// What a LiveKit server is started with.
#[derive(Debug, Clone)]
pub struct LiveKitOptions {
    /// API key.
    pub api_key: String,
    /// Its secret; LiveKit wants 32 characters at least.
    pub api_secret: String,
    /// Where webhooks go; none when empty.
    pub webhook_urls: Vec<String>,
    /// Keys that it knows besides, with their secrets.
    pub other_keys: Vec<(String, String)>,
    /// Lines appended to the configuration file (YAML, top level).
    pub extra: String,
}

impl Default for LiveKitOptions {
    fn default() -> Self {
        Self {
            api_key: "testkey".to_owned(),
            api_secret: "a-secret-of-tests-that-is-long-enough".to_owned(),
            webhook_urls: Vec::new(),
            other_keys: Vec::new(),
            extra: String::new(),
        }
    }
}

/// A LiveKit server on 127.0.0.1 with ports of its own; killed when dropped.
#[derive(Debug)]
pub struct LiveKitServer {
    process: Option<ServerProcess>,
    binary: PathBuf,
    options: LiveKitOptions,
    port: u16,
    folder: TempDir,
}

impl LiveKitServer {
    /// Starts the binary that `LIVEKIT_SERVER_BIN` names, else `.tools/bin/server` of the
    /// workspace; `None` when it is not there.
    pub async fn start(options: LiveKitOptions) -> Option<Self> {
        let Some(binary) = binary() else {
            skip("no LiveKit server (set LIVEKIT_SERVER_BIN, or `make test` puts one into .tools/bin/server)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = Self { process: None, binary, options, port: 0, folder };
        for _ in 0..PORT_TRIES {
            server.port = free_tcp_port();
            server.write_config(free_tcp_port(), free_udp_port());
            if server.launch().await {
                return Some(server);
            }
        }
        panic!("the LiveKit server does not start:\n{}", server.log_tail());
    }

    /// `http://127.0.0.1:<port>`
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `ws://127.0.0.1:<port>`
    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Its port for signalling and API.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it was started with.
    pub fn options(&self) -> &LiveKitOptions {
        &self.options
    }

    /// SIGKILL: SIGTERM would wait for its participants.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Kills it if it runs, and starts it again on the same ports; it knows no room then.
    pub async fn restart(&mut self) {
        self.kill();
        assert!(self.launch().await, "the LiveKit server does not start again:\n{}", self.log_tail());
    }

    /// SIGSTOP: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGCONT);
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }

    async fn launch(&mut self) -> bool {
        let mut command = Command::new(&self.binary);
        command.arg("--config").arg(self.config()).current_dir(self.folder.path());
        let mut process = ServerProcess::spawn(&mut command, &self.log());
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline && !process.has_ended() {
            if answers(self.port).await {
                self.process = Some(process);
                return true;
            }
            sleep(Duration::from_millis(50)).await;
        }
        false
    }

    fn write_config(&self, tcp: u16, udp: u16) {
        let LiveKitOptions { api_key, api_secret, webhook_urls, other_keys, extra } = &self.options;
        let mut text = format!(
            "port: {port}\nbind_addresses: [\"127.0.0.1\"]\nrtc:\n  tcp_port: {tcp}\n  udp_port: {udp}\n  \
             node_ip: 127.0.0.1\n  use_external_ip: false\n  enable_loopback_candidate: true\n\
             logging:\n  level: info\n  json: false\n\
             keys:\n  \"{api_key}\": \"{api_secret}\"\n",
            port = self.port,
        );
        for (key, secret) in other_keys {
            writeln!(text, "  \"{key}\": \"{secret}\"").expect("text grows");
        }
        if !webhook_urls.is_empty() {
            write!(text, "webhook:\n  api_key: \"{api_key}\"\n  urls:\n").expect("text grows");
            for url in webhook_urls {
                writeln!(text, "    - \"{url}\"").expect("text grows");
            }
        }
        text.push_str(extra);
        fs::write(self.config(), text).expect("the configuration is written");
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("livekit.yaml")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("livekit.log")
    }
}

fn binary() -> Option<PathBuf> {
    let named = std::env::var_os("LIVEKIT_SERVER_BIN").map(PathBuf::from);
    let path = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/server"));
    path.is_file().then_some(path)
}

/// Whether `GET /` is answered with 200.
async fn answers(port: u16) -> bool {
    let exchange = async {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        socket.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut answer = [0; 64];
        let read = socket.read(&mut answer).await.ok()?;
        Some(answer[..read].starts_with(b"HTTP/1.1 200"))
    };
    timeout(Duration::from_secs(2), exchange).await.ok().flatten().unwrap_or(false)
}
