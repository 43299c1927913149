//! The command line: one flag per setting, and what the program can do besides serving.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use server::Scope;

use crate::client::{self, Order};
use crate::config::{manual, parse};
use crate::doctor::{self, DoctorArgs};

/// The version, and the commit it was built from where that is known.
const VERSION: &str = env!("LIVESTREAM_VERSION");

const LAN: &str = "lan";

const HELP: &str = "\
Examples:
  livestream                             serve on http://127.0.0.1:3000, with a media server of its own
  LIVEKIT_HOST=ws://127.0.0.1:7880 LIVEKIT_API_KEY=… LIVEKIT_API_SECRET=… REDIS_URL=redis://127.0.0.1 livestream
                                         serve on an existing LiveKit and Redis
  livestream --lan                       the same for phones and others on this network, by HTTPS, with a key
  livestream doctor                      check that all it needs is there, and say what to do
  livestream streams create gold         on the server that runs here, or at LIVESTREAM_URL
  livestream streams watch               all its streams, live

Every setting is a flag, an environment variable and a line of the file, in this order; --help lists them all.

Exit codes:
  0  done; for a server: ended as asked
  1  failed
  2  wrong use, or a configuration that can't work: nothing was done
  3  refused: a key, or another one, is needed
  4  there is no such stream
  5  unavailable: nobody answers, or not now; trying again may help";

/// What to do.
#[derive(Debug)]
pub(crate) enum Action {
    /// Run the orchestrator.
    Serve {
        /// Show it around on the local network.
        lan: bool,
    },
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
    /// Look whether everything that serving needs is there.
    Doctor(DoctorArgs),
    /// Ask a server.
    Client(Order),
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
        file = file_of(matches, file);
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
        Some(("doctor", inner)) => Action::Doctor(doctor::args(inner)),
        Some(("serve", inner)) => Action::Serve { lan: inner.get_flag(LAN) || matches.get_flag(LAN) },
        Some((name, inner)) => {
            client::order(name, inner).map_or(Action::Serve { lan: matches.get_flag(LAN) }, Action::Client)
        }
        None => Action::Serve { lan: matches.get_flag(LAN) },
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

/// Not every command takes settings.
fn collect(matches: &ArgMatches, flags: &mut HashMap<String, String>) {
    for setting in manual::settings() {
        if let Ok(Some(value)) = matches.try_get_one::<String>(&setting.name) {
            flags.insert(setting.name, value.clone());
        }
    }
}

/// A flag of either level goes before the environment, which both levels see.
fn file_of(matches: &ArgMatches, outer: Option<PathBuf>) -> Option<PathBuf> {
    let Ok(Some(file)) = matches.try_get_one::<PathBuf>("config") else { return outer };
    let is_flag = matches.value_source("config") == Some(ValueSource::CommandLine);
    if is_flag || outer.is_none() { Some(file.clone()) } else { outer }
}

fn command() -> Command {
    let serve = Command::new("serve").about("Serves; the same as no command at all").arg(lan());
    let config = Command::new("config")
        .about("Prints the effective configuration, the source of each value, and no secret")
        .arg(
            Arg::new("defaults").long("defaults").action(ArgAction::SetTrue).help("Prints the manual of all settings"),
        );
    let media = Command::new("media")
        .about("Runs the embedded, LiveKit-compatible media server alone, on MEDIA_PORT and MEDIA_UDP_PORT");
    with_settings(Command::new("livestream"))
        .version(VERSION)
        .about("Livestreams on LiveKit: who may do what, and the true state of every stream, live.")
        .after_help(HELP)
        .arg(lan())
        .subcommands([serve, media, config, doctor::command()].map(with_settings))
        .subcommands(client::commands())
        .subcommand(keys())
        .subcommand(with_hidden_settings(load::cli::command()))
}

/// Settings are taken by this subcommand and those below it, but their help would bury the subcommand's own.
fn with_hidden_settings(command: Command) -> Command {
    let hidden = manual::settings().into_iter().map(|setting| flag(setting).hide(true));
    command.arg(file()).args(hidden).mut_subcommands(with_hidden_settings)
}

fn lan() -> Arg {
    Arg::new(LAN).long(LAN).action(ArgAction::SetTrue).help(
        "Shows it around on the local network: HTTPS on its addresses, with a certificate and a key made in DATA_DIR",
    )
}

/// The flags of a command that reads the configuration.
fn with_settings(command: Command) -> Command {
    command.arg(file()).args(manual::settings().into_iter().map(flag))
}

fn file() -> Arg {
    Arg::new("config")
        .long("config")
        .value_name("FILE")
        .env("LIVESTREAM_CONFIG")
        .hide_env_values(true)
        .value_parser(clap::value_parser!(PathBuf))
        .help("Configuration file (TOML)")
}

fn flag(setting: manual::Setting) -> Arg {
    let default = setting.default.as_ref().map_or(String::new(), |default| format!(" [default: {default}]"));
    Arg::new(setting.name.clone())
        .long(setting.flag())
        .value_name("VALUE")
        .hide_default_value(true)
        // There are many: `-h` is for what the program can do, `--help` for everything.
        .hide_short_help(true)
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
        assert!(matches!(cli.action, Action::ShowConfig));
        assert_eq!((cli.flags["port"].as_str(), cli.flags["redis_prefix"].as_str()), ("1", "x"));
        assert!(matches!(parsed("livestream").unwrap().action, Action::Serve { lan: false }));
        assert!(matches!(parsed("livestream serve").unwrap().action, Action::Serve { lan: false }));
        for line in ["livestream --lan", "livestream serve --lan", "livestream --lan serve"] {
            assert!(matches!(parsed(line).unwrap().action, Action::Serve { lan: true }), "{line}");
        }
        assert!(matches!(parsed("livestream media").unwrap().action, Action::ServeMedia));
        assert!(matches!(parsed("livestream config --defaults").unwrap().action, Action::ShowDefaults));
        assert!(matches!(parsed("livestream doctor --port 1").unwrap().action, Action::Doctor(_)));
    }

    #[test]
    fn the_file_of_either_level_counts() {
        for line in ["livestream --config a.toml config", "livestream config --config a.toml"] {
            assert_eq!(parsed(line).unwrap().file.unwrap().to_str(), Some("a.toml"), "{line}");
        }
    }

    #[test]
    fn a_client_needs_no_settings_and_takes_none() {
        let cli = parsed("livestream streams create gold --max-participants 5 --url http://a").unwrap();
        let Action::Client(order) = cli.action else { panic!("{cli:?}") };
        assert_eq!(order.server.url, "http://a");
        assert!(
            matches!(order.task, client::Task::Create(body) if body["maxParticipants"] == 5 && body["name"] == "gold")
        );
        assert!(parsed("livestream streams list --port 1").is_err());
        assert!(parsed("livestream streams").is_err());
    }

    #[test]
    fn short_help_is_about_commands_and_long_help_about_everything() {
        let short = parsed("livestream -h").unwrap_err().to_string();
        assert!(short.contains("streams") && short.contains("Exit codes") && !short.contains("--redis-url"), "{short}");
        assert!(parsed("livestream --help").unwrap_err().to_string().contains("--redis-url"));
    }

    #[test]
    fn a_load_has_flags_of_its_own_and_takes_the_settings() {
        let cli = parsed("livestream --port 1 bench sse --connections 7 --livekit-api-key k").unwrap();
        assert!(matches!(cli.action, Action::Bench));
        assert_eq!((cli.flags["port"].as_str(), cli.flags["livekit_api_key"].as_str()), ("1", "k"));
        let help = parsed("livestream bench sse --help").unwrap_err().to_string();
        assert!(help.contains("--stalled") && !help.contains("--sweep-interval"), "{help}");
    }

    #[test]
    fn a_key_is_asked_for_by_name_and_scope() {
        let cli = parsed("livestream keys new --name backend --scope read").unwrap();
        assert!(matches!(cli.action, Action::NewKey));
        assert_eq!(cli.new_key, Some(("backend".to_owned(), Scope::Read)));
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
