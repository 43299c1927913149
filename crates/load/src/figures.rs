//! Times as people read them: a few numbers of many, kept in constant memory.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longest time that is told apart, in nanoseconds: ten minutes.
const LONGEST: u64 = 600_000_000_000;

/// Many times.
#[derive(Debug)]
pub(crate) struct Times(Histogram<u64>);

/// A few numbers of many times, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Quantiles {
    /// How many there were.
    pub count: u64,
    /// Half were shorter.
    pub p50_ms: f64,
    /// One in a hundred was longer.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Times {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_max(LONGEST, 3).expect("three digits up to ten minutes"))
    }

    /// Adds one, in nanoseconds.
    pub(crate) fn add(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    /// Adds all of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1e6;
        Quantiles { count: self.0.len(), p50_ms: at(0.5), p99_ms: at(0.99), max_ms: self.0.max() as f64 / 1e6 }
    }
}

/// Microseconds of `cpu` for each of `count`; `None` when there was none.
pub(crate) fn each_us(cpu: Option<Duration>, count: u64) -> Option<f64> {
    Some(cpu?.as_secs_f64() * 1e6 / count as f64).filter(|each| each.is_finite())
}

/// Per cent of a core.
pub(crate) fn percent(cpu: Duration, elapsed: Duration) -> f64 {
    100.0 * cpu.as_secs_f64() / elapsed.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_all_times() {
        let (mut one, mut other) = (Times::new(), Times::new());
        (1..=50).for_each(|ms| one.add(ms * 1_000_000));
        (51..=100).for_each(|ms| other.add(ms * 1_000_000));
        one.merge(&other);
        let found = one.quantiles();
        let near = |value: f64, wanted: f64| (value - wanted).abs() < 0.1;
        assert_eq!(found.count, 100);
        assert!(near(found.p50_ms, 50.0) && near(found.p99_ms, 99.0) && near(found.max_ms, 100.0), "{found:?}");
        assert_eq!(Times::new().quantiles(), Quantiles::default());
    }
}
