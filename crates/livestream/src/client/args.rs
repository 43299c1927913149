//! The command line of the client's commands, and what it asks for.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Map, Value};

use super::api::ServerArgs;

const LOCAL: &str = "http://127.0.0.1:3000";

const STREAMS_HELP: &str = "\
Examples:
  livestream streams list                         active streams, newest first
  livestream streams list --status finished       what was on, latest end first
  livestream streams create gold --title 'Gold'   a stream with the id gold
  livestream streams show gold                    its state and settings
  livestream streams watch gold                   live: who comes and goes, until it ends
  livestream streams watch gold | jq .phase       the same as JSON, one line a change
  livestream streams end gold --wait              end it, and wait until its room is gone

Another server:  export LIVESTREAM_URL=https://live.example.org LIVESTREAM_KEY=…";

const WATCH_HELP: &str = "\
On a terminal this is a table that changes in place; in a pipe, or with --json, every state is one line of
JSON. Lost connections come back by themselves and go on where they were.

Watching one stream ends with the stream; watching all of them ends with Ctrl-C.

Examples:
  livestream streams watch                  all streams
  livestream streams watch gold             one stream
  livestream streams watch gold | while read -r state; do …; done";

const TOKEN_HELP: &str = "\
Prints the token alone, so that it can be put into a variable; --json prints everything the server says.

Examples:
  livestream join-token gold --user ann --role host
  lk room join --url \"$LIVEKIT_URL\" --token \"$(livestream join-token gold --user ann)\"";

/// What a client is to do, and where.
#[derive(Debug)]
pub(crate) struct Order {
    /// Which server.
    pub(crate) server: ServerArgs,
    /// Print JSON instead of text.
    pub(crate) json: bool,
    /// What to do.
    pub(crate) task: Task,
}

/// What a client is to do.
#[derive(Debug)]
pub(crate) enum Task {
    /// `streams list`
    List(ListArgs),
    /// `streams show`
    Show(String),
    /// `streams create`, with the request's body.
    Create(Map<String, Value>),
    /// `streams end`
    End {
        /// Which stream.
        id: String,
        /// Until its room is gone.
        wait: bool,
    },
    /// `streams watch`; without an id all of them.
    Watch(Option<String>),
    /// `join-token`
    JoinToken(JoinArgs),
    /// `health`
    Health,
}

/// Which streams to list.
#[derive(Debug)]
pub(crate) struct ListArgs {
    /// `active` or `finished`.
    pub(crate) status: Option<String>,
    /// A phase.
    pub(crate) phase: Option<String>,
    /// Most streams; `None`: all there are.
    pub(crate) limit: Option<usize>,
}

/// Who wants to join what.
#[derive(Debug)]
pub(crate) struct JoinArgs {
    /// The stream.
    pub(crate) id: String,
    /// The request's body.
    pub(crate) body: Map<String, Value>,
}

/// The commands, to be added to the program's own.
pub(crate) fn commands() -> [Command; 3] {
    [streams(), join_token(), health()]
}

/// What `name`, one of [`commands`], asks for.
pub(crate) fn order(name: &str, matches: &ArgMatches) -> Option<Order> {
    let (task, inner) = match (name, matches.subcommand()) {
        ("join-token", _) => (join_task(matches), matches),
        ("health", _) => (Task::Health, matches),
        ("streams", Some((verb, inner))) => (streams_task(verb, inner)?, inner),
        _ => return None,
    };
    let server = ServerArgs {
        url: text(inner, "url").unwrap_or_else(|| LOCAL.to_owned()),
        key: text(inner, "key"),
        ca: inner.get_one::<PathBuf>("ca").cloned(),
    };
    Some(Order { server, json: inner.get_flag("json"), task })
}

fn streams_task(verb: &str, matches: &ArgMatches) -> Option<Task> {
    let id = || text(matches, "id").unwrap_or_default();
    Some(match verb {
        "list" => Task::List(ListArgs {
            status: text(matches, "status"),
            phase: text(matches, "phase"),
            limit: (!matches.get_flag("all")).then(|| matches.get_one("limit").copied().unwrap_or(50)),
        }),
        "show" => Task::Show(id()),
        "create" => Task::Create(create_body(matches)),
        "end" => Task::End { id: id(), wait: matches.get_flag("wait") },
        "watch" => Task::Watch(text(matches, "id")),
        _ => return None,
    })
}

/// The members that were given, under the API's names.
fn create_body(matches: &ArgMatches) -> Map<String, Value> {
    let mut body = Map::new();
    let texts = [("id", "name"), ("title", "title"), ("default-role", "defaultRole")];
    body.extend(texts.iter().filter_map(|(arg, name)| Some(((*name).to_owned(), text(matches, arg)?.into()))));
    let numbers = [
        ("max-participants", "maxParticipants"),
        ("empty-timeout", "emptyTimeout"),
        ("max-duration", "maxDuration"),
        ("end-without-publisher", "endWithoutPublisher"),
    ];
    body.extend(
        numbers.iter().filter_map(|(arg, name)| Some(((*name).to_owned(), (*matches.get_one::<u32>(arg)?).into()))),
    );
    body.extend(matches.get_one::<Value>("metadata").map(|value| ("metadata".to_owned(), value.clone())));
    body
}

fn join_task(matches: &ArgMatches) -> Task {
    let members = [("user", "userId"), ("role", "role"), ("name", "name"), ("metadata", "metadata")];
    let body =
        members.iter().filter_map(|(arg, name)| Some(((*name).to_owned(), text(matches, arg)?.into()))).collect();
    Task::JoinToken(JoinArgs { id: text(matches, "id").unwrap_or_default(), body })
}

fn text(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.get_one::<String>(name).cloned()
}

fn streams() -> Command {
    let list = Command::new("list")
        .about("Lists streams, newest first")
        .arg(
            value("status", "STATUS", "Active ones (usual), or finished ones: as far back as the server keeps them")
                .value_parser(["active", "finished"]),
        )
        .arg(value("phase", "PHASE", "Only streams in this phase").value_parser([
            "waiting",
            "live",
            "reconnecting",
            "ended",
        ]))
        .arg(value("limit", "N", "Most streams [default: 50]").value_parser(limit))
        .arg(switch("all", "All there are").conflicts_with("limit"));
    let show = Command::new("show").about("Shows a stream's state and settings").arg(id().required(true));
    let create = Command::new("create")
        .about("Creates a stream; one that is active already is left as it is")
        .after_help("Times are seconds.")
        .arg(id().required(true))
        .arg(value("title", "TEXT", "Shown in the lobby"))
        .arg(
            value("default-role", "ROLE", "Role of a join that names none").value_parser(["host", "speaker", "viewer"]),
        )
        .arg(number("max-participants", "Most people at once"))
        .arg(number("empty-timeout", "Ends after this if nobody ever joins"))
        .arg(number("max-duration", "Ends after this whatever happens"))
        .arg(number("end-without-publisher", "Once live, ends this long after the last publisher went"))
        .arg(value("metadata", "JSON", "An object of your own").value_parser(object));
    let end = Command::new("end")
        .about("Ends a stream and removes everybody from it")
        .after_help("A stream that has ended, or never was, is no error.")
        .arg(id().required(true))
        .arg(switch("wait", "Waits until its room is gone from LiveKit"));
    let watch =
        Command::new("watch").about("Follows one stream, or all of them, live").after_help(WATCH_HELP).arg(id());
    Command::new("streams")
        .about("Streams of a server: list, show, create, end, watch")
        .after_help(STREAMS_HELP)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands([list, show, create, end, watch].map(with_server))
}

fn join_token() -> Command {
    let command = Command::new("join-token")
        .about("Gets a LiveKit token for a place in a stream")
        .after_help(TOKEN_HELP)
        .arg(id().required(true))
        .arg(value("user", "USER", "Who joins: LiveKit's identity").required(true))
        .arg(
            value("role", "ROLE", "As what; host and speaker need a key where keys are in use")
                .value_parser(["host", "speaker", "viewer"]),
        )
        .arg(value("name", "TEXT", "Display name"))
        .arg(value("metadata", "TEXT", "The participant's own metadata"));
    with_server(command)
}

fn health() -> Command {
    with_server(Command::new("health").about("Asks whether a server lives, for the health check of a container"))
}

/// The options of every command that talks to a server.
fn with_server(command: Command) -> Command {
    let heading = "Server";
    command
        .arg(
            value("url", "URL", "Address of the server [default: http://127.0.0.1:3000]")
                .env("LIVESTREAM_URL")
                .help_heading(heading),
        )
        .arg(
            value("key", "KEY", "API key; better in the environment than here, where others see it")
                .env("LIVESTREAM_KEY")
                .hide_env_values(true)
                .help_heading(heading),
        )
        .arg(
            value("ca", "FILE", "Certificates (PEM) to trust besides the system's: a self-signed one, say")
                .env("LIVESTREAM_CA")
                .value_parser(value_parser!(PathBuf))
                .help_heading(heading),
        )
        .arg(switch("json", "Prints JSON"))
}

fn id() -> Arg {
    Arg::new("id").value_name("STREAM").help("Id of the stream")
}

fn value(name: &'static str, placeholder: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(placeholder).help(help)
}

fn number(name: &'static str, help: &'static str) -> Arg {
    value(name, "N", help).value_parser(value_parser!(u32))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

fn limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "must be a whole number, at least 1".to_owned())
}

fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err("must be a JSON object, such as '{\"course\": 7}'".to_owned()),
    }
}
