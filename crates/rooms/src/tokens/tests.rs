use super::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_millis(1_795_429_101_951);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn tokens() -> Tokens {
    Tokens::new("key", "secret", DEFAULT_TOKEN_LIFE)
}

fn spec() -> RoomSpec {
    RoomSpec {
        name: RoomName::from("gold~2"),
        metadata: r#"{"livestream":{"deployment":"d","id":"gold","generation":2}}"#.into(),
        empty_timeout: Duration::from_millis(330_500),
        departure_timeout: Duration::from_secs(90),
        max_participants: 0,
    }
}

fn mint(tokens: &Tokens, role: Role) -> Minted {
    let identity = Identity::parse("ünï \"ada\"").unwrap();
    tokens.mint(TokenRequest {
        room: &spec(),
        identity: &identity,
        name: Some("Ada"),
        metadata: Some("{\"a\":1}"),
        role,
        now: NOW,
    })
}

fn verify(token: &str, now: Timestamp, grace: Duration) -> Result<JoinProof, TokenError> {
    tokens().verify_join_token(token, now, grace)
}

fn signed(claims: &Value) -> String {
    Key::new("key", "secret").sign(claims)
}

fn join_claims() -> Value {
    let now = NOW.as_millis() / 1000;
    json!({ "iss": "key", "sub": "ada", "nbf": now, "exp": now + 60, "video": { "roomJoin": true, "room": "gold" } })
}

#[test]
fn the_claims_are_exactly_these() {
    let Minted { token, expires_at } = mint(&tokens(), Role::Viewer);
    assert_eq!(expires_at.to_string(), "2026-11-23T10:28:21.000Z");
    let claims: Value = Key::new("key", "secret").verify(&token).unwrap();
    let expected = json!({
        "iss": "key",
        "sub": "ünï \"ada\"",
        "nbf": 1_795_429_101,
        "exp": 1_795_429_701,
        "name": "Ada",
        "metadata": "{\"a\":1}",
        "attributes": { "role": "viewer" },
        "video": {
            "roomJoin": true, "room": "gold~2", "canPublish": false, "canSubscribe": true, "canPublishData": true,
        },
        "roomConfig": {
            "emptyTimeout": 331,
            "departureTimeout": 90,
            "metadata": "{\"livestream\":{\"deployment\":\"d\",\"id\":\"gold\",\"generation\":2}}",
        },
    });
    assert_eq!(claims, expected);
}

#[test]
fn only_viewers_may_not_publish() {
    for (role, publishes) in [(Role::Host, true), (Role::Speaker, true), (Role::Viewer, false)] {
        let claims: Value = Key::new("key", "secret").verify(&mint(&tokens(), role).token).unwrap();
        assert_eq!(claims["video"]["canPublish"], publishes);
        assert_eq!(claims["attributes"]["role"], role.as_str());
        assert_eq!(claims["video"].get("roomAdmin"), None);
    }
}

/// LiveKit's own verifier reads the system's clock, so this token is minted by it too.
#[test]
fn livekits_own_verifier_reads_our_tokens() {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_millis(i64::try_from(elapsed.as_millis()).unwrap());
    let identity = Identity::parse("ada").unwrap();
    let room = RoomSpec { max_participants: 7, ..spec() };
    let request =
        TokenRequest { room: &room, identity: &identity, name: None, metadata: None, role: Role::Speaker, now };
    let token = tokens().mint(request).token;
    let claims = livekit_token::TokenVerifier::with_api_key("key", "secret").verify(&token).unwrap();
    assert_eq!((claims.sub.as_str(), claims.video.room.as_str()), ("ada", "gold~2"));
    assert!(claims.video.room_join && claims.video.can_publish() && !claims.video.room_admin);
    let config = claims.room_config.unwrap();
    assert_eq!((config.empty_timeout, config.departure_timeout, config.max_participants), (331, 90, 7));
    assert_eq!(config.metadata, room.metadata);
}

#[test]
fn a_life_is_held_within_its_limits() {
    let life = |seconds| Tokens::new("k", "s", Duration::from_secs(seconds)).life().as_secs();
    assert_eq!([life(0), life(5), life(999_999)], [1, 5, 12 * 3600]);
}

#[test]
fn a_token_of_ours_is_a_proof() {
    let proof = verify(&mint(&tokens(), Role::Speaker).token, NOW, Duration::ZERO).unwrap();
    assert_eq!(proof.identity.as_str(), "ünï \"ada\"");
    assert_eq!((proof.room.as_str(), proof.role), ("gold~2", Some(Role::Speaker)));
}

#[test]
fn expiry_is_forgiven_for_the_grace_and_no_longer() {
    let Minted { token, expires_at } = mint(&tokens(), Role::Host);
    let just_before = |time| time - Duration::from_millis(1);
    assert!(verify(&token, just_before(expires_at), Duration::ZERO).is_ok());
    assert!(matches!(verify(&token, expires_at, Duration::ZERO), Err(TokenError::Expired)));
    assert!(verify(&token, just_before(expires_at + DAY), DAY).is_ok());
    assert!(matches!(verify(&token, expires_at + DAY, DAY), Err(TokenError::Expired)));
}

#[test]
fn clocks_may_differ_by_a_minute() {
    let token = mint(&tokens(), Role::Host).token;
    assert!(verify(&token, NOW - Duration::from_secs(60), DAY).is_ok());
    assert!(matches!(verify(&token, NOW - Duration::from_secs(62), DAY), Err(TokenError::Early)));
}

#[test]
fn forged_and_foreign_tokens_prove_nothing() {
    let of_other_secret = mint(&Tokens::new("key", "other", DAY), Role::Host).token;
    assert!(matches!(verify(&of_other_secret, NOW, DAY), Err(TokenError::BadSignature)));
    let of_other_key = mint(&Tokens::new("other", "secret", DAY), Role::Host).token;
    assert!(matches!(verify(&of_other_key, NOW, DAY), Err(TokenError::WrongIssuer)));
    for garbage in ["", "a.b.c", "....", "Bearer x", "é"] {
        assert!(verify(garbage, NOW, DAY).is_err(), "{garbage}");
    }
}

#[test]
fn alg_none_and_other_algorithms_are_refused() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    let token = mint(&tokens(), Role::Host).token;
    let (header, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    assert_eq!(BASE64.decode(header).unwrap(), br#"{"typ":"JWT","alg":"HS256"}"#);
    for alg in ["none", "None", "HS384", "HS512", "RS256"] {
        let header = BASE64.encode(format!(r#"{{"typ":"JWT","alg":"{alg}"}}"#));
        for signature in ["", signature] {
            assert!(verify(&format!("{header}.{claims}.{signature}"), NOW, DAY).is_err(), "{alg}");
        }
    }
    // The key's own HMAC under a longer hash must not pass either.
    let longer = jsonwebtoken::encode(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS512),
        &join_claims(),
        &jsonwebtoken::EncodingKey::from_secret(b"secret"),
    );
    assert!(matches!(verify(&longer.unwrap(), NOW, DAY), Err(TokenError::BadSignature)));
}

#[test]
fn claims_that_were_changed_break_the_signature() {
    let token = mint(&tokens(), Role::Viewer).token;
    let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
    parts[1] = signed(&join_claims()).split('.').nth(1).unwrap().to_owned();
    assert!(matches!(verify(&parts.join("."), NOW, DAY), Err(TokenError::BadSignature)));
}

#[test]
fn a_token_that_joins_no_room_proves_nothing() {
    assert!(verify(&signed(&join_claims()), NOW, DAY).is_ok());
    let changes: [fn(&mut Value); 6] = [
        |claims| claims["video"]["roomJoin"] = json!(false),
        |claims| claims["video"]["room"] = json!(""),
        |claims| drop(claims.as_object_mut().unwrap().remove("video")),
        |claims| drop(claims.as_object_mut().unwrap().remove("sub")),
        |claims| claims["sub"] = json!("a\nb"),
        |claims| claims["sub"] = json!("x".repeat(257)),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut claims = join_claims();
        change(&mut claims);
        assert!(matches!(verify(&signed(&claims), NOW, DAY), Err(TokenError::NotAJoinToken)), "change {number}");
    }
    let mut endless = join_claims();
    endless.as_object_mut().unwrap().remove("exp");
    assert!(matches!(verify(&signed(&endless), NOW, DAY), Err(TokenError::Expired)));
}

#[test]
fn a_refreshed_or_foreign_join_token_has_perhaps_no_role() {
    let mut claims = join_claims();
    claims["attributes"] = json!({ "role": "king", "other": "x" });
    assert_eq!(verify(&signed(&claims), NOW, DAY).unwrap().role, None);
    claims["attributes"]["role"] = json!("host");
    assert_eq!(verify(&signed(&claims), NOW, DAY).unwrap().role, Some(Role::Host));
}

#[test]
fn nothing_prints_a_secret_or_a_token() {
    let minted = mint(&tokens(), Role::Host);
    let text = format!("{:?} {:?}", tokens(), minted);
    assert!(!text.contains("secret") && !text.contains(&minted.token), "{text}");
}
