//! Server-sent events cut out of a body that arrives in pieces. What an event says is not looked at here.

use memchr::memmem;

/// Longest event that is put together; a longer one is dropped.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// The piece of an event that has arrived; usually nothing, and then it costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Events {
    tail: Vec<u8>,
}

impl Events {
    /// Takes a piece of the body; gives each whole event to `each`, without the empty line that ends it.
    pub(crate) fn take(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&[u8])) {
        while let Some(end) = self.end(bytes) {
            if self.tail.is_empty() {
                each(&bytes[..end - 2]);
            } else {
                self.tail.extend_from_slice(&bytes[..end]);
                each(&self.tail[..self.tail.len() - 2]);
                self.tail = Vec::new();
            }
            bytes = &bytes[end..];
        }
        if self.tail.len() + bytes.len() <= MAX_EVENT {
            self.tail.extend_from_slice(bytes);
        }
    }

    /// Where in `bytes` the event ends that began in the tail.
    fn end(&self, bytes: &[u8]) -> Option<usize> {
        if self.tail.ends_with(b"\n") && bytes.first() == Some(&b'\n') {
            return Some(1);
        }
        memmem::find(bytes, b"\n\n").map(|at| at + 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_whatever_the_pieces() {
        let text = ": connected\n\nretry: 1\n\nid: a-1\ndata: {}\n\n:\n\ndata: unfinished\n";
        for piece in 1..text.len() {
            let (mut events, mut found) = (Events::default(), Vec::new());
            for piece in text.as_bytes().chunks(piece) {
                events.take(piece, &mut |event| found.push(String::from_utf8_lossy(event).into_owned()));
            }
            assert_eq!(found, [": connected", "retry: 1", "id: a-1\ndata: {}", ":"], "pieces of {piece}");
        }
    }
}
