//! What only the Redis store has: a server that may hang, die, fill up or refuse, and records that expire there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use domain::{EventId, Kind, Phase};
use store::{
    Commit, Committed, Concern, Durability, ErrorKind, ListQuery, MetaKey, NoticeEvent, Partition, RedisConfig,
    RedisStore, Store, StoreError, Watch,
};
use testkit::RedisServer;
use tokio::time::timeout;

#[path = "conformance/driver.rs"]
#[expect(dead_code, reason = "the suite uses all of it, this file a part")]
mod driver;

mod cluster;

use driver::{Driver, commit, id, joined, sid};

const PREFIX: &str = "test";

fn config(url: &str) -> RedisConfig {
    RedisConfig { url: url.to_owned(), prefix: PREFIX.to_owned() }
}

async fn open(server: &RedisServer) -> Arc<dyn Store> {
    Arc::new(RedisStore::connect(config(&server.url())).await.unwrap())
}

async fn refused(url: &str) -> StoreError {
    let connect = timeout(Duration::from_secs(4), RedisStore::connect(config(url)));
    connect.await.expect("it fails in time").expect_err("it is refused")
}

/// A key of one stream's.
fn key(what: &str, name: &str) -> String {
    format!("{{{PREFIX}:{:02}}}:{what}:{name}", Partition::of(&id(name)).number())
}

fn key_of_partition(what: &str, name: &str) -> String {
    format!("{{{PREFIX}:{:02}}}:{what}", Partition::of(&id(name)).number())
}

/// The number in an answer like `:7`.
fn number(answer: &str) -> i64 {
    answer.trim().trim_start_matches(':').parse().unwrap()
}

/// How often the server has read from a connection: one for each round trip.
async fn round_trips(server: &RedisServer) -> u64 {
    let info = server.command(&["INFO", "stats"]).await;
    let line = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:")).unwrap();
    line.trim().parse().unwrap()
}

/// The round trips of one `call`. Made often, so that the few of measuring and of keeping connections do not count.
async fn cost(server: &RedisServer, call: impl AsyncFn(u64)) -> u64 {
    const CALLS: u64 = 30;
    let before = round_trips(server).await;
    for n in 0..CALLS {
        call(n).await;
    }
    (round_trips(server).await - before) / CALLS
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_and_committing_are_one_round_trip_each() {
    let Some(server) = RedisServer::start_volatile().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let gold = id("gold");
    driver.create(&gold).await;
    driver.join(&gold, "ada", "PA_0").await;
    let (sid, who, event) = (sid("PA_1"), driver::identity("ada"), EventId("EV_x".to_owned()));
    let concern = Concern { sid: Some(&sid), identity: Some(&who), event: Some(&event) };
    let loading = cost(&server, async |_| {
        assert_eq!(store.load(&gold, concern).await.unwrap().identity_sids.len(), 1);
    });
    assert_eq!(loading.await, 1);
    let both = cost(&server, async |n| {
        let kind = joined("ada", &format!("PA_1{n}"), Kind::Standard);
        let event = EventId(format!("EV_{n}"));
        // Loads, decides and commits: what a webhook costs.
        assert_eq!(driver.apply(&gold, kind, Some(&event)).await, Committed::Done);
    });
    assert_eq!(both.await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_on_an_instance_that_handles_the_stream_is_one_round_trip() {
    let Some(server) = RedisServer::start_volatile().await else { return };
    let (store, other) = (open(&server).await, open(&server).await);
    let (driver, elsewhere) = (Driver::new(&store), Driver::new(&other));
    let gold = id("gold");
    driver.create(&gold).await;
    let usual = cost(&server, async |n| {
        let (who, connection) = (format!("u{n}"), format!("PA_{n}"));
        let event = EventId(format!("EV_{n}"));
        let kind = joined(&who, &connection, Kind::Standard);
        assert_eq!(driver.apply_on_belief(&gold, kind, Some(&event)).await, Committed::Done);
        let (sid, identity) = (sid(&connection), driver::identity(&who));
        let track = domain::TrackSid::from(format!("TR_{n}"));
        let kind = domain::RoomEventKind::TrackPublished { sid, identity, track };
        assert_eq!(driver.apply_on_belief(&gold, kind, None).await, Committed::Done);
    });
    assert_eq!(usual.await, 2, "two events");
    // Somebody else's change in between costs one more, and no wrong step.
    let taking_turns = cost(&server, async |n| {
        for (at, driver) in [&driver, &elsewhere].into_iter().enumerate() {
            let kind = joined(&format!("v{n}"), &format!("PA_v{n}_{at}"), Kind::Standard);
            assert_eq!(driver.apply_on_belief(&gold, kind, None).await, Committed::Done);
        }
    });
    assert_eq!(taking_turns.await, 4, "two events");
    assert_eq!(driver.head(&gold).await.people, 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_cost_the_same_however_many_streams_there_are() {
    let Some(server) = RedisServer::start_volatile().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let query = ListQuery { phases: Phase::ACTIVE.to_vec(), limit: 50, cursor: None, hidden: false };
    for streams in [0..100, 100..1000] {
        for n in streams.clone() {
            driver.create(&id(&format!("s{n}"))).await;
        }
        let listing = cost(&server, async |_| assert_eq!(store.list(&query).await.unwrap().items.len(), 50));
        assert_eq!(listing.await, 2, "{streams:?}");
        let summing = cost(&server, async |_| assert!(store.totals().await.unwrap().streams >= 100));
        assert_eq!(summing.await, 1, "{streams:?}");
    }
    let reading = cost(&server, async |_| assert!(store.load_state(&id("s1")).await.unwrap().is_some()));
    assert_eq!(reading.await, 1);
    let statistics = server.command(&["INFO", "commandstats"]).await;
    assert!(!statistics.contains("cmdstat_keys") && !statistics.contains("cmdstat_scan"), "{statistics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_that_the_server_forgot_are_sent_again() {
    let Some(server) = RedisServer::start_volatile().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let gold = id("gold");
    driver.create(&gold).await;
    let flush = async || assert_eq!(server.command(&["SCRIPT", "FLUSH"]).await, "+OK\r\n");
    flush().await;
    driver.join(&gold, "ada", "PA_1").await;
    flush().await;
    let query = ListQuery { phases: vec![Phase::Waiting], limit: 5, cursor: None, hidden: false };
    assert_eq!(store.list(&query).await.unwrap().items.len(), 1);
    flush().await;
    assert_eq!(store.people(&gold, 5, None).await.unwrap().items.len(), 1);
    flush().await;
    assert!(store.lease(Partition::of(&gold), "a", Duration::from_secs(1)).await.unwrap().is_some());
    flush().await;
    store.swap_meta(MetaKey::Deployment, None, "d").await.unwrap();
}

/// Every call fails, with `Unavailable`, in time.
async fn all_calls_fail(store: &Arc<dyn Store>, decision: &domain::Decision) {
    let gold = id("gold");
    let (partition, ttl) = (Partition::of(&gold), Duration::from_secs(1));
    let query = ListQuery { phases: vec![Phase::Waiting], limit: 5, cursor: None, hidden: false };
    let first = async {
        tokio::join!(
            async { store.ping().await.unwrap_err() },
            async { store.load(&gold, Concern::default()).await.unwrap_err() },
            async { store.load_many(std::slice::from_ref(&gold)).await.unwrap_err() },
            async { store.load_full(&gold).await.unwrap_err() },
            async { store.load_state(&gold).await.unwrap_err() },
            async { store.people(&gold, 5, None).await.unwrap_err() },
            async { store.gone(&gold, &[sid("PA_1")]).await.unwrap_err() },
            async { store.commit(&gold, commit(decision)).await.unwrap_err() },
        )
    };
    let second = async {
        tokio::join!(
            async { store.list(&query).await.unwrap_err() },
            async { store.totals().await.unwrap_err() },
            async { store.due(partition, store.now(), 5).await.unwrap_err() },
            async { store.forget(&gold).await.unwrap_err() },
            async { store.lease(partition, "a", ttl).await.unwrap_err() },
            async { store.meta(MetaKey::Deployment).await.unwrap_err() },
            async { store.watch(Watch::Stream(&id("new")), true).await.unwrap_err() },
        )
    };
    // All run at once: what takes longer than this has not kept its promise of two seconds.
    let calls = async { tokio::join!(first, second) };
    let (first, second) = timeout(Duration::from_secs(3), calls).await.expect("calls fail in time");
    for error in <[StoreError; 8]>::from(first).into_iter().chain(<[StoreError; 7]>::from(second)) {
        assert_eq!(error.kind, ErrorKind::Unavailable, "{error:?}");
        assert!(error.is_retryable());
    }
}

/// Waits until a call works again.
async fn recovered(store: &Arc<dyn Store>) {
    let working = async {
        while store.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(20), working).await.expect("the store recovers");
}

async fn next(notices: &mut tokio::sync::mpsc::Receiver<NoticeEvent>) -> NoticeEvent {
    timeout(Duration::from_secs(20), notices.recv()).await.expect("a notice").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_fail_while_redis_hangs_and_work_afterwards() {
    let Some(server) = RedisServer::start().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let gold = id("gold");
    driver.create(&gold).await;
    let decision = driver.decide(&gold, &joined("ada", "PA_1", Kind::Standard)).await.unwrap();
    server.pause();
    all_calls_fail(&store, &decision).await;
    server.resume();
    recovered(&store).await;
    // What was asked may have been done all the same: nobody knew, and deciding again is safe.
    driver.join(&gold, "ada", "PA_1").await;
    assert_eq!(driver.head(&gold).await.people, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_fail_while_redis_is_away_and_a_gap_is_told_afterwards() {
    let Some(mut server) = RedisServer::start().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let gold = id("gold");
    driver.create(&gold).await;
    let mut notices = store.notices();
    store.watch(Watch::Stream(&gold), true).await.unwrap();
    store.watch(Watch::Lobby, true).await.unwrap();
    let decision = driver.decide(&gold, &joined("ada", "PA_1", Kind::Standard)).await.unwrap();
    server.kill();
    all_calls_fail(&store, &decision).await;
    // Not to be told any more can be had without Redis.
    store.watch(Watch::Lobby, false).await.unwrap();
    server.restart().await;
    recovered(&store).await;
    assert_eq!(next(&mut notices).await, NoticeEvent::Gap);
    // It is watched again without being asked, and the lobby is not.
    driver.join(&gold, "ada", "PA_1").await;
    assert!(matches!(next(&mut notices).await, NoticeEvent::Stream(notice) if notice.id == gold));
    assert!(notices.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_acknowledged_write_outlives_a_kill() {
    let Some(mut server) = RedisServer::start().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let mut created = Vec::new();
    for n in 0..1000 {
        if n == 500 {
            server.restart().await;
            recovered(&store).await;
        }
        let name = id(&format!("s{n}"));
        driver.reserve(&name).await;
        created.push(name);
    }
    let heads = store.load_many(&created).await.unwrap();
    assert!(heads.iter().all(Option::is_some));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_takes_nothing_and_recovers() {
    let Some(server) = RedisServer::start_volatile().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let gold = id("gold");
    driver.create(&gold).await;
    driver.join(&gold, "ada", "PA_1").await;
    let before = store.load_full(&gold).await.unwrap();
    let event = EventId("EV_1".to_owned());
    let decision = driver.decide(&gold, &joined("bob", "PA_2", Kind::Standard)).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let step = Commit { decision: &decision, event: Some(&event), fence: None };
    let error = store.commit(&gold, step).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full, "{error:?}");
    let error = store.swap_meta(MetaKey::Deployment, None, "d").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Full, "{error:?}");
    // Reading goes on.
    assert_eq!(store.load_full(&gold).await.unwrap(), before);
    assert_eq!(driver.load(&gold).await.head, before.map(|(head, _)| head));
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(store.commit(&gold, step).await.unwrap(), Committed::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_address_or_password_is_told_at_the_start() {
    let password = "correct-horse";
    let acl = ["--requirepass", password, "--user", "app", "on", ">app-secret", "~*", "&*", "+@all"];
    let Some(server) = RedisServer::start_with(&acl).await else { return };
    let port = server.port();
    for (url, kind) in [
        (format!("redis://127.0.0.1:{port}/"), ErrorKind::Misconfigured),
        (format!("redis://:not-the-secret@127.0.0.1:{port}/"), ErrorKind::Misconfigured),
        (format!("redis://app:not-the-secret@127.0.0.1:{port}/"), ErrorKind::Misconfigured),
        (format!("redis://:{password}@127.0.0.1:{port}/99"), ErrorKind::Misconfigured),
        ("not a url with not-the-secret".to_owned(), ErrorKind::Misconfigured),
        (format!("redis://:not-the-secret@127.0.0.1:{}/", testkit::free_tcp_port()), ErrorKind::Unavailable),
    ] {
        let error = refused(&url).await;
        assert_eq!(error.kind, kind, "{url}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("secret"), "{error:?}");
    }
    for url in [format!("redis://:{password}@127.0.0.1:{port}/"), format!("redis://app:app-secret@127.0.0.1:{port}/3")]
    {
        RedisStore::connect(config(&url)).await.unwrap().ping().await.unwrap();
        assert!(!format!("{:?}", config(&url)).contains("secret"));
    }
    let wrong = RedisConfig { prefix: "a:b".to_owned(), ..config(&server.url()) };
    assert_eq!(RedisStore::connect(wrong).await.unwrap_err().kind, ErrorKind::Misconfigured);
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_and_databases_share_nothing() {
    let Some(server) = RedisServer::start_volatile().await else { return };
    let gold = id("gold");
    let mut stores: Vec<(Arc<dyn Store>, _)> = Vec::new();
    for (prefix, database) in [("a", 0), ("b", 0), ("a", 1)] {
        let config = RedisConfig { url: format!("{}{database}", server.url()), prefix: prefix.to_owned() };
        let store: Arc<dyn Store> = Arc::new(RedisStore::connect(config).await.unwrap());
        let notices = store.notices();
        store.watch(Watch::Stream(&gold), true).await.unwrap();
        store.watch(Watch::Lobby, true).await.unwrap();
        stores.push((store, notices));
    }
    Driver::new(&stores[0].0).create(&gold).await;
    next(&mut stores[0].1).await;
    for (store, notices) in &mut stores[1..] {
        assert_eq!(store.load(&gold, Concern::default()).await.unwrap(), store::Loaded::default());
        assert_eq!(store.totals().await.unwrap(), store::Totals::default());
        // Its own notice is the first it hears.
        let own = Driver::new(store).create(&gold).await;
        match next(notices).await {
            NoticeEvent::Stream(notice) | NoticeEvent::Lobby(notice) => match notice.body {
                domain::NoticeBody::Changed { view, .. } => assert_eq!(view.epoch, own.epoch),
                domain::NoticeBody::Removed { .. } => panic!("nothing was removed"),
            },
            NoticeEvent::Gap => panic!("no gap"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_for_a_while_expires_by_itself() {
    let Some(server) = RedisServer::start_volatile().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let gold = id("gold");
    driver.create(&gold).await;
    let event = EventId("EV_1".to_owned());
    driver.apply(&gold, joined("ada", "PA_1", Kind::Standard), Some(&event)).await;
    driver.leave(&gold, "ada", "PA_1").await;
    driver.join(&gold, "ada", "PA_2").await;
    let left = async |key: &str| number(&server.command(&["PTTL", key]).await);
    for what in ["head", "people", "order"] {
        assert_eq!(left(&key(what, "gold")).await, -1, "{what} of an active stream stays");
    }
    let ten_minutes = 0..=600_000;
    assert!(
        ten_minutes.contains(&left(&format!("{{{PREFIX}:{:02}}}:event:EV_1", Partition::of(&gold).number())).await)
    );
    assert!(ten_minutes.contains(&left(&key("gone", "gold")).await));
    let ended = driver.end(&gold).await;
    let hour = 3_600_000;
    assert!((24 * hour..=25 * hour).contains(&left(&key("head", "gold")).await), "a day after its retention");
    assert!((47 * hour..=48 * hour).contains(&left(&key("tombstone", "gold")).await));
    let member = format!("{:016x}.gold~1", ended.ended_at.unwrap().as_millis());
    assert!(
        (167 * hour..=168 * hour)
            .contains(&left(&key("session", "gold").replace(":gold", &format!(":{member}"))).await)
    );
    assert_eq!(number(&server.command(&["ZCARD", &key_of_partition("history", "gold")]).await), 1);
    // Created again, it stays.
    driver.create(&gold).await;
    assert_eq!(left(&key("head", "gold")).await, -1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_expired_is_skipped_and_forgotten() {
    let Some(server) = RedisServer::start_volatile().await else { return };
    let store = open(&server).await;
    let driver = Driver::new(&store);
    for name in ["gold", "silver", "bronze"] {
        driver.create(&id(name)).await;
    }
    driver.join(&id("bronze"), "ada", "PA_1").await;
    driver.end(&id("gold")).await;
    // As if the time of one had run out, and another had been evicted.
    for name in ["gold", "bronze"] {
        server.command(&["DEL", &key("head", name)]).await;
    }
    let listed = async || {
        let query = ListQuery { phases: Phase::LISTED.to_vec(), limit: 1, cursor: None, hidden: false };
        let page = store.list(&query).await.unwrap();
        let next = match &page.next {
            Some(next) => store.list(&ListQuery { cursor: Some(next.clone()), ..query }).await.unwrap().items.len(),
            None => 0,
        };
        (page.items.first().map(|head| head.id.to_string()), next)
    };
    assert_eq!(listed().await, (Some("silver".to_owned()), 0));
    let far = store.now() + Duration::from_secs(1_000_000);
    let due = async |name: &str| store.due(Partition::of(&id(name)), far, 10).await.unwrap().contains(&id(name));
    assert!(due("gold").await, "the job still finds it");
    for name in ["gold", "bronze"] {
        store.forget(&id(name)).await.unwrap();
        assert!(!due(name).await);
        for what in ["people", "order"] {
            assert_eq!(number(&server.command(&["EXISTS", &key(what, name)]).await), 0);
        }
    }
    assert_eq!(number(&server.command(&["ZCARD", &key_of_partition("index:ended", "gold")]).await), 0);
    let totals = store.totals().await.unwrap();
    assert_eq!((totals.streams, totals.people), (1, 0));
    // What was gone without a word can be created again, and is listed once.
    let again = driver.create(&id("gold")).await;
    assert_eq!(again.generation, 2, "its tombstone is still there");
    assert_eq!(listed().await, (Some("gold".to_owned()), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_one_step_is_in_one_slot_of_a_cluster() {
    let cluster = ["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--appendonly", "no"];
    let Some(server) = RedisServer::start_with(&cluster).await else { return };
    server.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await;
    while !server.command(&["CLUSTER", "INFO"]).await.contains("cluster_state:ok") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Even a cluster of one refuses what is spread over slots.
    let store = open(&server).await;
    let driver = Driver::new(&store);
    let mut notices = store.notices();
    let gold = id("g{o}l:d");
    store.watch(Watch::Stream(&gold), true).await.unwrap();
    driver.create(&gold).await;
    driver.apply(&gold, joined("ada", "PA_1", Kind::Standard), Some(&EventId("EV_{1}".to_owned()))).await;
    driver.leave(&gold, "ada", "PA_1").await;
    driver.end(&gold).await;
    let query = ListQuery { phases: Phase::LISTED.to_vec(), limit: 5, cursor: None, hidden: false };
    assert_eq!(store.list(&query).await.unwrap().items.len(), 1);
    assert!(store.lease(Partition::of(&gold), "a", Duration::from_secs(1)).await.unwrap().is_some());
    store.swap_meta(MetaKey::Deployment, None, "d").await.unwrap();
    driver.expire(&gold).await;
    store.forget(&gold).await.unwrap();
    assert!(driver.load(&gold).await.tombstone.is_some());
    assert!(matches!(next(&mut notices).await, NoticeEvent::Stream(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_may_lose_something_are_named() {
    let Some(server) = RedisServer::start().await else { return };
    let store = RedisStore::connect(config(&server.url())).await.unwrap();
    assert_eq!(store.durability().await, Durability::Durable);
    server.command(&["CONFIG", "SET", "appendfsync", "everysec"]).await;
    assert_eq!(store.durability().await, Durability::Lossy(vec!["appendfsync everysec".to_owned()]));
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", "1gb"]).await;
    let lossy = ["appendfsync everysec", "maxmemory-policy allkeys-lru"].map(str::to_owned).to_vec();
    assert_eq!(store.durability().await, Durability::Lossy(lossy));
}

/// Set in the child process: the address of the server.
const TLS_CHILD: &str = "STORE_TEST_TLS_URL";

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_and_a_foreign_certificate_refused() {
    if let Ok(url) = std::env::var(TLS_CHILD) {
        let store: Arc<dyn Store> = Arc::new(RedisStore::connect(config(&url)).await.unwrap());
        let mut notices = store.notices();
        store.watch(Watch::Lobby, true).await.unwrap();
        Driver::new(&store).create(&id("gold")).await;
        assert!(matches!(next(&mut notices).await, NoticeEvent::Lobby(_)));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    if !certificate(&path("key.pem"), &path("cert.pem")) {
        return testkit::skip("no openssl to make a certificate with");
    }
    let port = testkit::free_tcp_port();
    let (port_text, key, cert) = (port.to_string(), path("key.pem"), path("cert.pem"));
    let tls = ["--tls-port", &port_text, "--tls-cert-file", &cert, "--tls-key-file", &key];
    let options = [tls.as_slice(), &["--tls-ca-cert-file", &cert, "--tls-auth-clients", "no"]].concat();
    let Some(_server) = RedisServer::start_with(&options).await else { return };
    let url = format!("rediss://127.0.0.1:{port}/");
    // This process does not know who signed it.
    refused(&url).await;
    // The trusted certificates are read from the environment, so that a child is needed to trust it.
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["tls_is_spoken_and_a_foreign_certificate_refused", "--exact", "--nocapture"])
        .env(TLS_CHILD, &url)
        .env("SSL_CERT_FILE", &cert)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
}

fn certificate(key: &str, cert: &str) -> bool {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", key, "-out", cert])
        .output();
    made.is_ok_and(|made| made.status.success())
}
