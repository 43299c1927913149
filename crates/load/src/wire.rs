//! An HTTP/1.1 answer as it arrives, in pieces of any size: the head, then the body with its framing taken off.
//!
//! Only what a load needs: no trailers, no upgrades, one answer at a time.

use std::fmt;

/// Longest head that is waited for.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 64;

/// What can't be understood of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's answer can't be understood: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// One answer, being read.
#[derive(Debug)]
pub(crate) struct Answer {
    state: State,
    /// The status; 0 until the head is there.
    pub(crate) status: u16,
    /// Whether the server says that it closes the connection behind it (RFC 9112, 9.6).
    pub(crate) is_last: bool,
}

/// What a head says.
struct Head {
    status: u16,
    framing: Framing,
    is_last: bool,
    /// Bytes that it takes.
    length: usize,
}

#[derive(Debug)]
enum State {
    /// The head so far.
    Head(Vec<u8>),
    Body(Framing),
    Done,
}

#[derive(Debug, Clone, Copy)]
enum Framing {
    /// So many bytes are missing.
    Length(u64),
    /// Until the connection closes.
    Close,
    /// In a chunk's first line; the size so far.
    Size(u64),
    /// Behind the size: up to the line's end.
    SizeEnd(u64),
    /// In a chunk's data; so many bytes are missing.
    Data(u64),
    /// In the line break behind the data.
    DataEnd,
    /// Behind the last chunk; line breaks seen in a row.
    Last(u8),
}

impl Answer {
    /// Nothing has arrived yet.
    pub(crate) fn expected() -> Self {
        Self { state: State::Head(Vec::new()), status: 0, is_last: false }
    }

    /// Whether all of it has arrived.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// Takes what has arrived; gives each piece of the body to `body`.
    pub(crate) fn take(&mut self, mut bytes: &[u8], body: &mut impl FnMut(&[u8])) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            bytes = match &mut self.state {
                State::Done => return Err(Malformed("more came than was asked for")),
                State::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let Some(head) = parse_head(head)? else { return Ok(()) };
                    (self.status, self.is_last) = (head.status, head.is_last);
                    self.state = State::Body(head.framing);
                    &bytes[head.length - before..]
                }
                State::Body(framing) => framing.take(bytes, body)?,
            };
            self.settle();
        }
        Ok(())
    }

    fn settle(&mut self) {
        if let State::Body(Framing::Length(0) | Framing::Last(2)) = self.state {
            self.state = State::Done;
        }
    }
}

/// `None`: not all of it is there.
fn parse_head(bytes: &[u8]) -> Result<Option<Head>, Malformed> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Malformed("its head is too long")),
        Err(_) => return Err(Malformed("its head is not HTTP/1.1")),
    };
    let status = head.code.unwrap_or_default();
    let value = |name: &str| {
        let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok().map(str::trim)
    };
    let chunked = value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let framing = match (chunked, value("content-length")) {
        (true, _) => Framing::Size(0),
        (false, Some(value)) => Framing::Length(value.parse().map_err(|_| Malformed("its length is no number"))?),
        (false, None) if matches!(status, 204 | 304) => Framing::Length(0),
        (false, None) => Framing::Close,
    };
    let is_last = value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    Ok(Some(Head { status, framing, is_last, length }))
}

impl Framing {
    /// Takes a piece off `bytes`, which are not empty; gives the rest.
    fn take<'a>(&mut self, bytes: &'a [u8], body: &mut impl FnMut(&[u8])) -> Result<&'a [u8], Malformed> {
        match *self {
            Self::Close => {
                body(bytes);
                return Ok(&[]);
            }
            Self::Length(missing) | Self::Data(missing) => {
                let here = usize::try_from(missing).unwrap_or(usize::MAX).min(bytes.len());
                body(&bytes[..here]);
                let missing = missing - here as u64;
                *self = match self {
                    Self::Length(_) => Self::Length(missing),
                    _ if missing == 0 => Self::DataEnd,
                    _ => Self::Data(missing),
                };
                return Ok(&bytes[here..]);
            }
            Self::Size(size) => match char::from(bytes[0]).to_digit(16) {
                Some(_) if size >> 32 != 0 => return Err(Malformed("a chunk is too large")),
                Some(digit) => *self = Self::Size(size * 16 + u64::from(digit)),
                None => *self = Self::SizeEnd(size),
            },
            Self::SizeEnd(0) if bytes[0] == b'\n' => *self = Self::Last(0),
            Self::SizeEnd(size) if bytes[0] == b'\n' => *self = Self::Data(size),
            Self::SizeEnd(_) => {}
            Self::DataEnd if bytes[0] == b'\n' => *self = Self::Size(0),
            Self::DataEnd if bytes[0] == b'\r' => {}
            Self::DataEnd => return Err(Malformed("a chunk is longer than it says")),
            Self::Last(0) if bytes[0] == b'\r' => *self = Self::Last(1),
            Self::Last(1) if bytes[0] == b'\n' => *self = Self::Last(2),
            Self::Last(_) => return Err(Malformed("it has trailers")),
        }
        // A size line whose first byte is no digit is looked at again as the rest of that line.
        let looked_again = matches!(*self, Self::SizeEnd(_)) && bytes[0] == b'\n';
        Ok(if looked_again { bytes } else { &bytes[1..] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, piece: usize) -> Result<(u16, String, bool), Malformed> {
        let (mut answer, mut body) = (Answer::expected(), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            answer.take(piece, &mut |bytes: &[u8]| body.extend_from_slice(bytes))?;
        }
        Ok((answer.status, String::from_utf8_lossy(&body).into_owned(), answer.is_done()))
    }

    #[test]
    fn framing_is_taken_off_whatever_the_pieces() {
        for piece in 1..60 {
            let sized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
            assert_eq!(read(sized, piece), Ok((200, "hello".into(), true)));
            let chunked =
                "HTTP/1.1 404 No\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n00a\r\n, you all!\r\n0\r\n\r\n";
            assert_eq!(read(chunked, piece), Ok((404, "hello, you all!".into(), true)));
            let open = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
            assert_eq!(read(open, piece), Ok((200, "hello".into(), false)));
            assert_eq!(read("HTTP/1.0 200 OK\r\n\r\nhello", piece), Ok((200, "hello".into(), false)));
            assert_eq!(read("HTTP/1.1 204 No\r\n\r\n", piece), Ok((204, String::new(), true)));
        }
    }

    #[test]
    fn the_last_answer_of_a_connection_says_so() {
        for (header, is_last) in [("", false), ("Connection: keep-alive\r\n", false), ("Connection: close\r\n", true)] {
            let mut answer = Answer::expected();
            let text = format!("HTTP/1.1 204 No\r\n{header}\r\n");
            assert_eq!(answer.take(text.as_bytes(), &mut |_: &[u8]| {}), Ok(()));
            assert_eq!(answer.is_last, is_last, "{header}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "hello there\r\n\r\n",
            "HTTP/1.1 204 No\r\n\r\nx",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nhello",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        ] {
            assert!(read(text, 1).is_err(), "{text}");
            assert!(read(text, 1000).is_err(), "{text}");
        }
    }
}
