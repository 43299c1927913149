//! Ids in LiveKit's form: a prefix that tells the kind and 12 random base58 characters.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The alphabet without the characters people mix up.
const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Makes ids. Seeded, so that a test can repeat a run.
#[derive(Debug)]
pub(crate) struct Ids(StdRng);

impl Ids {
    /// Ids nobody can guess.
    pub(crate) fn from_system() -> Self {
        Self(StdRng::from_rng(&mut rand::rng()))
    }

    /// The same ids for the same seed.
    #[cfg(test)]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A new id that starts with `prefix`, which includes its underscore if it has one.
    pub(crate) fn random(&mut self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + 12);
        id.push_str(prefix);
        for _ in 0..12 {
            id.push(BASE58[self.0.random_range(0..BASE58.len())] as char);
        }
        id
    }

    /// Random bytes, as for the trailer of server-injected frames.
    pub(crate) fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.0.random()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_livekits_form() {
        let mut ids = Ids::seeded(1);
        let id = ids.random("PA_");
        assert_eq!(id.len(), 15);
        assert!(id.starts_with("PA_") && id[3..].bytes().all(|b| BASE58.contains(&b)));
        assert_ne!(id, ids.random("PA_"));
    }
}
