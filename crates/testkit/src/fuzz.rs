//! Bad input for parsers: good input, mutated.
//!
//! It is a strategy of proptest, so that what is found is made small and kept: a case that
//! failed goes into `proptest-regressions/` beside the test and is run first ever after.
//! A target is an ordinary test named `fuzz_…`:
//!
//! ```ignore
//! proptest! {
//!     #![proptest_config(testkit::fuzz::cases())]
//!     #[test]
//!     fn fuzz_offers(bytes in testkit::fuzz::mutated(&[b"v=0\r\n"], &[b"a=mid:"])) {
//!         drop(parse(&bytes)); // must not panic, and whatever else must hold
//!     }
//! }
//! ```

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::sample::{Index, select};

/// Cases of each target when `FUZZ_CASES` does not say.
const CASES: u32 = 1_000;
/// Most mutations of one seed.
const MUTATIONS: usize = 6;
/// Bytes that end, quote or escape something in most languages.
const SHARP: &[u8] = b"\0\n\r\t \"'%&+,-./:;<=>?[\\]{|}~\x1b\x7f\x80\xc0\xed\xff";

/// In place of no words.
const QUOTE: &[&[u8]] = &[b"\""];

/// `FUZZ_CASES` of each target (`make fuzz`), else a thousand.
pub fn cases() -> ProptestConfig {
    let cases = std::env::var("FUZZ_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES);
    ProptestConfig { cases, max_shrink_iters: 2_000, ..ProptestConfig::default() }
}

/// One of the `seeds` with a few mutations; `words` are put in here and there.
pub fn mutated(seeds: &'static [&'static [u8]], words: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let words = if words.is_empty() { QUOTE } else { words };
    (select(seeds), vec(mutation(seeds, words), 0..=MUTATIONS)).prop_map(|(seed, mutations)| {
        let mut bytes = seed.to_vec();
        for mutation in &mutations {
            mutation.apply(&mut bytes);
        }
        bytes
    })
}

#[derive(Debug, Clone)]
enum Mutation {
    Replace(Index, u8),
    Flip(Index, u8),
    Remove(Index, usize),
    Insert(Index, &'static [u8]),
    Sharp(Index, u8),
    Repeat(Index, usize, usize),
    Splice(Index, &'static [u8], Index),
    Truncate(Index),
}

fn mutation(seeds: &'static [&'static [u8]], words: &'static [&'static [u8]]) -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (at(), 0..8u8).prop_map(|(at, bit)| Mutation::Flip(at, bit)),
        (at(), 1..16usize).prop_map(|(at, length)| Mutation::Remove(at, length)),
        (at(), select(words)).prop_map(|(at, word)| Mutation::Insert(at, word)),
        (at(), select(SHARP)).prop_map(|(at, byte)| Mutation::Sharp(at, byte)),
        (at(), 1..16usize, prop_oneof![Just(2usize), Just(300), Just(5_000)])
            .prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        (at(), select(seeds), at()).prop_map(|(at, seed, from)| Mutation::Splice(at, seed, from)),
        at().prop_map(Mutation::Truncate),
    ]
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index, bytes: &[u8]| at.index(bytes.len() + 1);
        let put = |at: usize, what: &[u8], bytes: &mut Vec<u8>| drop(bytes.splice(at..at, what.iter().copied()));
        match self {
            Self::Replace(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Flip(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Replace(..) | Self::Flip(..) => {}
            Self::Remove(at, length) => {
                let at = place(at, bytes);
                drop(bytes.drain(at..(at + length).min(bytes.len())));
            }
            Self::Insert(at, word) => put(place(at, bytes), word, bytes),
            Self::Sharp(at, byte) => put(place(at, bytes), &[*byte], bytes),
            Self::Repeat(at, length, times) => {
                let at = place(at, bytes);
                let part = bytes[at..(at + length).min(bytes.len())].repeat(*times);
                put(at, &part, bytes);
            }
            Self::Splice(at, seed, from) => {
                let (at, from) = (place(at, bytes), from.index(seed.len() + 1));
                bytes.truncate(at);
                bytes.extend_from_slice(&seed[from..]);
            }
            Self::Truncate(at) => bytes.truncate(place(at, bytes)),
        }
    }
}
