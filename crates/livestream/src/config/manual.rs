//! The list of settings, read from `default.toml`: names, meanings and defaults stand there and nowhere else.
//!
//! What a value must look like is not here; see `parse`.

use std::collections::HashMap;

/// The manual, as `livestream config --defaults` prints it.
pub(crate) const TEXT: &str = include_str!("default.toml");

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Its name in the file; upper case in the environment, with dashes as a flag.
    pub(crate) name: String,
    /// What it means.
    pub(crate) help: String,
    /// The heading it stands under.
    pub(crate) section: String,
    /// What holds when nobody says anything; `None`: not set.
    pub(crate) default: Option<String>,
}

impl Setting {
    /// As it is spelled in the environment.
    pub(crate) fn variable(&self) -> String {
        self.name.to_uppercase()
    }

    /// As it is spelled on the command line, without the dashes in front.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }
}

/// All settings, in the manual's order.
pub(crate) fn settings() -> Vec<Setting> {
    // The manual is part of the program, and a test parses it: it can't be broken here.
    let defaults = TEXT.parse::<toml::Table>().unwrap_or_default();
    let defaults: HashMap<&str, String> =
        defaults.iter().filter_map(|(name, value)| Some((name.as_str(), text_of(value)?))).collect();
    let mut found = Vec::new();
    let (mut section, mut help) = (String::new(), Vec::new());
    for line in TEXT.lines() {
        if let Some(title) = line.strip_prefix("# --- ") {
            section = title.trim_end_matches('-').trim().to_owned();
        } else if let Some(name) = setting_name(line) {
            let default = defaults.get(name).cloned();
            found.push(Setting { name: name.to_owned(), help: help.join(" "), section: section.clone(), default });
        } else if let Some(comment) = line.strip_prefix("# ") {
            help.push(comment);
        } else {
            help.clear();
        }
    }
    found
}

/// The one text form of a value from a TOML file; `None` for what no setting can be.
pub(crate) fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Array(items) => items.iter().map(text_of).collect::<Option<Vec<_>>>().map(|texts| texts.join(",")),
        // `auth = off` would be natural in other formats; TOML's own word for it is as clear.
        toml::Value::Boolean(on) => Some(if *on { "on" } else { "off" }.to_owned()),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The name in `name = value` or `#name = value`.
fn setting_name(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    plain.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str) -> Setting {
        settings().into_iter().find(|setting| setting.name == name).unwrap()
    }

    #[test]
    fn the_manual_is_valid_toml_and_every_setting_has_a_meaning() {
        TEXT.parse::<toml::Table>().unwrap();
        for setting in settings() {
            assert!(setting.help.len() > 20, "{} has no help", setting.name);
            assert!(!setting.section.is_empty(), "{} has no section", setting.name);
        }
    }

    #[test]
    fn lines_that_are_commented_out_are_settings_without_a_default() {
        assert_eq!(setting("redis_url").default, None);
        assert_eq!(setting("port").default.as_deref(), Some("3000"));
        assert_eq!(setting("trusted_proxies").default.as_deref(), Some("127.0.0.0/8,::1/128"));
    }

    #[test]
    fn examples_in_comments_are_valid_toml_too() {
        let uncommented: String = TEXT
            .lines()
            .map(|line| if setting_name(line).is_some() { line.trim_start_matches('#') } else { "" })
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(uncommented.parse::<toml::Table>().unwrap().len(), settings().len());
    }

    #[test]
    fn one_name_in_three_spellings() {
        let setting = setting("sweep_interval");
        assert_eq!((setting.variable().as_str(), setting.flag().as_str()), ("SWEEP_INTERVAL", "sweep-interval"));
    }
}
