//! A picture that is drawn over the one before.

use std::io::{self, Write};

use jiff::Timestamp;

use super::Picture;
use crate::client::show::styled;
use crate::client::terminal::{DIM, WARNING, clean, shortened, size};

/// Lines below a picture.
const FOOTER: usize = 2;

/// The place on the terminal.
pub(super) struct Screen {
    server: String,
    /// Why there is no connection.
    pub(super) trouble: Option<String>,
    /// Lines of the picture that is there.
    drawn: usize,
}

impl Screen {
    pub(super) fn new(server: &str) -> Self {
        Self { server: server.to_owned(), trouble: None, drawn: 0 }
    }

    /// Draws in one write, so that no half of a picture is ever seen.
    pub(super) fn draw(&mut self, picture: &impl Picture) -> io::Result<()> {
        let (width, height) = size();
        let room = height.saturating_sub(FOOTER + 1).max(1);
        let mut lines = picture.lines(Timestamp::now(), width, room);
        lines.truncate(room);
        lines.push(String::new());
        lines.push(self.footer(width));
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        text.push_str("\r\x1b[J");
        lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
        self.drawn = lines.len();
        let mut out = anstream::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    fn footer(&self, width: usize) -> String {
        match &self.trouble {
            Some(trouble) => {
                styled(&shortened(&format!("no connection, trying again: {}", clean(trouble)), width), WARNING)
            }
            None => styled(&shortened(&format!("{} · Ctrl-C to end", self.server), width), DIM),
        }
    }
}
