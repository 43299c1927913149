//! How often a stream's newest state goes out to very many. Pure.
//!
//! Few readers of a small state need no rule: while one state is being sent the
//! next one waits, and whatever changes meanwhile goes out with it, as one.

use std::time::Duration;

use crate::encode::Shape;

/// Up to so many readers, and states of up to [`SMALL`] bytes, there is no window.
const FEW: usize = 10_000;
const SMALL: usize = 1_024;
/// A send costs about as much as sending so many bytes, however short it is.
const LEAST: usize = 2_048;
/// Bytes that one stream may send per second.
const RATE: f64 = 200.0 * 1024.0 * 1024.0;
/// States up to this length, and all summaries, wait for [`SHORT`] at most.
const MEDIUM: usize = 4_096;
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(10);

/// The time between the beginnings of two rounds of sending a state of `size` bytes to so many.
pub(crate) fn window(shape: Shape, size: usize, subscribers: usize) -> Duration {
    if subscribers <= FEW && size <= SMALL {
        return Duration::ZERO;
    }
    let longest = if shape == Shape::Summary || size <= MEDIUM { SHORT } else { LONG };
    // Both are far below 2^52: nothing is lost.
    let bytes = size.max(LEAST) as f64 * subscribers as f64;
    Duration::try_from_secs_f64(bytes / RATE).unwrap_or(longest).min(longest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn millis(shape: Shape, size: usize, subscribers: usize) -> u128 {
        window(shape, size, subscribers).as_millis()
    }

    #[test]
    fn few_readers_of_small_states_never_wait() {
        assert_eq!(millis(Shape::Full, 130, 10_000), 0);
        assert_eq!(millis(Shape::Full, 1_024, 10_000), 0);
        assert_eq!(millis(Shape::Summary, 1_024, 10_000), 0);
    }

    #[test]
    fn the_window_is_what_the_bytes_take() {
        assert_eq!(millis(Shape::Full, 130, 15_000), 146, "a short state counts as 2 KiB");
        assert_eq!(millis(Shape::Full, 4_096, 40_000), 781);
        assert_eq!(millis(Shape::Full, 100 * 1024, 1_000), 488);
        assert_eq!(millis(Shape::Full, 100 * 1024, 10_000), 4_882);
        assert_eq!(millis(Shape::Full, 2_000, 10), 0, "what takes no time needs no window");
    }

    #[test]
    fn nobody_waits_longer_than_the_bounds() {
        assert_eq!(millis(Shape::Full, 4_096, 1_000_000), 1_000);
        assert_eq!(millis(Shape::Summary, 10_000, 1_000_000), 1_000);
        assert_eq!(millis(Shape::Full, 4_097, 1_000_000), 10_000);
        assert_eq!(millis(Shape::Full, usize::MAX, usize::MAX), 10_000);
    }

    proptest! {
        #[test]
        fn more_bytes_or_more_readers_never_shorten_it(size in 0_usize..1 << 24, more in 0_usize..1 << 20, readers in 0_usize..2_000_000) {
            for shape in [Shape::Full, Shape::Summary] {
                let here = window(shape, size, readers);
                prop_assert!(window(shape, size + more, readers) >= here);
                prop_assert!(window(shape, size, readers + more) >= here);
            }
        }
    }
}
