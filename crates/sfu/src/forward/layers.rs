//! The layers of a published track: what flows, what a viewer's wish means in layers, and when to ask for key frames.

use std::time::{Duration, Instant};

use super::rate::Rate;
use crate::command::{Layer, Quality, TrackSettings};

/// How often a key frame may be asked for on the lowest layer.
const PLI_INTERVAL_LOW: Duration = Duration::from_millis(500);

/// How often on the others, whose key frames are large.
const PLI_INTERVAL: Duration = Duration::from_millis(1000);

/// What clients spend on 100 pixels at 30 frames per second, in bits per second: 1.7 Mbit/s at 720p.
const USUAL_BITS_PER_100_PIXELS: u64 = 184;

/// What the lowest layer of a video of unknown size is taken to need, in bits per second; each further one four times
/// as much.
const UNKNOWN_COST: u64 = 150_000;

/// All layers of a track, lowest first. A track without simulcast has one.
#[derive(Debug, Default)]
pub(crate) struct LayerTable {
    layers: Vec<UpLayer>,
    /// Dimensions by rank, 0 where unknown.
    dimensions: Vec<(u32, u32)>,
}

/// One layer as its publisher sends it.
#[derive(Debug)]
pub(crate) struct UpLayer {
    /// Its rid; `None` without simulcast.
    pub(crate) rid: Option<String>,
    /// Its SSRC, once a packet came.
    pub(crate) ssrc: Option<u32>,
    /// Whether it sent something lately.
    pub(crate) live: bool,
    /// When its last packet came.
    last_packet: Option<Instant>,
    /// Whether somebody waits for a key frame.
    key_wanted: bool,
    /// When a key frame was last asked for.
    last_pli: Option<Instant>,
    /// Measures its frame rate.
    pub(crate) frames: FrameRate,
    /// Measures what it takes.
    pub(crate) rate: Rate,
}

/// Frames per second and temporal layers of one layer.
#[derive(Debug, Default)]
pub(crate) struct FrameRate {
    /// The last full second's count.
    fps: Option<u32>,
    /// Highest temporal layer seen.
    top_temporal: u8,
    last_time: u32,
    count: u32,
    since: Option<Instant>,
}

/// Puts rids in order, lowest layer first. The protocol's names have a fixed order; others keep the offered one.
pub(crate) fn rank_rids(mut rids: Vec<String>) -> Vec<String> {
    let rank = |rid: &String| ["q", "h", "f"].iter().position(|known| known == rid);
    if rids.iter().all(|rid| rank(rid).is_some()) {
        rids.sort_by_key(rank);
    }
    rids
}

impl LayerTable {
    /// The layers with these rids, lowest first; none means one without rid. `announced` gives their dimensions by
    /// rank, and `full` those of the highest where nothing was announced.
    pub(crate) fn new(rids: Vec<String>, announced: &[Layer], full: (u32, u32)) -> LayerTable {
        let rids: Vec<Option<String>> = if rids.is_empty() { vec![None] } else { rids.into_iter().map(Some).collect() };
        let count = rids.len();
        let layers = rids.into_iter().map(UpLayer::new).collect();
        LayerTable { layers, dimensions: dimensions(count, announced, full) }
    }

    /// The layer of this rank.
    pub(crate) fn get(&self, rank: usize) -> Option<&UpLayer> {
        self.layers.get(rank)
    }

    /// The layer of this rank.
    pub(crate) fn get_mut(&mut self, rank: usize) -> Option<&mut UpLayer> {
        self.layers.get_mut(rank)
    }

    /// All, lowest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &UpLayer> {
        self.layers.iter()
    }

    /// The rank of a rid. Packets without one belong to a track without simulcast.
    pub(crate) fn rank_of(&self, rid: Option<&str>) -> Option<usize> {
        match rid {
            Some(rid) => self.layers.iter().position(|layer| layer.rid.as_deref() == Some(rid)),
            None => (self.layers.len() == 1).then_some(0),
        }
    }

    /// The quality of a rank: the protocol names layers by their place, not by their rid.
    pub(crate) fn quality(&self, rank: usize) -> Quality {
        match (self.layers.len(), rank) {
            (count, rank) if rank + 1 >= count => Quality::High,
            (_, 0) => Quality::Low,
            _ => Quality::Medium,
        }
    }

    /// Which rank a viewer wants, whether it flows or not.
    pub(crate) fn wanted(&self, settings: &TrackSettings) -> usize {
        let top = self.layers.len().saturating_sub(1);
        if settings.width > 0 {
            let fits = |&(width, height): &(u32, u32)| large_enough(width, height, settings);
            return self.dimensions.iter().position(fits).unwrap_or(top);
        }
        let rank = match settings.quality {
            Quality::Low => 0,
            Quality::Medium => 1,
            Quality::High => top,
        };
        rank.min(top)
    }

    /// What a rank takes in bits per second: as measured, else as usual for its size.
    pub(crate) fn cost(&self, rank: usize) -> u64 {
        let measured = self.layers.get(rank).and_then(|layer| layer.rate.bits());
        measured.unwrap_or_else(|| match self.pixels(rank) {
            0 => UNKNOWN_COST << (2 * rank.min(4)),
            pixels => pixels * USUAL_BITS_PER_100_PIXELS / 100,
        })
    }

    /// The size of a rank in pixels; 0: unknown.
    pub(crate) fn pixels(&self, rank: usize) -> u64 {
        self.dimensions.get(rank).map_or(0, |(width, height)| u64::from(*width) * u64::from(*height))
    }

    /// Whether a rank flows.
    pub(crate) fn is_live(&self, rank: usize) -> bool {
        self.layers.get(rank).is_some_and(|layer| layer.live)
    }

    /// The rank to forward to somebody who wants `wanted`: the best live one not above it, else the lowest live one.
    /// `None`: nothing flows.
    pub(crate) fn best_live(&self, wanted: usize) -> Option<usize> {
        let live = |rank: &usize| self.layers[*rank].live;
        (0..self.layers.len().min(wanted + 1)).rev().find(live).or_else(|| (0..self.layers.len()).find(live))
    }

    /// Notes a packet. Returns whether its layer has just come (back) to life.
    pub(crate) fn heard(&mut self, rank: usize, now: Instant) -> bool {
        let Some(layer) = self.layers.get_mut(rank) else { return false };
        layer.last_packet = Some(now);
        !std::mem::replace(&mut layer.live, true)
    }

    /// Finds layers that have fallen silent. Returns whether there is a new one.
    pub(crate) fn expire(&mut self, starved_after: Duration, now: Instant) -> bool {
        let mut changed = false;
        for layer in self.layers.iter_mut().filter(|layer| layer.live) {
            layer.live = layer.last_packet.is_some_and(|last| now.saturating_duration_since(last) < starved_after);
            changed |= !layer.live;
        }
        changed
    }

    /// Somebody needs a key frame of this layer.
    pub(crate) fn want_key(&mut self, rank: usize) {
        if let Some(layer) = self.layers.get_mut(rank) {
            layer.key_wanted = true;
        }
    }

    /// A key frame came.
    pub(crate) fn got_key(&mut self, rank: usize) {
        if let Some(layer) = self.layers.get_mut(rank) {
            layer.key_wanted = false;
        }
    }

    /// The SSRCs to ask for a key frame now, each as often as its interval allows.
    pub(crate) fn due_plis(&mut self, now: Instant) -> Vec<u32> {
        let mut due = Vec::new();
        for (rank, layer) in self.layers.iter_mut().enumerate() {
            let allowed = layer.last_pli.is_none_or(|last| now >= last + interval(rank));
            if let (true, true, Some(ssrc)) = (layer.key_wanted, allowed, layer.ssrc) {
                layer.last_pli = Some(now);
                due.push(ssrc);
            }
        }
        due
    }

    /// When [`LayerTable::due_plis`] has something to say next, if nothing changes.
    pub(crate) fn next_pli(&self) -> Option<Instant> {
        let waiting = self.layers.iter().enumerate().filter(|(_, layer)| layer.key_wanted && layer.ssrc.is_some());
        waiting.filter_map(|(rank, layer)| layer.last_pli.map(|last| last + interval(rank))).min()
    }
}

impl UpLayer {
    /// A layer of which nothing has come yet.
    fn new(rid: Option<String>) -> UpLayer {
        UpLayer {
            rid,
            ssrc: None,
            live: false,
            last_packet: None,
            key_wanted: false,
            last_pli: None,
            frames: FrameRate::default(),
            rate: Rate::default(),
        }
    }
}

impl FrameRate {
    /// Counts a packet.
    pub(crate) fn count(&mut self, time: u32, temporal: u8, now: Instant) {
        self.top_temporal = self.top_temporal.max(temporal);
        if time == self.last_time {
            return;
        }
        self.last_time = time;
        self.count += 1;
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= Duration::from_secs(1) {
            self.fps = Some(self.count);
            self.count = 0;
            self.since = Some(now);
        }
    }

    /// The highest temporal layer to send to somebody who wants at most `fps`; each one doubles the rate.
    pub(crate) fn highest_temporal(&self, fps: u32) -> u8 {
        let (Some(full), true) = (self.fps, fps > 0) else { return u8::MAX };
        let rate = |temporal: u8| full >> (self.top_temporal - temporal);
        // A camera at 30 rarely gives exactly 30: allow a tenth more than asked for.
        (0..=self.top_temporal).rev().find(|&temporal| rate(temporal) * 10 <= fps * 11).unwrap_or(0)
    }
}

/// The key-frame interval of a rank.
fn interval(rank: usize) -> Duration {
    if rank == 0 { PLI_INTERVAL_LOW } else { PLI_INTERVAL }
}

/// Dimensions by rank: announced ones, else each layer half as large as the one above.
fn dimensions(count: usize, announced: &[Layer], full: (u32, u32)) -> Vec<(u32, u32)> {
    let mut known: Vec<&Layer> = announced.iter().filter(|layer| layer.width > 0).collect();
    known.sort_by_key(|layer| layer.quality);
    if known.len() == count {
        return known.into_iter().map(|layer| (layer.width, layer.height)).collect();
    }
    (0..count).map(|rank| (full.0 >> (count - 1 - rank), full.1 >> (count - 1 - rank))).collect()
}

/// Whether a layer is at least as large as the element it is shown in. Short sides are compared, so that a portrait
/// picture in a landscape element is judged by what can be seen of it.
fn large_enough(width: u32, height: u32, settings: &TrackSettings) -> bool {
    if settings.height == 0 || height == 0 {
        return width >= settings.width;
    }
    width.min(height) >= settings.width.min(settings.height)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rids: &[&str]) -> LayerTable {
        let rids = rank_rids(rids.iter().map(|rid| (*rid).to_owned()).collect());
        LayerTable::new(rids, &[], (1280, 720))
    }

    fn wants(quality: Quality) -> TrackSettings {
        TrackSettings { quality, ..TrackSettings::default() }
    }

    fn shown(width: u32, height: u32) -> TrackSettings {
        TrackSettings { width, height, ..TrackSettings::default() }
    }

    #[test]
    fn rids_are_ranked_by_name_or_as_offered() {
        assert_eq!(rank_rids(vec!["f".into(), "q".into(), "h".into()]), ["q", "h", "f"]);
        assert_eq!(rank_rids(vec!["b".into(), "a".into()]), ["b", "a"]);
    }

    #[test]
    fn quality_means_rank_among_those_offered() {
        let (three, two, one) = (table(&["q", "h", "f"]), table(&["q", "h"]), table(&[]));
        let ranks = |table: &LayerTable| {
            [Quality::Low, Quality::Medium, Quality::High].map(|quality| table.wanted(&wants(quality)))
        };
        assert_eq!(ranks(&three), [0, 1, 2]);
        assert_eq!(ranks(&two), [0, 1, 1]);
        assert_eq!(ranks(&one), [0, 0, 0]);
        assert_eq!([0, 1].map(|rank| two.quality(rank)), [Quality::Low, Quality::High]);
    }

    #[test]
    fn dimensions_choose_the_lowest_layer_that_is_large_enough() {
        let three = table(&["q", "h", "f"]);
        assert_eq!(three.wanted(&shown(200, 100)), 0);
        assert_eq!(three.wanted(&shown(640, 360)), 1);
        assert_eq!(three.wanted(&shown(641, 361)), 2);
        assert_eq!(three.wanted(&shown(4000, 2000)), 2);
    }

    #[test]
    fn announced_dimensions_win() {
        let layer = |quality, width, height| Layer { quality, width, height };
        let announced = [layer(Quality::High, 1920, 1080), layer(Quality::Low, 480, 270)];
        let table = LayerTable::new(vec!["q".into(), "h".into()], &announced, (1920, 1080));
        assert_eq!([shown(480, 270), shown(481, 271)].map(|size| table.wanted(&size)), [0, 1]);
    }

    #[test]
    fn the_best_live_layer_stands_in() {
        let now = Instant::now();
        let mut three = table(&["q", "h", "f"]);
        assert_eq!(three.best_live(2), None);
        assert!(three.heard(0, now));
        assert!(!three.heard(0, now));
        assert_eq!(three.best_live(2), Some(0));
        three.heard(2, now + Duration::from_secs(2));
        assert_eq!((three.best_live(2), three.best_live(1)), (Some(2), Some(0)));
        assert!(three.expire(Duration::from_millis(1500), now + Duration::from_secs(2)));
        assert_eq!(three.best_live(1), Some(2), "better a layer too many than none");
    }

    #[test]
    fn key_frames_are_asked_for_again_until_one_comes() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut table = table(&["q", "h"]);
        table.want_key(1);
        assert!(table.due_plis(now).is_empty(), "the layer has no SSRC yet");
        table.get_mut(1).unwrap().ssrc = Some(9);
        assert_eq!(table.due_plis(now), [9]);
        assert!(table.due_plis(at(999)).is_empty());
        assert_eq!(table.next_pli(), Some(at(1000)));
        assert_eq!(table.due_plis(at(1000)), [9]);
        table.got_key(1);
        assert!(table.due_plis(at(5000)).is_empty());
        assert_eq!(table.next_pli(), None);
    }

    #[test]
    fn fewer_frames_mean_lower_temporal_layers() {
        let now = Instant::now();
        let mut rate = FrameRate::default();
        assert_eq!(rate.highest_temporal(15), u8::MAX, "not measured yet");
        for frame in 0..40u32 {
            rate.count(frame * 3000 + 1, (frame % 3) as u8, now + Duration::from_millis(u64::from(frame) * 33));
        }
        assert_eq!([0, 30, 15, 7, 1].map(|fps| rate.highest_temporal(fps)), [u8::MAX, 2, 1, 0, 0]);
    }
}
