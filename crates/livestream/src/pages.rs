//! The web build inside the program. Without one there is a page that says how to make it.

use rust_embed::RustEmbed;
use server::Pages;

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

/// What was in `web/dist` when the program was built.
pub(crate) fn embedded() -> Pages {
    Pages::from_files(Dist::iter().filter_map(|path| Some((path.to_string(), Dist::get(&path)?.data))))
}
