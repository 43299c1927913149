//! `livestream doctor`: looks whether everything that serving needs is there, and says what to do about what is not.
//!
//! It changes nothing that stays: it may make a room in LiveKit, which it deletes again. It decides nothing for serving.

mod host;
mod livekit;
mod ports;
mod redis;
mod report;
mod webhook;

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{Config, StoreChoice};

use report::{Finding, Report};

const HELP: &str = "\
Reads the same settings as serving does. It opens no store and changes nothing that stays; to see whether
webhooks arrive it makes a room in LiveKit, joins it, and deletes it again.

Run it beside the server or instead of it: webhooks are looked for at the server that runs on PORT (its /metrics
need a key where keys are in use: --key), or on PORT itself while nobody listens there.

Examples:
  livestream doctor
  livestream doctor --no-webhook                            do not touch LiveKit
  livestream doctor --config /etc/livestream/livestream.toml

Exit codes: 0 all is well (there may be warnings), 1 something does not work, 2 the configuration can't work.";

/// The longest that anything outside is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to look.
#[derive(Debug, Default)]
pub(crate) struct DoctorArgs {
    /// Whether a room may be made to see a webhook come.
    pub(crate) webhook: bool,
    /// A key for the `/metrics` of a server that runs here.
    pub(crate) key: Option<String>,
}

/// The command.
pub(crate) fn command() -> Command {
    Command::new("doctor")
        .about("Checks configuration, store, LiveKit, webhooks, ports and clocks, and says what to do")
        .after_help(HELP)
        .arg(
            Arg::new("no-webhook")
                .long("no-webhook")
                .action(ArgAction::SetTrue)
                .help("Makes no room in LiveKit to see whether its webhooks arrive"),
        )
        .arg(
            Arg::new("key")
                .long("key")
                .value_name("KEY")
                .env("LIVESTREAM_KEY")
                .hide_env_values(true)
                .help("API key for the /metrics of a server that runs on PORT"),
        )
}

/// What the command line asks for.
pub(crate) fn args(matches: &ArgMatches) -> DoctorArgs {
    DoctorArgs { webhook: !matches.get_flag("no-webhook"), key: matches.get_one::<String>("key").cloned() }
}

/// Looks at everything, prints what it finds, and tells whether all is well.
pub(crate) async fn examine(config: &Config, args: &DoctorArgs) -> anyhow::Result<bool> {
    let mut report = Report::default();
    report.add("configuration", configuration(config))?;
    match &config.store {
        StoreChoice::Redis { url, prefix } => {
            report.begin("Redis");
            redis::examine(url, prefix, &mut report).await?;
        }
        StoreChoice::Embedded(folder) => report.add("embedded store", host::data_folder(folder))?,
    }
    let running = ports::examine(config, &mut report).await?;
    match &config.livekit {
        Some(livekit) => {
            report.begin("LiveKit");
            let reached = livekit::examine(livekit, config, &mut report).await?;
            if reached {
                webhook::examine(livekit, config, args, running, &mut report).await?;
            } else {
                report.add("webhooks", Finding::skipped("not looked at: LiveKit does not answer"))?;
            }
        }
        None => report.add("webhooks", Finding::well("the embedded media server brings its own"))?,
    }
    report.add("open files", host::open_files())?;
    if let StoreChoice::Redis { .. } = config.store
        && config.livekit.is_none()
    {
        report.add("data folder", host::data_folder(&config.embedded.data_dir))?;
    }
    report.end()
}

fn configuration(config: &Config) -> Finding {
    let media = match &config.livekit {
        Some(livekit) => format!("LiveKit at {}", livekit.host.http_url()),
        None => "the embedded media server".to_owned(),
    };
    let store = if matches!(config.store, StoreChoice::Redis { .. }) { "Redis" } else { "the embedded store" };
    let said = format!("{}, {media}, {store}", config.api.listen);
    match &config.api.keys {
        None if !crate::config::is_loopback(config.api.listen.ip()) => Finding::warning(
            format!("{said}; AUTH=off: everybody who reaches {} may do everything", config.api.listen),
            "set API_KEYS=name:scope:sha256hex and take AUTH=off away",
        ),
        None => Finding::well(format!("{said}, no keys")),
        Some(keys) => Finding::well(format!("{said}, {} keys", keys.len())),
    }
}
