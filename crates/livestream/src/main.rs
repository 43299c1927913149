//! The `livestream` binary.
fn main() {}
