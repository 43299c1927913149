//! One seed for all randomness of a thread.
//!
//! Maps of the standard library, epochs, lease holders and the jitter of retries
//! take their randomness from the operating system. A thread of the simulation
//! answers these questions itself, from its seed; all other threads are served as ever.

use std::cell::Cell;
use std::ffi::{c_uint, c_void};

thread_local! {
    /// State of this thread's generator; `None`: the operating system is asked.
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on this thread's randomness follows from `seed`. To be called before anything else in a new thread.
pub(crate) fn seed_this_thread(seed: u64) {
    STATE.set(Some(seed));
}

/// What the C library calls `getrandom`, for every crate in the program.
///
/// # Safety
/// `buffer` must be writable for `length` bytes, as with the C library's own.
#[expect(unsafe_code, reason = "the one place where the randomness of foreign code can be made to follow from a seed")]
#[expect(unreachable_pub, reason = "it is reached by its name when the program is linked")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    let Some(state) = STATE.try_with(Cell::get).ok().flatten() else {
        // SAFETY: the arguments are the caller's own.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) } as isize;
    };
    let mut state = state;
    for at in 0..length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // SAFETY: `at` is below `length`, for which the caller vouches.
        unsafe { buffer.cast::<u8>().add(at).write((state >> 56) as u8) };
    }
    STATE.set(Some(state));
    length.cast_signed()
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    fn draw(seed: u64) -> (u64, u64) {
        let thread = std::thread::spawn(move || {
            seed_this_thread(seed);
            (rand::random(), RandomState::new().hash_one(1))
        });
        thread.join().unwrap()
    }

    #[test]
    fn a_seed_decides_maps_and_generators() {
        assert_eq!(draw(1), draw(1));
        let (first, second) = (draw(1), draw(2));
        assert!(first.0 != second.0 && first.1 != second.1);
    }
}
