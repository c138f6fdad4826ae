//! What a proxy does to the obfuscated streams that pass through it: from a client's, which a secret
//! is mixed into, to one without, and back.

use chappe_crypto::{Ctr, Rng};
use zeroize::Zeroizing;

use super::obfuscated::{self, HEADER, KEYS, Streams};
use super::{Codec, Framing, Secret};

/// Length of the header that a client's stream begins with.
pub const HEADER_LEN: usize = HEADER;
/// The part of that header which its keys come from: what tells one connection from another.
pub const DOWN_KEYS: std::ops::Range<usize> = KEYS;

/// The leg from a client to a proxy, opened.
#[derive(Debug)]
pub struct ClientLeg {
    /// Which of the secrets it was opened with.
    pub secret: usize,
    /// The framing inside.
    pub framing: Framing,
    /// The data centre that the client asks for, as it wrote it (see [`DcField`](super::DcField)).
    pub dc: i16,
    from_client: Ctr,
    to_client: Ctr,
    key_to_client: Zeroizing<[u8; 48]>,
}

/// The leg from a proxy to a data centre, and what to do to the bytes of either direction.
#[derive(Debug)]
pub struct Leg {
    /// To be sent to the data centre before all else.
    pub header: [u8; HEADER],
    /// From the client to the data centre.
    pub up: Upward,
    /// From the data centre to the client.
    pub down: Downward,
}

/// Bytes from a client become such for a data centre.
#[derive(Debug)]
pub struct Upward {
    from_client: Ctr,
    to_dc: Ctr,
}

/// Bytes from a data centre become such for a client.
#[derive(Debug)]
pub enum Downward {
    /// They are already.
    Copied,
    /// They are decrypted, and encrypted anew.
    Recoded {
        /// The stream of the data centre.
        from_dc: Box<Ctr>,
        /// The stream of the client.
        to_client: Box<Ctr>,
    },
}

impl ClientLeg {
    /// Opens the header of a client with whichever secret fits. All are tried, so that the time
    /// taken tells nothing of them (PRX-05).
    pub fn open(header: &[u8; HEADER], secrets: &[Secret]) -> Option<Self> {
        let mut found = None;
        for (at, secret) in secrets.iter().enumerate() {
            let opened = obfuscated::open(header, Some(secret));
            found = found.or(opened.map(|opened| (at, opened)));
        }
        let (at, (from_client, framing, dc)) = found?;
        Some(Self {
            secret: at,
            framing,
            dc,
            from_client,
            to_client: obfuscated::to_client(header, Some(&secrets[at])),
            key_to_client: obfuscated::key_to_client(header, &secrets[at]),
        })
    }

    /// The leg ends here: its packets are taken apart, and put together (MPX-09).
    pub fn into_codec(self) -> Codec {
        let streams = Streams { inbound: self.from_client, outbound: self.to_client };
        Codec::server(self.framing, Some(streams))
    }

    /// The leg to the data centre, with keys of its own (PRX-15).
    pub fn recoded(self, rng: &mut Rng) -> Leg {
        let header = obfuscated::draw(|header| rng.fill(header));
        let (streams, header) = self.streams_from(header);
        Leg {
            header,
            up: Upward { from_client: self.from_client, to_dc: streams.outbound },
            down: Downward::Recoded {
                from_dc: Box::new(streams.inbound),
                to_client: Box::new(self.to_client),
            },
        }
    }

    /// The leg to the data centre, with keys that make it encrypt what it sends as the client
    /// expects it: that direction passes through untouched (PRX-17).
    pub fn mirrored(self, rng: &mut Rng) -> Leg {
        let mut keys = self.key_to_client.clone();
        keys.reverse();
        let header = obfuscated::draw(|header| {
            rng.fill(header);
            header[KEYS].copy_from_slice(&*keys);
        });
        let (streams, header) = self.streams_from(header);
        Leg {
            header,
            up: Upward { from_client: self.from_client, to_dc: streams.outbound },
            down: Downward::Copied,
        }
    }

    fn streams_from(&self, header: [u8; HEADER]) -> (Streams, [u8; HEADER]) {
        let tag = self.framing.tag().expect("only framings with a tag are recognised by it");
        Streams::client_from(header, tag, self.dc, None)
    }
}

impl Upward {
    /// Changes the next bytes of the direction.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        recode(&mut self.from_client, &mut self.to_dc, bytes);
    }
}

impl Downward {
    /// Changes the next bytes of the direction.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        if let Self::Recoded { from_dc, to_client } = self {
            recode(from_dc, to_client, bytes);
        }
    }
}

/// Through both streams, piece by piece, so that each piece is still at hand for the second.
fn recode(from: &mut Ctr, to: &mut Ctr, bytes: &mut [u8]) {
    for piece in bytes.chunks_mut(PIECE) {
        from.apply(piece);
        to.apply(piece);
    }
}

/// Fits the nearest cache of any processor, with room for all else.
const PIECE: usize = 4 << 10;
