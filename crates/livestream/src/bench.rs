//! `livestream bench`: what the load needs to know of the configuration, and its end on a signal.

use anyhow::Context;
use clap::ArgMatches;
use load::cli::Defaults;
use load::{MediaServer, Stop};

use crate::config::Config;
use crate::media;
use crate::signals::Signals;

/// Runs what follows the word `bench`; gives what is to be printed.
pub(crate) fn run(matches: &ArgMatches, config: &Config) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("can't start threads")?;
    let text = runtime.block_on(until_signal(matches.clone(), defaults(config)));
    // After a second signal the load is still at work: it ends with the process.
    runtime.shutdown_background();
    text
}

/// The first signal asks for an orderly end. Whoever asks twice does not want to wait.
async fn until_signal(matches: ArgMatches, defaults: Defaults) -> anyhow::Result<String> {
    let mut signals = Signals::listen().context("can't listen to signals")?;
    let stop = Stop::default();
    let asked = stop.clone();
    let mut work = tokio::task::spawn_blocking(move || load::cli::run(&matches, defaults, &asked));
    tokio::select! {
        done = &mut work => return done?,
        _ = signals.next() => stop.ask(),
    }
    tokio::select! {
        done = &mut work => done?,
        _ = signals.next() => anyhow::bail!("asked again: ended at once, the streams of the run are left to end by themselves"),
    }
}

/// The server that this configuration would start, which is most likely the one that is meant.
fn defaults(config: &Config) -> Defaults {
    let media = match &config.livekit {
        Some(livekit) => Ok(MediaServer {
            url: livekit.host.http_url(),
            key: livekit.api_key.clone(),
            secret: livekit.api_secret.clone(),
        }),
        None => media::known(&config.embedded, config.api.listen.ip()),
    };
    Defaults { target: format!("http://{}", media::reachable(config.api.listen)), media }
}
