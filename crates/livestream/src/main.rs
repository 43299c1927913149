//! The shipped program: configuration, wiring and shutdown. The only place that
//! names concrete backends; what a stream is and does stands in other crates.

mod bench;
mod cli;
mod client;
mod config;
mod doctor;
mod keys;
mod lan;
mod logs;
mod media;
mod pages;
mod serve;
mod signals;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use cli::{Action, Cli};
use client::{ClientError, Order};
use config::{Config, ConfigError, Loaded};
use lan::{Chosen, Lan};

/// The program was told something that can't work: nothing was started, and starting again does not help.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        // Help and version come this way too; clap knows which stream and code each has.
        Err(answer) => answer.exit(),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Config(error)) => {
            complain(&error);
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Client(error)) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(Failure::Client(error)) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
        Err(Failure::Ill) => ExitCode::FAILURE,
        Err(Failure::Run(error)) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Why the program ends other than as asked.
enum Failure {
    Config(ConfigError),
    Run(anyhow::Error),
    Client(ClientError),
    /// The doctor has found something, and has said so.
    Ill,
}

fn run(cli: Cli) -> Result<(), Failure> {
    if let Some((name, scope)) = &cli.new_key {
        return print(&keys::new_key(name, *scope)).map_err(Failure::Run);
    }
    let action = match cli.action {
        Action::Serve { lan: true } => return show_around(cli),
        Action::ShowDefaults => return print(config::manual::TEXT).map_err(Failure::Run),
        Action::Client(order) => return ask(order),
        action => action,
    };
    let loaded = config::load(cli.flags, cli.file.as_deref()).map_err(Failure::Config)?;
    let config = || loaded.config().map_err(Failure::Config);
    match action {
        Action::ShowConfig => show(&loaded),
        Action::Bench => bench(cli.bench.as_ref(), &config()?),
        Action::ServeMedia => serve_media(&config()?),
        Action::Doctor(args) => examine(&config()?, &args),
        Action::Serve { .. } | Action::ShowDefaults | Action::NewKey | Action::Client(_) => serve(&config()?, None),
    }
}

/// Serves on the local network, with whatever of the settings was not said made for it.
fn show_around(cli: Cli) -> Result<(), Failure> {
    let Cli { mut flags, file, .. } = cli;
    let said = config::load(flags.clone(), file.as_deref()).map_err(Failure::Config)?;
    let chosen = Chosen { keys: said.text("api_keys"), auth: said.text("auth") };
    let data_dir = Path::new(said.text("data_dir").unwrap_or_default());
    let lan = Lan::prepare(data_dir, chosen).map_err(Failure::Run)?;
    lan.fill(&mut flags, chosen);
    let loaded = config::load(flags, file.as_deref()).map_err(Failure::Config)?;
    serve(&loaded.config().map_err(Failure::Config)?, Some(&lan))
}

fn ask(order: Order) -> Result<(), Failure> {
    quiet_runtime()?.block_on(client::run(order)).map_err(Failure::Client)
}

fn examine(config: &Config, args: &doctor::DoctorArgs) -> Result<(), Failure> {
    let is_well = quiet_runtime()?.block_on(doctor::examine(config, args)).map_err(Failure::Run)?;
    if is_well { Ok(()) } else { Err(Failure::Ill) }
}

/// For what waits more than it works.
fn quiet_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Run(error.into()))
}

/// What is wrong with a configuration is easier to see beside it: it is shown either way.
fn show(loaded: &Loaded) -> Result<(), Failure> {
    print(&loaded.show()).map_err(Failure::Run)?;
    loaded.config().map(drop).map_err(Failure::Config)
}

fn serve(config: &Config, lan: Option<&Lan>) -> Result<(), Failure> {
    logs::start(&config.log);
    let greet = |port| lan.map_or(Ok(()), |lan| print(&lan.invitation(port)));
    serve::run(config, greet).map_err(Failure::Run)
}

fn serve_media(config: &Config) -> Result<(), Failure> {
    logs::start(&config.log);
    serve::run_media(config).map_err(Failure::Run)
}

fn bench(matches: Option<&clap::ArgMatches>, config: &Config) -> Result<(), Failure> {
    let Some(matches) = matches else { return Ok(()) };
    print(&bench::run(matches, config).map_err(Failure::Run)?).map_err(Failure::Run)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    Ok(out.write_all(text.as_bytes()).and_then(|()| out.flush())?)
}

fn complain(problem: &dyn std::fmt::Display) {
    for line in problem.to_string().lines() {
        eprintln!("livestream: {line}");
    }
}
