//! A session description as lines in sections, with the few questions the engine asks of them (RFC 8866).

use std::fmt;

use crate::command::{Codec, MediaKind};

/// A description, split into the session part and its media sections. Rendering gives the same lines back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    /// The lines before the first `m=`.
    pub(crate) session: Vec<String>,
    /// The media sections in order; their order never changes over a session.
    pub(crate) sections: Vec<Section>,
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// Its lines without line ends; the first is the `m=` line.
    pub(super) lines: Vec<String>,
}

/// The direction of a section, as its sender sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Both ways; also when nothing is said.
    SendRecv,
    /// The sender of the description sends.
    SendOnly,
    /// The sender of the description receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Description {
    /// Splits a text. Never fails: what is not a description has no sections.
    pub(crate) fn parse(text: &str) -> Description {
        let mut session = Vec::new();
        let mut sections: Vec<Section> = Vec::new();
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if line.starts_with("m=") {
                sections.push(Section { lines: vec![line.to_owned()] });
            } else if let Some(section) = sections.last_mut() {
                section.lines.push(line.to_owned());
            } else {
                session.push(line.to_owned());
            }
        }
        Description { session, sections }
    }

    /// The section with this mid.
    pub(crate) fn section(&self, mid: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.mid() == Some(mid))
    }

    /// Whether a section is rejected: port 0 and outside the bundle group, since bundled sections may say 0 as well.
    pub(crate) fn is_rejected(&self, section: &Section) -> bool {
        section.port() == Some("0") && !section.mid().is_some_and(|mid| self.bundles(mid))
    }

    /// Whether the bundle group names this mid.
    fn bundles(&self, mid: &str) -> bool {
        let groups = self.session.iter().filter_map(|line| line.strip_prefix("a=group:BUNDLE"));
        groups.flat_map(str::split_whitespace).any(|member| member == mid)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let media = self.sections.iter().flat_map(|section| section.lines.iter());
        self.session.iter().chain(media).try_for_each(|line| write!(f, "{line}\r\n"))
    }
}

impl Section {
    /// Audio or video; `None` for the data section and anything else.
    pub(crate) fn kind(&self) -> Option<MediaKind> {
        match self.media_line().next() {
            Some("m=audio") => Some(MediaKind::Audio),
            Some("m=video") => Some(MediaKind::Video),
            _ => None,
        }
    }

    /// `a=mid`.
    pub(crate) fn mid(&self) -> Option<&str> {
        self.values("mid").next()
    }

    /// The direction it states.
    pub(crate) fn direction(&self) -> Direction {
        let stated = self.lines.iter().find_map(|line| Direction::from_line(line));
        stated.unwrap_or(Direction::SendRecv)
    }

    /// The stream and track of `a=msid`, or else of the first `a=ssrc:… msid:` line. A missing track is empty.
    pub(crate) fn msid(&self) -> Option<(&str, &str)> {
        let own = self.values("msid").next();
        let per_ssrc = || self.values("ssrc").find_map(|value| value.split_once(" msid:").map(|(_, msid)| msid));
        let mut words = own.or_else(per_ssrc)?.split_whitespace();
        Some((words.next()?, words.next().unwrap_or("")))
    }

    /// The rids it sends, in the order of `a=simulcast` or else of the `a=rid` lines. Empty without simulcast.
    pub(crate) fn sent_rids(&self) -> Vec<&str> {
        let simulcast = self.values("simulcast").next().and_then(sent_streams);
        match simulcast {
            // Each stream may list alternatives; the first is what is sent. A leading `~` means paused at first.
            Some(streams) => streams
                .split(';')
                .filter_map(|stream| stream.split(',').next())
                .map(|rid| rid.trim_start_matches('~'))
                .collect(),
            None => self.values("rid").filter_map(|value| value.split_once(" send").map(|(rid, _)| rid)).collect(),
        }
    }

    /// The codecs that the engine knows, in the order in which the section prefers them.
    pub(crate) fn codecs(&self) -> Vec<Codec> {
        let mut codecs: Vec<Codec> = Vec::new();
        for codec in self.payload_types().into_iter().filter_map(|pt| self.codec(pt)) {
            if !codecs.contains(&codec) {
                codecs.push(codec);
            }
        }
        codecs
    }

    /// The values of all `a=<name>:` lines.
    pub(crate) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines.iter().filter_map(move |line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'))
    }

    /// The payload types of the `m=` line, in order.
    pub(super) fn payload_types(&self) -> Vec<&str> {
        self.media_line().skip(3).collect()
    }

    /// The codec of a payload type, if the engine knows it. Retransmissions have none.
    pub(super) fn codec(&self, payload_type: &str) -> Option<Codec> {
        let name = self.by_payload_type("rtpmap", payload_type)?.split('/').next()?;
        Codec::parse(name)
    }

    /// The payload type that a retransmission payload type repairs.
    pub(super) fn repairs(&self, payload_type: &str) -> Option<&str> {
        let parameters = self.by_payload_type("fmtp", payload_type)?;
        parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("apt="))
    }

    /// The value after the payload type in its line of that name.
    fn by_payload_type<'a>(&'a self, name: &'a str, payload_type: &str) -> Option<&'a str> {
        self.values(name).find_map(|value| {
            let (pt, rest) = value.split_once(' ')?;
            (pt == payload_type).then_some(rest)
        })
    }

    /// The port of the `m=` line.
    fn port(&self) -> Option<&str> {
        self.media_line().nth(1)
    }

    /// The words of the `m=` line.
    fn media_line(&self) -> impl Iterator<Item = &str> {
        self.lines.first().map(String::as_str).unwrap_or("").split_whitespace()
    }
}

impl Direction {
    /// Whether the sender of the description sends on it.
    pub(crate) fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// Its attribute line.
    pub(super) fn line(self) -> &'static str {
        match self {
            Direction::SendRecv => "a=sendrecv",
            Direction::SendOnly => "a=sendonly",
            Direction::RecvOnly => "a=recvonly",
            Direction::Inactive => "a=inactive",
        }
    }

    /// The direction that an attribute line states.
    pub(super) fn from_line(line: &str) -> Option<Direction> {
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            .into_iter()
            .find(|direction| direction.line() == line)
    }
}

/// The part of an `a=simulcast` value after `send`.
fn sent_streams(value: &str) -> Option<&str> {
    let mut words = value.split_whitespace();
    words.find(|word| *word == "send")?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 102\r\na=mid:0\r\na=sendonly\r\na=msid:- cid-1\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\n\
        a=rid:q send\r\na=rid:h send\r\na=simulcast:send ~q;h,x\r\n\
        m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=recvonly\r\na=rtpmap:111 opus/48000/2\r\n\
        m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:2\r\na=inactive\r\n";

    #[test]
    fn renders_what_it_read() {
        assert_eq!(Description::parse(OFFER).to_string(), OFFER);
    }

    #[test]
    fn answers_the_questions_of_the_engine() {
        let offer = Description::parse(OFFER);
        let video = offer.section("0").unwrap();
        assert_eq!(video.kind(), Some(MediaKind::Video));
        assert_eq!(video.direction(), Direction::SendOnly);
        assert_eq!(video.msid(), Some(("-", "cid-1")));
        assert_eq!(video.sent_rids(), ["q", "h"]);
        assert_eq!(video.codec("96"), Some(Codec::Vp8));
        assert_eq!(video.repairs("97"), Some("96"));
        assert_eq!(video.codecs(), [Codec::Vp8, Codec::H264]);
    }

    #[test]
    fn port_zero_rejects_only_outside_the_bundle() {
        let offer = Description::parse(OFFER);
        let rejected: Vec<bool> = offer.sections.iter().map(|section| offer.is_rejected(section)).collect();
        assert_eq!(rejected, [false, false, true]);
    }

    #[test]
    fn the_msid_may_stand_in_ssrc_lines_only() {
        let text = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ssrc:7 cname:x\r\na=ssrc:7 msid:stream track\r\n";
        assert_eq!(Description::parse(text).sections[0].msid(), Some(("stream", "track")));
    }

    #[test]
    fn nonsense_has_no_sections() {
        assert!(Description::parse("hello\nworld").sections.is_empty());
    }
}
