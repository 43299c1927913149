//! The changes that LiveKit clients need in what `str0m` writes, and in what it reads.

use super::text::{Description, Direction, Section};
use crate::command::Codec;

impl Description {
    /// Sets the version of the origin line, which must grow with every description (RFC 8866, 5.2; `str0m` says
    /// always 2), and drops the stream list of `a=msid-semantic`, which names streams that are rewritten below.
    pub(crate) fn set_version(&mut self, version: u64) {
        for line in &mut self.session {
            if line.starts_with("o=") {
                let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
                if let Some(word) = words.get_mut(2) {
                    *word = version.to_string();
                }
                *line = words.join(" ");
            } else if line.starts_with("a=msid-semantic") {
                *line = "a=msid-semantic: WMS *".to_owned();
            }
        }
    }
}

impl Section {
    /// States a direction.
    pub(crate) fn set_direction(&mut self, direction: Direction) {
        self.lines.retain(|line| Direction::from_line(line).is_none());
        self.lines.push(direction.line().to_owned());
    }

    /// Removes the lines of an attribute.
    pub(crate) fn remove(&mut self, name: &str) {
        let prefix = format!("a={name}:");
        self.lines.retain(|line| !line.starts_with(&prefix));
    }

    /// Removes the msid and every SSRC: the section carries nothing, and clients make no track of it.
    pub(crate) fn strip_msid(&mut self) {
        let names = ["a=msid:", "a=ssrc:", "a=ssrc-group:"];
        self.lines.retain(|line| !names.iter().any(|name| line.starts_with(name)));
    }

    /// Removes the rids on which the section would receive. Pion repeats ours beside its own, which makes two lists
    /// where one may stand.
    pub(crate) fn forget_received_rids(&mut self) {
        let received = |line: &String| {
            line.starts_with("a=simulcast:recv")
                || (line.starts_with("a=rid:") && line.split(' ').nth(1) == Some("recv"))
        };
        self.lines.retain(|line| !received(line));
    }

    /// States that the section carries this track with this SSRC and, if it has one, its retransmission SSRC.
    pub(crate) fn carry(&mut self, stream: &str, track: &str, ssrc: u32, rtx: Option<u32>) {
        self.strip_msid();
        self.lines.push(format!("a=msid:{stream} {track}"));
        for ssrc in [Some(ssrc), rtx].into_iter().flatten() {
            self.lines.push(format!("a=ssrc:{ssrc} cname:{track}"));
            self.lines.push(format!("a=ssrc:{ssrc} msid:{stream} {track}"));
        }
        if let Some(rtx) = rtx {
            self.lines.push(format!("a=ssrc-group:FID {ssrc} {rtx}"));
        }
    }

    /// Puts the payload types of a codec first, each followed by its retransmission: a client sends the first it can.
    pub(crate) fn prefer(&mut self, codec: Codec) {
        let types: Vec<String> = self.payload_types().into_iter().map(str::to_owned).collect();
        let of_codec = |pt: &String| {
            let main = self.repairs(pt).unwrap_or(pt);
            self.codec(main) == Some(codec)
        };
        let (mut first, rest): (Vec<String>, Vec<String>) = types.into_iter().partition(of_codec);
        first.extend(rest);
        if let Some(line) = self.lines.first_mut() {
            let head: Vec<&str> = line.split_whitespace().take(3).collect();
            *line = format!("{} {}", head.join(" "), first.join(" "));
        }
    }

    /// Adds format parameters to every payload type of a codec, unless they are stated already.
    pub(crate) fn add_parameters(&mut self, codec: Codec, parameters: &[&str]) {
        let types = self.payload_types().into_iter().filter(|pt| self.codec(pt) == Some(codec));
        for pt in types.map(str::to_owned).collect::<Vec<_>>() {
            let prefix = format!("a=fmtp:{pt} ");
            match self.lines.iter_mut().find(|line| line.starts_with(&prefix)) {
                Some(line) => append_missing(line, prefix.len(), parameters),
                None => self.lines.push(format!("{prefix}{}", parameters.join(";"))),
            }
        }
    }
}

/// Appends those parameters that the format line does not have, whatever their value.
fn append_missing(line: &mut String, prefix: usize, parameters: &[&str]) {
    for parameter in parameters {
        let name = parameter.split('=').next().unwrap_or(parameter);
        let stated = line[prefix..].split(';').any(|known| known.trim().split('=').next() == Some(name));
        if !stated {
            line.push(';');
            line.push_str(parameter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Section {
        Description::parse(text).sections.remove(0)
    }

    const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103\na=mid:0\na=sendonly\na=msid:x y\n\
        a=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\na=rtpmap:102 H264/90000\n\
        a=rtpmap:103 rtx/90000\na=fmtp:103 apt=102\na=ssrc:1 cname:y\na=ssrc:1 msid:x y\na=ssrc-group:FID 1 2\n";

    #[test]
    fn the_preferred_codec_comes_first_with_its_retransmission() {
        let mut video = section(VIDEO);
        video.prefer(Codec::H264);
        assert_eq!(video.payload_types(), ["102", "103", "96", "97"]);
        video.prefer(Codec::Vp8);
        assert_eq!(video.payload_types(), ["96", "97", "102", "103"]);
    }

    #[test]
    fn an_empty_slot_has_no_msid_and_no_ssrc() {
        let mut video = section(VIDEO);
        video.strip_msid();
        assert_eq!(video.msid(), None);
        assert!(video.lines.iter().all(|line| !line.contains("ssrc")));
    }

    #[test]
    fn a_carried_track_is_named_everywhere() {
        let mut video = section(VIDEO);
        video.carry("PA_a|TR_b", "TR_b", 5, Some(6));
        let named = video.lines.iter().filter(|line| line.contains("msid:PA_a|TR_b TR_b")).count();
        assert_eq!(named, 3);
        assert!(video.lines.iter().all(|line| !line.contains("msid:x y")));
        assert!(video.lines.contains(&"a=ssrc-group:FID 5 6".to_owned()));
    }

    #[test]
    fn parameters_are_added_once() {
        let mut audio = section("m=audio 9 X 111\na=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;stereo=1\n");
        audio.add_parameters(Codec::Opus, &["usedtx=1", "stereo=0"]);
        assert!(audio.lines.contains(&"a=fmtp:111 minptime=10;stereo=1;usedtx=1".to_owned()));
        let mut plain = section("m=audio 9 X 111\na=rtpmap:111 opus/48000/2\n");
        plain.add_parameters(Codec::Opus, &["usedtx=1"]);
        assert!(plain.lines.contains(&"a=fmtp:111 usedtx=1".to_owned()));
    }

    #[test]
    fn the_version_grows() {
        let mut offer = Description::parse("v=0\no=str0m 5 2 IN IP4 0.0.0.0\na=msid-semantic: WMS x\n");
        offer.set_version(7);
        assert_eq!(offer.session[1], "o=str0m 5 7 IN IP4 0.0.0.0");
        assert_eq!(offer.session[2], "a=msid-semantic: WMS *");
    }

    #[test]
    fn a_direction_is_stated_once() {
        let mut video = section(VIDEO);
        video.set_direction(Direction::Inactive);
        assert_eq!(video.direction(), Direction::Inactive);
    }
}
