//! LiveKit's participant kinds as ours.

use domain::Kind;
use livekit_protocol::participant_info::Kind as Reported;

/// The kind that LiveKit reports by number. `recorder` is the participant's permission of that name.
pub(crate) fn kind_of(reported: i32, recorder: bool) -> Kind {
    match Reported::try_from(reported) {
        Ok(Reported::Standard) if recorder => Kind::Recorder,
        Ok(Reported::Standard) => Kind::Standard,
        Ok(Reported::Ingress) => Kind::Ingress,
        Ok(Reported::Egress) => Kind::Egress,
        Ok(Reported::Sip) => Kind::Sip,
        Ok(Reported::Agent) => Kind::Agent,
        Ok(Reported::Connector) => Kind::Connector,
        Ok(Reported::Bridge) => Kind::Bridge,
        // A kind of a newer server: nobody is invented as a person, and nobody's stream is ended under them.
        Err(_) => Kind::Bridge,
    }
}

/// The number of a kind that LiveKit reports by name; `None` for one of a newer server.
pub(crate) fn kind_number(name: &str) -> Option<i32> {
    Reported::from_str_name(name).map(|kind| kind as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_counterpart() {
        let by_name = |name| kind_of(kind_number(name).unwrap(), false);
        assert_eq!(by_name("STANDARD"), Kind::Standard);
        assert_eq!(by_name("INGRESS"), Kind::Ingress);
        assert_eq!(by_name("EGRESS"), Kind::Egress);
        assert_eq!(by_name("SIP"), Kind::Sip);
        assert_eq!(by_name("AGENT"), Kind::Agent);
        assert_eq!(by_name("CONNECTOR"), Kind::Connector);
        assert_eq!(by_name("BRIDGE"), Kind::Bridge);
        assert_eq!(kind_of(0, true), Kind::Recorder);
        assert_eq!(kind_of(4, true), Kind::Agent);
    }

    #[test]
    fn a_kind_of_a_newer_server_keeps_the_stream_alive_and_is_nobody() {
        let unknown = kind_of(99, false);
        assert!(unknown.keeps_alive() && !unknown.is_person());
        assert_eq!(kind_number("HOLOGRAM"), None);
    }
}
