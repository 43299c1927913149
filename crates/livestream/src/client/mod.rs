//! The program as a client of a server that runs elsewhere: looks at streams, creates and ends them,
//! follows them, gets join tokens.
//!
//! It uses the public API only, like everybody else; nothing here knows a store or LiveKit.

mod api;
mod args;
mod error;
mod events;
mod model;
mod show;
mod streams;
mod table;
pub(crate) mod terminal;
mod watch;

pub(crate) use args::{Order, Task, commands, order};
pub(crate) use error::ClientError;

use api::Api;

/// Does what was asked, and prints the outcome.
pub(crate) async fn run(order: Order) -> Result<(), ClientError> {
    let api = Api::new(&order.server)?;
    match order.task {
        Task::List(list) => streams::list(&api, &list, order.json).await,
        Task::Show(id) => streams::show(&api, &id, order.json).await,
        Task::Create(create) => streams::create(&api, create, order.json).await,
        Task::End { id, wait } => streams::end(&api, &id, wait).await,
        Task::Watch(Some(id)) => watch::stream(&api, &id, order.json).await,
        Task::Watch(None) => watch::lobby(&api, order.json).await,
        Task::JoinToken(join) => streams::join_token(&api, &join, order.json).await,
        Task::Health => streams::health(&api, order.json).await,
    }
}
