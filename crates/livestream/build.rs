//! Has the program built again when the pages have been, and tells it which commit it is.

use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    let pages = Path::new("../../web/dist");
    // Cargo watches only what is there: without the folder, pages built later would not be taken in.
    if Path::new("../../web").is_dir() && fs::create_dir_all(pages).is_err() {
        println!("cargo:warning=web/dist can't be made: pages built later need a `touch crates/livestream/build.rs`");
    }
    println!("cargo:rerun-if-changed={}", pages.display());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=LIVESTREAM_VERSION={}", version());
}

/// `0.1.0 (3f2a9c1d)`; the version alone where nobody knows the commit, as in a source archive.
fn version() -> String {
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    match commit() {
        Some(commit) => format!("{version} ({commit})"),
        None => version,
    }
}

/// The commit that is built: as the environment says, for builds that do not see the repository, else as git says.
fn commit() -> Option<String> {
    println!("cargo:rerun-if-env-changed=LIVESTREAM_COMMIT");
    if let Some(commit) = std::env::var("LIVESTREAM_COMMIT").ok().filter(|commit| !commit.is_empty()) {
        return Some(commit.chars().take(12).collect());
    }
    // The log of HEAD changes with every commit and checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).is_file() {
        println!("cargo:rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=8", "HEAD"])
}

/// What git prints; `None` without git or outside a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
