//! One quota, counted per caller, in bounded memory.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::{Clock, MonotonicClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::HashMapStateStore;
use parking_lot::Mutex;

use super::Quota;

/// Callers remembered with a counter of their own. Above that, whoever comes shares one of [`SHARED`].
const MOST: usize = 65_536;
/// Counters shared by all who come while there are too many.
const SHARED: u64 = 4_096;
/// While there are too many, those whose quota is whole again are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Length of the IPv6 prefix that counts as one caller: what one household or server is given.
const IPV6_PREFIX: u32 = 64;

/// Who counts as one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// An IPv4 address, or the start of an IPv6 one.
    Address(IpAddr),
    /// A known key, by the start of its hash.
    Key(u64),
    /// Some of those who came when there were too many.
    Others(u64),
}

/// Where a caller stands with a quota, after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The quota's name.
    pub(crate) name: &'static str,
    /// The quota.
    pub(crate) quota: Quota,
    /// How many more may come at once.
    pub(crate) remaining: u32,
    /// Seconds until the whole quota is there again.
    pub(crate) reset: u64,
    /// Refused: seconds until the next may come.
    pub(crate) retry_after: Option<u32>,
}

/// The counters of one quota.
pub(super) struct Bucket<C: Clock = MonotonicClock> {
    name: &'static str,
    quota: Quota,
    clock: C,
    limiter: RateLimiter<Who, HashMapStateStore<Who>, C, StateInformationMiddleware>,
    hasher: RandomState,
    /// When it was last looked who can be forgotten.
    looked: Mutex<Option<C::Instant>>,
}

impl Who {
    /// The caller at an address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (!0 << (128 - IPV6_PREFIX))).into(),
        })
    }

    /// What the caller is told it was counted by.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Address(_) | Self::Others(_) => "address",
            Self::Key(_) => "key",
        }
    }
}

impl Bucket {
    pub(super) fn new(name: &'static str, quota: Quota) -> Self {
        Self::with_clock(name, quota, MonotonicClock)
    }
}

impl<C: Clock + Clone> Bucket<C> {
    fn with_clock(name: &'static str, quota: Quota, clock: C) -> Self {
        let pace = (quota.window / quota.count.get()).max(Duration::from_nanos(1));
        // Only a pace of zero is refused, and this one is not.
        let rate = governor::Quota::with_period(pace).unwrap_or(governor::Quota::per_second(quota.count));
        let limiter = RateLimiter::hashmap_with_clock(rate.allow_burst(quota.count), clock.clone());
        Self {
            name,
            quota,
            limiter: limiter.with_middleware(),
            clock,
            hasher: RandomState::new(),
            looked: Mutex::new(None),
        }
    }

    /// Counts one request.
    pub(super) fn take(&self, who: Who) -> Standing {
        let outcome = self.limiter.check_key(&self.place(who));
        let (remaining, wait) = match outcome {
            Ok(snapshot) => (snapshot.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(self.clock.now()))),
        };
        let pace = self.quota.window.as_secs_f64() / f64::from(self.quota.count.get());
        let missing = f64::from(self.quota.count.get() - remaining.min(self.quota.count.get()));
        Standing {
            name: self.name,
            quota: self.quota,
            remaining,
            // A quota's window is at most ten years of seconds.
            reset: (pace * missing).ceil() as u64,
            retry_after: wait.map(|wait| (wait.as_secs_f64().ceil() as u32).max(1)),
        }
    }

    /// Under whose name a caller is counted: its own while there is room.
    fn place(&self, who: Who) -> Who {
        if self.limiter.len() < MOST {
            return who;
        }
        self.forget_some();
        if self.limiter.len() < MOST { who } else { Who::Others(self.hasher.hash_one(who) % SHARED) }
    }

    fn forget_some(&self) {
        let now = self.clock.now();
        let Some(mut looked) = self.looked.try_lock() else { return };
        let recently = looked.is_some_and(|last| now < last + LOOK_EVERY.into());
        if !recently {
            *looked = Some(now);
            self.limiter.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn bucket(count: u32, seconds: u64) -> (Bucket<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let quota = Quota::new(NonZeroU32::new(count).unwrap(), Duration::from_secs(seconds));
        (Bucket::with_clock("test", quota, clock.clone()), clock)
    }

    fn address(text: &str) -> Who {
        Who::of(text.parse().unwrap())
    }

    #[test]
    fn a_burst_of_the_whole_quota_then_an_even_refill() {
        let (bucket, clock) = bucket(10, 60);
        let ann = address("192.0.2.1");
        for n in (0..10).rev() {
            let standing = bucket.take(ann);
            assert_eq!((standing.remaining, standing.retry_after), (n, None));
            assert_eq!(standing.reset, 6 * u64::from(10 - n));
        }
        let refused = bucket.take(ann);
        assert_eq!((refused.remaining, refused.retry_after, refused.reset), (0, Some(6), 60));
        clock.advance(Duration::from_secs(6));
        assert_eq!(bucket.take(ann).retry_after, None);
        assert_eq!(bucket.take(ann).retry_after, Some(6));
        clock.advance(Duration::from_secs(60));
        assert_eq!(bucket.take(ann).remaining, 9);
    }

    #[test]
    fn callers_are_counted_apart_and_an_ipv6_network_as_one() {
        let (bucket, _) = bucket(1, 60);
        for who in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"].map(address) {
            assert_eq!(bucket.take(who).retry_after, None);
        }
        for who in ["192.0.2.1", "::ffff:192.0.2.2", "2001:db8::ffff:1", "2001:db8:0:1:2::"].map(address) {
            assert_eq!(bucket.take(who).retry_after, Some(60));
        }
        assert_eq!(bucket.take(Who::Key(1)).retry_after, None);
    }

    #[test]
    fn memory_is_bounded_and_free_again_when_callers_rest() {
        let (bucket, clock) = bucket(1, 60);
        let caller = |n: u128| Who::of(Ipv6Addr::from_bits((0x2001_0db8 << 96) | (n << 64)).into());
        for n in 0..MOST as u128 + 10_000 {
            bucket.take(caller(n));
        }
        assert!(bucket.limiter.len() <= MOST + SHARED as usize, "{}", bucket.limiter.len());
        // Who was there before is still counted, if only together with others.
        let refused = (0..2).map(|_| bucket.take(caller(3)).retry_after).last().flatten();
        assert!(refused.is_some());
        clock.advance(Duration::from_secs(120));
        assert_eq!(bucket.take(caller(1 << 30)).retry_after, None);
        assert_eq!(bucket.limiter.len(), 1);
    }
}
