//! Coming back: subscribers that are cut at random end with the last state, and see no version fall.
//!
//! States change all the time, on all instances, and one instance is killed and started again meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use testkit::{RedisCluster, RedisServer};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::fleet::{Backend, Event, Fleet, Person, Reader, name};

const CLIENTS: usize = 1_000;
const STREAMS: usize = 40;
const CHANGERS: usize = 4;
/// So long states change.
const CHANGES: Duration = Duration::from_secs(5);
/// Longest connection, and longest pause between two.
const CONNECTED: Duration = Duration::from_millis(2_500);
const AWAY: Duration = Duration::from_millis(800);
/// Longest wait for the last state.
const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_resume_on_the_embedded_store() {
    resume(Backend::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_resume_on_redis() {
    let Some(redis) = RedisServer::start().await else { return };
    resume(Backend::Redis(redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_resume_on_a_redis_cluster() {
    let Some(cluster) = RedisCluster::start().await else { return };
    resume(Backend::Cluster(cluster)).await;
}

async fn resume(backend: Backend) {
    let mut fleet = Fleet::start(backend, STREAMS).await;
    let ports: Arc<[u16]> = fleet.ports().into();
    let (over, cuts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client { number, ports: ports.clone(), last: None };
        clients.spawn(client.come_and_go(over.clone(), cuts.clone()));
    }
    let mut changers = JoinSet::new();
    for number in 0..CHANGERS {
        changers.spawn(change(number, ports.clone(), Instant::now() + CHANGES));
    }
    sleep(CHANGES / 3).await;
    let restarted = fleet.instances.last_mut().unwrap();
    restarted.kill();
    sleep(CHANGES / 10).await;
    restarted.start().await;
    let mut changes = 0;
    while let Some(count) = changers.join_next().await {
        changes += count.unwrap();
    }
    over.store(true, Ordering::Release);

    let mut lasts = Vec::new();
    for stream in 0..STREAMS {
        lasts.push(fleet.instances[0].get(&format!("/streams/{}/state", name(stream))).await.body);
    }
    let (lasts, mut ended) = (Arc::new(lasts), 0);
    let mut finals = JoinSet::new();
    while let Some(client) = clients.join_next().await {
        finals.spawn(client.unwrap().end_with(lasts.clone()));
    }
    while let Some(done) = finals.join_next().await {
        done.unwrap();
        ended += 1;
    }
    let cuts = cuts.load(Ordering::Relaxed);
    assert_eq!(ended, CLIENTS);
    // It was a real run: nearly everybody was cut, and every stream changed often.
    assert!(cuts > CLIENTS && changes > STREAMS * 5, "{cuts} cuts, {changes} changes");
    eprintln!("{changes} changes, {cuts} cuts");
}

/// One subscriber, through all its connections.
struct Client {
    number: usize,
    ports: Arc<[u16]>,
    last: Option<Event>,
}

impl Client {
    /// Connects, is cut, stays away, until nothing changes any more.
    async fn come_and_go(mut self, over: Arc<AtomicBool>, cuts: Arc<AtomicUsize>) -> Self {
        sleep(part_of(AWAY)).await;
        while !over.load(Ordering::Acquire) {
            let until = Instant::now() + part_of(CONNECTED);
            if let Ok(Some(mut reader)) = timeout_at(until, self.connect()).await {
                while let Ok(Some(event)) = timeout_at(until, reader.next()).await {
                    self.see(event);
                }
                cuts.fetch_add(1, Ordering::Relaxed);
            }
            sleep(part_of(AWAY)).await;
        }
        self
    }

    /// Connects once more and stays until it has the last state.
    async fn end_with(mut self, lasts: Arc<Vec<serde_json::Value>>) {
        let stream = self.number % STREAMS;
        let is_last = |last: &Option<Event>| last.as_ref().is_some_and(|event| event.json() == lasts[stream]);
        let there = timeout(PATIENCE, async {
            while !is_last(&self.last) {
                let Some(mut reader) = self.connect().await else {
                    sleep(Duration::from_millis(20)).await;
                    continue;
                };
                while !is_last(&self.last) {
                    let Some(event) = reader.next().await else { break };
                    self.see(event);
                }
            }
        });
        let there = there.await.is_ok();
        assert!(there, "client {} ended with {:?} instead of {}", self.number, self.last, lasts[stream]);
    }

    /// Half say in a header what they saw last, half in the query.
    async fn connect(&self) -> Option<Reader> {
        let path = format!("/sse/{}/updates", name(self.number % STREAMS));
        let port = self.ports[rand::random_range(0..self.ports.len())];
        match &self.last {
            None => Reader::open(port, &path, "").await,
            Some(last) if self.number.is_multiple_of(2) => {
                Reader::open(port, &path, &format!("Last-Event-ID: {}\r\n", last.id)).await
            }
            Some(last) => Reader::open(port, &format!("{path}?lastEventId={}", last.id), "").await,
        }
    }

    fn see(&mut self, event: Event) {
        let (epoch, version) = event.position();
        if let Some((last_epoch, last_version)) = self.last.as_ref().map(Event::position) {
            assert_eq!(epoch, last_epoch, "client {}", self.number);
            assert!(version > last_version, "client {} saw {version} after {last_version}", self.number);
        }
        self.last = Some(event);
    }
}

/// People come and go, in streams of this changer's own so that nothing is left undecided by a lost answer.
async fn change(number: usize, ports: Arc<[u16]>, until: Instant) -> usize {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let (mut there, mut changes) = (Vec::new(), 0);
    while Instant::now() < until {
        let stream = rand::random_range(0..STREAMS / CHANGERS) * CHANGERS + number;
        let person = Person::new();
        person.joins(stream).send(&client, &ports).await;
        there.push((stream, person));
        if there.len() > STREAMS {
            let (stream, person) = there.swap_remove(rand::random_range(0..there.len()));
            person.leaves(stream).send(&client, &ports).await;
            changes += 1;
        }
        changes += 1;
        sleep(Duration::from_millis(10)).await;
    }
    changes
}

fn part_of(longest: Duration) -> Duration {
    longest.mul_f64(rand::random_range(0.0..1.0))
}
