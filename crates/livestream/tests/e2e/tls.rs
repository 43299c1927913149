//! HTTPS: both versions of HTTP, events over both, certificates that are replaced, and the local network.

use std::fs;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client, ClientBuilder, Version};
use serde_json::json;
use testkit::{Livestream, free_tcp_port, free_udp_port};
use tokio::time::{Instant, sleep};

use crate::world::{create, instance};

const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate for this machine and its key, both PEM.
pub(crate) fn certificate() -> (String, String) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

/// An instance with HTTPS and its own media server, whose files are in its folder.
pub(crate) fn secured(certificate: &str, key: &str) -> Livestream {
    let one = instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port());
    write(&one, certificate, key);
    let path = |name: &str| one.folder().join(name).display().to_string();
    let (cert_path, key_path) = (path("cert.pem"), path("key.pem"));
    one.with("TLS_CERT", cert_path).with("TLS_KEY", key_path).by_https(certificate.as_bytes())
}

fn write(one: &Livestream, certificate: &str, key: &str) {
    fs::write(one.folder().join("key.pem"), key).unwrap();
    fs::write(one.folder().join("cert.pem"), certificate).unwrap();
}

pub(crate) fn trusting(certificate: &str) -> ClientBuilder {
    let trusted = Certificate::from_pem(certificate.as_bytes()).unwrap();
    Client::builder().tls_certs_only([trusted]).pool_max_idle_per_host(0)
}

/// The first event of a stream, over whatever `client` speaks.
async fn first_event(client: &Client, one: &Livestream, version: Version) {
    let mut answer = client.get(one.url("/sse/gold/updates")).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    let mut text = String::new();
    while !text.contains("\"streamId\":\"gold\"") {
        let chunk = tokio::time::timeout(PATIENCE, answer.chunk()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_carry_requests_and_events() {
    let (certificate, key) = certificate();
    let one = secured(&certificate, &key).started().await;
    create(&one, "gold").await;
    let old = trusting(&certificate).http1_only().build().unwrap();
    let new = trusting(&certificate).build().unwrap();
    first_event(&old, &one, Version::HTTP_11).await;
    first_event(&new, &one, Version::HTTP_2).await;
    let joined = one.post("/streams/gold/join", json!({"userId": "ann"})).await;
    assert_eq!(joined.body["url"], format!("wss://127.0.0.1:{}", one.port()));

    // Whoever asks by HTTP is sent to HTTPS, with the address as it was.
    let plain = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = plain.get(one.url("/room.html?streamId=a%20b").replace("https", "http")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 308);
    assert_eq!(answer.headers()["location"], one.url("/room.html?streamId=a%20b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_over_and_a_bad_one_is_not() {
    let (first, first_key) = certificate();
    let one = secured(&first, &first_key).started().await;
    // Key and certificate that do not belong together: as when only one of them has been written.
    let (second, second_key) = certificate();
    write(&one, &second, &first_key);
    until_logged(&one, "the old one stays").await;
    assert!(answers(&one, &first).await);
    write(&one, "no certificate at all", &second_key);
    sleep(Duration::from_millis(1500)).await;
    assert!(answers(&one, &first).await);

    write(&one, &second, &second_key);
    let begun = Instant::now();
    while !answers(&one, &second).await {
        assert!(begun.elapsed() < PATIENCE, "{}", one.log_tail());
        sleep(Duration::from_millis(50)).await;
    }
    assert!(!answers(&one, &first).await);
}

async fn answers(one: &Livestream, trusted: &str) -> bool {
    trusting(trusted).build().unwrap().get(one.url("/healthz")).send().await.is_ok()
}

async fn until_logged(one: &Livestream, text: &str) {
    let begun = Instant::now();
    while !one.log().contains(text) {
        assert!(begun.elapsed() < PATIENCE, "{text:?} was not logged:\n{}", one.log_tail());
        sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn files_that_can_not_be_used_are_named_at_the_start() {
    let (certificate, _) = certificate();
    let (_, other_key) = self::certificate();
    let (code, text) = secured(&certificate, &other_key).run(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("TLS_CERT and TLS_KEY can't be used"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shown_around_it_wants_the_key_it_printed() {
    let one = instance().with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port());
    let mut one = one.arguments(&["--lan"]);
    one.launch();
    let key_file = one.folder().join("data/lan/admin-key");
    until_logged(&one, "sign in there").await;
    let certificate = fs::read_to_string(one.folder().join("data/lan/certificate.pem")).unwrap();
    let key = fs::read_to_string(key_file).unwrap();
    let invitation = one.log();
    assert!(invitation.contains(&key), "{invitation}");
    let address = invitation.lines().find_map(|line| line.trim().strip_prefix("https://")).unwrap().to_owned();
    assert!(!address.starts_with("127."), "{address}");

    let client = trusting(&certificate).build().unwrap();
    let create = || client.post(format!("https://{address}streams")).json(&json!({"name": "gold"}));
    assert_eq!(create().send().await.unwrap().status().as_u16(), 401);
    assert_eq!(create().bearer_auth(&key).send().await.unwrap().status().as_u16(), 201);
    let join = client.post(format!("https://{address}streams/gold/join")).json(&json!({"userId": "ann"}));
    let joined: serde_json::Value = join.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&joined["role"], joined["url"].as_str()),
        (&json!("viewer"), Some(format!("wss://{}", address.trim_end_matches('/')).as_str()))
    );
}
