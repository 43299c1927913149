//! Every problem that an answer can tell of, by the shared answer it belongs to.

use crate::origin::{FOREIGN_NAME, FOREIGN_PAGE};

/// One kind of problem, as the reference shows it.
pub(crate) struct ProblemExample {
    /// For programs.
    pub(crate) code: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The kind in words.
    pub(crate) title: &'static str,
    /// What it may say.
    pub(crate) detail: &'static str,
    /// When it comes, and what to do.
    pub(crate) when: &'static str,
}

const fn problem(
    code: &'static str,
    status: u16,
    title: &'static str,
    detail: &'static str,
    when: &'static str,
) -> ProblemExample {
    ProblemExample { code, status, title, detail, when }
}

/// By the name of the shared answer.
pub(crate) const PROBLEMS: &[(&str, &[ProblemExample])] = &[
    (
        "Invalid",
        &[problem(
            "invalid_request",
            400,
            "Invalid request",
            "\"name\" is required",
            "`detail` says what was expected",
        )],
    ),
    (
        "Unauthorized",
        &[
            problem(
                "unauthorized",
                401,
                "Not authorized",
                "this needs an API key: Authorization: Bearer <key>",
                "No credentials, or none that are known",
            ),
            problem(
                "bad_signature",
                401,
                "Not signed by LiveKit",
                "the webhook must carry LiveKit's signature of exactly this body",
                "A webhook that is not LiveKit's",
            ),
        ],
    ),
    (
        "Forbidden",
        &[
            problem("banned", 403, "Banned", "this userId is banned from the stream", "A host has banned this userId"),
            problem("forbidden", 403, "Forbidden", "this needs a key with the scope admin", "Known, but not allowed"),
            problem("stream_full", 403, "Stream full", "the stream is full", "`maxParticipants` are there"),
        ],
    ),
    (
        "NotFound",
        &[
            problem(
                "stream_not_found",
                404,
                "Stream not found",
                "there is no such stream",
                "It never was, was forgotten some minutes after its end, or is private: bring a key, its host key, an invite or the own join token",
            ),
            problem(
                "not_in_stream",
                404,
                "Not in the stream",
                "nobody with this userId is in the stream",
                "Nobody of that userId is connected",
            ),
        ],
    ),
    (
        "Conflict",
        &[
            problem(
                "identity_held",
                409,
                "Identity held",
                "this userId belongs to a host or speaker of the stream",
                "Somebody with more rights has this userId: take another",
            ),
            problem(
                "too_many_bans",
                409,
                "Too many bans",
                "1000 people are banned from this stream already: lift a ban first",
                "Lift a ban first",
            ),
            problem(
                "too_many_roles",
                409,
                "Too many roles",
                "20000 people hold a role in this stream already",
                "Take a role back first",
            ),
            problem(
                "privacy_is_fixed",
                409,
                "Privacy is fixed",
                "a stream is private from its creation on, or never: create another one",
                "`private` can't be changed to or from",
            ),
            problem("stream_finished", 409, "Stream finished", "the stream has ended", "Create it again to go on"),
            problem(
                "room_taken",
                409,
                "Room taken",
                "the LiveKit room of this name belongs to another deployment",
                "Take another id",
            ),
            problem(
                "duplicate_identity",
                409,
                "Identity in use",
                "somebody with this userId is already in the stream",
                "`onDuplicate` is `reject`, or had to be",
            ),
            problem(
                "idempotency_key_in_use",
                409,
                "Key in use",
                "a request with this Idempotency-Key is being carried out; ask again in a moment",
                "The same request is under way: ask again after `Retry-After`",
            ),
        ],
    ),
    (
        "ChangedMeanwhile",
        &[problem(
            "changed_meanwhile",
            412,
            "Changed meanwhile",
            "the settings were changed meanwhile",
            "Read the stream again, and decide again",
        )],
    ),
    (
        "TooLarge",
        &[problem(
            "body_too_large",
            413,
            "Body too large",
            "the request body must be at most 65536 bytes",
            "64 KiB; a webhook 1 MiB",
        )],
    ),
    (
        "TooMany",
        &[problem(
            "rate_limited",
            429,
            "Too many requests",
            "too many joins from this address: 60 in 60 s are allowed; try again in 7 s",
            "Try again after `Retry-After`",
        )],
    ),
    (
        "KeyReused",
        &[problem(
            "idempotency_key_reused",
            422,
            "Key reused",
            "this Idempotency-Key was used for another request; make a new one for each",
            "Make a new key for each request, and keep it for its repetitions",
        )],
    ),
    (
        "Unavailable",
        &[
            problem(
                "store_unavailable",
                503,
                "Store unavailable",
                "the store is unavailable; try again",
                "Nothing was changed, or nobody knows: try again after `Retry-After`",
            ),
            problem(
                "livekit_unavailable",
                503,
                "LiveKit unavailable",
                "LiveKit is unavailable; try again",
                "Try again after `Retry-After`",
            ),
            problem(
                "busy",
                503,
                "Busy",
                "too many changes at once; try again",
                "Others change the same stream: try again",
            ),
            problem(
                "draining",
                503,
                "Shutting down",
                "this instance is shutting down; try again",
                "Another instance, or the next one, takes it",
            ),
        ],
    ),
    (
        "Other",
        &[
            problem(
                "foreign_host",
                403,
                "Foreign host",
                FOREIGN_NAME,
                "Called under a foreign name, as by DNS rebinding",
            ),
            problem("foreign_origin", 403, "Foreign origin", FOREIGN_PAGE, "A page of another site asks for a change"),
            problem("not_found", 404, "Not found", "there is nothing at this address", "The address is wrong"),
            problem(
                "method_not_allowed",
                405,
                "Method not allowed",
                "this address does not take this method; see Allow",
                "`Allow` says which it takes",
            ),
            problem(
                "request_timeout",
                408,
                "Request timeout",
                "the request body did not arrive in time",
                "The request's body took too long",
            ),
            problem(
                "internal",
                500,
                "Internal error",
                "something went wrong here; the request id leads to it in the log",
                "A bug: report it with the request id",
            ),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use orchestrator::{UseCaseError, WebhookFailure};
    use rooms::{RoomsError, WebhookError};
    use store::StoreError;

    use super::*;
    use crate::limits::Quota;
    use crate::problem::Problem;

    /// One of each kind that an answer can be.
    fn all() -> Vec<Problem> {
        let minute = Quota { count: NonZeroU32::new(60).unwrap(), window: Duration::from_secs(60) };
        let store = || StoreError::new(store::ErrorKind::Unavailable, "load", "away");
        let livekit = RoomsError::new(rooms::ErrorKind::Unavailable, "CreateRoom", "away");
        vec![
            Problem::invalid("\"name\" is required"),
            Problem::unauthorized("this needs an API key: Authorization: Bearer <key>"),
            Problem::forbidden("this needs a key with the scope admin"),
            Problem::stream_not_found(),
            Problem::not_in_stream(),
            Problem::no_such_address(),
            Problem::method_not_allowed(),
            Problem::too_slow(),
            Problem::too_large(65_536),
            Problem::foreign_name(FOREIGN_NAME),
            Problem::foreign_page(FOREIGN_PAGE),
            Problem::rate_limited("joins", "address", minute, 7),
            Problem::key_in_use(),
            Problem::key_reused(),
            Problem::draining(),
            Problem::internal(),
            UseCaseError::Finished.into(),
            UseCaseError::Full.into(),
            UseCaseError::Banned.into(),
            UseCaseError::Held.into(),
            UseCaseError::TooManyBans.into(),
            UseCaseError::TooManyGrants.into(),
            UseCaseError::PrivacyIsFixed.into(),
            UseCaseError::DuplicateIdentity.into(),
            UseCaseError::ChangedMeanwhile.into(),
            UseCaseError::RoomTaken.into(),
            UseCaseError::Busy("too many changes at once; try again").into(),
            UseCaseError::Store(store()).into(),
            UseCaseError::LiveKit(livekit).into(),
            WebhookFailure::NotLiveKit(WebhookError::Unsigned).into(),
        ]
    }

    #[test]
    fn the_reference_shows_every_problem_as_it_is() {
        let shown: Vec<_> = PROBLEMS.iter().flat_map(|(_, problems)| problems.iter()).collect();
        let all = all();
        assert_eq!(shown.len(), all.len());
        for problem in all {
            let shown =
                shown.iter().find(|shown| shown.code == problem.code()).unwrap_or_else(|| panic!("{}", problem.code()));
            assert_eq!((shown.status, shown.detail), (problem.status().as_u16(), problem.detail()), "{}", shown.code);
            assert_eq!(shown.title, problem.title());
        }
    }
}
