//! What payload types mean, checked before `str0m` sees a description.
//!
//! In a bundle each payload type means one thing, for as long as the session lasts (RFC 8843, 9.1). `str0m` relies on
//! that and panics otherwise, which must not be in the power of a client.

use std::collections::HashMap;

use super::text::{Description, Section};
use crate::command::Codec;

/// The meanings seen so far in a session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Formats {
    meanings: HashMap<u8, String>,
}

impl Formats {
    /// Takes note of a description.
    ///
    /// # Errors
    ///
    /// A payload type is out of range or means two things. The text says which and belongs into an answer.
    pub(crate) fn note(&mut self, description: &Description) -> Result<(), String> {
        for section in description.sections.iter().filter(|section| section.kind().is_some()) {
            self.note_section(section)?;
        }
        Ok(())
    }

    /// Takes note of one section.
    fn note_section(&mut self, section: &Section) -> Result<(), String> {
        let mut here: Vec<u8> = Vec::new();
        for map in section.values("rtpmap") {
            let (number, codec) = map.split_once(' ').ok_or_else(|| format!("malformed rtpmap: {map}"))?;
            let pt: u8 = number
                .parse()
                .ok()
                .filter(|pt| *pt < 128)
                .ok_or_else(|| format!("payload type {number} is not a number below 128"))?;
            if here.contains(&pt) {
                return Err(format!("payload type {pt} is mapped twice in one section"));
            }
            here.push(pt);
            let meaning = meaning(section, number, codec)?;
            let known = self.meanings.entry(pt).or_insert_with(|| meaning.clone());
            if *known != meaning {
                return Err(format!("payload type {pt} means both {known} and {meaning}"));
            }
        }
        Ok(())
    }
}

/// What a payload type means, as far as it matters.
fn meaning(section: &Section, pt: &str, codec: &str) -> Result<String, String> {
    let name = codec.split('/').next().unwrap_or(codec).to_ascii_lowercase();
    let wanted: &[&str] = match Codec::parse(&name) {
        Some(Codec::H264) => &["profile-level-id", "packetization-mode"],
        _ if name == "rtx" => &["apt"],
        _ => &[],
    };
    let lines = section.values("fmtp").filter_map(|line| line.split_once(' ')).filter(|(of, _)| *of == pt);
    let all: Vec<(&str, &str)> = lines
        .flat_map(|(_, parameters)| parameters.split(';'))
        .filter_map(|parameter| parameter.trim().split_once('='))
        .collect();
    let mut meaning = name;
    for name in wanted {
        let mut values = all.iter().filter(|(known, _)| known == name).map(|(_, value)| value.trim());
        let value = values.next().unwrap_or("");
        if values.next().is_some() || (*name == "apt" && value == pt) {
            return Err(format!("payload type {pt} has no clear {name}"));
        }
        // The last two digits of a profile are the level, in which an answer may differ (RFC 6184, 8.2.2).
        let compared = if *name == "profile-level-id" { value.get(..4).unwrap_or(value) } else { value };
        meaning = format!("{meaning} {}", compared.to_ascii_lowercase());
    }
    Ok(meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(formats: &mut Formats, lines: &str) -> Result<(), String> {
        formats.note(&Description::parse(&format!("v=0\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\n{lines}")))
    }

    #[test]
    fn one_meaning_per_payload_type_for_the_whole_session() {
        let mut formats = Formats::default();
        let vp8 = "a=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n";
        assert_eq!(note(&mut formats, vp8), Ok(()));
        assert_eq!(note(&mut formats, &format!("{vp8}a=fmtp:96 x-google-start-bitrate=1000\n")), Ok(()));
        assert!(note(&mut formats, "a=rtpmap:96 H264/90000\n").is_err());
        assert!(note(&mut formats, "a=rtpmap:97 rtx/90000\na=fmtp:97 apt=98\n").is_err());
    }

    #[test]
    fn levels_may_differ() {
        let mut formats = Formats::default();
        let h264 = |profile: &str| format!("a=rtpmap:96 H264/90000\na=fmtp:96 profile-level-id={profile}\n");
        assert_eq!(note(&mut formats, &h264("42e01f")), Ok(()));
        assert_eq!(note(&mut formats, &h264("42E034")), Ok(()));
        assert!(note(&mut formats, &h264("42001f")).is_err());
    }

    #[test]
    fn unclear_payload_types_are_refused() {
        for lines in [
            "a=rtpmap:200 VP8/90000\n",
            "a=rtpmap:x VP8/90000\n",
            "a=rtpmap:96\n",
            "a=rtpmap:96 VP8/90000\na=rtpmap:96 H264/90000\n",
            "a=rtpmap:97 rtx/90000\na=fmtp:97 apt=97\n",
            "a=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\na=fmtp:97 apt=98\n",
        ] {
            assert!(note(&mut Formats::default(), lines).is_err(), "{lines}");
        }
    }
}
