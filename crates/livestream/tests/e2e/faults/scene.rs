//! What a fault plays on: streams, subscribers, callers, and something that changes in LiveKit meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::RoomName;
use rooms::{LiveKit, Rooms};
use testkit::{Livestream, SseClient};
use tokio::time::{Instant, sleep};

use super::callers::{Book, Callers};
use super::report;
use crate::world::{assert_versions_rise, create, instance, state, subscribe};

/// Longest wait for everything to be right.
const PATIENCE: Duration = Duration::from_secs(60);

/// Streams that callers find when they begin, to end them one by one.
const TO_END: usize = 20;

/// An instance whose jobs do not let a test wait.
pub(crate) fn quick_instance() -> Livestream {
    instance().with("SWEEP_INTERVAL", 2).with("LOST_GRACE", 2).with("LEASE", 3).with("LOG_LEVEL", "info")
}

/// A fault's streams, and those who look at them.
pub(crate) struct Scene<'a> {
    prefix: String,
    livekit: &'a LiveKit,
    callers: Callers,
    /// Subscribers of the stream that stays, one per instance.
    stays: Vec<SseClient>,
    /// Subscribers of the stream whose room vanishes meanwhile, one per instance.
    vanishes: Vec<SseClient>,
    begun: Option<Instant>,
    ended: Option<Instant>,
    /// Subscribers lose their connection: the instance itself is killed.
    cut: bool,
    /// LiveKit forgets its rooms: streams that nobody is in end with them.
    rooms_are_lost: bool,
}

/// What was seen of a fault.
#[derive(Debug)]
pub(crate) struct Seen {
    /// What callers got meanwhile.
    pub(crate) callers: String,
    /// The slowest answer meanwhile.
    pub(crate) slowest: Duration,
    /// What subscribers saw.
    pub(crate) subscribers: String,
    /// From the end of the fault until everything was right.
    pub(crate) right: Duration,
    /// Acknowledged writes, none of which was lost.
    pub(crate) acknowledged: usize,
}

impl<'a> Scene<'a> {
    /// Streams named after `prefix`, made on the first of `instances`, and watched on all.
    pub(crate) async fn open(prefix: &str, instances: &[&Livestream], livekit: &'a LiveKit) -> Self {
        Self::open_with(prefix, instances, livekit, false).await
    }

    /// The same on an instance that will be killed.
    pub(crate) async fn open_with(
        prefix: &str,
        instances: &[&Livestream],
        livekit: &'a LiveKit,
        is_killed: bool,
    ) -> Self {
        let (stays, vanishes) = (format!("{prefix}-main"), format!("{prefix}-gone"));
        create(instances[0], &stays).await;
        create(instances[0], &vanishes).await;
        for number in 0..TO_END {
            create(instances[0], &format!("{prefix}-end{number}")).await;
        }
        let urls = instances.iter().map(|one| one.url("")).collect();
        let mut scene = Self {
            prefix: prefix.to_owned(),
            livekit,
            callers: Callers::start(urls, prefix, TO_END, is_killed),
            stays: Vec::new(),
            vanishes: Vec::new(),
            begun: None,
            ended: None,
            cut: is_killed,
            rooms_are_lost: false,
        };
        scene.subscribe(instances).await;
        // Everything has been asked once before it goes wrong.
        let begun = Instant::now();
        while !scene.callers.all_served_since(begun) {
            assert!(begun.elapsed() < PATIENCE, "{prefix} does not begin:\n{}", instances[0].log_tail());
            sleep(Duration::from_millis(50)).await;
        }
        scene
    }

    /// Subscribes on these, in place of the subscriptions before.
    pub(crate) async fn subscribe(&mut self, instances: &[&Livestream]) {
        self.stays.clear();
        self.vanishes.clear();
        for instance in instances {
            self.stays.push(subscribe(instance, &format!("{}-main", self.prefix)).await);
            self.vanishes.push(subscribe(instance, &format!("{}-gone", self.prefix)).await);
        }
    }

    /// It goes wrong from now on.
    pub(crate) fn begin(&mut self) {
        self.begun = Some(Instant::now());
    }

    /// The room of one stream vanishes from LiveKit.
    pub(crate) async fn lose_a_room(&self) {
        self.livekit.delete_room(&RoomName::from(format!("{}-gone", self.prefix).as_str())).await.unwrap();
    }

    /// All rooms vanish from LiveKit; into that of the stream that stays somebody comes back.
    pub(crate) fn lose_all_rooms(&mut self) {
        self.rooms_are_lost = true;
    }

    /// It does not go wrong any more.
    pub(crate) fn end(&mut self) {
        self.ended = Some(Instant::now());
    }

    /// Waits until everything is right, and writes the row; what the callers know.
    pub(crate) async fn settle(mut self, place: u32, fault: &str, instances: &[&Livestream]) -> Book {
        let (begun, ended) = (self.begun.unwrap(), self.ended.unwrap());
        let patient = |what: &str| {
            let log = || instances.iter().map(|one| one.log_tail()).collect::<Vec<_>>().join("\n");
            assert!(ended.elapsed() < PATIENCE, "{fault}: {what}\n{}", log());
        };
        while !self.callers.all_served_since(ended) {
            patient("not every call is served again");
            sleep(Duration::from_millis(20)).await;
        }
        let book = self.callers.finish().await;
        loop {
            let Err(what) = self.compare(&book, instances).await else { break };
            patient(&what);
            sleep(Duration::from_millis(50)).await;
        }
        let right = ended.elapsed();
        let all: Vec<&SseClient> = self.stays.iter().chain(&self.vanishes).collect();
        for subscriber in &all {
            assert!(!subscriber.has_ended(), "{fault}: a subscriber was cut");
            assert_versions_rise(subscriber);
        }
        let subscribers =
            if self.cut { "cut; connected again: the newest state" } else { "stay; then the newest state" };
        let (callers, slowest) = book.summary(begun, ended);
        let acknowledged = book.created.len() + book.ended.len();
        report::row(place, fault, &Seen { callers, slowest, subscribers: subscribers.to_owned(), right, acknowledged });
        report::log(place, &instances.iter().map(|one| one.log()).collect::<Vec<_>>().join("\n"));
        book
    }

    /// Whether everything that was acknowledged is there, subscribers see what is stored, and LiveKit has the same rooms.
    async fn compare(&self, book: &Book, instances: &[&Livestream]) -> Result<(), String> {
        let rooms = rooms(self.livekit, &self.prefix).await?;
        for instance in instances {
            let active = active(instance).await?;
            let lost: Vec<_> = book.created.difference(&active).filter(|_| !self.rooms_are_lost).collect();
            let back: Vec<_> = book.ended.intersection(&active).collect();
            if !lost.is_empty() || !back.is_empty() {
                return Err(format!("acknowledged as created and not there: {lost:?}; as ended and there: {back:?}"));
            }
            if rooms != active {
                return Err(format!("active {active:?}, but LiveKit has {rooms:?}"));
            }
        }
        for (instance, subscriber) in instances.iter().zip(&self.stays) {
            let now = state(instance, &format!("{}-main", self.prefix)).await;
            let shown = last(subscriber);
            if now["status"] != "active" || shown["version"] != now["version"] || shown["epoch"] != now["epoch"] {
                return Err(format!("a subscriber sees {shown}, but it is {now}"));
            }
        }
        match self.vanishes.iter().map(last).find(|shown| shown["status"] != "finished") {
            Some(shown) => Err(format!("a stream without a room is shown as {shown}")),
            None => Ok(()),
        }
    }
}

/// Everything acknowledged is there.
pub(crate) async fn assert_kept(instance: &Livestream, book: &Book) {
    let active = active(instance).await.unwrap();
    assert!(!book.created.is_empty() && book.created.is_subset(&active), "{:?} of {active:?}", book.created);
    assert!(book.ended.is_disjoint(&active), "{:?} of {active:?}", book.ended);
}

/// What a subscriber was sent last.
fn last(subscriber: &SseClient) -> serde_json::Value {
    subscriber.states().last().cloned().unwrap_or_default()
}

async fn active(instance: &Livestream) -> Result<BTreeSet<String>, String> {
    let list = instance.get("/streams").await;
    let streams = list.body.as_array().ok_or_else(|| format!("the list is {list:?}"))?;
    Ok(streams.iter().filter_map(|stream| Some(stream["streamId"].as_str()?.to_owned())).collect())
}

async fn rooms(livekit: &LiveKit, prefix: &str) -> Result<BTreeSet<String>, String> {
    let rooms = livekit.list_rooms().await.map_err(|error| format!("LiveKit: {error}"))?;
    let names = rooms.iter().map(|room| room.name.as_str().to_owned());
    Ok(names.filter(|name| name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-'))).collect())
}
