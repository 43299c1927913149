//! Many datagrams with one system call, and several to one destination as one.

#[cfg(target_os = "linux")]
pub(crate) use linux::Batch;
#[cfg(not(target_os = "linux"))]
pub(crate) use plain::Batch;

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSlice};
    use std::os::fd::AsRawFd;

    use nix::cmsg_space;
    use nix::errno::Errno;
    use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
    use sfu::Transmit;
    use tokio::net::UdpSocket;

    /// Messages in one system call.
    const MESSAGES: usize = 64;

    /// Datagrams in one message; the system takes 64.
    const SEGMENTS: usize = 32;

    /// Bytes in one message; it is one IP packet until the system cuts it.
    const BYTES: usize = 60_000;

    /// After the system refused a message of several datagrams, so many calls are without one.
    const RESPITE: u32 = 100;

    /// Sends datagrams, and keeps the headers for it.
    pub(crate) struct Batch {
        single: MultiHeaders<SockaddrStorage>,
        segmented: MultiHeaders<SockaddrStorage>,
        /// Calls left without messages of several datagrams.
        respite: u32,
    }

    impl std::fmt::Debug for Batch {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("Batch").field("respite", &self.respite).finish_non_exhaustive()
        }
    }

    impl Batch {
        /// Nothing sent yet.
        pub(crate) fn new() -> Self {
            Self {
                single: MultiHeaders::preallocate(MESSAGES, None),
                segmented: MultiHeaders::preallocate(MESSAGES, Some(cmsg_space!(u16))),
                respite: 0,
            }
        }

        /// Sends the first of these datagrams, of which there must be one; says how many.
        ///
        /// # Errors
        ///
        /// What the system says of the first one.
        pub(crate) fn send(&mut self, socket: &UdpSocket, datagrams: &[&Transmit]) -> io::Result<usize> {
            self.respite = self.respite.saturating_sub(1);
            if self.respite == 0 {
                match self.send_segmented(socket, datagrams) {
                    // The system cannot cut, or not into pieces of this size on the way they take.
                    Err(Errno::EINVAL | Errno::EIO | Errno::EOPNOTSUPP | Errno::EMSGSIZE)
                        if together(datagrams) > 1 =>
                    {
                        self.respite = RESPITE;
                    }
                    result => return Ok(result?),
                }
            }
            let first = &datagrams[..datagrams.len().min(MESSAGES)];
            let singles: Vec<&[&Transmit]> = first.chunks(1).collect();
            Ok(submit(&mut self.single, socket, &singles, None)?)
        }

        /// The same, in as few messages as possible: those that can go together in one call.
        fn send_segmented(&mut self, socket: &UdpSocket, datagrams: &[&Transmit]) -> nix::Result<usize> {
            let mut messages: Vec<&[&Transmit]> = Vec::with_capacity(MESSAGES);
            let (mut rest, mut size) = (datagrams, None);
            while !rest.is_empty() && messages.len() < MESSAGES {
                let (message, others) = rest.split_at(together(rest));
                let segment = (message.len() > 1).then(|| message[0].payload.len());
                if !messages.is_empty() && segment != size {
                    break;
                }
                size = segment;
                messages.push(message);
                rest = others;
            }
            match size.and_then(|size| u16::try_from(size).ok()) {
                Some(size) => submit(&mut self.segmented, socket, &messages, Some(size)),
                None => submit(&mut self.single, socket, &messages, None),
            }
        }
    }

    /// How many of the first datagrams can go as one message: to the same destination, all of the same size but for
    /// the last, which may be smaller.
    pub(super) fn together(datagrams: &[&Transmit]) -> usize {
        let Some(first) = datagrams.first() else { return 0 };
        let size = first.payload.len();
        let (mut count, mut bytes) = (1, size);
        for next in &datagrams[1..] {
            bytes += next.payload.len();
            let fits = next.destination == first.destination && next.payload.len() <= size && bytes <= BYTES;
            if !fits || next.payload.is_empty() || count == SEGMENTS {
                break;
            }
            count += 1;
            if next.payload.len() < size {
                break;
            }
        }
        count
    }

    /// Hands messages to the system, each of them cut into datagrams of this size. Says how many datagrams went.
    fn submit(
        headers: &mut MultiHeaders<SockaddrStorage>,
        socket: &UdpSocket,
        messages: &[&[&Transmit]],
        size: Option<u16>,
    ) -> nix::Result<usize> {
        let pieces: Vec<IoSlice<'_>> =
            messages.iter().flat_map(|m| m.iter()).map(|d| IoSlice::new(&d.payload)).collect();
        let mut rest = pieces.as_slice();
        let slices: Vec<&[IoSlice<'_>]> = messages
            .iter()
            .map(|message| {
                let (own, others) = rest.split_at(message.len());
                rest = others;
                own
            })
            .collect();
        let addresses: Vec<Option<SockaddrStorage>> =
            messages.iter().map(|message| Some(SockaddrStorage::from(message[0].destination))).collect();
        let cut = size.as_ref().map(ControlMessage::UdpGsoSegments);
        // The socket never blocks, so there is no need to know beforehand whether it is writable.
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = sendmmsg(socket.as_raw_fd(), headers, &slices, &addresses, cut.as_slice(), flags)?.count();
        Ok(messages[..sent.min(messages.len())].iter().map(|message| message.len()).sum())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_equal_sizes_to_one_destination_go_together() {
            let source = "127.0.0.1:1".parse().unwrap();
            let transmit = |port: u16, size: usize| Transmit {
                source,
                destination: ([127, 0, 0, 1], port).into(),
                payload: vec![0; size],
            };
            let count = |sizes: &[(u16, usize)]| {
                let all: Vec<Transmit> = sizes.iter().map(|(port, size)| transmit(*port, *size)).collect();
                together(&all.iter().collect::<Vec<_>>())
            };
            assert_eq!(count(&[]), 0);
            assert_eq!(count(&[(1, 9), (1, 9), (1, 5), (1, 5)]), 3, "the smaller one is the last");
            assert_eq!(count(&[(1, 9), (1, 10)]), 1, "no larger one");
            assert_eq!(count(&[(1, 9), (2, 9)]), 1, "another destination");
            assert_eq!(count(&[(1, 9), (1, 0)]), 1, "an empty datagram would vanish");
            assert_eq!(count(&[(1, 9); 100]), SEGMENTS);
            assert_eq!(count(&[(1, 25_000); 3]), 2);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod plain {
    //! One system call per datagram, where there is no better one.

    use std::io;

    use sfu::Transmit;
    use tokio::net::UdpSocket;

    /// Sends datagrams.
    #[derive(Debug)]
    pub(crate) struct Batch;

    impl Batch {
        /// Nothing sent yet.
        pub(crate) fn new() -> Self {
            Self
        }

        /// Sends the first datagram.
        ///
        /// # Errors
        ///
        /// What the system says of it.
        pub(crate) fn send(&mut self, socket: &UdpSocket, datagrams: &[&Transmit]) -> io::Result<usize> {
            socket.try_send_to(&datagrams[0].payload, datagrams[0].destination).map(|_| 1)
        }
    }
}
