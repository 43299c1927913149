//! One play: what is done in which step, and what goes wrong between.

use std::sync::Arc;
use std::time::Duration;

use ::rooms::{RoomSpec, Rooms};
use ::store::Store;
use domain::{DeploymentId, Identity, Mark, Settings, SettingsPatch, StreamId, Visibility};
use futures_util::FutureExt;
use rand::RngExt;
use tokio::time::sleep;

use crate::clients::{Clients, PEOPLE};
use crate::instance::Instance;
use crate::quiescence;
use crate::sim::{STREAMS, Service, Sim, stream};
use crate::watchers::{LobbyWatcher, Watcher};

/// LiveKit's own time goes on in such steps.
const TICK: Duration = Duration::from_millis(500);

/// Who plays.
pub(crate) struct Cast {
    pub(crate) clients: Arc<Clients>,
    pub(crate) watchers: Vec<Arc<Watcher>>,
    pub(crate) lobby: Arc<LobbyWatcher>,
    /// Instances started so far.
    started: usize,
    /// Instances that are to run.
    wanted: usize,
}

/// Plays the seed to its end, or to the first broken promise.
pub(crate) async fn play(sim: &Arc<Sim>) -> Result<(), String> {
    tokio::spawn(let_time_pass(sim.clone()));
    let mut cast = assemble(sim).await;
    let steps = sim.draw(|rng| rng.random_range(60..260));
    for _ in 0..steps {
        act(sim, &cast);
        crowd(sim, &cast);
        go_wrong(sim, &mut cast);
        sleep(pause(sim)).await;
        sim.broken().map_or(Ok(()), Err)?;
    }
    quiescence::check(sim, &mut cast).await
}

async fn assemble(sim: &Arc<Sim>) -> Cast {
    let wanted = sim.draw(|rng| rng.random_range(1..=3));
    let mut cast =
        Cast { clients: Arc::default(), watchers: Vec::new(), lobby: LobbyWatcher::start(sim), started: 0, wanted };
    for _ in 0..wanted {
        cast.start_instance(sim, Duration::ZERO);
    }
    let ids = STREAMS.iter().chain(&STREAMS[..2]).filter_map(|name| stream(name));
    cast.watchers = ids.enumerate().map(|(number, id)| Watcher::start(sim, number, id)).collect();
    sleep(Duration::from_secs(1)).await;
    cast
}

impl Cast {
    /// An instance more, after a while.
    pub(crate) fn start_instance(&mut self, sim: &Arc<Sim>, after: Duration) {
        let (sim, number) = (sim.clone(), self.started);
        self.started += 1;
        tokio::spawn(async move {
            sleep(after).await;
            Instance::start(&sim, number).await;
        });
    }
}

/// LiveKit's rooms time out by themselves, and its listings may be of a moment ago.
async fn let_time_pass(sim: Arc<Sim>) {
    loop {
        sleep(TICK).await;
        sim.send_events(sim.livekit.pass_time(sim.true_now()));
        sim.remember_moment();
    }
}

fn pause(sim: &Sim) -> Duration {
    match sim.draw(|rng| rng.random_range(0..40)) {
        0..24 => sim.millis(300),
        24..39 => sim.millis(4_000),
        _ => sim.millis(90_000),
    }
}

fn act(sim: &Arc<Sim>, cast: &Cast) {
    let Some(id) = sim.pick(&STREAMS).and_then(stream) else { return };
    match sim.draw(|rng| rng.random_range(0..100)) {
        0..18 => {
            let clients = cast.clients.clone();
            on_an_instance(sim, |sim, instance| create(sim, clients, instance, id));
        }
        18..23 => on_an_instance(sim, |sim, instance| end(sim, instance, id)),
        23..43 => {
            let clients = cast.clients.clone();
            on_an_instance(sim, |sim, instance| async move { clients.join(&sim, &instance, &id).await });
        }
        43..52 => cast.clients.leave(sim),
        52..64 => cast.clients.publish(sim),
        64..70 => cast.clients.unpublish(sim),
        70..73 => on_an_instance(sim, |sim, instance| take_out(sim, instance, id)),
        73..77 => {
            let again = id.clone();
            on_an_instance(sim, |sim, instance| change(sim, instance, id));
            if sim.chance(0.5) {
                on_an_instance(sim, |sim, instance| change(sim, instance, again));
            }
        }
        77..81 => {
            let (clients, sim) = (cast.clients.clone(), sim.clone());
            tokio::spawn(async move { clients.come_late(&sim).await });
        }
        81..83 => somebody_elses_room(sim, &id),
        83..88 => ban_or_lift(sim, cast, id),
        _ => {}
    }
}

/// Creates, ends and changes of one stream at one moment, on whatever instances.
fn crowd(sim: &Arc<Sim>, cast: &Cast) {
    if !sim.chance(sim.profile().crowd) {
        return;
    }
    let Some(id) = sim.pick(&STREAMS).and_then(stream) else { return };
    for _ in 0..sim.draw(|rng| rng.random_range(2..6)) {
        let id = id.clone();
        match sim.draw(|rng| rng.random_range(0..5)) {
            0 | 1 => {
                let clients = cast.clients.clone();
                on_an_instance(sim, |sim, instance| create(sim, clients, instance, id));
            }
            2 => on_an_instance(sim, |sim, instance| end(sim, instance, id)),
            _ => on_an_instance(sim, |sim, instance| change(sim, instance, id)),
        }
    }
}

fn on_an_instance<F: Future<Output = ()> + Send + 'static>(
    sim: &Arc<Sim>,
    work: impl FnOnce(Arc<Sim>, Arc<Instance>) -> F,
) {
    if let Some(instance) = sim.any_instance() {
        tokio::spawn(work(sim.clone(), instance));
    }
}

async fn create(sim: Arc<Sim>, clients: Arc<Clients>, instance: Arc<Instance>, id: StreamId) {
    sim.invariants.lock().create_asked(&id);
    sim.log.write(format!("i{} is asked to create {id}", instance.number));
    let settings = settings(&sim);
    let Some(result) = instance.alive(instance.orchestrator.create_stream(id.clone(), settings, true)).await else {
        return;
    };
    sim.log.write(format!("create {id}: {}", result.as_ref().map_or_else(ToString::to_string, |c| c.head.tag())));
    if let Ok(created) = result {
        clients.access.created(&id, &created);
        // What was acknowledged is there, or has been and is over.
        let stored = sim.stored(&id).map_or(0, |(head, _)| head.generation);
        let stone = sim.store.load(&id, ::store::Concern::default()).await.ok().and_then(|loaded| loaded.tombstone);
        if stored.max(stone.map_or(0, |stone| stone.generation)) < created.head.generation {
            sim.fail(format!("{id}: an acknowledged create is lost"));
        }
    }
}

/// Bans somebody, or lets somebody in again who may be banned.
fn ban_or_lift(sim: &Arc<Sim>, cast: &Cast, id: StreamId) {
    let Some(identity) = sim.pick(&PEOPLE).and_then(|name| Identity::parse(name).ok()) else { return };
    let (clients, lifts) = (cast.clients.clone(), sim.chance(0.4));
    on_an_instance(sim, |sim, instance| async move {
        match lifts {
            true => clients.access.lift(&sim, &instance, &id, &identity).await,
            false => clients.access.ban(&sim, &instance, &id, &identity).await,
        }
    });
}

async fn end(sim: Arc<Sim>, instance: Arc<Instance>, id: StreamId) {
    let active = sim.stored(&id).filter(|(head, _)| head.phase.is_active()).map(|(head, _)| head.generation);
    sim.log.write(format!("i{} is asked to end {id}", instance.number));
    let Some(result) = instance.alive(instance.orchestrator.end_stream(&id)).await else { return };
    sim.log.write(format!("end {id}: {result:?}"));
    let still = sim.stored(&id).is_some_and(|(head, _)| head.phase.is_active() && Some(head.generation) == active);
    if result.is_ok() && still {
        sim.fail(format!("{id}: an acknowledged end is lost"));
    }
}

async fn take_out(sim: Arc<Sim>, instance: Arc<Instance>, id: StreamId) {
    let who = sim.stored(&id).and_then(|(_, people)| people.first().map(|person| person.identity.clone()));
    let Some(identity) = who.or_else(|| Identity::parse("ann").ok()) else { return };
    sim.log.write(format!("i{} is asked to take {identity} out of {id}", instance.number));
    // Whether it was possible shows in what the people do next; nothing is promised on failure.
    let _ = instance.alive(instance.orchestrator.leave_stream(&id, &identity)).await;
}

async fn change(sim: Arc<Sim>, instance: Arc<Instance>, id: StreamId) {
    sleep(sim.millis(500)).await;
    let mut metadata = serde_json::Map::new();
    metadata.insert("n".to_owned(), sim.draw(|rng| rng.random_range(0..1000)).into());
    // One that is private, or is to become so, refuses: nothing is promised on failure.
    let visibility = sim.chance(0.3).then(|| visibility(&sim));
    let title = Some(Some("title".to_owned()));
    let patch = SettingsPatch { title, metadata: Some(metadata), visibility, ..Default::default() };
    let Some(result) = instance.alive(instance.orchestrator.change_settings(&id, &patch, None)).await else { return };
    sim.log.write(format!("change {id}: {}", result.is_ok()));
}

fn settings(sim: &Sim) -> Settings {
    let seconds = |probability, from, to| sim.chance(probability).then(|| sim.draw(|rng| rng.random_range(from..to)));
    Settings {
        max_participants: seconds(0.1, 1, 3),
        empty_timeout: seconds(0.2, 5, 60),
        max_duration: seconds(0.1, 20, 200),
        end_without_publisher: seconds(0.1, 5, 60),
        visibility: visibility(sim),
        ..Settings::default()
    }
}

fn visibility(sim: &Sim) -> Visibility {
    match sim.draw(|rng| rng.random_range(0..6)) {
        0 => Visibility::Unlisted,
        1 => Visibility::Private,
        _ => Visibility::Public,
    }
}

/// A room under the stream's next name, made by somebody else on the same LiveKit.
fn somebody_elses_room(sim: &Arc<Sim>, id: &StreamId) {
    let generation = sim.stored(id).map_or(1, |(head, _)| head.generation + 1);
    let mark = Mark { deployment: DeploymentId("another".to_owned()), id: id.clone(), generation };
    let metadata = if sim.chance(0.5) { mark.metadata(&serde_json::Map::new()) } else { "{}".to_owned() };
    let minute = Duration::from_secs(60);
    let name = id.room_name(generation);
    sim.log.write(format!("somebody makes room {name} {metadata}"));
    let spec = RoomSpec { name, metadata, empty_timeout: minute, departure_timeout: minute, max_participants: 0 };
    // Straight to LiveKit, which answers at once.
    let _ = sim.livekit.create_room(&spec).now_or_never();
    sim.send_api_events();
}

fn go_wrong(sim: &Arc<Sim>, cast: &mut Cast) {
    let profile = sim.profile();
    if sim.chance(profile.crash)
        && let Some(instance) = sim.any_instance()
    {
        instance.crash(sim);
        cast.start_instance(sim, Duration::from_millis(500) + sim.millis(20_000));
    }
    if sim.chance(profile.stop)
        && let Some(instance) = sim.any_instance()
    {
        let leaving = sim.clone();
        tokio::spawn(async move { instance.stop(&leaving).await });
        cast.start_instance(sim, sim.millis(5_000));
    }
    if sim.chance(profile.still)
        && let Some(instance) = sim.any_instance()
    {
        instance.stand_still(sim, sim.millis(20_000));
    }
    if sim.chance(profile.livekit_restart) {
        cast.clients.restart_livekit(sim);
    }
    if sim.chance(profile.livekit_away) {
        sim.log.write("LiveKit is away");
        sim.send_away(Service::LiveKit, sim.millis(40_000));
    }
    if sim.chance(profile.store_away) {
        sim.log.write("the store is away");
        sim.send_away(Service::Store, sim.millis(15_000));
    }
    if sim.chance(profile.clock_step) {
        let millis = sim.draw(|rng| rng.random_range(-30_000..30_000));
        sim.log.write(format!("the clock steps by {millis} ms"));
        sim.step_clock(millis);
    }
    if sim.chance(profile.deaf)
        && let Some(instance) = sim.any_instance()
    {
        sim.log.write(format!("i{} hears nothing", instance.number));
        instance.store.go_deaf(sim.millis(20_000));
    }
}

impl Cast {
    /// How many instances are to run.
    pub(crate) fn wanted(&self) -> usize {
        self.wanted
    }
}
