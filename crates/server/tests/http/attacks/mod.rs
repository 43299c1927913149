//! What an outsider may try: each attack, and what came of it, is a row of `docs/security.md`.

mod bodies;
mod claims;
mod pages;
mod passes;
mod proofs;
mod strangers;
mod wire;

/// One test per attack, and a check that the document tells of no other.
macro_rules! attacks {
    ($($module:ident :: $attack:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $attack() {
                $module::$attack().await.check(concat!("server: attacks::", stringify!($attack)));
            }
        )*

        #[test]
        fn the_document_tells_of_these_attacks_alone() {
            testkit::attacks::check_names("server: attacks::", &[$(stringify!($attack)),*]);
        }
    };
}

attacks! {
    wire::slow_heads,
    wire::slow_bodies,
    wire::huge_heads,
    wire::smuggling,
    wire::doubled_headers,
    wire::odd_methods,
    bodies::huge_json,
    bodies::odd_json,
    bodies::compressed,
    bodies::hostile_names,
    pages::paths,
    pages::foreign_pages,
    proofs::forged_tokens,
    proofs::forged_webhooks,
    proofs::replayed_webhooks,
    proofs::odd_event_ids,
    strangers::private_streams,
    strangers::shown_secrets,
    claims::sealed_claims,
    claims::confused_kinds,
    claims::banned_lookalikes,
    passes::misplaced_passes,
    passes::former_passes,
    passes::forged_passes,
    passes::guessed_keys,
    passes::banned_people,
    passes::held_identities,
    passes::idempotency_keys,
}
