//! The effective configuration as text: a valid TOML file with the source of each value, and no secret.

use std::fmt::Write as _;

use store::RedisConfig;

use super::manual::Setting;
use super::sources::{Source, Value, Values};

/// What stands in place of a secret.
const MASK: &str = "********";

/// The values as a TOML file.
pub(crate) fn show(settings: &[Setting], values: &Values) -> String {
    let mut text = String::new();
    let mut section = "";
    for setting in settings {
        let Some(value) = values.get(&setting.name) else { continue };
        if section != setting.section {
            section = &setting.section;
            let _ = writeln!(text, "{}# {section}", if text.is_empty() { "" } else { "\n" });
        }
        let line = line(&setting.name, value);
        let _ = writeln!(text, "{line:<44} # {}", origin(setting, value));
    }
    text
}

/// `text` as it may be shown: secrets are hidden, of URLs the password alone, of keys the hashes.
pub(crate) fn masked(name: &str, text: &str) -> String {
    match name {
        "livekit_api_secret" => MASK.to_owned(),
        "redis_url" => RedisConfig::urls(text).into_iter().map(without_password).collect::<Vec<_>>().join(","),
        // Credentials do not belong there; if somebody wrote some all the same, they stay hidden.
        "livekit_host" | "livekit_public_url" if text.contains('@') => MASK.to_owned(),
        "api_keys" => text.split(',').map(without_hash).collect::<Vec<_>>().join(","),
        _ => text.to_owned(),
    }
}

fn line(name: &str, value: &Value) -> String {
    match &value.text {
        None => format!("#{name} ="),
        Some(text) => {
            let text = masked(name, text);
            let number = text.parse::<f64>().is_ok_and(f64::is_finite);
            let shown = if number { text } else { toml::Value::String(text).to_string() };
            format!("{name} = {shown}")
        }
    }
}

fn origin(setting: &Setting, value: &Value) -> String {
    match (&value.source, &value.text) {
        (Source::Default, None) => "not set".to_owned(),
        (Source::Default, Some(_)) => "default".to_owned(),
        (Source::Flag, _) => format!("flag --{}", setting.flag()),
        (source, _) => source.to_string(),
    }
}

fn without_password(text: &str) -> String {
    // What is no URL with a host has no place where a password is known to end.
    let Some(mut url) = url::Url::parse(text).ok().filter(url::Url::has_host) else { return MASK.to_owned() };
    if url.password().is_some() {
        // Fails only for URLs that can't have a password, and this one has.
        let _ = url.set_password(Some(MASK));
    }
    url.to_string()
}

/// The hash could be tried against guessed keys: name and scope are enough to recognise a key.
fn without_hash(item: &str) -> String {
    let parts: Vec<_> = item.trim().split(':').collect();
    match parts[..] {
        [name, scope, _] => format!("{name}:{scope}:{MASK}"),
        _ => MASK.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden() {
        let check = |name: &str, text: &str, shown: &str| assert_eq!(masked(name, text), shown);
        check("livekit_api_secret", "hush", MASK);
        check("redis_url", "redis://u:hush@a:1/2", "redis://u:********@a:1/2");
        check("redis_url", "redis://a:1/2", "redis://a:1/2");
        check("redis_url", "redis://u:hush@a,redis://u:hush@b", "redis://u:********@a,redis://u:********@b");
        check("redis_url", "u:hush@@a b", MASK);
        check("redis_url", "u:hush", MASK);
        check("livekit_host", "http://u:hush@a", MASK);
        check("api_keys", "a:admin:00ff, b:read:11", "a:admin:********,b:read:********");
        check("api_keys", "hush", MASK);
        check("livekit_api_key", "devkey", "devkey");
    }
}
