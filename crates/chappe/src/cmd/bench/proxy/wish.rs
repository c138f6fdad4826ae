//! What a client of the bench asks of the data centre, and what both then say: packets, as far as a
//! proxy can tell that looks into their framing. Without their length they are sixteens of bytes and
//! twelve, so that padding behind them is known for such.

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Everything comes back.
    Echo,
    /// So many bytes go up, and one packet comes back.
    Sink(u64),
    /// So many bytes come down; then more may be wished for, as parts of a file are.
    Pour(u64),
    /// So many bytes go either way at once, by small buffers and with pauses; one packet comes back.
    Exchange(u64),
}

/// Length of a wish, and of the packet that says that everything has come.
pub(super) const PACKET: usize = 64;
/// Length of a packet of bulk. Amounts are multiples of it.
pub(super) const BULK_PACKET: usize = (64 << 10) - 16;
/// Length of the length that packets begin with.
pub(super) const LENGTH: usize = 4;

impl Wish {
    /// A packet that says so.
    pub(super) fn packet(self) -> [u8; PACKET] {
        let mut packet = receipt();
        let (kind, amount) = match self {
            Self::Echo => (0, 0),
            Self::Sink(amount) => (1, amount),
            Self::Pour(amount) => (2, amount),
            Self::Exchange(amount) => (3, amount),
        };
        packet[KIND] = kind;
        packet[AMOUNT..AMOUNT + 8].copy_from_slice(&amount.to_le_bytes());
        packet
    }

    pub(super) fn read(packet: &[u8; PACKET]) -> Option<Self> {
        let amount = packet[AMOUNT..].first_chunk().map(|amount| u64::from_le_bytes(*amount))?;
        match packet[KIND] {
            0 => Some(Self::Echo),
            1 => Some(Self::Sink(amount)),
            2 => Some(Self::Pour(amount)),
            3 => Some(Self::Exchange(amount)),
            _ => None,
        }
    }
}

/// The packet that says that everything has come: its length, and what would be the id of a key and
/// what that has encrypted.
pub(super) fn receipt() -> [u8; PACKET] {
    let mut packet = [FILLING; PACKET];
    packet[..LENGTH].copy_from_slice(&((PACKET - LENGTH) as u32).to_le_bytes());
    packet
}

/// Behind the length and the id of the key.
const KIND: usize = 12;
const AMOUNT: usize = 16;
const FILLING: u8 = 0x5a;

/// The bytes of bulk: the same packet again and again, so that each is known by its place.
pub(super) struct Bulk {
    packet: Vec<u8>,
    place: usize,
}

impl Bulk {
    pub(super) fn new() -> Self {
        let mut packet = vec![FILLING; BULK_PACKET];
        packet[..LENGTH].copy_from_slice(&((BULK_PACKET - LENGTH) as u32).to_le_bytes());
        Self { packet, place: 0 }
    }

    /// The next bytes: as many, or those up to the end of a packet.
    pub(super) fn next(&mut self, len_max: usize) -> &[u8] {
        let begin = self.place;
        let end = BULK_PACKET.min(begin + len_max);
        self.place = end % BULK_PACKET;
        &self.packet[begin..end]
    }

    /// Whether these are the next bytes.
    pub(super) fn is_next(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let expected = self.next(bytes.len());
            let (piece, rest) = bytes.split_at(expected.len());
            if piece != expected {
                return false;
            }
            bytes = rest;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_as_they_were_written() {
        for wish in [Wish::Echo, Wish::Sink(1), Wish::Pour(u64::MAX), Wish::Exchange(7)] {
            let packet = wish.packet();
            assert_eq!(Wish::read(&packet), Some(wish));
            // What a proxy that takes packets apart lets through: whole words, a key, 56 bytes.
            assert_eq!(packet[..4], [60, 0, 0, 0]);
            assert_ne!(packet[4..12], [0; 8]);
        }
        assert_eq!(Wish::read(&[9; PACKET]), None);
    }

    #[test]
    fn a_byte_in_the_wrong_place_is_noticed() {
        let mut all = Vec::new();
        let mut source = Bulk::new();
        while all.len() < 200_000 {
            all.extend_from_slice(source.next(7000));
        }
        let heard = |bytes: &[u8]| {
            let mut bulk = Bulk::new();
            bytes.chunks(1000).all(|piece| bulk.is_next(piece))
        };
        assert!(heard(&all));
        let mut wrong = all.clone();
        wrong[150_000] ^= 1;
        assert!(!heard(&wrong));
        all.remove(100);
        assert!(!heard(&all));
    }
}
