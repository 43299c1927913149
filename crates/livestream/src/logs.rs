//! Where the log goes and what a line looks like.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging to standard error; a second call changes nothing.
pub(crate) fn start(log: &Log) {
    // The directives were checked with the configuration.
    let filter = EnvFilter::try_new(directives(&log.level)).unwrap_or_default();
    let terminal = stderr().is_terminal();
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    // A line that can't be written is lost. By default it would be complained of on standard error,
    // and where that is a file on a full disk, the complaint ends the thread that had something to say.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).log_internal_errors(false);
    let started = if json { lines.json().flatten_event(true).try_init() } else { lines.with_ansi(terminal).try_init() };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

/// The media engine warns of every browser's habits: it is heard only by whoever asks for it by name.
fn directives(level: &str) -> String {
    if level.contains("str0m") { level.to_owned() } else { format!("{level},str0m=error") }
}

#[cfg(test)]
mod tests {
    use super::directives;

    #[test]
    fn the_media_engine_is_quiet_unless_asked_for() {
        assert_eq!(directives("warn"), "warn,str0m=error");
        assert_eq!(directives("info,str0m=debug"), "info,str0m=debug");
    }
}
