//! Has the program built again when the pages have been.

use std::fs;
use std::path::Path;

fn main() {
    let pages = Path::new("../../web/dist");
    // Cargo watches only what is there: without the folder, pages built later would not be taken in.
    if Path::new("../../web").is_dir() && fs::create_dir_all(pages).is_err() {
        println!("cargo:warning=web/dist can't be made: pages built later need a `touch crates/livestream/build.rs`");
    }
    println!("cargo:rerun-if-changed={}", pages.display());
    println!("cargo:rerun-if-changed=build.rs");
}
