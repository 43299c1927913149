//! Why a server did not do what it was asked, and the exit code that says so.

use std::error::Error;
use std::io;

use reqwest::StatusCode;
use serde::Deserialize;

/// The server wants a key, or another one.
const EXIT_REFUSED: u8 = 3;
/// There is no such stream.
const EXIT_NOT_FOUND: u8 = 4;
/// Nobody answers, or the server can't at the moment: trying again may help.
const EXIT_UNAVAILABLE: u8 = 5;
const EXIT_WRONG_USE: u8 = 2;
const EXIT_FAILED: u8 = 1;

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// What was asked can't be asked.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers at the address. Trying again may help.
    #[error("{url} can't be reached: {}; is it running, and is --url right?", deepest(.source))]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// The server said no.
    #[error("{0}")]
    Refused(Refusal),
    /// What answered is no Livestream Orchestrator.
    #[error("{url} answered something else than expected ({what}): is this a Livestream Orchestrator?")]
    Strange {
        /// Who answered.
        url: String,
        /// What was wrong with it.
        what: String,
    },
    /// The output could not be written.
    #[error("the output can't be written: {0}")]
    Output(#[from] io::Error),
}

/// A problem document of the server's.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// What happened, in the server's words.
    pub(crate) problem: ProblemDocument,
}

/// The members of a problem document that are used.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ProblemDocument {
    pub(crate) detail: String,
    pub(crate) code: String,
    pub(crate) request_id: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ProblemDocument { detail, code, request_id } = &self.problem;
        if detail.is_empty() {
            return write!(f, "the server answered {}", self.status);
        }
        write!(f, "{detail} ({}, {code}, request {request_id})", self.status.as_u16())?;
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => f.write_str("; see --key"),
            _ => Ok(()),
        }
    }
}

impl ClientError {
    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => EXIT_WRONG_USE,
            Self::Unreachable { .. } => EXIT_UNAVAILABLE,
            Self::Refused(refusal) => match refusal.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => EXIT_REFUSED,
                StatusCode::NOT_FOUND => EXIT_NOT_FOUND,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => EXIT_UNAVAILABLE,
                status if status.is_server_error() => EXIT_UNAVAILABLE,
                _ => EXIT_FAILED,
            },
            Self::Strange { .. } | Self::Output(_) => EXIT_FAILED,
        }
    }

    /// Whether the same may work later without anybody's help.
    pub(crate) fn is_temporary(&self) -> bool {
        self.exit_code() == EXIT_UNAVAILABLE
    }

    /// Whether there is no such stream.
    pub(crate) fn is_not_found(&self) -> bool {
        self.exit_code() == EXIT_NOT_FOUND
    }

    /// Whether whoever read the output has gone, which is fine: `livestream … | head`.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The innermost cause: those around it repeat the address.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_tell_what_to_do() {
        let refused = |status: u16| {
            let status = StatusCode::from_u16(status).unwrap();
            ClientError::Refused(Refusal { status, problem: ProblemDocument::default() }).exit_code()
        };
        let codes = [401, 403, 404, 409, 429, 500, 503].map(refused);
        assert_eq!(codes, [3, 3, 4, 1, 5, 5, 5]);
    }
}
