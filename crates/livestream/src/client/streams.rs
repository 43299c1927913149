//! The commands that ask once: list, show, create, end, join-token, health.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::api::{Api, encoded};
use super::args::{JoinArgs, ListArgs};
use super::error::ClientError;
use super::model::Summary;
use super::show::{details, history, print, print_json, remark, table};
use super::terminal::{Progress, clean, is_watched, size};

/// Most streams of one page.
const PAGE: usize = 1_000;
/// Between two looks at a stream that is closing.
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// `streams list`
pub(crate) async fn list(api: &Api, args: &ListArgs, json: bool) -> Result<(), ClientError> {
    let (streams, has_more) = read_list(api, args).await?;
    if json {
        return print_json(&Value::Array(streams));
    }
    if streams.is_empty() {
        remark("there are no such streams");
        return Ok(());
    }
    let summaries: Vec<Summary> = streams.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
    let width = if is_watched() { size().0 } else { usize::MAX };
    let table = if args.status.as_deref() == Some("finished") { history } else { table };
    for line in table(&summaries, Timestamp::now()).lines(width) {
        print(&line)?;
    }
    if has_more {
        remark("there are more: --limit N, or --all");
    }
    Ok(())
}

/// `health`: whether the process answers, whatever else it needs.
pub(crate) async fn health(api: &Api, json: bool) -> Result<(), ClientError> {
    let report: Value = api.get("/healthz").await?;
    if json { print_json(&report) } else { print(report["status"].as_str().unwrap_or_default()) }
}

/// As many streams as wanted, and whether there are more.
async fn read_list(api: &Api, args: &ListArgs) -> Result<(Vec<Value>, bool), ClientError> {
    let progress = Progress::begin();
    let wanted = args.limit.unwrap_or(usize::MAX);
    let mut path = format!("/streams?limit={}", wanted.min(PAGE));
    for (name, value) in [("status", &args.status), ("phase", &args.phase)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    let mut streams = Vec::new();
    let mut next = Some(path);
    while let Some(path) = next.take_if(|_| streams.len() < wanted) {
        let (page, following): (Vec<Value>, _) = api.page(&path).await?;
        streams.extend(page);
        progress.say(&format!("{} streams …", streams.len()));
        next = following;
    }
    let has_more = next.is_some() || streams.len() > wanted;
    streams.truncate(wanted);
    Ok((streams, has_more))
}

/// `streams show`
pub(crate) async fn show(api: &Api, id: &str, json: bool) -> Result<(), ClientError> {
    let path = format!("/streams/{}", encoded(id));
    let state_path = format!("{path}/state");
    let (stream, state): (Value, Value) = tokio::try_join!(api.get(&path), api.get(&state_path))?;
    let Value::Object(mut stream) = stream else { return Err(api.strange("no object")) };
    stream.insert("participants".to_owned(), state["participants"].clone());
    let stream = Value::Object(stream);
    if json {
        return print_json(&stream);
    }
    details(&stream).iter().try_for_each(|line| print(line))
}

/// `streams create`
pub(crate) async fn create(api: &Api, body: Map<String, Value>, json: bool) -> Result<(), ClientError> {
    let progress = Progress::begin();
    progress.say("creating the stream and its room …");
    let (status, answer) = api.post("/streams", &Value::Object(body)).await?;
    drop(progress);
    if json {
        return print_json(&answer);
    }
    let id = clean(answer["streamId"].as_str().unwrap_or_default());
    if status == 201 { print(&format!("created {id}")) } else { print(&format!("{id} is active already")) }
}

/// `streams end`
pub(crate) async fn end(api: &Api, id: &str, wait: bool) -> Result<(), ClientError> {
    let path = format!("/streams/{}", encoded(id));
    api.delete(&path).await?;
    if wait {
        wait_until_gone(api, &path).await?;
    }
    print(&format!("ended {}", clean(id)))
}

async fn wait_until_gone(api: &Api, path: &str) -> Result<(), ClientError> {
    let progress = Progress::begin();
    let begun = Instant::now();
    loop {
        match api.get::<Value>(path).await {
            Ok(stream) if stream["closing"] == false => return Ok(()),
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        }
        progress.say(&format!("ended; waiting until its room is gone ({} s) …", begun.elapsed().as_secs()));
        sleep(LOOK_AGAIN).await;
    }
}

/// `join-token`
pub(crate) async fn join_token(api: &Api, join: &JoinArgs, json: bool) -> Result<(), ClientError> {
    let path = format!("/streams/{}/join", encoded(&join.id));
    let (_, answer) = api.post(&path, &Value::Object(join.body.clone())).await?;
    if json {
        return print_json(&answer);
    }
    let member = |name: &str| clean(answer[name].as_str().unwrap_or_default());
    print(&member("token"))?;
    if is_watched() {
        remark(&format!("for {} as {}, until {}", member("url"), member("role"), member("expiresAt")));
    }
    Ok(())
}
