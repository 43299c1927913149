//! Ids that look like LiveKit's and follow from a seed.

/// A sequence of ids.
#[derive(Debug)]
pub(super) struct Ids {
    state: u64,
}

impl Ids {
    /// The sequence of `seed`.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next id: `prefix` and twelve letters and digits.
    pub(super) fn next(&mut self, prefix: &str) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let bits = self.next_bits();
        let letters = (0..12).map(|i| ALPHABET[(bits >> (5 * i)) as usize % 32]);
        prefix.chars().chain(letters.map(char::from)).collect()
    }

    /// SplitMix64: every seed gives a sequence without a repetition.
    fn next_bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_ids_again_and_another_seed_others() {
        let take = |seed| {
            let mut ids = Ids::new(seed);
            (0..100).map(|_| ids.next("RM_")).collect::<Vec<_>>()
        };
        assert_eq!(take(1), take(1));
        assert_ne!(take(1), take(2));
        assert_eq!(take(1)[0].len(), 15);
        assert_eq!(std::collections::HashSet::<String>::from_iter(take(1)).len(), 100);
    }
}
