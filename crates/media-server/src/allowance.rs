//! Limits on how often something may happen.

use std::time::Instant;

/// How much more may happen: a bucket that fills with time.
#[derive(Debug)]
pub(crate) struct Allowance {
    per_second: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    /// A full bucket.
    pub(crate) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self { per_second: per_second.into(), burst: burst.into(), left: burst.into(), at: now }
    }

    /// Takes one out, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = now;
        self.left = (self.left + passed * self.per_second).min(self.burst);
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_allowance_refills_with_time() {
        let start = Instant::now();
        let mut allowance = Allowance::new(10, 3, start);
        assert!((0..3).all(|_| allowance.take(start)));
        assert!(!allowance.take(start));
        assert!(allowance.take(start + Duration::from_millis(100)));
        assert!(!allowance.take(start + Duration::from_millis(110)));
        let later = start + Duration::from_secs(60);
        assert!((0..3).all(|_| allowance.take(later)) && !allowance.take(later));
    }
}
