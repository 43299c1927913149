//! The command line: one flag per setting, and what the program can do besides serving.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use server::Scope;

use crate::config::{manual, parse};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Run the orchestrator.
    Serve,
    /// Run the embedded media server alone.
    ServeMedia,
    /// Put a load on a server of this machine.
    Bench,
    /// Print the effective configuration.
    ShowConfig,
    /// Print the manual.
    ShowDefaults,
    /// Make an API key.
    NewKey,
}

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Cli {
    /// What to do.
    pub(crate) action: Action,
    /// Settings given as flags, by setting name.
    pub(crate) flags: HashMap<String, String>,
    /// The configuration file.
    pub(crate) file: Option<PathBuf>,
    /// What follows the word `bench`.
    pub(crate) bench: Option<ArgMatches>,
    /// Name and scope of the API key to be made.
    pub(crate) new_key: Option<(String, Scope)>,
}

/// Reads the command line `args`, the program's name first.
///
/// An error of clap is also how `--help` and `--version` answer.
pub(crate) fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(args)?;
    let mut flags = HashMap::new();
    let mut file = None;
    let mut level = Some(&matches);
    // A flag may stand before or after the subcommand.
    while let Some(matches) = level {
        collect(matches, &mut flags);
        file = matches.get_one::<PathBuf>("config").cloned().or(file);
        level = matches.subcommand().map(|(_, inner)| inner);
    }
    let bench = matches.subcommand_matches("bench").cloned();
    Ok(Cli { action: action(&matches), flags, file, bench, new_key: new_key(&matches) })
}

fn action(matches: &ArgMatches) -> Action {
    match matches.subcommand() {
        Some(("config", inner)) if inner.get_flag("defaults") => Action::ShowDefaults,
        Some(("config", _)) => Action::ShowConfig,
        Some(("media", _)) => Action::ServeMedia,
        Some(("bench", _)) => Action::Bench,
        Some(("keys", _)) => Action::NewKey,
        _ => Action::Serve,
    }
}

fn new_key(matches: &ArgMatches) -> Option<(String, Scope)> {
    let (_, new) = matches.subcommand_matches("keys")?.subcommand()?;
    let scope = match new.get_one::<String>("scope").map(String::as_str) {
        Some("read") => Scope::Read,
        _ => Scope::Admin,
    };
    Some((new.get_one::<String>("name")?.clone(), scope))
}

/// The subcommand that makes API keys.
fn keys() -> Command {
    let name = Arg::new("name")
        .long("name")
        .value_name("NAME")
        .default_value("key")
        .value_parser(|text: &str| parse::prefix(text))
        .help("Its name in lists and logs: letters, digits, `.`, `_` and `-`");
    let scope = Arg::new("scope")
        .long("scope")
        .value_name("SCOPE")
        .default_value("admin")
        .value_parser(["admin", "read"])
        .help("What it allows");
    let new = Command::new("new")
        .about("Makes a key: prints it, this once, and the line for the file of API_KEYS_FILE")
        .arg(name)
        .arg(scope);
    Command::new("keys").about("API keys").subcommand_required(true).subcommand(new)
}

fn collect(matches: &ArgMatches, flags: &mut HashMap<String, String>) {
    for setting in manual::settings() {
        // Not every subcommand knows every flag.
        if let Ok(Some(value)) = matches.try_get_one::<String>(&setting.name) {
            flags.insert(setting.name, value.clone());
        }
    }
}

fn command() -> Command {
    let config = Command::new("config")
        .about("Prints the effective configuration, the source of each value, and no secret")
        .arg(
            Arg::new("defaults").long("defaults").action(ArgAction::SetTrue).help("Prints the manual of all settings"),
        );
    let media = Command::new("media")
        .about("Runs the embedded, LiveKit-compatible media server alone, on MEDIA_PORT and MEDIA_UDP_PORT");
    let file = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env("LIVESTREAM_CONFIG")
        .hide_env_values(true)
        .value_parser(clap::value_parser!(PathBuf))
        .global(true)
        .help("Configuration file (TOML)");
    Command::new("livestream")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Livestreams on LiveKit: who may do what, and the true state of every stream, live.")
        .after_help("Every setting is also an environment variable and a line of the file; a flag goes first.")
        .arg(file)
        .args(manual::settings().into_iter().map(flag))
        .subcommand(config)
        .subcommand(media)
        .subcommand(without_settings(keys()))
        .subcommand(without_settings(load::cli::command()))
}

/// Settings are taken by this subcommand and those below it, but their help would bury the subcommand's own.
fn without_settings(command: Command) -> Command {
    let hidden = manual::settings().into_iter().map(|setting| flag(setting).global(false).hide(true));
    command.args(hidden).mut_subcommands(without_settings)
}

fn flag(setting: manual::Setting) -> Arg {
    let default = setting.default.as_ref().map_or(String::new(), |default| format!(" [default: {default}]"));
    Arg::new(setting.name.clone())
        .long(setting.flag())
        .value_name("VALUE")
        .global(true)
        .hide_default_value(true)
        .help(format!("{} [{}]{default}", setting.help, setting.variable()))
        .help_heading(setting.section)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split(' ').map(Into::into))
    }

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn flags_may_stand_before_and_after_the_subcommand() {
        let cli = parsed("livestream --port 1 config --redis-prefix x").unwrap();
        assert_eq!(cli.action, Action::ShowConfig);
        assert_eq!((cli.flags["port"].as_str(), cli.flags["redis_prefix"].as_str()), ("1", "x"));
        assert_eq!(parsed("livestream").unwrap().action, Action::Serve);
        assert_eq!(parsed("livestream media").unwrap().action, Action::ServeMedia);
        assert_eq!(parsed("livestream config --defaults").unwrap().action, Action::ShowDefaults);
    }

    #[test]
    fn a_load_has_flags_of_its_own_and_takes_the_settings() {
        let cli = parsed("livestream --port 1 bench sse --connections 7 --livekit-api-key k").unwrap();
        assert_eq!(cli.action, Action::Bench);
        assert_eq!((cli.flags["port"].as_str(), cli.flags["livekit_api_key"].as_str()), ("1", "k"));
        let help = parsed("livestream bench sse --help").unwrap_err().to_string();
        assert!(help.contains("--stalled") && !help.contains("--sweep-interval"), "{help}");
    }

    #[test]
    fn a_key_is_asked_for_by_name_and_scope() {
        let cli = parsed("livestream keys new --name backend --scope read").unwrap();
        assert_eq!((cli.action, cli.new_key), (Action::NewKey, Some(("backend".to_owned(), Scope::Read))));
        let usual = parsed("livestream keys new").unwrap().new_key;
        assert_eq!(usual, Some(("key".to_owned(), Scope::Admin)));
        for line in ["livestream keys", "livestream keys new --scope root", "livestream keys new --name a:b"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn unknown_flags_are_refused_by_name() {
        let text = parsed("livestream --prot 1").unwrap_err().to_string();
        assert!(text.contains("--prot") && text.contains("--port"), "{text}");
    }
}
