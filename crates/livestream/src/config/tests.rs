//! The whole way from what was found outside to the configuration.

use std::collections::HashMap;

use super::sources::{Inputs, gather};
use super::*;

const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn loaded(pairs: &[(&str, &str)]) -> Loaded {
    let flags: HashMap<_, _> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let settings = manual::settings();
    let values = gather(&settings, &Inputs { flags, ..Inputs::default() }).unwrap();
    Loaded { settings, values }
}

fn config(pairs: &[(&str, &str)]) -> Config {
    loaded(pairs).config().unwrap()
}

fn check_refused(pairs: &[(&str, &str)], expect: &str) {
    let text = loaded(pairs).config().unwrap_err().to_string();
    assert!(text.contains(expect), "{text}");
}

#[test]
fn the_defaults_are_the_domains() {
    let config = config(&[]);
    assert_eq!(config.rules, Rules::default());
    assert_eq!(config.api.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.store, StoreChoice::Embedded("data".into()));
    assert_eq!(config.media.token_life, Duration::from_secs(600));
    assert!(config.livekit.is_none() && config.api.keys.is_none() && config.api.rate_limit);
}

#[test]
fn every_setting_of_the_manual_is_read() {
    // A value that no setting accepts is a problem for every setting that is read; texts without a form are listed.
    let free = ["api_keys_file", "livekit_api_key", "livekit_api_secret", "data_dir"];
    for setting in manual::settings().iter().filter(|setting| !free.contains(&setting.name.as_str())) {
        check_refused(&[(&setting.name, "\u{1}")], &setting.variable());
    }
}

#[test]
fn all_problems_are_found_at_once() {
    let text = loaded(&[("port", "70000"), ("sweep_interval", "-1")]).config().unwrap_err().to_string();
    assert!(text.contains("PORT must be a number from 0 to 65535; it is `70000` (flag)"), "{text}");
    assert!(text.contains("SWEEP_INTERVAL must be a number of seconds above 0"), "{text}");
}

#[test]
fn a_required_value_can_not_be_taken_away() {
    check_refused(&[("port", "")], "PORT must be set");
}

#[test]
fn an_open_api_is_never_there_by_accident() {
    check_refused(&[("host", "0.0.0.0")], "API_KEYS");
    check_refused(&[("host", "0.0.0.0"), ("auth", "keys")], "AUTH=keys needs API_KEYS");
    let file = config(&[("host", "0.0.0.0"), ("api_keys_file", "keys"), ("open_create", "on")]).api;
    assert_eq!((file.keys, file.keys_file, file.open_create), (Some(Vec::new()), Some("keys".into()), true));
    assert!(config(&[("host", "0.0.0.0"), ("auth", "off")]).api.keys.is_none());
    let keys = format!("a:admin:{HASH}");
    assert_eq!(config(&[("host", "0.0.0.0"), ("api_keys", &keys)]).api.keys.unwrap().len(), 1);
    assert!(config(&[("host", "::1")]).api.keys.is_none());
    assert!(config(&[]).api.loopback_only && !config(&[("auth", "off")]).api.loopback_only);
    assert!(!config(&[("api_keys", &keys)]).api.loopback_only);
    assert!(config(&[("api_keys", &keys)]).api.keys.is_some(), "keys imply AUTH=keys on loopback too");
}

#[test]
fn https_needs_certificate_and_key() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    check_refused(&[("tls_cert", path)], "TLS_CERT needs TLS_KEY");
    check_refused(&[("tls_key", path)], "TLS_KEY needs TLS_CERT");
    check_refused(&[("tls_cert", path), ("tls_key", "absent.pem")], "TLS_KEY must be a file that is there");
    assert_eq!(config(&[("tls_cert", path), ("tls_key", path)]).api.scheme(), "https");
    assert_eq!(config(&[]).api.scheme(), "http");
}

#[test]
fn livekit_needs_key_and_secret() {
    let host = ("livekit_host", "http://a:7880");
    check_refused(&[host], "LIVEKIT_HOST needs LIVEKIT_API_KEY");
    check_refused(&[host, ("livekit_api_key", "k")], "LIVEKIT_API_KEY needs LIVEKIT_API_SECRET");
    check_refused(&[("livekit_api_key", "k")], "LIVEKIT_API_KEY needs LIVEKIT_API_SECRET");
    let config = config(&[host, ("livekit_api_key", "k"), ("livekit_api_secret", "hush")]);
    assert!(!format!("{config:?}").contains("hush"));
}

#[test]
fn values_that_can_not_work_together_are_refused() {
    check_refused(&[("token_life", "43201")], "TOKEN_LIFE must be at most");
    check_refused(&[("tombstone", "600")], "TOMBSTONE must be longer than TOKEN_LIFE");
    check_refused(&[("retention", "90000")], "MAX_RETENTION");
    check_refused(&[("port", "7880")], "MEDIA_PORT must differ from PORT");
    check_refused(&[("redis_prefix", "a b")], "REDIS_PREFIX must be letters");
}

#[test]
fn no_secret_is_in_an_error() {
    for (name, value) in [("api_keys", "a:admin:hush"), ("redis_url", "http://u:hush@a"), ("redis_url", "u:hush")] {
        let text = loaded(&[(name, value)]).config().unwrap_err().to_string();
        assert!(!text.contains("hush"), "{text}");
    }
}

#[test]
fn what_is_shown_is_a_valid_file_with_sources_and_without_secrets() {
    let loaded = loaded(&[("redis_url", "redis://u:hush@a/1"), ("livekit_api_secret", "hush"), ("port", "4000")]);
    let text = loaded.show();
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["port"], toml::Value::Integer(4000));
    assert_eq!(table["redis_url"], toml::Value::String("redis://u:********@a/1".into()));
    assert!(!text.contains("hush"), "{text}");
    assert!(text.contains("# flag --port") && text.contains("# default") && text.contains("# not set"), "{text}");
}

/// Files and values as somebody may have them.
const FILES: &[&[u8]] = &[
    b"host = \"127.0.0.1\"\nport = 3000\ncors_origins = [\"https://a\", \"*\"]\nsweep_interval = 0.5\nrate_limit = false\n",
    b"limit_join = \"600/60\"\ntrusted_proxies = \"10.0.0.0/8, ::1\"\nredis_url = \"rediss://u:hush-hush@h:1/2\"\n",
    b"api_keys = [\"a:admin:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"]\nlog_level = \"info,a=debug\"\n",
    b"livekit_host = \"wss://a:1\"\nlivekit_api_key = \"k\"\nlivekit_api_secret = \"hush-hush\"\nmedia_addresses = [\"::1\"]\n",
];
const FILE_WORDS: &[&[u8]] = &[
    b"\n",
    b"#",
    b"[",
    b"]",
    b"\"\"\"",
    b"auth = \"off\"\n",
    b"-1",
    b"1e999",
    b"nan",
    b"65536",
    b"/0",
    b"\\u0000",
    b"[a]\n",
    b"port.",
];

proptest::proptest! {
    #![proptest_config(testkit::fuzz::cases())]

    /// A file is understood or refused with the reason, and no secret is told either way.
    #[test]
    fn fuzz_configuration(bytes in testkit::fuzz::mutated(FILES, FILE_WORDS)) {
        let file = String::from_utf8_lossy(&bytes).into_owned();
        let settings = manual::settings();
        let Ok(values) = gather(&settings, &Inputs { file: Some(file), ..Inputs::default() }) else { return Ok(()) };
        let loaded = Loaded { settings, values };
        assert!(loaded.show().parse::<toml::Table>().is_ok());
        match loaded.config() {
            Ok(config) => assert!(!format!("{config:?}").contains("hush-hush")),
            Err(error) => assert!(!error.0.is_empty() && error.0.iter().all(|text| !text.is_empty())),
        }
    }
}
