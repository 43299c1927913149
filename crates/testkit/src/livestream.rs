//! The program under test, as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::ports::free_tcp_port;
use crate::process::{ServerProcess, tail};

const READY_WITHIN: Duration = Duration::from_secs(20);

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// `Retry-After`, if it is there.
    pub retry_after: Option<String>,
    /// The body; null when it is empty or no JSON.
    pub body: Value,
}

/// One instance on 127.0.0.1; killed when dropped. Its working and data folders outlive a restart.
#[derive(Debug)]
pub struct Livestream {
    process: Option<ServerProcess>,
    binary: PathBuf,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    arguments: Vec<String>,
    port: u16,
    scheme: &'static str,
    folder: TempDir,
    client: Client,
}

impl Livestream {
    /// An instance that is not started yet, so that its address can be told to others first.
    ///
    /// `binary` is `env!("CARGO_BIN_EXE_livestream")` of the caller.
    pub fn new(binary: &str) -> Self {
        Self {
            process: None,
            binary: PathBuf::from(binary),
            environment: Vec::new(),
            wrapper: Vec::new(),
            arguments: Vec::new(),
            port: free_tcp_port(),
            scheme: "http",
            folder: tempfile::tempdir().expect("a temporary folder"),
            // A pooled connection could belong to a process that has been killed since.
            client: Client::builder().pool_max_idle_per_host(0).build().expect("a client"),
        }
    }

    /// It will serve HTTPS; `certificates` (PEM) are trusted by the requests made here.
    #[must_use]
    pub fn by_https(mut self, certificates: &[u8]) -> Self {
        let trusted = reqwest::Certificate::from_pem_bundle(certificates).expect("certificates");
        self.client = Client::builder().pool_max_idle_per_host(0).tls_certs_only(trusted).build().expect("a client");
        self.scheme = "https";
        self
    }

    /// Sets a variable of its environment, from the next start on.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a variable of its environment, from the next start on.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_string()));
    }

    /// From the next start on it is started by `words`, which must become it (`exec`) with the words that follow.
    pub fn set_wrapper(&mut self, words: &[&str]) {
        self.wrapper = words.iter().map(|&word| word.to_owned()).collect();
    }

    /// What it is started with.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&one| one.to_owned()).collect();
        self
    }

    /// Starts it without waiting for anything.
    pub fn launch(&mut self) {
        let arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        self.process = Some(ServerProcess::spawn(&mut self.command(&arguments), &self.log_file()));
    }

    /// Starts it and waits until it is ready.
    #[must_use]
    pub async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    /// Starts it and waits until it is ready; gives the time that took.
    pub async fn start(&mut self) -> Duration {
        let begun = Instant::now();
        self.launch();
        let deadline = begun + READY_WITHIN;
        while !self.is_ready().await {
            let ended = self.process.as_mut().is_none_or(ServerProcess::has_ended);
            assert!(!ended && Instant::now() < deadline, "livestream does not get ready:\n{}", self.log_tail());
            sleep(Duration::from_millis(2)).await;
        }
        begun.elapsed()
    }

    /// Runs it with `arguments` to its end, which must come by itself; gives exit code and output.
    pub fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().expect("livestream runs");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// `http://127.0.0.1:<port>` (or `https`), with `path` behind it.
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its working folder; `data` in it is the data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGKILL, without waiting until it is gone.
    pub fn kill_now(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGKILL);
    }

    /// SIGTERM, without waiting for what follows.
    pub fn terminate(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGTERM);
    }

    /// Waits until it has ended by itself.
    pub async fn wait_for_exit(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.process.as_mut().expect("it was started").exit_status() {
                self.process = None;
                return status;
            }
            assert!(Instant::now() < deadline, "livestream did not end in {within:?}:\n{}", self.log_tail());
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Its process id while it runs.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").id()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log_file())
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// One request; panics when the instance is not there.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.try_send(method, path, body).await.expect("livestream answers")
    }

    /// One request; fails when the instance is not there.
    pub async fn try_send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, reqwest::Error> {
        let request = self.client.request(method, self.url(path));
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        let response = request.send().await?;
        let status = response.status();
        let retry_after = response.headers().get("retry-after").and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or(Value::Null);
        Ok(Answer { status, retry_after, body })
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> String {
        let response = self.client.get(self.url("/metrics")).send().await.expect("livestream answers");
        response.text().await.expect("the metrics are text")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        // Nothing of the caller's own settings may reach it.
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).current_dir(self.folder.path()).args(arguments);
        command.env("PORT", self.port.to_string()).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    async fn is_ready(&self) -> bool {
        let request = self.client.get(self.url("/readyz")).timeout(Duration::from_secs(2));
        request.send().await.is_ok_and(|response| response.status() == StatusCode::OK)
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("livestream.log")
    }
}
