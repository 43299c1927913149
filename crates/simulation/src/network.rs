//! The way of webhooks from LiveKit to some instance: lost, doubled, delayed,
//! in another order, minutes late, and sent again when they were not taken.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::{RoomEvent, RoomEventKind};
use rand::RngExt;

use crate::sim::Sim;

/// LiveKit tries so often.
const TRIES: u32 = 4;
const USUAL: Duration = Duration::from_millis(20);

impl Sim {
    /// Sends the events that API calls have caused.
    pub(crate) fn send_api_events(self: &Arc<Self>) {
        let events = self.livekit.take_events();
        self.send_events(events);
    }

    /// Sends webhooks on their way.
    pub(crate) fn send_events(self: &Arc<Self>, events: Vec<RoomEvent>) {
        for event in events {
            self.send(event);
        }
    }

    fn send(self: &Arc<Self>, event: RoomEvent) {
        let profile = self.profile();
        let text = describe(&event);
        if self.chance(profile.lost) {
            self.log.write(format!("lost: {text}"));
            return;
        }
        let copies = if self.chance(profile.doubled) { self.draw(|rng| rng.random_range(2..=3)) } else { 1 };
        for _ in 0..copies {
            let delay = match () {
                () if self.chance(profile.late) => self.millis(150_000),
                () if self.chance(profile.delayed) => self.millis(8_000),
                () => USUAL,
            };
            self.log.write(format!("sent: {text} in {} ms", delay.as_millis()));
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let (sim, event) = (self.clone(), event.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                sim.deliver(&event).await;
                sim.in_flight.fetch_sub(1, Ordering::Relaxed);
            });
        }
    }

    async fn deliver(self: &Arc<Self>, event: &RoomEvent) {
        for attempt in 0..TRIES {
            if let Some(instance) = self.any_instance() {
                let applied = instance.alive(instance.orchestrator.apply_room_event(event)).await;
                let verdict = match &applied {
                    Some(Ok(verdict)) => verdict,
                    Some(Err(_)) => "failed",
                    None => "crashed",
                };
                self.log.write(format!("i{} {}: {verdict}", instance.number, describe(event)));
                if let Some(Ok(_)) = applied {
                    self.count(|counts| counts.webhooks += 1);
                    return;
                }
            }
            tokio::time::sleep(Duration::from_secs(1 << attempt)).await;
        }
    }
}

fn describe(event: &RoomEvent) -> String {
    let who = event.kind.participant().map(|(sid, identity)| format!(" {identity} {sid}")).unwrap_or_default();
    let track = match &event.kind {
        RoomEventKind::TrackPublished { track, .. } | RoomEventKind::TrackUnpublished { track, .. } => track.as_str(),
        _ => "",
    };
    format!("{} {} {}{who} {track}", event.kind.name(), event.room_name, event.room_sid)
}
