//! What is known of identities that need not be connected, and streams that are not in every list.

use std::time::Duration;

use domain::{
    Ban, Head, Identity, MAX_GRANTS, Phase, Place, Role, SettingsPatch, StreamId, Timestamp, Visibility, ban,
    change_settings, grant, lift_ban,
};
use store::{Committed, Concern, ListQuery, Loaded};

use crate::backend::Backend;
use crate::driver::{Driver, commit, id, identity};

/// Longer than `Driver::expire` pretends to wait.
const LONG: Duration = Duration::from_secs(3 * 24 * 3600);

/// What is stored of an identity.
async fn of(driver: &Driver, id: &StreamId, who: &str) -> Loaded {
    let identity = identity(who);
    driver.store.load(id, Concern { identity: Some(&identity), ..Concern::default() }).await.unwrap()
}

fn place(loaded: &Loaded) -> Place<'_> {
    Place {
        connections: &loaded.identity_sids,
        granted: loaded.granted,
        ban: loaded.ban.as_ref(),
        grants: loaded.grants,
        bans: loaded.bans,
    }
}

async fn give(driver: &Driver, id: &StreamId, who: &str, role: Role) {
    let loaded = of(driver, id, who).await;
    let head = loaded.head.as_ref().unwrap();
    let decision = grant(head, &identity(who), role, place(&loaded), &driver.rules, driver.store.now());
    driver.done(id, &decision.unwrap().unwrap()).await;
}

pub(crate) async fn shut_out(driver: &Driver, id: &StreamId, who: &str, time: Duration) -> Ban {
    let loaded = of(driver, id, who).await;
    let now = driver.store.now();
    let new = Ban { until: now + time, since: now, reason: Some(format!("{who} shouted")) };
    let head = loaded.head.as_ref().unwrap();
    let decision = ban(head, &identity(who), new.clone(), place(&loaded), &[], &driver.rules, now);
    driver.done(id, &decision.unwrap().unwrap()).await;
    new
}

async fn lift(driver: &Driver, id: &StreamId, who: &str) {
    let loaded = of(driver, id, who).await;
    let head = loaded.head.as_ref().unwrap();
    let decision = lift_ban(head, &identity(who), place(&loaded), &driver.rules, driver.store.now());
    driver.done(id, &decision.unwrap()).await;
}

pub(crate) async fn roles_are_held_until_the_generation_ends(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let (gold, other) = (id("gold"), id("other"));
    driver.create(&gold).await;
    driver.create(&other).await;
    let before = driver.head(&gold).await;
    // An identity may hold anything.
    for (who, role) in [("ann", Role::Host), ("b\0b {x}\u{1}", Role::Speaker)] {
        give(&driver, &gold, who, role).await;
        assert_eq!(of(&driver, &gold, who).await.granted, Some(role));
    }
    let after = of(&driver, &gold, "cleo").await;
    assert_eq!((after.granted, after.grants), (None, 2));
    let head = after.head.unwrap();
    assert_eq!((head.version, head.revision), (before.version, before.revision + 2), "it is for no outsider to see");
    assert_eq!(of(&driver, &other, "ann").await.granted, None);
    give(&driver, &gold, "ann", Role::Speaker).await;
    assert_eq!(of(&driver, &gold, "ann").await.granted, Some(Role::Speaker));
    driver.join(&gold, "ann", "PA_1").await;
    driver.leave(&gold, "ann", "PA_1").await;
    assert_eq!(of(&driver, &gold, "ann").await.granted, Some(Role::Speaker), "also while she is away");
    assert_eq!(driver.load(&gold).await.grants, 0, "counted only for an identity");
    driver.end(&gold).await;
    assert_eq!(of(&driver, &gold, "ann").await.granted, None);
    driver.create(&gold).await;
    let anew = of(&driver, &gold, "ann").await;
    assert_eq!((anew.granted, anew.grants), (None, 0));
    assert!(anew.grants < MAX_GRANTS);
}

pub(crate) async fn bans_outlive_the_record(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let gold = id("gold");
    driver.create(&gold).await;
    let ann = shut_out(&driver, &gold, "ann", LONG).await;
    let bob = shut_out(&driver, &gold, "bob", LONG * 2).await;
    let until = bob.until;
    let expected = vec![(identity("ann"), ann.clone()), (identity("bob"), bob)];
    assert_eq!(backend.store.bans(&gold).await.unwrap(), expected);
    assert_eq!(backend.store.bans(&id("other")).await.unwrap(), []);
    driver.end(&gold).await;
    driver.expire(&gold).await;
    let gone = of(&driver, &gold, "ann").await;
    assert_eq!((gone.head, gone.ban.as_ref(), gone.bans), (None, Some(&ann), 2));
    assert_eq!(gone.tombstone.unwrap().banned_until, Some(until));
    driver.create(&gold).await;
    let anew = of(&driver, &gold, "ann").await;
    assert_eq!((anew.head.unwrap().banned_until, anew.ban), (Some(until), Some(ann)));
    assert_eq!(backend.another().await.bans(&gold).await.unwrap(), expected);
}

pub(crate) async fn a_ban_is_lifted_replaced_and_ends_by_itself(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let gold = id("gold");
    driver.create(&gold).await;
    shut_out(&driver, &gold, "ann", LONG).await;
    let second = shut_out(&driver, &gold, "ann", LONG * 2).await;
    let stored = of(&driver, &gold, "ann").await;
    assert_eq!((stored.ban, stored.bans), (Some(second), 1));
    lift(&driver, &gold, "ann").await;
    let stored = of(&driver, &gold, "ann").await;
    assert_eq!((stored.ban, stored.bans, stored.head.unwrap().banned_until), (None, 0, None));
    assert_eq!(backend.store.bans(&gold).await.unwrap(), []);
    shut_out(&driver, &gold, "bob", Duration::from_millis(50)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Whether it is still stored is the store's business; it holds no longer.
    let now: Timestamp = backend.store.now();
    assert!(of(&driver, &gold, "bob").await.ban.is_none_or(|ban| !ban.holds(now)));
    // A later step takes it out of the embedded store; Redis has let the key go.
    driver.join(&gold, "cleo", "PA_1").await;
    driver.leave(&gold, "cleo", "PA_1").await;
    assert_eq!(backend.store.bans(&gold).await.unwrap(), []);
}

pub(crate) async fn what_is_known_of_identities_outlives_a_restart(backend: Backend) {
    if !backend.is_lasting() {
        return;
    }
    let mut backend = backend.restartable().await;
    let driver = Driver::new(&backend.store);
    let (gold, hidden) = (id("gold"), id("hidden"));
    driver.create(&gold).await;
    driver.create_for(&hidden, Visibility::Private).await;
    give(&driver, &gold, "ann", Role::Host).await;
    let bob = shut_out(&driver, &gold, "bob", LONG).await;
    shut_out(&driver, &gold, "cleo", LONG).await;
    lift(&driver, &gold, "cleo").await;
    backend.restart().await;
    let driver = Driver::new(&backend.store);
    let ann = of(&driver, &gold, "ann").await;
    assert_eq!((ann.granted, ann.grants, ann.bans), (Some(Role::Host), 1, 1));
    assert_eq!(backend.store.bans(&gold).await.unwrap(), [(identity("bob"), bob)]);
    assert_eq!(ids_of(&backend, false).await, ["gold"]);
    driver.end(&gold).await;
    driver.expire(&gold).await;
    let ann = of(&driver, &gold, "ann").await;
    assert_eq!((ann.granted, ann.grants, ann.bans), (None, 0, 1));
}

pub(crate) async fn a_lost_race_changes_no_identity(backend: Backend) {
    let driver = Driver::new(&backend.store);
    let gold = id("gold");
    driver.create(&gold).await;
    let loaded = of(&driver, &gold, "ann").await;
    let head: &Head = loaded.head.as_ref().unwrap();
    let now = backend.store.now();
    let ann: Identity = identity("ann");
    let given = grant(head, &ann, Role::Host, place(&loaded), &driver.rules, now).unwrap().unwrap();
    let new = Ban { until: now + LONG, since: now, reason: None };
    let banned = ban(head, &ann, new, place(&loaded), &[], &driver.rules, now).unwrap().unwrap();
    driver.join(&gold, "bob", "PA_1").await;
    for decision in [given, banned] {
        assert_eq!(backend.store.commit(&gold, commit(&decision)).await.unwrap(), Committed::Conflict);
    }
    let after = of(&driver, &gold, "ann").await;
    assert_eq!((after.granted, after.ban, after.grants, after.bans), (None, None, 0, 0));
}

async fn ids_of(backend: &Backend, hidden: bool) -> Vec<String> {
    let mut ids = Vec::new();
    let mut query = ListQuery { phases: Phase::LISTED.to_vec(), limit: 1, cursor: None, hidden };
    loop {
        let page = backend.store.list(&query).await.unwrap();
        ids.extend(page.items.iter().map(|head| head.id.to_string()));
        query.cursor = page.next;
        if query.cursor.is_none() {
            ids.sort();
            return ids;
        }
    }
}

pub(crate) async fn hidden_streams_are_in_no_public_list(backend: Backend) {
    let driver = Driver::new(&backend.store);
    driver.create(&id("a")).await;
    driver.create_for(&id("b"), Visibility::Unlisted).await;
    driver.create_for(&id("c"), Visibility::Private).await;
    driver.create(&id("d")).await;
    assert_eq!(ids_of(&backend, false).await, ["a", "d"]);
    assert_eq!(ids_of(&backend, true).await, ["a", "b", "c", "d"]);
    assert_eq!(backend.store.totals().await.unwrap().streams, 4, "sums name nobody");
    driver.join(&id("b"), "ann", "PA_1").await;
    driver.publish(&id("b"), "ann", "PA_1", "TR_1").await;
    assert_eq!(ids_of(&backend, false).await, ["a", "d"]);
    let totals = backend.store.totals().await.unwrap();
    assert_eq!((totals.streams, totals.live, totals.people), (4, 1, 1));
    let show = async |name: &str, visibility| {
        let patch = SettingsPatch { visibility: Some(visibility), ..SettingsPatch::default() };
        let head = driver.head(&id(name)).await;
        let decision = change_settings(&head, &patch, None, &driver.rules, backend.store.now()).unwrap();
        driver.done(&id(name), &decision.unwrap()).await;
    };
    show("b", Visibility::Public).await;
    show("a", Visibility::Unlisted).await;
    assert_eq!(ids_of(&backend, false).await, ["b", "d"]);
    driver.end(&id("c")).await;
    assert_eq!(ids_of(&backend, true).await, ["a", "b", "c", "d"]);
    driver.expire(&id("c")).await;
    assert_eq!(ids_of(&backend, true).await, ["a", "b", "d"]);
    assert_eq!(backend.store.totals().await.unwrap().streams, 3);
}
