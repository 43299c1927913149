//! What can't work is refused before a port is bound, and said.

use std::fs;
use std::net::TcpListener;

use crate::world::{BINARY, instance};
use testkit::Livestream;

/// Exit code of a configuration that can't work.
const REFUSED: Option<i32> = Some(2);

#[track_caller]
fn check_refused(livestream: &Livestream, arguments: &[&str], expect: &str) {
    let (code, text) = livestream.run(arguments);
    assert_eq!(code, REFUSED, "{text}");
    assert!(text.contains(expect), "{text}");
}

#[test]
fn unknown_names_are_refused() {
    let one = Livestream::new(BINARY);
    check_refused(&one, &["--prot", "1"], "--prot");
    fs::write(one.folder().join("livestream.toml"), "prot = 1\n").unwrap();
    check_refused(&one, &["--config", "livestream.toml"], "there is no setting `prot`");
    check_refused(&one, &["--config", "absent.toml"], "can't read the configuration file absent.toml");
}

#[test]
fn impossible_values_are_refused_with_their_source() {
    check_refused(
        &Livestream::new(BINARY).with("SWEEP_INTERVAL", "soon"),
        &[],
        "SWEEP_INTERVAL must be a number of seconds",
    );
    let one = Livestream::new(BINARY);
    fs::write(one.folder().join(".env"), "TOKEN_LIFE=-1\n").unwrap();
    check_refused(&one, &[], "it is `-1` (.env)");
}

#[test]
fn an_open_api_is_refused_unless_it_is_asked_for() {
    check_refused(&Livestream::new(BINARY).with("HOST", "0.0.0.0"), &[], "set API_KEYS");
}

#[test]
fn a_taken_port_names_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = with_livekit(instance()).with("PORT", taken.local_addr().unwrap().port());
    let (code, text) = one.run(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("PORT"), "{text}");
}

#[test]
fn what_holds_is_printed_with_its_source_and_without_secrets() {
    let one = with_livekit(instance()).with("LIVEKIT_API_SECRET", "hush-hush-hush");
    fs::write(one.folder().join(".env"), "REDIS_URL=redis://user:hush-hush@127.0.0.1/1\n").unwrap();
    let (code, text) = one.run(&["config", "--redis-prefix", "other"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("hush"), "{text}");
    assert!(
        text.contains("# .env") && text.contains("# flag --redis-prefix") && text.contains("# environment"),
        "{text}"
    );
}

/// A LiveKit that nobody asks before the tests here are over.
fn with_livekit(one: Livestream) -> Livestream {
    one.with("LIVEKIT_HOST", "http://127.0.0.1:9").with("LIVEKIT_API_KEY", "k").with("LIVEKIT_API_SECRET", "s")
}
