//! `streams watch`: a picture that changes in place on a terminal, lines of JSON in a pipe.

mod lobby;
mod screen;
mod stream;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use super::api::{Api, encoded};
use super::error::ClientError;
use super::events::{Follower, Step};
use super::show::{print, remark};
use super::terminal::is_watched;

use lobby::Lobby;
use screen::Screen;
use stream::OneStream;

/// The picture is drawn this often even when nothing happens: it holds ages.
const REDRAW: Duration = Duration::from_secs(1);

/// What is followed, as it is known so far.
trait Picture {
    /// Takes an event in; `false`: it is the last one.
    fn apply(&mut self, name: &str, data: Value) -> bool;

    /// The line that is printed for an event in a pipe.
    fn json(name: &str, data: &Value) -> Value;

    /// Whether anything is known.
    fn is_known(&self) -> bool;

    /// The picture, for a terminal of this size.
    fn lines(&self, now: Timestamp, width: usize, height: usize) -> Vec<String>;
}

/// Follows one stream until it is over.
pub(crate) async fn stream(api: &Api, id: &str, json: bool) -> Result<(), ClientError> {
    let path = format!("/sse/{}/updates", encoded(id));
    follow(api, path, OneStream::default(), json).await
}

/// Follows all streams, until somebody ends the program.
pub(crate) async fn lobby(api: &Api, json: bool) -> Result<(), ClientError> {
    follow(api, "/sse/streams?limit=1000".to_owned(), Lobby::default(), json).await
}

async fn follow<P: Picture>(api: &Api, path: String, mut picture: P, json: bool) -> Result<(), ClientError> {
    let mut follower = Follower::start(api, path);
    let mut screen = (is_watched() && !json).then(|| Screen::new(api.url()));
    let mut ticks = interval(REDRAW);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut goes_on = true;
    while goes_on {
        let step = tokio::select! {
            step = follower.next() => step,
            _ = ticks.tick(), if screen.is_some() => {
                draw(&mut screen, &picture)?;
                continue;
            }
        };
        match step {
            None => return Ok(()),
            // Its record is kept for some minutes after the end; who was away longer finds nothing.
            Some(Err(error)) if error.is_not_found() && picture.is_known() => {
                remark("the stream is over, and its record is gone");
                return Ok(());
            }
            Some(Err(error)) => return Err(error),
            Some(Ok(Step::Event { name, data })) => {
                let data: Value = serde_json::from_str(&data).map_err(|error| api.strange(&error.to_string()))?;
                if screen.is_none() {
                    print(&P::json(&name, &data).to_string())?;
                }
                goes_on = picture.apply(&name, data);
            }
            Some(Ok(Step::Connected)) => say(&mut screen, None),
            Some(Ok(Step::Lost(why))) => say(&mut screen, Some(&why)),
        }
        draw(&mut screen, &picture)?;
    }
    Ok(())
}

/// On a terminal the picture says how the connection is; elsewhere only trouble is worth a word.
fn say(screen: &mut Option<Screen>, trouble: Option<&str>) {
    match (screen, trouble) {
        (Some(screen), trouble) => screen.trouble = trouble.map(str::to_owned),
        (None, Some(trouble)) => remark(&format!("connection lost, trying again: {trouble}")),
        (None, None) => {}
    }
}

fn draw(screen: &mut Option<Screen>, picture: &impl Picture) -> Result<(), ClientError> {
    match screen {
        Some(screen) => Ok(screen.draw(picture)?),
        None => Ok(()),
    }
}
