//! What fan-out costs at the least: one thread that waits for a message and calls `send` on every socket.
//!
//! No polling, no routing, no state: whatever is beyond this is the server's own.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const DONE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Serves on a free port, which is written to standard output. `GET` subscribes; the first connection that
/// posts is the one that publishes, and the end of it is the end of this.
pub(crate) fn serve() -> anyhow::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    crate::say(&listener.local_addr()?.to_string())?;
    let mut subscribers = Vec::new();
    loop {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(1024, stream);
        match read_head(&mut reader)? {
            Some((false, _)) => {
                let mut stream = reader.into_inner();
                stream.write_all(HEAD)?;
                stream.set_nonblocking(true)?;
                subscribers.push(stream);
            }
            Some((true, length)) => return publish(reader, length, &mut subscribers),
            None => {}
        }
    }
}

fn publish(
    mut publisher: BufReader<TcpStream>,
    mut length: usize,
    subscribers: &mut [TcpStream],
) -> anyhow::Result<()> {
    loop {
        let mut message = vec![0; length];
        publisher.read_exact(&mut message)?;
        let event = [b"data: ", message.as_slice(), b"\n\n"].concat();
        let frame = [format!("{:x}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat();
        for subscriber in &mut *subscribers {
            match subscriber.write(&frame) {
                Ok(sent) => anyhow::ensure!(sent == frame.len(), "a subscriber takes half of a message"),
                // A reader that does not read misses it; one that has gone is sent to in vain.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                Err(error) => return Err(error.into()),
            }
        }
        publisher.get_mut().write_all(DONE)?;
        let Some((_, next)) = read_head(&mut publisher)? else { return Ok(()) };
        length = next;
    }
}

/// Whether it is a `POST`, and the length of its body; `None` at the connection's end.
fn read_head(reader: &mut BufReader<TcpStream>) -> anyhow::Result<Option<(bool, usize)>> {
    let (mut is_post, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => return Ok(Some((is_post.unwrap_or_default(), length))),
            text if is_post.is_none() => is_post = Some(text.starts_with("POST ")),
            text => {
                if let Some(value) = text.strip_prefix("Content-Length: ") {
                    length = value.parse()?;
                }
            }
        }
    }
}
