//! The pages' files and what protects them.

use std::borrow::Cow;

use server::Pages;

use crate::app::{Setup, TestApp, request};

fn files() -> Pages {
    let file = |(path, text): (&str, &str)| (path.to_owned(), Cow::Owned(text.as_bytes().to_vec()));
    Pages::from_files(
        [
            ("index.html", "lobby"),
            ("room.html", "room"),
            ("embed.html", "embed"),
            ("docs.html", "docs"),
            ("assets/app-1f2e.js", "script"),
            ("assets/app-1f2e.js.br", "brotli"),
            ("assets/app-1f2e.js.gz", "gzip"),
            ("icon.svg", "<svg/>"),
        ]
        .map(file),
    )
}

async fn app() -> TestApp {
    TestApp::with(Setup { pages: files(), ..Setup::default() }).await
}

#[tokio::test]
async fn each_address_has_its_page() {
    let app = app().await;
    for (path, text) in [
        ("/", "lobby"),
        ("/index.html", "lobby"),
        ("/room.html?streamId=x", "room"),
        ("/embed/a%2Fb", "embed"),
        ("/docs", "docs"),
        ("/icon.svg", "<svg/>"),
        ("/assets/app-1f2e.js", "script"),
    ] {
        assert_eq!(app.get(path).await.text(), text, "{path}");
    }
    app.get("/assets/app-0000.js").await.assert_code(404, "not_found");
}

#[tokio::test]
async fn pages_are_asked_for_again_and_hashed_files_kept() {
    let app = app().await;
    let page = app.get("/").await;
    assert_eq!(page.header("cache-control"), "no-cache");
    let mut again = request("GET", "/", None, None);
    again.headers_mut().insert("if-none-match", page.header("etag").parse().unwrap());
    assert_eq!(app.send(again).await.status, 304);
    let script = app.get("/assets/app-1f2e.js").await;
    assert_eq!(script.header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
}

#[tokio::test]
async fn the_best_compressed_form_that_the_browser_takes() {
    let app = app().await;
    for (accepted, text, encoding) in
        [("gzip, br", "brotli", "br"), ("gzip", "gzip", "gzip"), ("br;q=0, gzip", "gzip", "gzip"), ("", "script", "")]
    {
        let mut request = request("GET", "/assets/app-1f2e.js", None, None);
        request.headers_mut().insert("accept-encoding", accepted.parse().unwrap());
        let answer = app.send(request).await;
        assert_eq!((answer.text(), answer.header("content-encoding")), (text, encoding), "{accepted}");
        assert_eq!(answer.header("vary"), "accept-encoding");
    }
}

#[tokio::test]
async fn pages_run_no_foreign_script_and_connect_to_us_and_the_media_server() {
    let app = app().await;
    let policy = |answer: &crate::app::Answer| answer.header("content-security-policy").to_owned();
    let lobby = app.get("/").await;
    let csp = policy(&lobby);
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self' ws://stream.example:3000 http://stream.example:3000",
        "frame-ancestors 'self'",
    ] {
        assert!(csp.contains(part), "{part} is missing in {csp}");
    }
    assert!(!csp.contains("unsafe"));
    assert_eq!(lobby.header("x-content-type-options"), "nosniff");
    assert_eq!(lobby.header("referrer-policy"), "no-referrer");
    assert!(policy(&app.get("/embed/x").await).contains("frame-ancestors *"));
}

#[tokio::test]
async fn without_a_web_build_the_page_names_make_build() {
    let app = TestApp::new().await;
    assert!(app.get("/").await.text().contains("make build"));
}
