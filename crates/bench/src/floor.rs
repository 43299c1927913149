//! What any answer costs: the same HTTP library, one route, a constant body of a join's size.

use std::net::SocketAddr;
use std::process::Stdio;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::{load, usage};

const REQUESTS: usize = 20_000;
const CONNECTIONS: usize = 8;
/// A token with its grants and room settings is about this long.
const BODY_BYTES: usize = 900;

/// Serves on a free port, which is written to standard output, until standard input ends.
pub(crate) async fn serve() -> anyhow::Result<()> {
    let body: String = json!({"token": "x".repeat(BODY_BYTES)}).to_string();
    let answer = move |_: axum::Json<serde_json::Value>| {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    crate::say(&listener.local_addr()?.to_string())?;
    let ended = async { drop(tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await) };
    tokio::select! {
        served = axum::serve(listener, Router::new().route("/", post(answer))) => Ok(served?),
        () = ended => Ok(()),
    }
}

/// The row of the table.
pub(crate) async fn measure() -> anyhow::Result<String> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("floor")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let pid = server.id().unwrap_or_default();
    let output = server.stdout.take().ok_or_else(|| anyhow::anyhow!("no pipe"))?;
    let line = BufReader::new(output).lines().next_line().await?.unwrap_or_default();
    let url = format!("http://{}/", line.parse::<SocketAddr>()?);
    let before = usage::cpu(pid)?;
    let request = move |client: &reqwest::Client, number| {
        Ok(client.post(&url).json(&json!({"userId": format!("guest-{number}")})).build()?)
    };
    load::run(REQUESTS, CONNECTIONS, request).await?;
    let each = (usage::cpu(pid)? - before).as_secs_f64() * 1e6 / REQUESTS as f64;
    Ok(format!("| the floor: a bare route with a constant answer, CPU | – | – | {each:.1} µs |"))
}
