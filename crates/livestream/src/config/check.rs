//! Rules between settings: values that are fine alone and can't work together.

use std::time::Duration;

use super::Config;

/// LiveKit's and our longest life of a token.
const LONGEST_TOKEN: Duration = Duration::from_secs(12 * 3600);

/// What can't work, in words; empty when everything can.
pub(crate) fn problems(config: &Config) -> Vec<String> {
    let rules = &config.rules;
    let (api, media) = (&config.api, &config.media);
    let embedded = config.livekit.is_none();
    let rows = [
        (media.token_life > LONGEST_TOKEN, "TOKEN_LIFE must be at most 43200 (12 hours)"),
        (media.token_life < Duration::from_secs(1), "TOKEN_LIFE must be at least 1"),
        (
            rules.tombstone <= media.token_life,
            "TOMBSTONE must be longer than TOKEN_LIFE: a token that outlives what is known of its stream could open it again",
        ),
        (rules.max_retention < rules.retention, "MAX_RETENTION must be at least RETENTION"),
        (
            embedded && api.listen.port() != 0 && api.listen.port() == config.embedded.port,
            "MEDIA_PORT must differ from PORT: signalling is served on PORT too",
        ),
    ];
    rows.into_iter().filter(|(wrong, _)| *wrong).map(|(_, text)| text.to_owned()).collect()
}
