//! Notices by Pub/Sub: connections of their own, subscribed to what is watched here and to nothing else.
//!
//! One connection for a server, one for each partition of a cluster. Each comes
//! back by itself with a growing pause, subscribes again, and then sends
//! [`NoticeEvent::Gap`]: what was published meanwhile is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::Notice;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::feed::Feed;
use crate::{NoticeEvent, Partition, StoreError, Watch};

use super::connection::{DEADLINE, within};
use super::layout::Layout;
use super::subscription::{Heard, Place, Subscription};

/// Requests that wait for a connection; more wait with their callers.
const QUEUE: usize = 1024;
/// Most channels named at once.
const MAX_BATCH: usize = 500;
/// A connection over which nothing comes back for longer is given up.
const PING: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const OPERATION: &str = "watch";

/// The receiver's queue and the ways to what is published.
#[derive(Debug)]
pub(super) struct Notices {
    /// The receiver's queue.
    pub(super) feed: Arc<Feed>,
    layout: Layout,
    /// The server's, or one for each partition of a cluster.
    ways: Vec<Way>,
}

/// The way to one connection.
#[derive(Debug)]
struct Way {
    /// The channel on which the lobby's notices come this way.
    lobby: String,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Starts or stops hearing of a channel.
#[derive(Debug)]
struct Request {
    channel: String,
    on: bool,
    /// Even if it can't be had now it is wanted, and is there, after a gap, when the connection is.
    keep: bool,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Notices {
    /// Starts a task for every place: one, or as many as there are partitions, in their order.
    pub(super) fn start(places: Vec<Place>, layout: Layout) -> Self {
        let feed = Arc::new(Feed::default());
        let ways = places
            .into_iter()
            .zip(Partition::all())
            .map(|(place, partition)| Way::start(place, layout.lobby_channel(partition), feed.clone()))
            .collect();
        Self { feed, layout, ways }
    }

    /// Starts or stops hearing of `what`; returns when Redis has confirmed it.
    pub(super) async fn watch(&self, what: Watch<'_>, on: bool) -> Result<(), StoreError> {
        match what {
            Watch::Lobby => self.watch_lobby(on).await,
            Watch::Stream(id) => {
                let at = usize::from(Partition::of(id).number()) % self.ways.len().max(1);
                let Some(way) = self.ways.get(at) else { return Err(StoreError::closed(OPERATION)) };
                way.watch(self.layout.channel(id), on, false).await
            }
        }
    }

    /// A partition of a cluster whose node is away has no commits to tell of; a gap will be told when it is back.
    async fn watch_lobby(&self, on: bool) -> Result<(), StoreError> {
        let several = self.ways.len() > 1;
        let answers = join_all(self.ways.iter().map(|way| way.watch(way.lobby.clone(), on, several))).await;
        if answers.iter().any(Result::is_ok) {
            return Ok(());
        }
        if on && several {
            // Nobody is told, so nothing is to be kept.
            join_all(self.ways.iter().map(|way| way.watch(way.lobby.clone(), false, false))).await;
        }
        answers.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    }

    /// Ends the tasks; the receiver ends too.
    pub(super) async fn close(&self) {
        join_all(self.ways.iter().map(Way::close)).await;
        self.feed.close();
    }
}

impl Way {
    fn start(place: Place, lobby: String, feed: Arc<Feed>) -> Self {
        let (requests, receiver) = mpsc::channel(QUEUE);
        let subscriber = Subscriber { place, lobby: lobby.clone(), feed, requests: receiver, wanted: HashSet::new() };
        let task = tokio::spawn(subscriber.run());
        Self { lobby, requests: Mutex::new(Some(requests)), task: Mutex::new(Some(task)) }
    }

    async fn watch(&self, channel: String, on: bool, keep: bool) -> Result<(), StoreError> {
        let requests = self.requests.lock().clone().ok_or_else(|| StoreError::closed(OPERATION))?;
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            let request = Request { channel, on, keep, answer };
            requests.send(request).await.map_err(|_| StoreError::closed(OPERATION))?;
            answered.await.map_err(|_| StoreError::closed(OPERATION))?
        };
        timeout(DEADLINE, exchange).await.unwrap_or_else(|_| Err(StoreError::late(OPERATION)))
    }

    async fn close(&self) {
        *self.requests.lock() = None;
        let task = self.task.lock().take();
        if let Some(task) = task {
            // It ends by itself when nobody can ask anything more; while Redis hangs it is ended.
            let abort = task.abort_handle();
            if timeout(DEADLINE, task).await.is_err() {
                abort.abort();
            }
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

/// The task that owns a connection.
struct Subscriber {
    place: Place,
    lobby: String,
    feed: Arc<Feed>,
    requests: mpsc::Receiver<Request>,
    /// Channels that are, or will be again, subscribed.
    wanted: HashSet<String>,
}

/// What the task is woken by.
enum Event {
    /// Somebody asks; `None`: nobody ever will again.
    Asked(Option<Request>),
    /// Something came.
    Heard(Heard),
    /// Time to see whether the connection still lives.
    Ping,
}

/// Why a connection was left.
enum Left {
    /// It was lost.
    Lost,
    /// The store closes.
    Closed,
}

impl Subscriber {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        let mut lost = false;
        loop {
            // What is wanted already was asked for while there was no connection.
            lost |= !self.wanted.is_empty();
            if let Ok(subscription) = self.connect().await {
                pause = FIRST_PAUSE;
                if lost {
                    tracing::info!("hearing of changes from Redis again");
                    self.feed.send(NoticeEvent::Gap);
                }
                if matches!(self.serve(subscription).await, Left::Closed) {
                    return;
                }
                tracing::warn!("the connection for changes from Redis is lost");
                lost = true;
            }
            if matches!(self.wait(pause.mul_f64(rand::random_range(0.5..1.0))).await, Left::Closed) {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Connects and subscribes to everything wanted.
    async fn connect(&mut self) -> Result<Subscription, StoreError> {
        let mut subscription = within(OPERATION, self.place.connect()).await?;
        let wanted: Vec<&str> = self.wanted.iter().map(String::as_str).collect();
        for channels in wanted.chunks(MAX_BATCH) {
            within(OPERATION, subscription.subscribe(channels)).await?;
        }
        Ok(subscription)
    }

    async fn serve(&mut self, mut subscription: Subscription) -> Left {
        let mut ticks = interval(PING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                request = self.requests.recv() => Event::Asked(request),
                heard = subscription.next() => Event::Heard(heard),
                _ = ticks.tick() => Event::Ping,
            };
            let alive = match event {
                Event::Asked(None) => return Left::Closed,
                Event::Asked(Some(first)) => self.carry_out(&mut subscription, first).await,
                Event::Heard(heard) => self.tell(heard),
                Event::Ping => {
                    if subscription.has_missed() {
                        self.feed.send(NoticeEvent::Gap);
                    }
                    within(OPERATION, subscription.ping()).await.is_ok()
                }
            };
            if !alive {
                return Left::Lost;
            }
        }
    }

    /// While there is no connection every wish to hear is refused; not to hear can be had at once.
    async fn wait(&mut self, pause: Duration) -> Left {
        let until = Instant::now() + pause;
        loop {
            tokio::select! {
                () = sleep_until(until) => return Left::Lost,
                request = self.requests.recv() => match request {
                    None => return Left::Closed,
                    Some(request) if request.on => {
                        if request.keep {
                            self.wanted.insert(request.channel.clone());
                        }
                        reply(request, Err(()));
                    }
                    Some(request) => {
                        self.wanted.remove(&request.channel);
                        reply(request, Ok(()));
                    }
                },
            }
        }
    }

    /// Carries out a request together with those that wait behind it.
    async fn carry_out(&mut self, subscription: &mut Subscription, first: Request) -> bool {
        let mut batch = vec![first];
        while batch.len() < MAX_BATCH
            && let Ok(next) = self.requests.try_recv()
        {
            batch.push(next);
        }
        let mut last: Vec<(&str, bool)> = Vec::new();
        let mut seen = HashSet::new();
        for request in batch.iter().rev() {
            if seen.insert(request.channel.as_str()) {
                last.push((&request.channel, request.on));
            }
        }
        let chosen = |on: bool| -> Vec<&str> { last.iter().filter(|(_, o)| *o == on).map(|(c, _)| *c).collect() };
        let (on, off) = (chosen(true), chosen(false));
        let done = change(subscription, &on, &off).await;
        let kept = |channel: &str| batch.iter().any(|request| request.keep && request.channel == channel);
        self.wanted.extend(on.into_iter().filter(|channel| done.is_ok() || kept(channel)).map(str::to_owned));
        for channel in off {
            self.wanted.remove(channel);
        }
        for request in batch {
            reply(request, done);
        }
        done.is_ok()
    }

    /// Passes on what was heard; `false` when nothing more will be.
    fn tell(&self, heard: Heard) -> bool {
        match heard {
            Heard::Lost => return false,
            Heard::Missed => self.feed.send(NoticeEvent::Gap),
            Heard::Message { channel, payload } => match serde_json::from_slice::<Notice>(&payload) {
                Ok(notice) if channel == self.lobby.as_bytes() => self.feed.send(NoticeEvent::Lobby(notice)),
                Ok(notice) => self.feed.send(NoticeEvent::Stream(notice)),
                Err(error) => {
                    tracing::warn!(%error, "a notice from Redis can't be read");
                    self.feed.send(NoticeEvent::Gap);
                }
            },
        }
        true
    }
}

async fn change(subscription: &mut Subscription, on: &[&str], off: &[&str]) -> Result<(), ()> {
    if !on.is_empty() {
        within(OPERATION, subscription.subscribe(on)).await.map_err(drop)?;
    }
    if !off.is_empty() {
        within(OPERATION, subscription.unsubscribe(off)).await.map_err(drop)?;
    }
    Ok(())
}

/// Answers; whoever has gone meanwhile is not waiting for it.
fn reply(request: Request, done: Result<(), ()>) {
    let away = |()| StoreError::new(crate::ErrorKind::Unavailable, OPERATION, "Redis is away");
    drop(request.answer.send(done.map_err(away)));
}
