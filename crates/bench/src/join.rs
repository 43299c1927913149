//! A join by somebody new.

use serde_json::json;

use crate::scene::Scene;
use crate::{load, seed};

const JOINS: usize = 20_000;
const CONNECTIONS: usize = 8;

/// The row of the table.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<String> {
    let url = scene.program.url(&format!("/streams/{}/join", seed::name(1)));
    let joins = load::run(JOINS, CONNECTIONS, move |client, number| {
        Ok(client.post(&url).json(&json!({"userId": format!("guest-{number}")})).build()?)
    });
    let used = scene.used_by(joins).await?;
    let each = used.cpu.as_secs_f64() * 1e6 / JOINS as f64;
    Ok(scene.row("join, distinct users, CPU (classic: 290 µs)", &format!("{each:.1} µs")))
}
