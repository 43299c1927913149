//! The sixteen partitions over which streams are spread.

use crc::{CRC_16_XMODEM, Crc};
use domain::StreamId;

/// How many partitions there are; fixed for ever, because keys carry the number.
pub const PARTITIONS: u16 = 16;

const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);

/// One of the partitions: CRC-16/XMODEM of the stream id, modulo 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// The partition of a stream.
    pub fn of(id: &StreamId) -> Self {
        Self(CRC.checksum(id.as_str().as_bytes()) % PARTITIONS)
    }

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// 0 to 15.
    pub fn number(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: another hash would lose sight of every stored stream.
    #[test]
    fn partitions_never_change() {
        let check = |id: &str, number| {
            assert_eq!(Partition::of(&StreamId::parse(id).unwrap()).number(), number, "{id}");
        };
        // The check value of CRC-16/XMODEM is 0x31c3.
        check("123456789", 3);
        check("gold", 0);
        check("a:b", 1);
        check("ünï", 1);
    }
}
