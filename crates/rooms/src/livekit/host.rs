//! The address of a LiveKit server, in whichever scheme it was given.

use url::Url;

/// `LIVEKIT_HOST` after its check: `http`, `https`, `ws` or `wss`, with or without a path before LiveKit's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveKitHost {
    /// http or https, its path ending in a slash.
    http: Url,
}

/// Why a text is no address of a LiveKit server; says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHost {
    /// Not a URL at all.
    #[error("must be a URL such as ws://127.0.0.1:7880 or https://livekit.example.com ({0})")]
    NotAUrl(url::ParseError),
    /// A URL of something else.
    #[error("must begin with http://, https://, ws:// or wss://, not {0}:")]
    Scheme(String),
    /// A user or password in the URL would end up in logs and in answers to clients.
    #[error("must not contain a user or a password: the API key and secret are settings of their own")]
    Credentials,
    /// The rest of the address is ours to choose.
    #[error("must not contain a query or a fragment (? or #)")]
    Query,
}

impl LiveKitHost {
    /// Checks and normalises `text`.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let url = Url::parse(text.trim()).map_err(InvalidHost::NotAUrl)?;
        let secure = match url.scheme() {
            "http" | "ws" => false,
            "https" | "wss" => true,
            // "localhost:7880" reads as a URL of the scheme "localhost".
            other => return Err(InvalidHost::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidHost::Credentials);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidHost::Query);
        }
        let scheme = if secure { "https" } else { "http" };
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let path = url.path().trim_end_matches('/');
        let http = Url::parse(&format!("{scheme}://{authority}{path}/")).map_err(InvalidHost::NotAUrl)?;
        Ok(Self { http })
    }

    /// For the server API: `http` or `https`, without a slash at the end.
    pub fn http_url(&self) -> String {
        self.http.as_str().trim_end_matches('/').to_owned()
    }

    /// For clients, who connect to it for signalling: `ws` or `wss`, without a slash at the end.
    pub fn ws_url(&self) -> String {
        self.http_url().replacen("http", "ws", 1)
    }

    /// Reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.http.scheme() == "https"
    }

    /// The server is on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.http.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }

    /// The address of one method of RoomService.
    pub(super) fn method(&self, method: &str) -> String {
        format!("{}twirp/livekit.RoomService/{method}", self.http)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scheme_gives_both_addresses() {
        let check = |text, http: &str, ws: &str| {
            let host = LiveKitHost::parse(text).unwrap();
            assert_eq!((host.http_url().as_str(), host.ws_url().as_str()), (http, ws));
        };
        check("http://127.0.0.1:7880", "http://127.0.0.1:7880", "ws://127.0.0.1:7880");
        check("ws://localhost:7880/", "http://localhost:7880", "ws://localhost:7880");
        check(" wss://x.livekit.cloud ", "https://x.livekit.cloud", "wss://x.livekit.cloud");
        check("HTTPS://Example.com:8443/media//", "https://example.com:8443/media", "wss://example.com:8443/media");
        check("ws://[::1]:7880", "http://[::1]:7880", "ws://[::1]:7880");
        check("wss://example.com:443", "https://example.com", "wss://example.com");
        check("ws://http.example.com", "http://http.example.com", "ws://http.example.com");
    }

    #[test]
    fn a_path_before_livekits_own_is_kept() {
        let method = |text| LiveKitHost::parse(text).unwrap().method("ListRooms");
        assert_eq!(method("ws://h:1"), "http://h:1/twirp/livekit.RoomService/ListRooms");
        assert_eq!(method("ws://h:1/media"), "http://h:1/media/twirp/livekit.RoomService/ListRooms");
    }

    #[test]
    fn what_is_no_address_says_what_was_expected() {
        let message = |text| LiveKitHost::parse(text).unwrap_err().to_string();
        assert!(message("").contains("ws://127.0.0.1:7880"));
        assert!(message("127.0.0.1:7880").contains("ws://127.0.0.1:7880"));
        assert!(message("localhost:7880").contains("must begin with http://"));
        assert!(message("redis://localhost").contains("not redis:"));
        assert!(message("ws://user:pass@host").contains("password"));
        assert!(message("ws://host/?a=b").contains('?'));
        assert!(message("ws://").contains("ws://127.0.0.1:7880"));
    }

    #[test]
    fn loopback_is_told_apart() {
        let loopback = |text| LiveKitHost::parse(text).unwrap().is_loopback();
        assert!(loopback("ws://127.0.0.9:1") && loopback("ws://localhost") && loopback("ws://[::1]"));
        assert!(!loopback("ws://10.0.0.1") && !loopback("wss://localhost.example.com"));
    }
}
