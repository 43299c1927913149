//! Asking LiveKit whether rooms exist: questions due at one moment share one ListRooms.

use std::sync::Arc;

use domain::{RoomName, RoomSnapshot};
use rooms::{Rooms, RoomsError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::UseCaseError;

/// Questions that may wait; one more is answered "busy".
const MOST_WAITING: usize = 1024;
const MOST_NAMES: usize = 200;

type Answer = Result<Option<RoomSnapshot>, UseCaseError>;
type Question = (RoomName, oneshot::Sender<Answer>);

/// Shares ListRooms(names) between those who ask.
pub(crate) struct RoomLookup {
    questions: mpsc::Sender<Question>,
}

impl RoomLookup {
    pub(crate) fn start(rooms: Arc<dyn Rooms>, tasks: &TaskTracker, stop: CancellationToken) -> Self {
        let (questions, mut waiting) = mpsc::channel(MOST_WAITING);
        tasks.spawn(async move {
            let mut batch = Vec::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    count = waiting.recv_many(&mut batch, MOST_NAMES) => if count == 0 { return },
                }
                answer(&*rooms, std::mem::take(&mut batch)).await;
            }
        });
        Self { questions }
    }

    /// The room of that name, if it is there now.
    pub(crate) async fn find(&self, name: &RoomName) -> Answer {
        let (reply, answer) = oneshot::channel();
        let busy = UseCaseError::Busy("too many rooms are being looked up");
        if self.questions.try_send((name.clone(), reply)).is_err() {
            return Err(busy);
        }
        answer.await.unwrap_or(Err(busy))
    }
}

async fn answer(rooms: &dyn Rooms, batch: Vec<Question>) {
    let mut names: Vec<RoomName> = batch.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    let found = rooms.find_rooms(&names).await.map_err(Arc::new);
    for (name, reply) in batch {
        let result = match &found {
            Ok(rooms) => Ok(rooms.iter().find(|room| room.name == name).cloned()),
            Err(error) => Err(RoomsError::new(error.kind, error.operation, error.clone()).into()),
        };
        // Whoever asked may have gone away; then nobody needs the answer.
        let _ = reply.send(result);
    }
}
