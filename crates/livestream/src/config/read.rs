//! From the values that hold to the typed configuration; collects every problem instead of stopping at the first.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use domain::{DeploymentId, Rules};
use server::{ApiKey, RateLimits};

use super::parse::{self, Parsed};
use super::show::masked;
use super::sources::Values;
use super::{Api, Config, ConfigError, Embedded, LiveKit, Log, LogFormat, Media, StoreChoice, TlsFiles};

/// Who decides whether callers need keys.
#[derive(Debug, Clone, Copy)]
enum Auth {
    Off,
    Keys,
}

/// The configuration, or every value that is not what its setting can be.
pub(crate) fn read(values: &Values) -> Result<Config, ConfigError> {
    let mut reader = Reader { values, problems: Vec::new() };
    let config = config(&mut reader);
    match config {
        Some(config) if reader.problems.is_empty() => Ok(config),
        _ => Err(ConfigError(reader.problems)),
    }
}

/// Takes typed values and remembers what went wrong.
struct Reader<'v> {
    values: &'v Values,
    problems: Vec<String>,
}

impl Reader<'_> {
    /// A value that may be absent; `None` outside: it is there and wrong.
    fn optional<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Parsed<T>) -> Option<Option<T>> {
        let value = self.values.get(name)?;
        let Some(text) = &value.text else { return Some(None) };
        match parse(text) {
            Ok(parsed) => Some(Some(parsed)),
            Err(expected) => {
                let shown = masked(name, text);
                let variable = name.to_uppercase();
                self.problems.push(format!("{variable} {expected}; it is `{shown}` ({})", value.source));
                None
            }
        }
    }

    /// A value that must be there.
    fn required<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Parsed<T>) -> Option<T> {
        let found = self.optional(name, parse)?;
        if found.is_none() {
            self.problems.push(format!("{} must be set", name.to_uppercase()));
        }
        found
    }
}

fn config(reader: &mut Reader<'_>) -> Option<Config> {
    // Every group is read before any is given up, so that all problems are found at once.
    let (api, media) = (api(reader), media(reader));
    let (livekit, embedded) = (livekit(reader), embedded(reader));
    let (store, rules, log) = (store(reader), rules(reader), log(reader));
    let deployment = reader.optional("deployment_id", parse::prefix);
    let sweep_interval = reader.required("sweep_interval", parse::seconds);
    let lease = reader.required("lease", parse::seconds);
    let sweep_calls = reader.required("sweep_calls", parse::count);
    Some(Config {
        api: api?,
        livekit: livekit?,
        embedded: embedded?,
        media: media?,
        store: store?,
        deployment: deployment?.map(DeploymentId),
        rules: rules?,
        sweep_interval: sweep_interval?,
        sweep_calls: sweep_calls?,
        lease: lease?,
        log: log?,
    })
}

fn api(reader: &mut Reader<'_>) -> Option<Api> {
    let (host, port) = (reader.required("host", parse::host), reader.required("port", parse::port));
    let tls = tls(reader);
    let cors_origins = reader.optional("cors_origins", parse::origins);
    let keys_file = reader.optional("api_keys_file", |text| Ok(PathBuf::from(text)));
    let keys = keys(reader, keys_file.as_ref().is_some_and(Option::is_some));
    let open_create = reader.required("open_create", parse::on_off);
    let trusted_proxies = reader.optional("trusted_proxies", parse::networks);
    let rate_limit = reader.required("rate_limit", parse::on_off);
    let limits = limits(reader);
    let sse_max_connections = reader.optional("sse_max_connections", parse::count);
    let sse_max_per_stream = reader.optional("sse_max_per_stream", parse::count);
    let sse_max_per_address = reader.required("sse_max_per_address", parse::count);
    let sse_heartbeat = reader.required("sse_heartbeat", parse::seconds);
    let sse_max_age = reader.required("sse_max_age", parse::seconds);
    let sse_write_timeout = reader.required("sse_write_timeout", parse::seconds);
    let embed_ancestors = reader.optional("embed_ancestors", parse::csp_sources);
    let shutdown_timeout = reader.required("shutdown_timeout", parse::seconds);
    Some(Api {
        listen: SocketAddr::new(host?, port?),
        tls: tls?,
        cors_origins: cors_origins?,
        loopback_only: keys.as_ref()?.is_none() && !is_auth_said(reader),
        keys: keys?,
        keys_file: keys_file?,
        open_create: open_create?,
        trusted_proxies: trusted_proxies?.unwrap_or_default(),
        rate_limit: rate_limit?,
        limits: limits?,
        sse_max_connections: sse_max_connections?,
        sse_max_per_stream: sse_max_per_stream?,
        sse_max_per_address: NonZeroU32::new(sse_max_per_address?)?,
        sse_heartbeat: sse_heartbeat?,
        sse_max_age: sse_max_age?,
        sse_write_timeout: sse_write_timeout?,
        embed_ancestors: embed_ancestors?.unwrap_or_default(),
        shutdown_timeout: shutdown_timeout?,
    })
}

fn limits(reader: &mut Reader<'_>) -> Option<RateLimits> {
    let (create, join) = (reader.required("limit_create", parse::quota), reader.required("limit_join", parse::quota));
    let sse = reader.required("limit_sse", parse::quota);
    let failures = reader.required("limit_failures", parse::quota);
    let key_factor = reader.required("limit_key_factor", parse::count).and_then(NonZeroU32::new);
    Some(RateLimits { create: create?, join: join?, sse: sse?, failures: failures?, key_factor: key_factor? })
}

/// Whether `AUTH` is set by anybody.
fn is_auth_said(reader: &Reader<'_>) -> bool {
    reader.values.get("auth").is_some_and(|value| value.text.is_some())
}

/// One is nothing without the other.
fn tls(reader: &mut Reader<'_>) -> Option<Option<TlsFiles>> {
    let certificate = reader.optional("tls_cert", parse::file);
    let key = reader.optional("tls_key", parse::file);
    match (certificate?, key?) {
        (Some(certificate), Some(key)) => Some(Some(TlsFiles { certificate, key })),
        (None, None) => Some(None),
        (certificate, _) => {
            let (given, missing) = if certificate.is_some() { ("CERT", "KEY") } else { ("KEY", "CERT") };
            reader.problems.push(format!("TLS_{given} needs TLS_{missing} too"));
            None
        }
    }
}

/// `AUTH`, `API_KEYS` and `API_KEYS_FILE` together: keys imply `keys`, and an explicit `off` goes before them.
fn keys(reader: &mut Reader<'_>, in_file: bool) -> Option<Option<Vec<ApiKey>>> {
    let auth = reader.optional("auth", |text| parse::word(text, &[("off", Auth::Off), ("keys", Auth::Keys)]));
    let keys = reader.optional("api_keys", parse::api_keys);
    let keys = match (auth?, keys?.unwrap_or_default()) {
        (Some(Auth::Off), _) => Some(None),
        (None, keys) if keys.is_empty() && !in_file => Some(None),
        (Some(Auth::Keys), keys) if keys.is_empty() && !in_file => {
            reader.problems.push("AUTH=keys needs API_KEYS=name:scope:sha256hex, or API_KEYS_FILE".to_owned());
            None
        }
        (_, keys) => Some(Some(keys)),
    };
    refuse_open(reader, keys?)
}

/// An API that everybody on the network may use is never there by accident.
fn refuse_open(reader: &mut Reader<'_>, keys: Option<Vec<ApiKey>>) -> Option<Option<Vec<ApiKey>>> {
    let host = reader.values.get("host").and_then(|value| parse::host(value.text.as_deref()?).ok());
    let explicit = is_auth_said(reader);
    match host {
        Some(host) if keys.is_none() && !explicit && !super::is_loopback(host) => {
            reader.problems.push(format!(
                "HOST={host} can be reached from other machines: set API_KEYS=name:scope:sha256hex or API_KEYS_FILE, \
                 or AUTH=off to let every caller do everything"
            ));
            None
        }
        _ => Some(keys),
    }
}
fn livekit(reader: &mut Reader<'_>) -> Option<Option<LiveKit>> {
    let host = reader.optional("livekit_host", parse::livekit_host);
    let public_url = reader.optional("livekit_public_url", parse::livekit_host);
    let key = reader.optional("livekit_api_key", parse::text);
    let secret = reader.optional("livekit_api_secret", parse::text);
    let (host, public_url) = (host?, public_url?);
    let Some(host) = host else { return Some(None) };
    match (key?, secret?) {
        (Some(api_key), Some(api_secret)) => Some(Some(LiveKit { host, public_url, api_key, api_secret })),
        (None, None) => {
            reader.problems.push("LIVEKIT_HOST needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET too".to_owned());
            None
        }
        // Half a pair is a problem with or without a host, and told once.
        _ => None,
    }
}

fn media(reader: &mut Reader<'_>) -> Option<Media> {
    let timeout = reader.required("livekit_timeout", parse::seconds);
    let token_life = reader.required("token_life", parse::seconds);
    Some(Media { timeout: timeout?, token_life: token_life? })
}

fn embedded(reader: &mut Reader<'_>) -> Option<Embedded> {
    let (port, udp_port) = (reader.required("media_port", parse::port), reader.required("media_udp_port", parse::port));
    let addresses = reader.optional("media_addresses", parse::addresses);
    let public_url = reader.optional("livekit_public_url", parse::livekit_host);
    let key = reader.optional("livekit_api_key", parse::text);
    let secret = reader.optional("livekit_api_secret", parse::text);
    let data_dir = reader.required("data_dir", |text| Ok(PathBuf::from(text)));
    let key = match (key?, secret?) {
        (Some(key), Some(secret)) => Some((key, secret)),
        (None, None) => None,
        (key, _) => {
            let (given, missing) = if key.is_some() { ("KEY", "SECRET") } else { ("SECRET", "KEY") };
            reader.problems.push(format!("LIVEKIT_API_{given} needs LIVEKIT_API_{missing} too"));
            return None;
        }
    };
    Some(Embedded {
        port: port?,
        udp_port: udp_port?,
        addresses: addresses?.unwrap_or_default(),
        public_url: public_url?,
        key,
        data_dir: data_dir?,
    })
}

fn store(reader: &mut Reader<'_>) -> Option<StoreChoice> {
    let url = reader.optional("redis_url", parse::redis_url);
    let prefix = reader.required("redis_prefix", parse::prefix);
    let folder = reader.required("data_dir", |text| Ok(PathBuf::from(text)));
    let (prefix, folder) = (prefix?, folder?);
    Some(url?.map_or(StoreChoice::Embedded(folder), |url| StoreChoice::Redis { url, prefix }))
}

fn rules(reader: &mut Reader<'_>) -> Option<Rules> {
    let mut seconds = |name: &str| reader.required(name, parse::seconds);
    let (empty_timeout, departure_timeout) = (seconds("empty_timeout"), seconds("departure_timeout"));
    let (reconnect_window, lost_grace) = (seconds("reconnect_window"), seconds("lost_grace"));
    let (retention, max_retention) = (seconds("retention"), seconds("max_retention"));
    let (reservation, tombstone, session) = (seconds("reservation"), seconds("tombstone"), seconds("session"));
    Some(Rules {
        empty_timeout: empty_timeout?,
        departure_timeout: departure_timeout?,
        reconnect_window: reconnect_window?,
        retention: retention?,
        max_retention: max_retention?,
        lost_grace: lost_grace?,
        reservation: reservation?,
        tombstone: tombstone?,
        session: session?,
    })
}

fn log(reader: &mut Reader<'_>) -> Option<Log> {
    let level = reader.required("log_level", parse::log_level);
    let words = [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
    let format = reader.required("log_format", |text| parse::word(text, &words));
    Some(Log { level: level?, format: format? })
}
