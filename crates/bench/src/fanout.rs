//! Live updates beside nchan and beside the floor: the same load on each by turns, each in a fresh process.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use load::{Mark, Processes, SseLoad, SseReport, Stop, Subject, Target, orchestrator, watch};
use testkit::{Livestream, Nginx, free_tcp_port, free_udp_port};

use crate::document;

/// Bytes of a message to nchan and to the floor: nchan's event is then as long as ours, a whole state.
const MESSAGE: usize = 286;
const RATE: f64 = 5.0;
/// For those who never read: enough to fill whatever would be kept for them.
const STALLED: SseLoad =
    SseLoad { connections: 20, topics: 1, rate: 200.0, duration: Duration::from_secs(10), stalled: 20 };

/// How much is measured.
pub(crate) struct Extent {
    subscribers: Vec<usize>,
    rounds: usize,
    duration: Duration,
    /// Whether the tables are kept in the document.
    kept: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Server {
    Floor,
    Ours,
    Nchan,
}

const SERVERS: [Server; 3] = [Server::Floor, Server::Ours, Server::Nchan];

struct Run {
    round: usize,
    server: Server,
    report: SseReport,
}

impl Extent {
    /// Everything, or what takes two minutes and is only shown.
    pub(crate) fn of(quick: bool) -> anyhow::Result<Self> {
        let files = rlimit::increase_nofile_limit(u64::MAX)? as usize;
        let subscribers = if quick { vec![2_000, 8_000] } else { vec![1_000, 2_000, 8_000, 14_000] };
        let subscribers = subscribers.into_iter().filter(|count| count + 200 <= files).collect();
        let (rounds, seconds) = if quick { (1, 5) } else { (3, 6) };
        Ok(Self { subscribers, rounds, duration: Duration::from_secs(seconds), kept: !quick })
    }
}

/// Measures, prints, and keeps the tables.
pub(crate) async fn measure(binary: &str, extent: &Extent) -> anyhow::Result<()> {
    let mut runs = Vec::new();
    for round in 1..=extent.rounds {
        for &connections in &extent.subscribers {
            let load = SseLoad { connections, topics: 1, rate: RATE, duration: extent.duration, stalled: 0 };
            for server in SERVERS {
                let Some(report) = one(binary, server, load).await? else { continue };
                crate::say(&progress(round, server, &report))?;
                runs.push(Run { round, server, report });
            }
        }
    }
    let mut stalled = Vec::new();
    // The floor has no answer to a reader that takes half of a message.
    for server in [Server::Ours, Server::Nchan] {
        let Some(report) = one(binary, server, STALLED).await? else { continue };
        stalled.push((server, report));
    }
    let text = tables(extent, &runs, &stalled);
    crate::say(&text)?;
    if extent.kept { document::keep("sse", &text) } else { Ok(()) }
}

/// One load on a fresh process; `None` where the server is not here.
async fn one(binary: &str, server: Server, load: SseLoad) -> anyhow::Result<Option<SseReport>> {
    match server {
        Server::Floor => {
            let floor = Floor::start()?;
            watched(floor.target(), PubSub { watch: "/", change: "/" }, load, floor.process.id()).await.map(Some)
        }
        Server::Ours => {
            let program = Livestream::new(binary)
                .with("RATE_LIMIT", "off")
                .with("LOG_LEVEL", "warn")
                .with("MEDIA_PORT", free_tcp_port())
                .with("MEDIA_UDP_PORT", free_udp_port())
                .started()
                .await;
            let created = program.post("/streams", serde_json::json!({"name": "bench"})).await;
            anyhow::ensure!(created.status == 201, "the stream is not created: {created:?}");
            let target = target(program.port());
            let subject = orchestrator(&target, vec!["bench".to_owned()]);
            watched(target, subject, load, program.id()).await.map(Some)
        }
        Server::Nchan => {
            let Some((preamble, http)) = nchan() else { return Ok(None) };
            let Some(nginx) = Nginx::start_with(&preamble, 20_000, http).await else { return Ok(None) };
            watched(target(nginx.port()), PubSub { watch: "/sub", change: "/pub" }, load, nginx.id()).await.map(Some)
        }
    }
}

async fn watched(
    target: Target,
    subject: impl Subject + Send + 'static,
    load: SseLoad,
    pid: u32,
) -> anyhow::Result<SseReport> {
    let watching = move || watch(&target, &subject, &load, &Processes::of(pid), &Stop::default());
    tokio::task::spawn_blocking(watching).await?
}

fn target(port: u16) -> Target {
    Target { address: ([127, 0, 0, 1], port).into(), host: format!("127.0.0.1:{port}") }
}

/// A server where one path is watched with `GET`, and one takes messages with `POST`.
struct PubSub {
    watch: &'static str,
    change: &'static str,
}

impl Subject for PubSub {
    fn watch(&self, _: usize) -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n", self.watch).into_bytes()
    }

    fn change(&self, _: usize, mark: Mark) -> Vec<u8> {
        let message = format!("{:x<MESSAGE$}", mark.to_string());
        format!("POST {} HTTP/1.1\r\nHost: bench\r\nContent-Length: {MESSAGE}\r\n\r\n{message}", self.change)
            .into_bytes()
    }
}

/// The bare loop, as a process of its own.
struct Floor {
    process: Child,
    port: u16,
}

impl Floor {
    fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg("send-floor").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().context("no pipe")?).read_line(&mut line)?;
        let address: std::net::SocketAddr = line.trim().parse().context("the floor does not start")?;
        Ok(Self { process, port: address.port() })
    }

    fn target(&self) -> Target {
        target(self.port)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Debian's nginx with its module nchan, one process: what goes before the `http` block, and what goes into it.
fn nchan() -> Option<(String, impl Fn(u16) -> String)> {
    const MODULE: &str = "usr/lib/nginx/modules/ngx_nchan_module.so";
    let unpacked = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/nginx").join(MODULE);
    let installed = std::path::Path::new("/").join(MODULE);
    let Some(module) = [unpacked, installed].into_iter().find(|path| path.is_file()) else {
        testkit::skip("no nchan beside nginx (scripts/setup nginx)");
        return None;
    };
    // With this module nginx makes its compiled-in folder for bodies too, in one that an installed package would bring.
    if std::fs::create_dir_all("/var/lib/nginx").is_err() {
        testkit::skip("no folder /var/lib/nginx, which nchan makes nginx use");
        return None;
    }
    let preamble = format!("load_module {};\nworker_rlimit_nofile 20000;\n", module.display());
    let http = |port| {
        format!(
            "server {{ listen 127.0.0.1:{port} backlog=4096;\n\
             location = /sub {{ nchan_subscriber eventsource; nchan_channel_id bench; }}\n\
             location = /pub {{ nchan_publisher http; nchan_channel_id bench; nchan_message_buffer_length 1; }}\n}}"
        )
    };
    Some((preamble, http))
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Ours => "livestream",
            Self::Nchan => "nchan",
        }
    }
}

fn progress(round: usize, server: Server, report: &SseReport) -> String {
    let (connections, name, p99) = (report.connections, server.name(), report.delay.p99_ms);
    format!("round {round}, {connections} subscribers, {name}: {:.2} µs per event, p99 {p99:.0} ms", cpu(report))
}

fn cpu(report: &SseReport) -> f64 {
    report.server.as_ref().map_or(f64::NAN, |server| server.cpu_us_per_event)
}

fn tables(extent: &Extent, runs: &[Run], stalled: &[(Server, SseReport)]) -> String {
    let mut text = String::from(
        "| Subscribers | Server | CPU per event | p50 | p99 | Memory per subscriber | CPU per opening | Delivered | Superseded, lost, out of order |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for &connections in &extent.subscribers {
        for server in SERVERS {
            text.push_str(&row(&of(runs, connections, server), connections, server));
        }
    }
    text.push_str(
        "\n| Subscribers | CPU, livestream ÷ floor | CPU, livestream ÷ nchan | p99, livestream ÷ nchan |\n|---:|---:|---:|---:|\n",
    );
    for &connections in &extent.subscribers {
        let ratio =
            |below: Server, figure: fn(&SseReport) -> f64| spread(&ratios(runs, connections, below, figure), 2, "");
        let p99 = |report: &SseReport| report.delay.p99_ms;
        // Writing to a String can't fail, here and below.
        let _ = writeln!(
            text,
            "| {connections} | {} | {} | {} |",
            ratio(Server::Floor, cpu),
            ratio(Server::Nchan, cpu),
            ratio(Server::Nchan, p99)
        );
    }
    text.push_str("\n| 20 readers that never read, 200 updates a second | Bytes queued for one, at most | Kernel memory of its socket, at most |\n|---|---:|---:|\n");
    for (server, report) in stalled {
        let Some(held) = &report.stalled else { continue };
        let kib = |bytes: u64| format!("{:.1} KiB", bytes as f64 / 1024.0);
        let memory = held.most_memory.map_or("–".to_owned(), kib);
        let sent = report.changes as f64 * report.bytes_per_event / 1024.0;
        let _ =
            writeln!(text, "| {}, {sent:.0} KiB sent to each | {} | {memory} |", server.name(), kib(held.most_queued));
    }
    let _ = write!(
        text,
        "\n{} Each figure is the median of {} rounds, with the lowest and the highest.",
        document::measured_on(),
        extent.rounds
    );
    text
}

fn of(runs: &[Run], connections: usize, server: Server) -> Vec<&SseReport> {
    let wanted = runs.iter().filter(|run| run.server == server && run.report.connections == connections);
    wanted.map(|run| &run.report).collect()
}

fn row(reports: &[&SseReport], connections: usize, server: Server) -> String {
    if reports.is_empty() {
        return String::new();
    }
    let figure = |digits, unit, of: &dyn Fn(&SseReport) -> f64| {
        let all: Vec<f64> = reports.iter().map(|report| of(report)).collect();
        spread(&all, digits, unit)
    };
    let used = |report: &SseReport, of: fn(&load::ServerUse) -> f64| report.server.as_ref().map_or(f64::NAN, of);
    let sum = |of: fn(&SseReport) -> u64| reports.iter().map(|report| of(report)).sum::<u64>();
    format!(
        "| {connections} | {}, {:.0} bytes | {} | {} | {} | {} | {} | {} | {}, {}, {} |\n",
        server.name(),
        reports[0].bytes_per_event,
        figure(2, " µs", &cpu),
        figure(0, " ms", &|report| report.delay.p50_ms),
        figure(0, " ms", &|report| report.delay.p99_ms),
        figure(2, " KiB", &|report| used(report, |server| server.resident_kib_per_connection)),
        figure(0, " µs", &|report| used(report, |server| server.cpu_us_per_opening)),
        sum(|report| report.delivered),
        sum(|report| report.superseded),
        sum(|report| report.lost),
        sum(|report| report.out_of_order),
    )
}

/// Of each round: what is ours by what another has.
fn ratios(runs: &[Run], connections: usize, below: Server, figure: fn(&SseReport) -> f64) -> Vec<f64> {
    let found = |server, round| {
        let mut all = runs.iter();
        all.find(|run| run.server == server && run.round == round && run.report.connections == connections)
    };
    let rounds = runs.iter().map(|run| run.round).max().unwrap_or_default();
    let pairs = (1..=rounds).filter_map(|round| found(Server::Ours, round).zip(found(below, round)));
    pairs.map(|(ours, below)| figure(&ours.report) / figure(&below.report)).collect()
}

/// The median, with the lowest and the highest where there are several.
fn spread(values: &[f64], digits: usize, unit: &str) -> String {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(low), Some(high)) = (sorted.first(), sorted.last()) else { return "–".to_owned() };
    let middle = sorted[sorted.len() / 2];
    if sorted.len() == 1 {
        return format!("{middle:.digits$}{unit}");
    }
    format!("{middle:.digits$}{unit} ({low:.digits$}–{high:.digits$})")
}
