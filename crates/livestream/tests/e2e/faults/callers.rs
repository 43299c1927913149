//! Callers who ask an instance (or several, in turn) all the time and remember every answer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Whoever has no answer by then is hanging.
const HANGS: Duration = Duration::from_secs(8);
/// Between two calls of one caller.
const PAUSE: Duration = Duration::from_millis(200);

/// What a caller does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The state of a stream, and the list of streams.
    Read,
    /// A new subscription to a stream's updates.
    Subscribe,
    /// A token.
    Join,
    /// A new stream.
    Create,
    /// The end of a stream.
    End,
}

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) asked: Instant,
    pub(crate) took: Duration,
    /// `None`: nobody listens there.
    pub(crate) status: Option<u16>,
}

/// What the callers know.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) calls: Vec<Call>,
    /// Streams whose creation was acknowledged; nobody asks for their end.
    pub(crate) created: BTreeSet<String>,
    /// Streams whose end was acknowledged.
    pub(crate) ended: BTreeSet<String>,
    /// Streams that may be ended next.
    to_end: VecDeque<String>,
}

/// The callers; they go home when dropped.
pub(crate) struct Callers {
    book: Arc<Mutex<Book>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// What all callers share.
#[derive(Clone)]
struct Shared {
    client: Client,
    urls: Vec<String>,
    prefix: String,
    turn: Arc<AtomicUsize>,
    book: Arc<Mutex<Book>>,
    stop: CancellationToken,
    /// Nobody may listen for a while: the instance itself is killed.
    may_be_gone: bool,
}

impl Callers {
    /// Starts them on instances at `urls`, about the stream `<prefix>-main` and others of that
    /// prefix, of which `<prefix>-end0` and so on up to `to_end` are there.
    pub(crate) fn start(urls: Vec<String>, prefix: &str, to_end: usize, may_be_gone: bool) -> Self {
        let to_end = (0..to_end).map(|number| format!("{prefix}-end{number}")).collect();
        let book = Arc::new(Mutex::new(Book { to_end, ..Book::default() }));
        let stop = CancellationToken::new();
        let shared = Shared {
            client: Client::builder().pool_max_idle_per_host(0).build().unwrap(),
            urls,
            prefix: prefix.to_owned(),
            turn: Arc::default(),
            book: book.clone(),
            stop: stop.clone(),
            may_be_gone,
        };
        let mut tasks = JoinSet::new();
        for kind in [Kind::Read, Kind::Subscribe, Kind::Join, Kind::Create, Kind::End] {
            tasks.spawn(shared.clone().keep_asking(kind));
        }
        Self { book, stop, tasks }
    }

    /// Whether every kind of call made after `since` has succeeded once.
    pub(crate) fn all_served_since(&self, since: Instant) -> bool {
        let book = self.book.lock();
        let served = |kind| book.calls.iter().any(|c| c.kind == kind && c.asked >= since && c.is_served());
        [Kind::Read, Kind::Subscribe, Kind::Join, Kind::Create, Kind::End].into_iter().all(served)
    }

    /// Lets them finish their calls; what they know.
    pub(crate) async fn finish(&mut self) -> Book {
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            if let Err(error) = done {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        std::mem::take(&mut *self.book.lock())
    }
}

impl Call {
    pub(crate) fn is_served(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl Shared {
    async fn keep_asking(self, kind: Kind) {
        let mut number = 0;
        while !self.stop.is_cancelled() {
            number += 1;
            match kind {
                Kind::Read if number % 2 == 0 => drop(self.ask(kind, Method::GET, "/streams", None).await),
                Kind::Read => {
                    let path = format!("/streams/{}-main/state", self.prefix);
                    self.ask(kind, Method::GET, &path, None).await;
                }
                Kind::Subscribe => {
                    let path = format!("/sse/{}-main/updates", self.prefix);
                    self.ask(kind, Method::GET, &path, None).await;
                }
                Kind::Join => {
                    let path = format!("/streams/{}-main/join", self.prefix);
                    self.ask(kind, Method::POST, &path, Some(json!({"userId": "ann"}))).await;
                }
                Kind::Create => self.create(number).await,
                Kind::End => self.end().await,
            }
            sleep(PAUSE).await;
        }
    }

    async fn create(&self, number: usize) {
        let name = format!("{}-{number}", self.prefix);
        let answer = self.ask(Kind::Create, Method::POST, "/streams", Some(json!({"name": name}))).await;
        if matches!(answer, Some(200 | 201)) {
            self.book.lock().created.insert(name);
        }
    }

    /// Ends one of the streams made for it; when there is none any more, one that never was.
    async fn end(&self) {
        let name = self.book.lock().to_end.pop_front();
        let path = name.clone().unwrap_or_else(|| format!("{}-none", self.prefix));
        let answer = self.ask(Kind::End, Method::DELETE, &format!("/streams/{path}"), None).await;
        if let (Some(204), Some(name)) = (answer, name) {
            self.book.lock().ended.insert(name);
        }
    }

    /// One call: served, or refused in the one way that is allowed.
    async fn ask(&self, kind: Kind, method: Method, path: &str, body: Option<Value>) -> Option<u16> {
        let url = format!("{}{path}", self.urls[self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len()]);
        let request = self.client.request(method.clone(), &url);
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        let asked = Instant::now();
        let exchange = async {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            // A subscription goes on for ever; all others are read to their end.
            let text = if kind == Kind::Subscribe && status == 200 { String::new() } else { response.text().await? };
            Ok::<_, reqwest::Error>((status, headers, text))
        };
        let answer = timeout(HANGS, exchange).await.unwrap_or_else(|_| panic!("{method} {path} hangs"));
        let took = asked.elapsed();
        let status = match answer {
            Ok((status, headers, text)) => {
                let refused = status == 503 && headers.contains_key("retry-after");
                assert!(refused || (200..300).contains(&status), "{method} {path}: {status} {headers:?} {text}");
                Some(status)
            }
            Err(_) if self.may_be_gone => None,
            Err(error) => panic!("{method} {path}: {error:?}"),
        };
        self.book.lock().calls.push(Call { kind, asked, took, status });
        status
    }
}

impl Book {
    /// What callers got between two moments, in words, and the slowest answer.
    pub(crate) fn summary(&self, from: Instant, to: Instant) -> (String, Duration) {
        let during: Vec<&Call> = self.calls.iter().filter(|c| c.asked >= from && c.asked <= to).collect();
        let mut words: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (kind, name) in [
            (Kind::Read, "reads"),
            (Kind::Subscribe, "subscribing"),
            (Kind::Join, "joins"),
            (Kind::Create, "creates"),
            (Kind::End, "ends"),
        ] {
            words.entry(outcome(during.iter().filter(|c| c.kind == kind))).or_default().push(name);
        }
        let text = match words.len() {
            1 => format!("all: {}", words.keys().next().cloned().unwrap_or_default()),
            _ => words.iter().map(|(what, who)| format!("{}: {what}", who.join(", "))).collect::<Vec<_>>().join("; "),
        };
        (text, during.iter().map(|call| call.took).max().unwrap_or_default())
    }
}

fn outcome<'a>(calls: impl Iterator<Item = &'a &'a Call> + Clone) -> String {
    let (mut served, mut refused, mut gone) = (0, 0, 0);
    for call in calls {
        match call.status {
            Some(503) => refused += 1,
            Some(_) => served += 1,
            None => gone += 1,
        }
    }
    match (served, refused, gone) {
        (_, 0, 0) => "served".to_owned(),
        (0, _, 0) => "503".to_owned(),
        (_, 0, _) => "nobody listens until it is back".to_owned(),
        (_, _, 0) => "some served, some 503".to_owned(),
        _ => "nobody listens, or 503".to_owned(),
    }
}
