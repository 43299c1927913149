//! The media sockets: bound addresses, what is told to clients instead of them. How many datagrams are sent at once is
//! in `batch`.
//!
//! One socket per local address, all on one port, so that an answer always leaves from the
//! address the client wrote to.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::task::{Context, Poll};

use sfu::Transmit;
use tokio::net::UdpSocket;

use crate::batch::Batch;

/// Datagrams kept before they are handed to the system.
const KEPT: usize = 512;

/// Times another port is tried when the system chose one that is taken on another address.
const PORT_TRIES: usize = 16;

/// Bytes the system may hold for a socket before it drops, each way.
#[cfg(target_os = "linux")]
const SYSTEM_BUFFER: usize = 4 << 20;

/// Why a media socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is in use, or the address is not local.
    #[error("cannot bind UDP {address}: {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The list of interfaces could not be read.
    #[error("cannot list the network interfaces")]
    Interfaces(#[source] io::Error),
    /// No usable address was found.
    #[error("no network interface has an address to offer to clients; set the advertised addresses")]
    NoAddress,
}

/// A bound socket, not yet part of a runtime.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: StdSocket,
    /// The address clients know it by.
    public: SocketAddr,
}

/// Binds what the configuration asks for; gives the sockets with the addresses told to clients.
pub(crate) fn bind(address: SocketAddr, advertised: &[IpAddr]) -> Result<Vec<Bound>, BindError> {
    let local = if address.ip().is_unspecified() { interfaces(advertised)? } else { vec![address.ip()] };
    if local.is_empty() {
        return Err(BindError::NoAddress);
    }
    let mut tries = 0;
    let sockets = loop {
        match bind_all(&local, address.port()) {
            Err(BindError::Bind { source, .. })
                if address.port() == 0 && source.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES =>
            {
                tries += 1;
            }
            other => break other?,
        }
    };
    let local: Vec<IpAddr> = sockets.iter().map(|(_, local)| local.ip()).collect();
    let bound = |(socket, address)| Bound { socket, public: public(address, &local, advertised) };
    Ok(sockets.into_iter().map(bound).collect())
}

/// Local addresses to bind: all, or those advertised. One that is advertised but not local is reached
/// through a router, so then the other interfaces are bound as well.
fn interfaces(advertised: &[IpAddr]) -> Result<Vec<IpAddr>, BindError> {
    let all = if_addrs::get_if_addrs().map_err(BindError::Interfaces)?;
    let usable: Vec<IpAddr> = all.iter().map(if_addrs::Interface::ip).filter(IpAddr::is_ipv4).collect();
    Ok(choose(&usable, advertised))
}

fn choose(usable: &[IpAddr], advertised: &[IpAddr]) -> Vec<IpAddr> {
    let routed = advertised.iter().any(|ip| !usable.contains(ip));
    let wanted = |ip: &IpAddr| advertised.is_empty() || advertised.contains(ip) || (routed && !ip.is_loopback());
    // Loopback comes last: a browser tries candidates in their order.
    let (mut first, last): (Vec<_>, Vec<_>) = usable.iter().copied().filter(wanted).partition(|ip| !ip.is_loopback());
    first.extend(last);
    first
}

fn bind_all(addresses: &[IpAddr], port: u16) -> Result<Vec<(StdSocket, SocketAddr)>, BindError> {
    let mut port = port;
    let mut sockets = Vec::new();
    for ip in addresses {
        let address = SocketAddr::new(*ip, port);
        let bound = StdSocket::bind(address).and_then(|socket| {
            socket.set_nonblocking(true)?;
            let local = socket.local_addr()?;
            Ok((socket, local))
        });
        let (socket, local) = bound.map_err(|source| BindError::Bind { address, source })?;
        widen(&socket);
        port = local.port();
        sockets.push((socket, local));
    }
    Ok(sockets)
}

/// Asks for larger buffers; a system that gives less is no error.
fn widen(socket: &StdSocket) {
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        let _ = setsockopt(socket, sockopt::RcvBuf, &SYSTEM_BUFFER);
        let _ = setsockopt(socket, sockopt::SndBuf, &SYSTEM_BUFFER);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}

/// The address clients are told for a local one: itself if it is advertised (or nothing is), else one that is not
/// local.
fn public(address: SocketAddr, local: &[IpAddr], advertised: &[IpAddr]) -> SocketAddr {
    let routed = |ip: &&IpAddr| ip.is_ipv4() == address.is_ipv4() && !local.contains(ip);
    match advertised.iter().find(routed) {
        Some(ip) if !advertised.contains(&address.ip()) => SocketAddr::new(*ip, address.port()),
        _ => address,
    }
}

/// All media sockets, ready to use in a runtime.
#[derive(Debug)]
pub(crate) struct Sockets {
    sockets: Vec<(UdpSocket, SocketAddr)>,
    outgoing: Vec<Transmit>,
    batch: Batch,
}

/// The addresses to tell to clients, without repetition: those of the sockets, and what else is advertised.
pub(crate) fn candidates(bound: &[Bound], advertised: &[IpAddr]) -> Vec<SocketAddr> {
    let port = bound.first().map_or(0, |b| b.public.port());
    let sockets = bound.iter().map(|b| b.public);
    let others = advertised.iter().map(|ip| SocketAddr::new(*ip, port)).filter(SocketAddr::is_ipv4);
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in sockets.chain(others) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

impl Sockets {
    /// Needs a runtime to be entered.
    pub(crate) fn new(bound: Vec<Bound>) -> io::Result<Self> {
        let sockets: io::Result<Vec<_>> =
            bound.into_iter().map(|b| Ok((UdpSocket::from_std(b.socket)?, b.public))).collect();
        Ok(Self { sockets: sockets?, outgoing: Vec::new(), batch: Batch::new() })
    }

    /// Waits until a socket has something to read.
    pub(crate) async fn readable(&self) {
        std::future::poll_fn(|cx| self.poll_readable(cx)).await;
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Every socket is polled, so that each of them wakes the task.
        let ready = self.sockets.iter().filter(|(s, _)| s.poll_recv_ready(cx).is_ready()).count();
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// How many sockets there are.
    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// One datagram from a socket, if there is one: its length, sender and the address it went to.
    pub(crate) fn receive(&self, socket: usize, buffer: &mut [u8]) -> Option<(usize, SocketAddr, SocketAddr)> {
        let (socket, public) = &self.sockets[socket];
        loop {
            match socket.try_recv_from(buffer) {
                Ok((length, from)) => return Some((length, from, *public)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                // An earlier datagram could not be delivered; the error is about that one.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
    }

    /// Keeps a datagram until the next flush, which a full batch is.
    pub(crate) fn send(&mut self, datagram: Transmit) {
        self.outgoing.push(datagram);
        if self.outgoing.len() >= KEPT {
            self.flush();
        }
    }

    /// Hands everything to the system. What it does not take is lost, as on any network.
    pub(crate) fn flush(&mut self) {
        if self.outgoing.is_empty() {
            return;
        }
        for (index, (socket, public)) in self.sockets.iter().enumerate() {
            // An address without a socket of its own is that of a router in front of the first one.
            let routed = |source| index == 0 && !self.sockets.iter().any(|(_, public)| *public == source);
            let mine: Vec<&Transmit> =
                self.outgoing.iter().filter(|t| t.source == *public || routed(t.source)).collect();
            let mut rest = mine.as_slice();
            while !rest.is_empty() {
                match self.batch.send(socket, rest) {
                    Ok(sent) => rest = &rest[sent.max(1).min(rest.len())..],
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                        metrics::counter!("media_datagrams_dropped_total").increment(rest.len() as u64);
                        break;
                    }
                    // The first one cannot be sent (no route, say); the others may.
                    Err(_) => rest = &rest[1..],
                }
            }
        }
        self.outgoing.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertised_address_replaces_only_unknown_ones() {
        let ips = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let usable = ips(&["127.0.0.1", "10.0.0.5", "10.0.1.5"]);
        let told = |advertised: &[&str]| -> Vec<String> {
            let advertised = ips(advertised);
            let bound = choose(&usable, &advertised);
            bound.iter().map(|ip| public(SocketAddr::new(*ip, 9), &bound, &advertised).ip().to_string()).collect()
        };
        assert_eq!(told(&[]), ["10.0.0.5", "10.0.1.5", "127.0.0.1"]);
        assert_eq!(told(&["10.0.1.5"]), ["10.0.1.5"]);
        assert_eq!(told(&["203.0.113.1"]), ["203.0.113.1", "203.0.113.1"]);
        assert_eq!(told(&["203.0.113.1", "127.0.0.1", "10.0.0.5"]), ["10.0.0.5", "203.0.113.1", "127.0.0.1"]);
    }

    #[test]
    fn a_public_address_is_told_beside_the_local_one() {
        let (local, far) = ("127.0.0.1".parse().unwrap(), "203.0.113.1".parse().unwrap());
        let bound = bind("127.0.0.1:0".parse().unwrap(), &[local, far]).unwrap();
        let told: Vec<IpAddr> = candidates(&bound, &[local, far]).iter().map(SocketAddr::ip).collect();
        assert_eq!(told, [local, far]);
    }

    #[test]
    fn a_taken_port_is_named() {
        let first = bind("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
        let address = first[0].public;
        let error = bind(address, &[]).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
    }

    #[tokio::test]
    async fn what_is_sent_together_arrives_as_it_was() {
        let receivers = [(); 2].map(|()| {
            let socket = StdSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            socket
        });
        let bound = bind("127.0.0.1:0".parse().unwrap(), &[]).unwrap();
        let source = candidates(&bound, &[])[0];
        let mut sockets = Sockets::new(bound).unwrap();
        sockets.sockets[0].0.writable().await.unwrap();
        // Frames of some equal packets and a smaller one, single packets, and one that is larger than before.
        let sizes = [1200, 1200, 1200, 700, 80, 1200, 1200, 1300, 40, 40, 40];
        let payload = |n: usize, size: usize| vec![n as u8; size];
        for round in 0..60 {
            for receiver in &receivers {
                for (n, size) in sizes.into_iter().enumerate() {
                    let destination = receiver.local_addr().unwrap();
                    sockets.send(Transmit { source, destination, payload: payload(round + n, size) });
                }
            }
            sockets.flush();
            let mut buffer = [0; 2000];
            for receiver in &receivers {
                for (n, size) in sizes.into_iter().enumerate() {
                    let (length, from) = receiver.recv_from(&mut buffer).unwrap();
                    assert_eq!((&buffer[..length], from), (&payload(round + n, size)[..], source));
                }
            }
        }
    }
}
