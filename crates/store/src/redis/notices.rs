//! Notices by Pub/Sub: a connection of its own, subscribed to what is watched here and to nothing else.
//!
//! It comes back by itself with a growing pause, subscribes again, and then
//! sends [`NoticeEvent::Gap`]: what was published meanwhile is lost.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use domain::Notice;
use futures_util::StreamExt;
use parking_lot::Mutex;
use redis::aio::{PubSubSink, PubSubStream};
use redis::{Client, Msg};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use crate::feed::Feed;
use crate::{NoticeEvent, StoreError, Watch};

use super::connection::{DEADLINE, within};
use super::layout::Layout;

/// Requests that wait for the connection; more wait with their callers.
const QUEUE: usize = 1024;
/// Most channels named in one command.
const MAX_BATCH: usize = 500;
/// A connection over which nothing comes back for longer is given up.
const PING: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
const OPERATION: &str = "watch";

/// The receiver's queue and the way to the connection.
#[derive(Debug)]
pub(super) struct Notices {
    /// The receiver's queue.
    pub(super) feed: Arc<Feed>,
    layout: Layout,
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Starts or stops hearing of a channel.
#[derive(Debug)]
struct Request {
    channel: String,
    on: bool,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Notices {
    /// Starts the connection's task.
    pub(super) fn start(client: Client, layout: Layout) -> Self {
        let feed = Arc::new(Feed::default());
        let (requests, receiver) = mpsc::channel(QUEUE);
        let subscriber = Subscriber {
            client,
            lobby: layout.lobby_channel(),
            feed: feed.clone(),
            requests: receiver,
            wanted: HashSet::new(),
        };
        let task = tokio::spawn(subscriber.run());
        Self { feed, layout, requests: Mutex::new(Some(requests)), task: Mutex::new(Some(task)) }
    }

    /// Starts or stops hearing of `what`; returns when Redis has confirmed it.
    pub(super) async fn watch(&self, what: Watch<'_>, on: bool) -> Result<(), StoreError> {
        let channel = match what {
            Watch::Lobby => self.layout.lobby_channel(),
            Watch::Stream(id) => self.layout.channel(id),
        };
        let requests = self.requests.lock().clone().ok_or_else(|| StoreError::closed(OPERATION))?;
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            let request = Request { channel, on, answer };
            requests.send(request).await.map_err(|_| StoreError::closed(OPERATION))?;
            answered.await.map_err(|_| StoreError::closed(OPERATION))?
        };
        timeout(DEADLINE, exchange).await.unwrap_or_else(|_| Err(StoreError::late(OPERATION)))
    }

    /// Ends the task; the receiver ends too.
    pub(super) async fn close(&self) {
        *self.requests.lock() = None;
        let task = self.task.lock().take();
        if let Some(task) = task {
            // It ends by itself when nobody can ask anything more; while Redis hangs it is ended.
            let abort = task.abort_handle();
            if timeout(DEADLINE, task).await.is_err() {
                abort.abort();
            }
        }
        self.feed.close();
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
    }
}

/// The task that owns the connection.
struct Subscriber {
    client: Client,
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
    /// Something was published; `None`: the connection is lost.
    Published(Option<Msg>),
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
            if let Ok((sink, stream)) = self.connect().await {
                pause = FIRST_PAUSE;
                if lost {
                    tracing::info!("hearing of changes from Redis again");
                    self.feed.send(NoticeEvent::Gap);
                }
                if matches!(self.serve(sink, stream).await, Left::Closed) {
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
    async fn connect(&self) -> Result<(PubSubSink, PubSubStream), StoreError> {
        let connection = within(OPERATION, self.client.get_async_pubsub()).await?;
        let (mut sink, stream) = connection.split();
        let wanted: Vec<&String> = self.wanted.iter().collect();
        for channels in wanted.chunks(MAX_BATCH) {
            within(OPERATION, sink.subscribe(channels)).await?;
        }
        Ok((sink, stream))
    }

    async fn serve(&mut self, mut sink: PubSubSink, mut stream: PubSubStream) -> Left {
        let mut ticks = interval(PING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                request = self.requests.recv() => Event::Asked(request),
                message = stream.next() => Event::Published(message),
                _ = ticks.tick() => Event::Ping,
            };
            let alive = match event {
                Event::Asked(None) => return Left::Closed,
                Event::Asked(Some(first)) => self.carry_out(&mut sink, first).await,
                Event::Published(None) => false,
                Event::Published(Some(message)) => {
                    self.tell(&message);
                    true
                }
                Event::Ping => within(OPERATION, sink.ping::<redis::Value>()).await.is_ok(),
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
                    Some(request) if request.on => reply(request, Err(())),
                    Some(request) => {
                        self.wanted.remove(&request.channel);
                        reply(request, Ok(()));
                    }
                },
            }
        }
    }

    /// Carries out a request together with those that wait behind it.
    async fn carry_out(&mut self, sink: &mut PubSubSink, first: Request) -> bool {
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
        let done = subscribe(sink, &on, &off).await;
        if done.is_ok() {
            self.wanted.extend(on.into_iter().map(str::to_owned));
        }
        for channel in off {
            self.wanted.remove(channel);
        }
        for request in batch {
            reply(request, done);
        }
        done.is_ok()
    }

    fn tell(&self, message: &Msg) {
        match serde_json::from_slice::<Notice>(message.get_payload_bytes()) {
            Ok(notice) if message.get_channel_name() == self.lobby => self.feed.send(NoticeEvent::Lobby(notice)),
            Ok(notice) => self.feed.send(NoticeEvent::Stream(notice)),
            Err(error) => {
                tracing::warn!(%error, "a notice from Redis can't be read");
                self.feed.send(NoticeEvent::Gap);
            }
        }
    }
}

async fn subscribe(sink: &mut PubSubSink, on: &[&str], off: &[&str]) -> Result<(), ()> {
    if !on.is_empty() {
        within(OPERATION, sink.subscribe(on)).await.map_err(drop)?;
    }
    if !off.is_empty() {
        within(OPERATION, sink.unsubscribe(off)).await.map_err(drop)?;
    }
    Ok(())
}

/// Answers; whoever has gone meanwhile is not waiting for it.
fn reply(request: Request, done: Result<(), ()>) {
    let away = |()| StoreError::new(crate::ErrorKind::Unavailable, OPERATION, "Redis is away");
    drop(request.answer.send(done.map_err(away)));
}
