//! The command line of `livestream bench`, and what each of its words does.

use std::time::Duration;

use anyhow::Context;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::json;

use crate::mixed::{self, Part};
use crate::process::Processes;
use crate::report::Lines;
use crate::requests::{self, RequestLoad, RequestReport};
use crate::sse::{SseLoad, watch};
use crate::stop::Stop;
use crate::streams::Streams;
use crate::subject::{Orchestrator, Requests, path_of};
use crate::target::Target;
use crate::webhooks::{MediaServer, Webhooks};

const ABOUT: &str = "Puts a load on a livestream server of this machine and tells what it cost";
const HELP: &str = "The server should run with RATE_LIMIT=off and enough open files; its release build is what counts. \
    The streams of a run are removed at its end. Ctrl-C ends a run early, with what there is.";

/// What holds when the command line does not say otherwise.
pub struct Defaults {
    /// Base address of the server.
    pub target: String,
    /// Its media server; or why none is known.
    pub media: Result<MediaServer, String>,
}

/// The subcommand `bench`.
pub fn command() -> Command {
    let duration = number("duration", "SECONDS", "10", "How long the load lasts");
    let streams = |default| count("streams", default, "Streams that the load is spread over");
    let connections = |default, help| count("connections", default, help);
    let rate = |help| Arg::new("rate").long("rate").value_name("PER SECOND").value_parser(positive).help(help);
    let stalled = count("stalled", "0", "Further subscribers that never read: what the kernel holds for them is shown");
    let view =
        Arg::new("view").long("view").value_parser(["full", "summary"]).default_value("full").help("What is watched");
    let requests = || {
        [
            connections("8", "Kept connections, each with one request at a time"),
            rate("Requests in a second [default: as fast as they are answered]"),
            duration.clone(),
        ]
    };
    let sse = Command::new("sse")
        .about("Subscribers who watch streams that change: delay, loss, order, CPU per event, memory per subscriber")
        .args([connections("1000", "Subscribers"), streams("1"), stalled.clone(), view.clone(), duration.clone()])
        .arg(rate("Changes in a second, over all streams").default_value("5"));
    let webhooks = Command::new("webhooks")
        .about(
            "LiveKit's webhooks of people who come and go, signed with its key (LIVEKIT_API_KEY, LIVEKIT_API_SECRET)",
        )
        .args(requests())
        .arg(streams("100"));
    let list = Command::new("list")
        .about("Pages of the list of streams")
        .args(requests())
        .arg(streams("100"))
        .arg(count("limit", "50", "Streams of a page; 0: the whole list"));
    let join =
        Command::new("join").about("Joins of users who were not there before").args(requests()).arg(streams("1"));
    let mixed = Command::new("mixed")
        .about("Subscribers, changes, joins, pages of the list and webhooks at once")
        .args([connections("1000", "Subscribers"), streams("50"), stalled, view, duration])
        .arg(rate("Changes in a second, over all streams").default_value("50"))
        .arg(number("joins", "PER SECOND", "50", "Joins"))
        .arg(number("lists", "PER SECOND", "20", "Pages of the list"))
        .arg(number("webhooks", "PER SECOND", "0", "Webhooks; more than 0 takes the media server's key and secret"));
    let all = [sse, webhooks, list, join, mixed].map(|command| command.args(common()).after_help(HELP));
    Command::new("bench").about(ABOUT).after_help(HELP).subcommand_required(true).subcommands(all)
}

/// Runs what `matches` of [`command`] ask for; gives what is to be printed.
pub fn run(matches: &ArgMatches, defaults: Defaults, stop: &Stop) -> anyhow::Result<String> {
    let (word, matches) = matches.subcommand().context("say what to measure")?;
    let target = Target::find(matches.get_one::<String>("target").unwrap_or(&defaults.target))?;
    let server = match matches.get_one::<u32>("pid") {
        Some(pid) => Processes::of(*pid),
        None => Processes::listening_on(target.address),
    };
    let key = matches.get_one::<String>("bench_api_key").map(String::as_str);
    let requests = Requests::new(&target.host, key);
    let run = Run { matches, target: &target, requests, server, media: defaults.media, stop };
    let (lines, figures) = match word {
        "sse" => run.sse()?,
        "webhooks" => run.webhooks()?,
        "list" => run.list()?,
        "join" => run.join()?,
        _ => run.mixed()?,
    };
    if matches.get_flag("json") {
        return Ok(format!("{}\n", json!({ "bench": word, "target": target.host, "figures": figures })));
    }
    Ok(lines.to_string())
}

/// One run.
struct Run<'a> {
    matches: &'a ArgMatches,
    target: &'a Target,
    requests: Requests,
    server: Processes,
    media: Result<MediaServer, String>,
    stop: &'a Stop,
}

type Figures = anyhow::Result<(Lines, serde_json::Value)>;

impl Run<'_> {
    fn sse(&self) -> Figures {
        let streams = self.streams()?;
        let subject = self.subject(&streams);
        let report = watch(self.target, &subject, &self.sse_load(), &self.server, self.stop)?;
        Ok((report.lines(), serde_json::to_value(report)?))
    }

    fn webhooks(&self) -> Figures {
        let media = self.media.clone().map_err(anyhow::Error::msg)?;
        let streams = self.streams()?;
        let webhooks = Webhooks::about(streams.ids(), &self.requests, media)?;
        self.send("webhooks", &|number, _| webhooks.write(number))
    }

    fn list(&self) -> Figures {
        let _streams = self.streams()?;
        let page = self.page();
        self.send("pages", &|_, _| page.clone())
    }

    fn join(&self) -> Figures {
        let streams = self.streams()?;
        self.send("joins", &|number, _| self.join_of(streams.ids(), number))
    }

    fn mixed(&self) -> Figures {
        let wanted = self.float("webhooks");
        let media = self.media.clone().map_err(anyhow::Error::msg);
        let media = if wanted > 0.0 { Some(media?) } else { None };
        let streams = self.streams()?;
        let webhooks = media.map(|media| Webhooks::about(streams.ids(), &self.requests, media)).transpose()?;
        let page = self.page();
        let join = |number, _| self.join_of(streams.ids(), number);
        let list = |_, _| page.clone();
        let webhook = |number, _| webhooks.as_ref().map_or_else(Vec::new, |webhooks| webhooks.write(number));
        let all: [(_, _, crate::paced::Write<'_>); 3] = [
            ("joins", self.float("joins"), &join),
            ("lists", self.float("lists"), &list),
            ("webhooks", wanted, &webhook),
        ];
        let parts = all.into_iter().filter(|(_, rate, _)| *rate > 0.0).map(|(what, rate, write)| {
            let load = RequestLoad { connections: 8, rate: Some(rate), duration: self.duration() };
            Part { what, load, write }
        });
        let parts: Vec<_> = parts.collect();
        let subject = self.subject(&streams);
        let report = mixed::run(self.target, &subject, &self.sse_load(), &parts, &self.server, self.stop)?;
        Ok((report.lines(), serde_json::to_value(report)?))
    }

    fn send(&self, what: &str, write: crate::paced::Write<'_>) -> Figures {
        let rate = self.matches.get_one::<f64>("rate").copied();
        let load = RequestLoad { connections: self.count("connections"), rate, duration: self.duration() };
        let report: RequestReport = requests::send(self.target, load, &self.server, self.stop, write)?;
        Ok((report.lines(what), serde_json::to_value(report)?))
    }

    fn streams(&self) -> anyhow::Result<Streams<'_>> {
        Streams::create(self.target, &self.requests, self.count("streams").max(1), self.stop)
    }

    fn subject(&self, streams: &Streams<'_>) -> Orchestrator {
        let summary = self.matches.get_one::<String>("view").is_some_and(|view| view == "summary");
        let view = if summary { "summary" } else { "full" };
        Orchestrator::new(self.requests.clone(), streams.ids().to_vec(), view)
    }

    fn sse_load(&self) -> SseLoad {
        SseLoad {
            connections: self.count("connections").max(1),
            topics: self.count("streams").max(1),
            rate: self.float("rate"),
            duration: self.duration(),
            stalled: self.count("stalled"),
        }
    }

    fn page(&self) -> Vec<u8> {
        let limit = self.matches.try_get_one::<u32>("limit").ok().flatten().copied().unwrap_or(50);
        let path = if limit == 0 { "/streams".to_owned() } else { format!("/streams?limit={limit}") };
        self.requests.plain("GET", &path)
    }

    fn join_of(&self, streams: &[String], number: u64) -> Vec<u8> {
        let stream = path_of(&streams[(number % streams.len() as u64) as usize]);
        self.requests.json("POST", &format!("/streams/{stream}/join"), &json!({ "userId": format!("guest-{number}") }))
    }

    fn count(&self, name: &str) -> usize {
        self.matches.get_one::<u32>(name).copied().unwrap_or_default() as usize
    }

    fn float(&self, name: &str) -> f64 {
        self.matches.get_one::<f64>(name).copied().unwrap_or_default()
    }

    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.float("duration"))
    }
}

fn common() -> [Arg; 4] {
    [
        Arg::new("target")
            .long("target")
            .value_name("URL")
            .help("Base address of the server, on a loopback address [default: that of HOST and PORT]"),
        Arg::new("pid")
            .long("pid")
            .value_name("PID")
            .value_parser(value_parser!(u32).range(1..))
            .help("The server's process [default: whoever listens there]"),
        Arg::new("bench_api_key")
            .long("api-key")
            .value_name("KEY")
            .env("LIVESTREAM_API_KEY")
            .hide_env_values(true)
            .help("A key with the scope admin, where the server asks for one"),
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Prints the figures as JSON"),
    ]
}

fn count(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    let parser = value_parser!(u32).range(0..=1_000_000);
    Arg::new(name).long(name).value_name("N").value_parser(parser).default_value(default).help(help)
}

fn number(name: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(not_negative).default_value(default).help(help)
}

fn not_negative(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.0..=1e6).contains(value));
    value.ok_or_else(|| "expected a number from 0 to 1,000,000".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let value = not_negative(text).ok().filter(|value| *value > 0.0);
    value.ok_or_else(|| "expected a number above 0, up to 1,000,000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn what_is_no_number_is_refused_with_what_was_expected() {
        for line in
            ["bench sse --rate 0", "bench sse --rate fast", "bench join --duration -1", "bench list --connections x"]
        {
            let error = command().try_get_matches_from(line.split(' ')).unwrap_err().to_string();
            assert!(error.contains("invalid value") || error.contains("unexpected argument"), "{line}: {error}");
        }
    }
}
