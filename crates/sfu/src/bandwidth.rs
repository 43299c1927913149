//! What one connection can carry to its client, as far as it is known.
//!
//! An estimate alone is not believed when it says less than is sent: it falls with every doubt, and where little is
//! sent it knows little. Less is sent only while packets are lost or late as well; more only if the estimate says so.

use std::time::{Duration, Instant};

use crate::timers::Timer;

/// How often a connection to a viewer is looked at.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Loss that is taken as a connection that is too narrow. Less is repaired.
const MUCH_LOSS: f32 = 0.15;

/// Loss that is not by chance.
const MOST_LOSS: f32 = 0.3;

/// Loss that a full queue would cause.
const SOME_LOSS: f32 = 0.02;

/// How much later than usual packets are when they wait in front of a narrow place.
const LATE: Duration = Duration::from_millis(100);

/// How many looks in a row must find packets late: one may have met a lost report.
const LATE_LOOKS: u8 = 2;

/// How many looks in a row may find packets late, while nothing is lost and the estimate is not below what is sent, until
/// that is usual: three seconds.
const LATE_FOR_GOOD: u8 = 15;

/// How far two delays may lie apart and still be the same.
const SAME_DELAY: Duration = Duration::from_millis(30);

/// How long the shortest delay seen counts as what is usual, at least; twice as long at most.
const USUAL_FOR: Duration = Duration::from_secs(15);

/// How long after something was lowered it is waited for the effect: the loss of a second is looked at, and a queue in
/// front of a narrow place has to empty. Shorter, before anything is paused, as the first step is often not enough.
const EFFECT: Duration = Duration::from_millis(500);

/// The same before a video is paused.
const EFFECT_BEFORE_PAUSE: Duration = Duration::from_millis(1200);

/// What of that which is sent may be sent after it was too much, in percent, at most.
const RETREAT: u64 = 85;

/// How long after something was lowered nothing is raised.
const CALM: Duration = Duration::from_secs(1);

/// How soon after it was raised lowering it again counts as a failed try.
const TRIAL: Duration = Duration::from_secs(5);

/// How long after the first failed try nothing is raised; twice as long after each further one.
const PATIENCE: Duration = Duration::from_secs(4);

/// The longest of those times.
const MOST_PATIENCE: Duration = Duration::from_secs(30);

/// How often more is tried while a viewer gets less than it wants.
const PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// The same after something was raised.
const PROBE_AFTER_RAISE: Duration = Duration::from_secs(1);

/// The same while a video is paused: on a connection that carries little more than sound, what that takes is heard.
const PAUSED_PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// How long one measurement takes at most.
const PROBE_LENGTH: Duration = Duration::from_millis(100);

/// Every so often measuring begins anew: after loss an estimate does not exceed what is sent by much.
const PROBES_PER_RESTART: u32 = 3;

/// What was measured at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// The estimate in bits per second.
    pub(crate) estimate: u64,
    /// What was lost in the last second, of 1.
    pub(crate) loss: f32,
    /// The time from a packet to the report of its arrival; `None`: nothing was reported.
    pub(crate) rtt: Option<Duration>,
}

/// What may be sent to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Bits per second.
    pub(crate) bits: u64,
    /// Whether videos may be paused to keep to it.
    pub(crate) may_pause: bool,
}

/// How to look for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// By asking for more.
    Raise,
    /// From the beginning, as if the connection were new.
    Restart,
}

/// State of one connection.
#[derive(Debug, Default)]
pub(crate) struct Bandwidth {
    /// Whether the client tells what arrives. If not, everything is sent.
    measures: bool,
    /// The latest estimate, and the one before: an estimate of one moment raises nothing.
    estimates: [u64; 2],
    /// What was lost in the last second.
    loss: f32,
    /// The latest delay, and the one before.
    rtts: [Duration; 2],
    /// What delays are usual.
    usual: Usual,
    /// How many looks in a row have found packets late.
    late: u8,
    /// When something was last lowered, and the delay then.
    lowered: Option<(Instant, Duration)>,
    /// When something was last raised, and the delay then.
    raised: Option<(Instant, Duration)>,
    /// Whether what was estimated turned out to be too much: estimates stand still at times.
    refuted: bool,
    /// Tries to raise something that have failed in a row.
    failed: u32,
    /// When something may be raised again.
    calm_at: Option<Instant>,
    /// When more may be tried next.
    probe_at: Option<Instant>,
    /// Until when it may be sending bursts of its own, to measure.
    probing_until: Option<Instant>,
    /// How often more was tried since all that is wanted was sent.
    probes: u32,
    /// What the layers and the sound that may be sent take, in bits per second.
    given: u64,
    /// What `str0m` was last told to measure for, in bits per second.
    pub(crate) desired: u64,
    /// When to share it anew.
    pub(crate) timer: Timer,
}

/// The shortest delay of the last while.
#[derive(Debug, Default)]
struct Usual {
    /// Of the current period, and when that began.
    now: Option<(Duration, Instant)>,
    /// Of the period before.
    before: Option<Duration>,
}

impl Usual {
    /// Notes a delay.
    fn note(&mut self, rtt: Duration, now: Instant) {
        let (shortest, since) = self.now.get_or_insert((rtt, now));
        if now.saturating_duration_since(*since) < USUAL_FOR {
            *shortest = rtt.min(*shortest);
        } else {
            self.before = Some(*shortest);
            (*shortest, *since) = (rtt, now);
        }
    }

    /// Forgets what was usual: the way has changed.
    fn set(&mut self, rtt: Duration, now: Instant) {
        *self = Usual { now: Some((rtt, now)), before: None };
    }

    /// The shortest delay.
    fn get(&self) -> Option<Duration> {
        self.now.map(|(shortest, _)| shortest).into_iter().chain(self.before).min()
    }
}

impl Bandwidth {
    /// Notes whether the client tells what arrives, and the first guess. Returns whether that is news.
    pub(crate) fn set_measures(&mut self, measures: bool, guess: u64) -> bool {
        if measures && !self.measures && self.estimates == [0; 2] {
            self.estimates = [guess; 2];
        }
        std::mem::replace(&mut self.measures, measures) != measures
    }

    /// Whether the client tells what arrives.
    pub(crate) fn is_measured(&self) -> bool {
        self.measures
    }

    /// Notes what was measured.
    pub(crate) fn note(&mut self, sample: Sample, now: Instant) {
        self.estimates = [sample.estimate, self.estimates[0]];
        self.loss = sample.loss;
        let Some(rtt) = sample.rtt else { return };
        self.rtts = [rtt, self.rtts[0]];
        self.usual.note(rtt, now);
        let late = self.usual.get().is_some_and(|usual| rtt > usual + LATE);
        self.late = if late { self.late.saturating_add(1) } else { 0 };
        if self.late >= LATE_FOR_GOOD && self.loss < SOME_LOSS && sample.estimate >= self.given {
            self.take_for_usual(rtt, now);
        }
    }

    /// Nothing is wrong but the delay: this is how long the way is by now.
    fn take_for_usual(&mut self, rtt: Duration, now: Instant) {
        self.usual.set(rtt, now);
        self.late = 0;
    }

    /// Whether more is sent than the connection carries: packets are lost or late, and the estimate says so as well. If
    /// most is lost, or they are lost and late, that is enough: estimates stand still at times. So is the first sign
    /// while more is tried: then it is the likely cause.
    fn is_congested(&self, now: Instant) -> bool {
        let (lost, late) = (self.loss >= MUCH_LOSS, self.late >= LATE_LOOKS);
        let tried = self.raised.filter(|(at, _)| now < *at + TRIAL);
        self.loss >= MOST_LOSS
            || (lost && late)
            || ((lost || late) && self.estimates[0] < self.given)
            || tried.is_some_and(|(_, before)| lost || self.rtts[0] > before + LATE)
    }

    /// What may be sent; `None`: as much as there is. `held`: what is sent takes this; `least`: the lowest layers of
    /// all videos and the sound would take this.
    pub(crate) fn budget(&mut self, held: u64, least: u64, now: Instant) -> Option<Budget> {
        if !self.measures {
            return None;
        }
        let keep = Budget { bits: held, may_pause: false };
        if !self.is_congested(now) {
            let calm = self.calm_at.is_none_or(|at| now >= at) && !self.refuted;
            let estimate = self.estimates[0].min(self.estimates[1]);
            return Some(if calm { Budget { bits: estimate.max(held), ..keep } } else { keep });
        }
        let may_pause = held <= least;
        let effect = if may_pause { EFFECT_BEFORE_PAUSE } else { EFFECT };
        if self.lowered.is_some_and(|(at, _)| now < at + effect) || (may_pause && !self.is_hopeless(now)) {
            return Some(keep);
        }
        let bits = self.estimates[0].min(held * RETREAT / 100);
        Some(Budget { bits: if may_pause { bits } else { bits.max(least) }, may_pause })
    }

    /// Whether even the least is too much: sending less has emptied no queue, or most is lost all the same.
    fn is_hopeless(&mut self, now: Instant) -> bool {
        if self.loss >= MOST_LOSS || (self.loss >= MUCH_LOSS && self.late > 0) {
            return true;
        }
        let Some((_, before)) = self.lowered else { return self.late >= LATE_LOOKS };
        let shortest = self.rtts[0].min(self.rtts[1]);
        if self.loss < SOME_LOSS && shortest.abs_diff(before) < SAME_DELAY {
            // Sending less has changed nothing and nothing is lost.
            self.take_for_usual(shortest, now);
            return false;
        }
        shortest > before
    }

    /// Notes what may be sent from now on, and what was until now.
    pub(crate) fn give(&mut self, given: u64, held: u64, now: Instant) {
        self.given = given;
        if given < held {
            let failed = self.raised.is_some_and(|(at, _)| now < at + TRIAL);
            let again = self.failed > 0 && self.lowered.is_some_and(|(at, _)| now < at + TRIAL);
            self.failed = if failed {
                self.failed + 1
            } else if again {
                self.failed
            } else {
                0
            };
            let wait = match self.failed {
                0 => CALM,
                failed => MOST_PATIENCE.min(PATIENCE * (1 << (failed - 1).min(4))),
            };
            self.calm_at = Some(now + wait);
            self.lowered = Some((now, self.rtts[0]));
            self.refuted |= self.estimates[0] >= held;
            self.raised = None;
            self.probe_at = None;
        } else if given > held && self.lowered.is_some() {
            self.raised = Some((now, self.rtts[0].min(self.rtts[1])));
            // What made this possible may make more possible.
            self.probe_at = Some(now + PROBE_AFTER_RAISE);
        }
    }

    /// Whether video should be sent as fast as the estimate says rather than as it comes. Not where the estimate is
    /// less than what is sent and not believed: then pictures would wait for nothing. And not soon after something was
    /// lowered: what waits of it should be gone.
    pub(crate) fn is_paced(&self, now: Instant) -> bool {
        let settled = self.lowered.is_none_or(|(at, _)| now >= at + CALM);
        self.measures && self.estimates[0] >= self.given && settled
    }

    /// Whether and how to look for more now. `lacking`: the viewer gets less than it wants; `paused`: of some video
    /// nothing.
    pub(crate) fn probe(&mut self, lacking: bool, paused: bool, now: Instant) -> Option<Probe> {
        if !lacking {
            (self.probe_at, self.probes) = (None, 0);
            return None;
        }
        let interval = if paused { PAUSED_PROBE_INTERVAL } else { PROBE_INTERVAL };
        let at = *self.probe_at.get_or_insert(now + interval);
        let calm = self.calm_at.is_none_or(|at| now >= at);
        if now < at || !calm || self.is_congested(now) {
            return None;
        }
        self.probe_at = Some(now + interval);
        self.probes += 1;
        let anew = std::mem::take(&mut self.refuted) || paused || self.probes.is_multiple_of(PROBES_PER_RESTART);
        Some(if anew { Probe::Restart } else { Probe::Raise })
    }

    /// Notes that `str0m` is measuring, which takes many short steps.
    pub(crate) fn is_probing(&mut self, now: Instant) {
        self.probing_until = Some(now + PROBE_LENGTH);
    }

    /// Whether nothing is being measured, and the client gets all it wants.
    pub(crate) fn is_calm(&self, now: Instant) -> bool {
        self.probe_at.is_none() && self.probing_until.is_none_or(|until| now > until)
    }

    /// Where measuring begins when it begins anew: with what is known to be carried, or so that its first step, three
    /// times as much, is what would be sent if a paused video went on. Nothing measured before counts.
    pub(crate) fn restart(&mut self, resumed: Option<u64>) -> u64 {
        let from = self.given.max(resumed.unwrap_or(0) / 3);
        self.estimates = [from; 2];
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_millis(60);

    /// A connection that is looked at as often as a real one.
    struct Line {
        bandwidth: Bandwidth,
        now: Instant,
        given: u64,
    }

    impl Line {
        /// One on which this much has been sent for a second without trouble.
        fn new(given: u64) -> Line {
            let mut line = Line { bandwidth: Bandwidth::default(), now: Instant::now(), given };
            line.bandwidth.set_measures(true, 2_000);
            line.bandwidth.give(given, given, line.now);
            for _ in 0..5 {
                line.look(2_000, 0.0, USUAL);
            }
            line
        }

        /// Looks once, the least being 200.
        fn look(&mut self, estimate: u64, loss: f32, rtt: Duration) -> Budget {
            self.now += LOOK_INTERVAL;
            self.bandwidth.note(Sample { estimate, loss, rtt: Some(rtt) }, self.now);
            self.bandwidth.budget(self.given, 200, self.now).unwrap()
        }

        /// Sends something else from now on.
        fn give(&mut self, given: u64) {
            let held = std::mem::replace(&mut self.given, given);
            self.bandwidth.give(given, held, self.now);
        }
    }

    fn up_to(bits: u64) -> Budget {
        Budget { bits, may_pause: false }
    }

    #[test]
    fn an_estimate_alone_lowers_nothing() {
        let mut line = Line::new(1_000);
        assert_eq!(line.look(100, 0.0, USUAL), up_to(1_000));
        assert_eq!(line.look(100, 0.05, USUAL), up_to(1_000));
        assert_eq!(line.look(3_000, 0.2, USUAL), up_to(1_000), "nor does loss if the estimate is high");
    }

    #[test]
    fn late_or_lost_packets_lower_what_is_sent_but_pause_nothing_at_first() {
        let mut line = Line::new(1_000);
        assert_eq!(line.look(500, 0.2, USUAL), up_to(500));
        let mut line = Line::new(1_000);
        assert_eq!(line.look(500, 0.0, USUAL * 5), up_to(1_000), "one late report proves nothing");
        assert_eq!(line.look(100, 0.0, USUAL * 5), up_to(200), "not below the least");
    }

    #[test]
    fn the_effect_is_waited_for_and_only_a_queue_that_stays_pauses() {
        let mut line = Line::new(1_000);
        line.look(100, 0.2, USUAL * 5);
        line.give(200);
        for rtt in [6, 5, 4, 3] {
            assert_eq!(line.look(100, 0.2, USUAL * rtt), up_to(200));
        }
        for _ in 0..5 {
            assert_eq!(line.look(100, 0.0, USUAL * 4), up_to(200), "the queue is shorter than it was");
        }
        assert_eq!(line.look(100, 0.2, USUAL * 6), Budget { bits: 100, may_pause: true });
    }

    #[test]
    fn the_first_sign_ends_a_try() {
        let mut line = Line::new(1_000);
        line.look(500, 0.2, USUAL);
        line.give(500);
        while line.look(1_200, 0.0, USUAL) == up_to(500) {}
        line.give(1_000);
        assert_eq!(line.look(1_200, 0.0, USUAL * 2), up_to(1_200), "later, but not late");
        assert_eq!(line.look(1_200, 0.0, USUAL * 3), up_to(850));
    }

    #[test]
    fn a_way_that_is_longer_by_now_becomes_usual() {
        let mut line = Line::new(1_000);
        line.look(500, 0.0, USUAL * 5);
        assert_eq!(line.look(500, 0.0, USUAL * 5), up_to(500));
        line.give(200);
        for _ in 0..30 {
            assert!(!line.look(100, 0.0, USUAL * 5).may_pause);
        }
        assert!(!line.bandwidth.is_congested(line.now));
    }

    #[test]
    fn a_failed_try_is_repeated_later_and_later() {
        let mut line = Line::new(1_000);
        let mut waits = Vec::new();
        for _ in 0..4 {
            line.look(500, 0.2, USUAL);
            line.give(500);
            let lowered = line.now;
            while line.look(1_200, 0.0, USUAL) == up_to(500) {}
            waits.push(line.now - lowered);
            line.give(1_000);
        }
        assert!(waits[0] < CALM * 2 && waits[1..].windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
    }

    #[test]
    fn an_estimate_that_was_refuted_is_measured_anew() {
        let mut line = Line::new(1_000);
        line.look(2_000, 0.5, USUAL * 5);
        line.give(500);
        for _ in 0..8 {
            assert_eq!(line.look(2_000, 0.0, USUAL), up_to(500));
            assert_eq!(line.bandwidth.probe(true, false, line.now), None);
        }
        while line.bandwidth.probe(true, false, line.now) != Some(Probe::Restart) {
            assert_eq!(line.look(2_000, 0.0, USUAL), up_to(500));
        }
        assert_eq!(line.bandwidth.restart(None), 500);
        assert_eq!(line.look(900, 0.0, USUAL), up_to(500), "one moment raises nothing");
        assert_eq!(line.look(900, 0.0, USUAL), up_to(900));
    }
}
