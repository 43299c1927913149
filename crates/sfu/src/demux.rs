//! Which transport a datagram belongs to: by its source address, or for STUN requests by the ufrag they name
//! (RFC 8445, 7.3). Nothing is searched: both are maps.

use std::collections::HashMap;
use std::net::SocketAddr;

/// Source addresses remembered per transport. A client that moves uses a few, an attacker may use many.
const ADDRESSES_PER_TRANSPORT: usize = 8;

/// The maps. `K` names a transport.
#[derive(Debug)]
pub(crate) struct Demux<K> {
    by_address: HashMap<SocketAddr, K>,
    by_ufrag: HashMap<String, K>,
}

/// What one transport is known by.
#[derive(Debug, Default)]
pub(crate) struct Known {
    ufrag: String,
    addresses: Vec<SocketAddr>,
}

impl<K: Copy + PartialEq> Demux<K> {
    /// Nothing known.
    pub(crate) fn new() -> Demux<K> {
        Demux { by_address: HashMap::new(), by_ufrag: HashMap::new() }
    }

    /// The transport that this address belongs to.
    pub(crate) fn by_address(&self, source: SocketAddr) -> Option<K> {
        self.by_address.get(&source).copied()
    }

    /// The transport whose local ufrag this is.
    pub(crate) fn by_ufrag(&self, ufrag: &str) -> Option<K> {
        self.by_ufrag.get(ufrag).copied()
    }

    /// Sets the local ufrag of a transport; an earlier one is forgotten.
    pub(crate) fn set_ufrag(&mut self, known: &mut Known, key: K, ufrag: &str) {
        if known.ufrag != ufrag {
            self.by_ufrag.remove(&known.ufrag);
            known.ufrag = ufrag.to_owned();
            self.by_ufrag.insert(known.ufrag.clone(), key);
        }
    }

    /// Binds an address that has proven, by a STUN request with the right password, to be the transport's client.
    pub(crate) fn bind(&mut self, known: &mut Known, key: K, source: SocketAddr) {
        let before = self.by_address.insert(source, key);
        if before == Some(key) {
            return;
        }
        known.addresses.push(source);
        if known.addresses.len() > ADDRESSES_PER_TRANSPORT {
            let oldest = known.addresses.remove(0);
            self.unbind(key, oldest);
        }
    }

    /// Forgets a transport.
    pub(crate) fn remove(&mut self, known: &Known, key: K) {
        self.by_ufrag.remove(&known.ufrag);
        for address in &known.addresses {
            self.unbind(key, *address);
        }
    }

    /// Forgets an address, unless another transport has taken it over.
    fn unbind(&mut self, key: K, address: SocketAddr) {
        if self.by_address(address) == Some(key) {
            self.by_address.remove(&address);
        }
    }
}

/// Whether a datagram is STUN (RFC 7983).
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= 20 && datagram[0] < 4
}

/// The receiver's ufrag in the USERNAME of a STUN message, the part before the colon (RFC 8445, 7.2.2).
pub(crate) fn stun_ufrag(datagram: &[u8]) -> Option<&str> {
    const USERNAME: u16 = 0x0006;
    let mut attributes = datagram.get(20..)?;
    loop {
        let kind = u16::from_be_bytes(attributes.get(..2)?.try_into().ok()?);
        let length = usize::from(u16::from_be_bytes(attributes.get(2..4)?.try_into().ok()?));
        let value = attributes.get(4..4 + length)?;
        if kind == USERNAME {
            return std::str::from_utf8(value).ok()?.split(':').next();
        }
        attributes = attributes.get(4 + length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn an_address_taken_over_stays_with_the_new_owner() {
        let mut demux = Demux::new();
        let (mut first, mut second) = (Known::default(), Known::default());
        demux.bind(&mut first, 1, address(1));
        demux.bind(&mut second, 2, address(1));
        demux.remove(&first, 1);
        assert_eq!(demux.by_address(address(1)), Some(2));
        demux.remove(&second, 2);
        assert_eq!(demux.by_address(address(1)), None);
    }

    #[test]
    fn addresses_are_bounded() {
        let (mut demux, mut known) = (Demux::new(), Known::default());
        for port in 1..=100 {
            demux.bind(&mut known, 1, address(port));
        }
        assert_eq!(demux.by_address.len(), ADDRESSES_PER_TRANSPORT);
        assert_eq!(demux.by_address(address(100)), Some(1));
    }

    #[test]
    fn a_new_ufrag_replaces_the_old() {
        let (mut demux, mut known) = (Demux::new(), Known::default());
        demux.set_ufrag(&mut known, 1, "old");
        demux.set_ufrag(&mut known, 1, "new");
        assert_eq!((demux.by_ufrag("old"), demux.by_ufrag("new")), (None, Some(1)));
    }

    #[test]
    fn the_ufrag_is_found_behind_other_attributes() {
        let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
        stun.extend([0; 12]);
        stun.extend([0x80, 0x22, 0, 3, b'a', b'b', b'c', 0]);
        stun.extend([0, 6, 0, 9]);
        stun.extend(b"abcd:efgh\0\0\0");
        assert!(is_stun(&stun));
        assert_eq!(stun_ufrag(&stun), Some("abcd"));
    }

    #[test]
    fn truncated_stun_names_nobody() {
        let mut stun = vec![0; 20];
        stun.extend([0, 6, 0, 200, b'a']);
        assert_eq!(stun_ufrag(&stun), None);
        assert_eq!(stun_ufrag(&[0; 3]), None);
    }
}
