//! What the program is told to do: typed, checked, and with the source of each value.
//!
//! Nothing here opens a port or a store. Reading files and the environment
//! happens in [`load`] alone; everything below it is pure.

pub(crate) mod manual;
pub(crate) mod parse;

mod check;
mod read;
mod show;
mod sources;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{DeploymentId, Rules};
use ipnet::IpNet;
use rooms::LiveKitHost;
use server::{ApiKey, RateLimits};

use sources::{Inputs, Values};

/// Everything the program is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The listening side.
    pub(crate) api: Api,
    /// LiveKit; `None`: the embedded media server.
    pub(crate) livekit: Option<LiveKit>,
    /// The embedded media server, used only without a LiveKit.
    pub(crate) embedded: Embedded,
    /// How LiveKit is used.
    pub(crate) media: Media,
    /// Where the state is kept.
    pub(crate) store: StoreChoice,
    /// Set by hand instead of by the store.
    pub(crate) deployment: Option<DeploymentId>,
    /// Time rules of streams.
    pub(crate) rules: Rules,
    /// Time between two sweeps.
    pub(crate) sweep_interval: Duration,
    /// Most ListParticipants calls per second in a sweep of more than 200 busy rooms.
    pub(crate) sweep_calls: u32,
    /// An instance's timers and sweeps pass to another this long after it is gone.
    pub(crate) lease: Duration,
    /// What is logged.
    pub(crate) log: Log,
}

/// The listening side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Api {
    /// Where pages, API and SSE are served.
    pub(crate) listen: SocketAddr,
    /// What to serve HTTPS with; `None`: HTTP.
    pub(crate) tls: Option<TlsFiles>,
    /// Origins whose pages may call; `None`: not said.
    pub(crate) cors_origins: Option<Vec<String>>,
    /// Keys of callers; `None`: every caller may do everything. None of them, where they stand in a file.
    pub(crate) keys: Option<Vec<ApiKey>>,
    /// Where more keys stand, while keys are asked for.
    pub(crate) keys_file: Option<PathBuf>,
    /// Whether callers without a key may create streams.
    pub(crate) open_create: bool,
    /// Whose forwarding headers are believed.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Keys are not asked for, and nobody has decided so: only loopback names are answered.
    pub(crate) loopback_only: bool,
    /// Whether rate limits and caps per address hold.
    pub(crate) rate_limit: bool,
    /// The rate limits.
    pub(crate) limits: RateLimits,
    /// Most event streams; `None`: as many as there may be files.
    pub(crate) sse_max_connections: Option<u32>,
    /// Most of them of one stream; `None`: all.
    pub(crate) sse_max_per_stream: Option<u32>,
    /// Most of them of one address.
    pub(crate) sse_max_per_address: NonZeroU32,
    /// Time between two comments on an idle SSE connection.
    pub(crate) sse_heartbeat: Duration,
    /// Longest life of an SSE connection.
    pub(crate) sse_max_age: Duration,
    /// Longest time that a reader takes nothing.
    pub(crate) sse_write_timeout: Duration,
    /// Sites that may frame `/embed/…`.
    pub(crate) embed_ancestors: Vec<String>,
    /// Longest time from the signal to the end.
    pub(crate) shutdown_timeout: Duration,
}

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// PEM, with those that vouch for it.
    pub(crate) certificate: PathBuf,
    /// PEM.
    pub(crate) key: PathBuf,
}

impl Api {
    /// What callers' addresses begin with.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

/// A LiveKit server.
#[derive(Clone, PartialEq)]
pub(crate) struct LiveKit {
    /// Its API.
    pub(crate) host: LiveKitHost,
    /// What clients are given; `None`: the host.
    pub(crate) public_url: Option<LiveKitHost>,
    /// Its key.
    pub(crate) api_key: String,
    /// The key's secret.
    pub(crate) api_secret: String,
}

/// How LiveKit is used, whichever it is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Media {
    /// Deadline of a call.
    pub(crate) timeout: Duration,
    /// Life of a join token.
    pub(crate) token_life: Duration,
}

/// The embedded media server.
#[derive(Clone, PartialEq)]
pub(crate) struct Embedded {
    /// TCP port of its own signalling.
    pub(crate) port: u16,
    /// UDP port of the media.
    pub(crate) udp_port: u16,
    /// Addresses told to clients; none: those that are listened on.
    pub(crate) addresses: Vec<IpAddr>,
    /// What clients are given; `None`: the host they asked.
    pub(crate) public_url: Option<LiveKitHost>,
    /// Its key and secret; `None`: made once and kept in `data_dir`.
    pub(crate) key: Option<(String, String)>,
    /// Where the key and the id of this media server are kept.
    pub(crate) data_dir: PathBuf,
}

/// Where the state is kept.
#[derive(Clone, PartialEq)]
pub(crate) enum StoreChoice {
    /// In this folder.
    Embedded(PathBuf),
    /// In Redis.
    Redis {
        /// Where; may hold a password.
        url: String,
        /// Start of every key.
        prefix: String,
    },
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// Filter directives.
    pub(crate) level: String,
    /// Form of a line.
    pub(crate) format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Everything that is wrong with what the program was told. Retrying does not help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigError(pub(crate) Vec<String>);

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The values that hold, with their sources, before they are understood.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    settings: Vec<manual::Setting>,
    values: Values,
}

impl Loaded {
    /// The values as a TOML file, each with its source, secrets masked.
    pub(crate) fn show(&self) -> String {
        show::show(&self.settings, &self.values)
    }

    /// The text of a setting, if it has one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.text.as_deref()
    }

    /// The configuration, or everything that is wrong with it.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        let config = read::read(&self.values)?;
        let problems = check::problems(&config);
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }
}

/// Reads environment, `.env` of the working folder and the file, and takes the flags given.
pub(crate) fn load(flags: HashMap<String, String>, file: Option<&Path>) -> Result<Loaded, ConfigError> {
    let settings = manual::settings();
    let environment = settings.iter().filter_map(|s| Some((s.variable(), std::env::var(s.variable()).ok()?))).collect();
    let inputs =
        Inputs { flags, environment, dotenv: dotenv(Path::new(".env"))?, file: file.map(read_file).transpose()? };
    let values = sources::gather(&settings, &inputs).map_err(ConfigError)?;
    Ok(Loaded { settings, values })
}

/// Whether `address` can be reached from this machine alone.
pub(crate) fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|error| ConfigError(vec![format!("can't read the configuration file {}: {error}", path.display())]))
}

fn dotenv(path: &Path) -> Result<HashMap<String, String>, ConfigError> {
    let problem = |error: &dyn fmt::Display| ConfigError(vec![format!("can't read {}: {error}", path.display())]);
    match dotenvy::from_path_iter(path) {
        // The parser's own message repeats the line, which may hold a secret.
        Ok(lines) => lines.collect::<Result<_, _>>().map_err(|_| problem(&"a line is not NAME=value")),
        Err(error) if error.not_found() => Ok(HashMap::new()),
        Err(error) => Err(problem(&error)),
    }
}

impl fmt::Debug for LiveKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveKit")
            .field("host", &self.host.http_url())
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("port", &self.port).field("udp_port", &self.udp_port).finish_non_exhaustive()
    }
}

impl fmt::Debug for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(folder) => f.debug_tuple("Embedded").field(folder).finish(),
            Self::Redis { prefix, .. } => f.debug_struct("Redis").field("prefix", prefix).finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests;
