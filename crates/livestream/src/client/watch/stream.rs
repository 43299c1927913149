//! One stream: how it is, who is there, and what changed last.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::Value;

use super::Picture;
use crate::client::model::State;
use crate::client::show::styled;
use crate::client::terminal::{BOLD, DIM, ago, clean, shortened, style_of};

/// Changes that are remembered.
const CHANGES: usize = 100;

/// One stream as it is known.
#[derive(Default)]
pub(super) struct OneStream {
    state: Option<State>,
    /// When it was heard of, and what; the newest first.
    changes: VecDeque<(Timestamp, String)>,
}

impl OneStream {
    fn note(&mut self, now: Timestamp, what: String) {
        self.changes.push_front((now, what));
        self.changes.truncate(CHANGES);
    }

    fn take(&mut self, state: State, now: Timestamp) {
        if let Some(before) = self.state.take() {
            differences(&before, &state).into_iter().for_each(|what| self.note(now, what));
        }
        self.state = Some(state);
    }
}

/// What a newer state says that the older one did not.
fn differences(before: &State, after: &State) -> Vec<String> {
    let mut found = Vec::new();
    if before.epoch != after.epoch {
        found.push("another stream of the same id".to_owned());
    }
    let missing_in = |list: &[String], who: &&String| !list.contains(who);
    found.extend(
        after.participants.iter().filter(|who| missing_in(&before.participants, who)).map(|who| format!("+ {who}")),
    );
    found.extend(
        before.participants.iter().filter(|who| missing_in(&after.participants, who)).map(|who| format!("- {who}")),
    );
    if before.title != after.title {
        found.push(format!("title: {}", after.title.as_deref().unwrap_or("none")));
    }
    if before.phase != after.phase {
        let reason = after.end_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        found.push(format!("{}{reason}", after.phase));
    }
    if before.closing && !after.closing {
        found.push("its room is gone".to_owned());
    }
    found
}

impl Picture for OneStream {
    fn apply(&mut self, _: &str, data: Value) -> bool {
        let Ok(state) = serde_json::from_value::<State>(data) else { return true };
        let goes_on = !state.is_over();
        self.take(state, Timestamp::now());
        goes_on
    }

    fn json(_: &str, data: &Value) -> Value {
        data.clone()
    }

    fn is_known(&self) -> bool {
        self.state.is_some()
    }

    fn lines(&self, now: Timestamp, width: usize, height: usize) -> Vec<String> {
        let Some(state) = &self.state else { return vec![styled("…", DIM)] };
        let title = state.title.as_ref().map(|title| format!(" · {title}")).unwrap_or_default();
        let line = |text: String| shortened(&clean(&text), width);
        let reason = state.end_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let count = state.participants.len();
        let mut lines = vec![
            styled(&line(format!("{}{title}", state.stream_id)), BOLD),
            styled(
                &line(format!("{}{reason} for {}", state.phase, ago(&state.phase_since, now))),
                style_of(&state.phase),
            ),
            line(format!(
                "started {} ago · {count} here, {} at most, {} joins · version {}",
                ago(&state.started_at, now),
                state.peak_participants,
                state.total_joins,
                state.version
            )),
            String::new(),
            line(if count == 0 { "nobody is here".to_owned() } else { state.participants.join(", ") }),
        ];
        let room = height.saturating_sub(lines.len() + 1);
        if room > 0 && !self.changes.is_empty() {
            lines.push(String::new());
        }
        lines.extend(self.changes.iter().take(room).map(|(at, what)| {
            let time = at.strftime("%H:%M:%SZ").to_string();
            match width.checked_sub(time.len() + 2).filter(|left| *left > 3) {
                Some(left) => format!("{}  {}", styled(&time, DIM), shortened(&clean(what), left)),
                None => shortened(&clean(what), width),
            }
        }));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(phase: &str, people: &[&str]) -> State {
        let participants = people.iter().map(|&who| who.to_owned()).collect();
        State { stream_id: "gold".into(), phase: phase.into(), participants, ..State::default() }
    }

    #[test]
    fn changes_are_named() {
        let after = State { title: Some("G".into()), ..state("live", &["bob", "eve"]) };
        let found = differences(&state("waiting", &["ann", "bob"]), &after);
        assert_eq!(found, ["+ eve", "- ann", "title: G", "live"]);
        assert!(differences(&after, &after).is_empty());
    }

    #[test]
    fn the_picture_fits_and_holds_no_control_characters() {
        let mut one = OneStream::default();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        one.take(state("waiting", &[]), now);
        for at in 0..50 {
            one.take(state("live", &[&format!("p{at}\x1b[2J")]), now);
        }
        let lines = one.lines(now, 40, 12);
        assert!(lines.len() <= 12, "{lines:#?}");
        let plain: String = lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert!(!plain.contains('\x1b') && plain.contains("+ p49"), "{plain}");
        assert!(
            one.lines(now, 10, 12)
                .iter()
                .all(|line| { anstream::adapter::strip_str(line).to_string().chars().count() <= 10 })
        );
    }
}
