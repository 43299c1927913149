//! The pages as files in memory: who they are for, how long they may be kept.
//!
//! The binary embeds what the web build left; without a web build there is one
//! page that says how to make them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use axum::http::HeaderValue;
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Files under this have their content's hash in their name.
const HASHED: &str = "assets/";
const PLACEHOLDER: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Livestream Orchestrator</title>\n",
    "<h1>Livestream Orchestrator</h1>\n",
    "<p>The API is running. The pages are not part of this build: <code>make build</code> builds both.</p>\n",
    "<p><a href=\"/openapi.json\">API description</a></p>\n</html>\n",
);

/// The files of the pages.
#[derive(Debug, Default)]
pub struct Pages {
    files: HashMap<String, Asset>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Asset {
    pub(crate) content_type: &'static str,
    pub(crate) etag: HeaderValue,
    /// Its name changes with its content: browsers may keep it for ever.
    pub(crate) immutable: bool,
    pub(crate) plain: Bytes,
    /// The same, compressed at build time.
    pub(crate) brotli: Option<Bytes>,
    pub(crate) gzip: Option<Bytes>,
}

impl Asset {
    /// Whether it is a page of its own, as opposed to a part of one.
    pub(crate) fn is_page(&self) -> bool {
        self.content_type.starts_with("text/html")
    }
}

impl Pages {
    /// No web build: one page that names `make build`.
    pub fn placeholder() -> Self {
        let placeholder = |name: &str| (name.to_owned(), Cow::Borrowed(PLACEHOLDER.as_bytes()));
        Self::from_files(["index.html", "room.html", "embed.html", "docs.html"].map(placeholder))
    }

    /// The files of a web build: paths relative to its root, with `/` between
    /// folders. `x.br` and `x.gz` are taken as `x` compressed. Without an
    /// `index.html` among them it is the [placeholder](Self::placeholder).
    pub fn from_files(files: impl IntoIterator<Item = (String, Cow<'static, [u8]>)>) -> Self {
        let mut all: HashMap<String, Bytes> = files.into_iter().map(|(path, bytes)| (path, as_bytes(bytes))).collect();
        if !all.contains_key("index.html") {
            return Self::placeholder();
        }
        let is_compressed = |path: &String| path.ends_with(".br") || path.ends_with(".gz");
        let plain: Vec<_> = all.keys().filter(|path| !is_compressed(path)).cloned().collect();
        let files = plain.into_iter().filter_map(|path| {
            let plain = all.remove(&path)?;
            let (brotli, gzip) = (all.remove(&format!("{path}.br")), all.remove(&format!("{path}.gz")));
            let asset = Asset {
                content_type: content_type(&path),
                etag: etag(&plain),
                immutable: path.starts_with(HASHED),
                plain,
                brotli,
                gzip,
            };
            Some((path, asset))
        });
        Self { files: files.collect() }
    }

    /// The file at `path`, without a leading slash.
    pub(crate) fn get(&self, path: &str) -> Option<&Asset> {
        self.files.get(path)
    }
}

fn as_bytes(bytes: Cow<'static, [u8]>) -> Bytes {
    match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    }
}

fn etag(content: &[u8]) -> HeaderValue {
    let mut tag = String::from("\"");
    for byte in &Sha256::digest(content)[..12] {
        // Writing to a String can't fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "mp3" => "audio/mpeg",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> (String, Cow<'static, [u8]>) {
        (path.to_owned(), Cow::Owned(path.as_bytes().to_vec()))
    }

    #[test]
    fn files_know_their_kind_and_their_compressed_forms() {
        let pages = Pages::from_files(["index.html", "assets/a-1f.js", "assets/a-1f.js.br", "icon.svg"].map(file));
        let script = pages.get("assets/a-1f.js").unwrap();
        assert!(script.immutable && !script.is_page());
        assert_eq!(script.brotli.as_deref(), Some(&b"assets/a-1f.js.br"[..]));
        assert!(script.gzip.is_none());
        assert!(pages.get("index.html").unwrap().is_page());
        assert!(pages.get("assets/a-1f.js.br").is_none());
        assert_eq!(pages.get("icon.svg").unwrap().content_type, "image/svg+xml");
    }

    #[test]
    fn without_a_web_build_there_is_a_placeholder() {
        for pages in [Pages::placeholder(), Pages::from_files([file("README")])] {
            let index = pages.get("index.html").unwrap();
            assert!(String::from_utf8_lossy(&index.plain).contains("make build"));
        }
    }
}
