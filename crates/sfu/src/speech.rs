//! Who speaks: from the levels that publishers put into their packets (RFC 6464), in LiveKit's terms.

use std::collections::HashMap;

use crate::event::Speaker;
use crate::ids::{ParticipantId, TrackId};

/// Louder than this counts as speech, in -dBov: smaller is louder.
const ACTIVE_LEVEL: u8 = 35;

/// Share of a window that must be speech.
const ACTIVE_SHARE: f32 = 0.4;

/// Windows over which a level is smoothed.
const SMOOTH_WINDOWS: f32 = 2.0;

/// Levels are given in steps of this, so that they do not change all the time.
const STEPS: f32 = 8.0;

/// The longest time that one packet can stand for: after silence the timestamps jump.
const LONGEST_PACKET_MS: u32 = 60;

/// What a packet stands for when its timestamp does not tell.
const USUAL_PACKET_MS: u32 = 20;

/// What is heard of one track.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    last_time: Option<u32>,
    window_ms: u32,
    speech_ms: u32,
    loudest: u8,
    /// Linear, 0 to 1.
    smoothed: f32,
}

/// All speakers of one room.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    heard: HashMap<(ParticipantId, TrackId), Heard>,
    reported: HashMap<ParticipantId, Speaker>,
}

impl Speech {
    /// Notes a packet's level in -dBov and its RTP time at 48 kHz.
    pub(crate) fn heard(&mut self, speaker: ParticipantId, track: TrackId, level: u8, time: u32) {
        let heard = self.heard.entry((speaker, track)).or_default();
        let step = heard.last_time.map(|last| time.wrapping_sub(last) / 48);
        heard.last_time = Some(time);
        let length = step.filter(|ms| (1..=LONGEST_PACKET_MS).contains(ms)).unwrap_or(USUAL_PACKET_MS);
        heard.window_ms += length;
        if level <= ACTIVE_LEVEL {
            heard.loudest = if heard.speech_ms == 0 { level } else { heard.loudest.min(level) };
            heard.speech_ms += length;
        }
    }

    /// A track is gone or muted: it speaks no more.
    pub(crate) fn forget(&mut self, speaker: ParticipantId, track: TrackId) {
        self.heard.remove(&(speaker, track));
    }

    /// Ends a window. Returns the speakers that changed; `window_ms` is its length.
    pub(crate) fn end_window(&mut self, window_ms: u32) -> Vec<Speaker> {
        let mut levels: HashMap<ParticipantId, f32> = HashMap::new();
        for ((speaker, _), heard) in &mut self.heard {
            let level = levels.entry(*speaker).or_default();
            *level = level.max(heard.end_window(window_ms));
        }
        self.heard.retain(|_, heard| heard.smoothed > 0.001 || heard.last_time.is_some());
        let mut changed = Vec::new();
        for (speaker, level) in levels {
            changed.extend(self.report(speaker, level));
        }
        let silent: Vec<ParticipantId> = self.reported.keys().copied().filter(|id| !self.is_heard(*id)).collect();
        changed.extend(silent.into_iter().filter_map(|speaker| self.report(speaker, 0.0)));
        changed.sort_by(|a, b| b.level.total_cmp(&a.level));
        changed
    }

    /// Whether there is anything to compute at the end of the next window.
    pub(crate) fn is_idle(&self) -> bool {
        self.heard.is_empty() && self.reported.is_empty()
    }

    /// Whether a participant has any track that is listened to.
    fn is_heard(&self, speaker: ParticipantId) -> bool {
        self.heard.keys().any(|(id, _)| *id == speaker)
    }

    /// The change to report for a speaker, if any.
    fn report(&mut self, speaker: ParticipantId, level: f32) -> Option<Speaker> {
        let active = level >= linear(f32::from(ACTIVE_LEVEL));
        // Rounded up, so that a speaker is never shown with level 0.
        let level = if active { (level * STEPS).ceil().min(STEPS) / STEPS } else { 0.0 };
        let now = Speaker { participant: speaker, level, active };
        let before = if active { self.reported.insert(speaker, now) } else { self.reported.remove(&speaker) };
        let changed = if active { before != Some(now) } else { before.is_some() };
        changed.then_some(now)
    }
}

impl Heard {
    /// Ends a window and gives the smoothed level.
    fn end_window(&mut self, window_ms: u32) -> f32 {
        // A track that sends nothing is silent for the rest of the window.
        let window = self.window_ms.max(window_ms) as f32;
        let share = self.speech_ms as f32 / window;
        let level = if share >= ACTIVE_SHARE {
            // Little speech counts as quieter speech.
            linear(f32::from(self.loudest) - 20.0 * share.min(1.0).log10())
        } else {
            0.0
        };
        self.smoothed += (level - self.smoothed) * 2.0 / (SMOOTH_WINDOWS + 1.0);
        if self.window_ms == 0 {
            self.last_time = None;
        }
        (self.window_ms, self.speech_ms, self.loudest) = (0, 0, 0);
        self.smoothed
    }
}

/// The linear level of a value in -dBov.
fn linear(level: f32) -> f32 {
    10f32.powf(-level / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: ParticipantId = ParticipantId(1);

    /// Speaks for a window of 400 ms at a level, in packets of 20 ms.
    fn window(speech: &mut Speech, start: u32, levels: impl Fn(u32) -> u8) -> Vec<Speaker> {
        for packet in 0..20 {
            speech.heard(WHO, TrackId(1), levels(packet), (start * 20 + packet) * 960);
        }
        speech.end_window(400)
    }

    #[test]
    fn a_speaker_is_reported_once_and_once_more_when_silent() {
        let mut speech = Speech::default();
        let first = window(&mut speech, 0, |_| 10);
        assert!(first[0].active && first[0].level > 0.0);
        window(&mut speech, 1, |_| 10);
        window(&mut speech, 2, |_| 10);
        assert!(window(&mut speech, 3, |_| 10).is_empty(), "nothing changes any more");
        let ends: Vec<Speaker> = (4..12).flat_map(|start| window(&mut speech, start, |_| 127)).collect();
        assert_eq!(ends.last().map(|speaker| (speaker.active, speaker.level)), Some((false, 0.0)));
        assert_eq!(ends.iter().filter(|speaker| !speaker.active).count(), 1);
    }

    #[test]
    fn levels_are_eighths() {
        let mut speech = Speech::default();
        let level = window(&mut speech, 0, |_| 8)[0].level;
        assert_eq!(level, (level * 8.0).round() / 8.0);
    }

    #[test]
    fn short_noises_are_not_speech() {
        let mut speech = Speech::default();
        assert!(window(&mut speech, 0, |packet| if packet < 7 { 5 } else { 127 }).is_empty());
    }

    #[test]
    fn a_forgotten_track_falls_silent_at_once() {
        let mut speech = Speech::default();
        window(&mut speech, 0, |_| 10);
        speech.forget(WHO, TrackId(1));
        let changed = speech.end_window(400);
        assert_eq!(changed, [Speaker { participant: WHO, level: 0.0, active: false }]);
        assert!(speech.is_idle());
    }

    #[test]
    fn a_track_that_stops_sending_falls_silent_and_is_forgotten() {
        let mut speech = Speech::default();
        window(&mut speech, 0, |_| 10);
        let ends: Vec<Speaker> = (0..20).flat_map(|_| speech.end_window(400)).collect();
        assert_eq!(ends.iter().filter(|speaker| !speaker.active).count(), 1);
        assert!(speech.is_idle());
    }
}
