//! Brings what the store publishes to the topics.

use std::sync::Arc;
use std::time::Duration;

use store::NoticeEvent;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::registry::Shared;

const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// What the dispatcher wakes up for.
enum Event {
    /// The store published something.
    Notice(NoticeEvent),
    /// A change that the lobby held back may go out.
    Held,
    /// The store publishes no more, or the hub closes.
    End,
}

/// Starts the tasks of a hub: one for notices, one for what is held back, one for what is idle.
pub(crate) fn start(shared: &Arc<Shared>) {
    let notices = shared.store.notices();
    shared.tasks.spawn(dispatch(Arc::clone(shared), notices));
    shared.tasks.spawn(release_held(Arc::clone(shared)));
    shared.tasks.spawn(keep_house(Arc::clone(shared)));
}

/// Lets new states out to the large audiences that were held back.
async fn release_held(shared: Arc<Shared>) {
    loop {
        let due = shared.held.next();
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            () = shared.held.changed() => continue,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
        for topic in shared.held.take_due(Instant::now()) {
            let then = topic.inner.lock().release();
            shared.carry_out(&topic, then);
        }
    }
}

async fn dispatch(shared: Arc<Shared>, mut notices: mpsc::Receiver<NoticeEvent>) {
    loop {
        match next_event(&shared, &mut notices).await {
            Event::Notice(NoticeEvent::Stream(notice)) => {
                let topic = shared.topics.lock().get(&notice.id).cloned();
                let Some(topic) = topic else { continue };
                let then = topic.inner.lock().receive(notice);
                shared.carry_out(&topic, then);
            }
            Event::Notice(NoticeEvent::Lobby(notice)) => shared.lobby.receive(notice),
            Event::Notice(NoticeEvent::Gap) => distrust_all(&shared),
            Event::Held => shared.lobby.release_held(),
            Event::End => return,
        }
    }
}

async fn next_event(shared: &Shared, notices: &mut mpsc::Receiver<NoticeEvent>) -> Event {
    let held = shared.lobby.next_held();
    tokio::select! {
        biased;
        () = shared.cancel.cancelled() => Event::End,
        () = sleep_until(held.unwrap_or_else(Instant::now)), if held.is_some() => Event::Held,
        notice = notices.recv() => notice.map_or(Event::End, Event::Notice),
    }
}

fn distrust_all(shared: &Arc<Shared>) {
    let topics: Vec<_> = shared.topics.lock().values().cloned().collect();
    for topic in topics {
        let then = topic.inner.lock().distrust();
        shared.carry_out(&topic, then);
    }
    shared.distrust_lobby();
}

async fn keep_house(shared: Arc<Shared>) {
    let mut ticks = interval(HOUSEKEEPING.min(shared.settings.linger.max(Duration::from_millis(10))));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let tidy = async {
            shared.retire_idle().await;
            shared.retire_lobby().await;
        };
        shared.cancel.run_until_cancelled(tidy).await;
    }
}
