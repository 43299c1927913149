//! Events of one stream go one at a time within this instance, in the order in
//! which they came; those of different streams do not wait for each other.
//!
//! Two at once would only make each other start over. The queue is bounded, for
//! each stream and in all: whoever finds it full is refused, and LiveKit sends
//! its event again.

use std::collections::HashMap;
use std::sync::Arc;

use domain::StreamId;
use metrics::{Gauge, gauge};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::UseCaseError;

/// Events of one stream that may wait or be under way: far more than one LiveKit, which sends the next one
/// when the last is answered, ever has there.
const MOST_OF_STREAM: usize = 128;
/// Events that may wait or be under way in all.
const MOST: usize = 4_096;

/// The queues of all streams that have events now.
pub(crate) struct Intake {
    queues: Arc<Mutex<Queues>>,
}

struct Queues {
    streams: HashMap<StreamId, Queue>,
    /// Events in all queues.
    waiting: usize,
    gauge: Gauge,
}

#[derive(Default)]
struct Queue {
    /// Whose turn it is; it passes in the order of asking.
    turn: Arc<tokio::sync::Mutex<()>>,
    waiting: usize,
}

/// A place in a stream's queue, given up when dropped.
struct Place {
    queues: Arc<Mutex<Queues>>,
    id: StreamId,
}

/// A stream's turn; it ends when this is dropped.
pub(crate) struct Turn {
    // The turn passes on before the place is given up.
    _turn: OwnedMutexGuard<()>,
    _place: Place,
}

impl Default for Intake {
    fn default() -> Self {
        let gauge = gauge!("livestream_webhooks_waiting");
        Self { queues: Arc::new(Mutex::new(Queues { streams: HashMap::new(), waiting: 0, gauge })) }
    }
}

impl Intake {
    /// Waits for this stream's turn; fails at once when too many are waiting already.
    pub(crate) async fn turn(&self, id: &StreamId) -> Result<Turn, UseCaseError> {
        let (place, turn) = self.enter(id).map_err(|limit| {
            metrics::counter!("livestream_webhooks_refused_total", "limit" => limit).increment(1);
            UseCaseError::Busy("too many events are waiting to be applied")
        })?;
        Ok(Turn { _turn: turn.lock_owned().await, _place: place })
    }

    /// Takes a place; the limit that is reached when there is none.
    fn enter(&self, id: &StreamId) -> Result<(Place, Arc<tokio::sync::Mutex<()>>), &'static str> {
        let mut queues = self.queues.lock();
        if queues.waiting >= MOST {
            return Err("all");
        }
        let queue = queues.streams.entry(id.clone()).or_default();
        if queue.waiting >= MOST_OF_STREAM {
            return Err("stream");
        }
        queue.waiting += 1;
        let turn = queue.turn.clone();
        queues.waiting += 1;
        queues.show();
        Ok((Place { queues: self.queues.clone(), id: id.clone() }, turn))
    }
}

impl Queues {
    fn show(&self) {
        self.gauge.set(f64::from(u32::try_from(self.waiting).unwrap_or(u32::MAX)));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.queues.lock();
        queues.waiting -= 1;
        queues.show();
        let Some(queue) = queues.streams.get_mut(&self.id) else { return };
        queue.waiting -= 1;
        if queue.waiting == 0 {
            queues.streams.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn id(n: usize) -> StreamId {
        StreamId::parse(&format!("s{n}")).unwrap()
    }

    #[tokio::test]
    async fn turns_come_in_the_order_of_asking_and_other_streams_do_not_wait() {
        let intake = Arc::new(Intake::default());
        let first = intake.turn(&id(1)).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..20 {
            let (intake, order) = (intake.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let _turn = intake.turn(&id(1)).await.unwrap();
                order.lock().push(n);
            }));
            tokio::task::yield_now().await;
        }
        // Everybody waits behind the first, and nobody of another stream does.
        assert!(timeout(Duration::from_millis(20), intake.turn(&id(1))).await.is_err());
        drop(timeout(Duration::from_secs(5), intake.turn(&id(2))).await.expect("its own turn").unwrap());
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), (0..20).collect::<Vec<_>>());
        let queues = intake.queues.lock();
        assert_eq!((queues.waiting, queues.streams.len()), (0, 0), "nothing is left behind");
    }

    #[tokio::test]
    async fn who_finds_it_full_is_refused_and_who_gives_up_makes_room() {
        let intake = Intake::default();
        let one = id(1);
        let first = intake.turn(&one).await.unwrap();
        let mut waiting: Vec<_> = (1..MOST_OF_STREAM).map(|_| Box::pin(intake.turn(&one))).collect();
        for place in &mut waiting {
            drop(futures_util::poll!(place.as_mut()));
        }
        assert!(matches!(intake.turn(&id(1)).await, Err(UseCaseError::Busy(_))));
        drop(intake.turn(&id(2)).await.expect("another stream has room"));
        drop(waiting.pop());
        assert!(intake.enter(&id(1)).is_ok());
        drop((waiting, first));
        let places: Vec<_> = (0..MOST).map(|n| intake.enter(&id(n)).unwrap()).collect();
        assert_eq!(intake.enter(&id(MOST)).err(), Some("all"));
        drop(places);
        assert!(intake.enter(&id(0)).is_ok());
    }
}
