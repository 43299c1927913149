//! The command line: one flag per setting, and what the program can do besides serving.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::manual;

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
    Ok(Cli { action: action(&matches), flags, file, bench })
}

fn action(matches: &ArgMatches) -> Action {
    match matches.subcommand() {
        Some(("config", inner)) if inner.get_flag("defaults") => Action::ShowDefaults,
        Some(("config", _)) => Action::ShowConfig,
        Some(("media", _)) => Action::ServeMedia,
        Some(("bench", _)) => Action::Bench,
        _ => Action::Serve,
    }
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
    fn unknown_flags_are_refused_by_name() {
        let text = parsed("livestream --prot 1").unwrap_err().to_string();
        assert!(text.contains("--prot") && text.contains("--port"), "{text}");
    }
}
