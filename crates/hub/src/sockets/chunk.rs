//! How an event stream travels in HTTP/1.1: as chunks (RFC 9112, 7.1), with the
//! bytes hyper would send.

use bytes::Bytes;

/// An idle connection gets this: a comment.
pub(crate) const HEARTBEAT: Bytes = Bytes::from_static(b"3\r\n:\n\n\r\n");
/// The end of the stream: whoever reads it knows that nothing is missing.
pub(crate) const LAST: Bytes = Bytes::from_static(b"0\r\n\r\n");

/// `data` as one chunk.
pub(crate) fn chunk(data: &[u8]) -> Bytes {
    if data.is_empty() {
        // A chunk without data would be the last one.
        return Bytes::new();
    }
    let size = format!("{:X}\r\n", data.len());
    Bytes::from([size.as_bytes(), data, b"\r\n"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_have_their_length_in_hexadecimal() {
        assert_eq!(chunk(b"0123456789a"), "B\r\n0123456789a\r\n");
        assert_eq!(chunk(b""), "", "nothing must not end the stream");
        assert_eq!(chunk(b":\n\n"), HEARTBEAT);
    }
}
