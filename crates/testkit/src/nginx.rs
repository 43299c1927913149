//! Debian's nginx with a configuration of one test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::ports::free_tcp_port;
use crate::process::{ServerProcess, tail};
use crate::skip;

const READY_WITHIN: Duration = Duration::from_secs(10);
const PORT_TRIES: usize = 5;

/// An nginx on 127.0.0.1 with a folder of its own; killed when dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Option<ServerProcess>,
    port: u16,
    folder: TempDir,
}

impl Nginx {
    /// Starts one with what `http` gives for its port inside of the `http` block; `None` when there is no nginx here.
    pub async fn start(http: impl Fn(u16) -> String) -> Option<Self> {
        Self::start_with("", 512, http).await
    }

    /// Starts one for so many `connections`, with `preamble` before everything else.
    pub async fn start_with(preamble: &str, connections: usize, http: impl Fn(u16) -> String) -> Option<Self> {
        let Some(binary) = binary() else {
            skip("no nginx (scripts/setup nginx, or a path in NGINX_BIN)");
            return None;
        };
        let mut server = Self { process: None, port: 0, folder: tempfile::tempdir().expect("a temporary folder") };
        for _ in 0..PORT_TRIES {
            server.port = free_tcp_port();
            let text = whole(server.folder.path(), preamble, connections, &http(server.port));
            if server.launch(&binary, &text).await {
                return Some(server);
            }
        }
        panic!("nginx does not start:\n{}", tail(&server.log()));
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// `http://127.0.0.1:<port>`, with `path` behind it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The last lines of its error log.
    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }

    async fn launch(&mut self, binary: &Path, text: &str) -> bool {
        let folder = self.folder.path();
        let config = folder.join("nginx.conf");
        std::fs::write(&config, text).expect("the configuration is written");
        let mut command = Command::new(binary);
        // Without -e it would first write to a log of the system's.
        command.arg("-p").arg(folder).arg("-c").arg(&config).arg("-e").arg(self.log());
        let mut process = ServerProcess::spawn(&mut command, &self.log());
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline && !process.has_ended() {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                self.process = Some(process);
                return true;
            }
            sleep(Duration::from_millis(10)).await;
        }
        false
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("nginx.log")
    }
}

/// `NGINX_BIN`, what `scripts/setup nginx` unpacked, or what is on PATH.
fn binary() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/nginx/usr/sbin/nginx");
    let named = std::env::var_os("NGINX_BIN").map(PathBuf::from);
    let candidates = named.into_iter().chain([unpacked, "/usr/sbin/nginx".into(), "nginx".into()]);
    candidates.into_iter().find(|path| Command::new(path).args(["-e", "stderr", "-v"]).output().is_ok())
}

/// The whole configuration: one process in the foreground, and nothing outside of `folder`.
fn whole(folder: &Path, preamble: &str, connections: usize, http: &str) -> String {
    let folder = folder.display();
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("    {name}_temp_path {folder}/{name};\n"))
        .collect();
    format!(
        "{preamble}daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log notice;\n\
         events {{ worker_connections {connections}; }}\n\
         http {{\n    access_log off;\n{paths}{http}\n}}\n"
    )
}
