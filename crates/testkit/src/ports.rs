//! Ports that nobody listens on at the moment of asking.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// A TCP port of 127.0.0.1 that was free just now; somebody else may take it before the caller does.
pub fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
    listener.local_addr().expect("the listener's address").port()
}

/// A UDP port of 127.0.0.1 that was free just now.
pub fn free_udp_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
    socket.local_addr().expect("the socket's address").port()
}
