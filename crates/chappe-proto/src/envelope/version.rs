//! Which version of the envelope a link speaks, and the older of the two.
//!
//! MTProto 1.0 differs in this layer alone: its message key comes from SHA-1, covers neither the
//! auth key nor the padding, and the padding is no more than fills the last block. Ids, salts,
//! containers and services are the same, so nothing above a link knows of it (08-mtproto1).

use bytes::BytesMut;
use chappe_crypto::{AuthKey, Rng, packet};

use super::encrypted::{
    self, Message, Opened, PADDING_V1, PacketError, Sealed, direction_from, has_valid_size,
    lay_out, read,
};
use crate::ids::Side;
use crate::transport::SERVER_LIMIT;

/// Version of the envelope, one for each link (MSG-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// MTProto 1.0.
    V1,
    /// MTProto 2.0.
    V2,
}

impl Version {
    /// Opens the first encrypted packet of a link, which settles the version: 2.0 if its message
    /// key fits, 1.0 if that one does (MSG-33).
    ///
    /// A packet that is neither is refused after the work of both, whatever is wrong with it.
    pub fn recognise(
        key: &AuthKey,
        packet: BytesMut,
        from: Side,
    ) -> Result<(Self, Opened), PacketError> {
        // Opening happens in place and leaves nothing of a packet that is refused.
        let as_v1 = packet.clone();
        match open_one(Self::V2, key, packet, from) {
            Err(PacketError::MsgKeyMismatch) => {
                open_one(Self::V1, key, as_v1, from).map(|opened| (Self::V1, opened))
            }
            outcome => outcome.map(|opened| (Self::V2, opened)),
        }
    }

    /// Seals `messages` of one link, each into a packet of its own, in their order.
    pub fn seal(self, messages: &[(&AuthKey, &Message)], from: Side, rng: &mut Rng) -> Vec<Sealed> {
        match self {
            Self::V2 => encrypted::seal(messages, from, rng),
            Self::V1 => {
                messages.iter().map(|(key, message)| seal_v1(key, message, from, rng)).collect()
            }
        }
    }

    /// Opens packets that all name `key`, each in place, and judges each one by itself.
    pub fn open(
        self,
        key: &AuthKey,
        packets: Vec<BytesMut>,
        from: Side,
    ) -> Vec<Result<Opened, PacketError>> {
        match self {
            Self::V2 => encrypted::open(key, packets, from),
            Self::V1 => packets.into_iter().map(|packet| open_v1(key, packet, from)).collect(),
        }
    }
}

fn open_one(
    version: Version,
    key: &AuthKey,
    packet: BytesMut,
    from: Side,
) -> Result<Opened, PacketError> {
    version.open(key, vec![packet], from).pop().expect("one packet has one outcome")
}

fn seal_v1(key: &AuthKey, message: &Message, from: Side, rng: &mut Rng) -> Sealed {
    let mut packet = lay_out(message, 0, 0, SERVER_LIMIT, rng);
    let token = packet::seal_v1(key, direction_from(from), &mut packet);
    Sealed { packet, token }
}

/// A length that cannot be ends like a wrong message key, after the same work (V1-04).
fn open_v1(key: &AuthKey, mut packet: BytesMut, from: Side) -> Result<Opened, PacketError> {
    if !has_valid_size(packet.len()) {
        return Err(PacketError::Size(packet.len()));
    }
    let token = packet::open_v1(key, direction_from(from), &mut packet)
        .map_err(|_| PacketError::MsgKeyMismatch)?;
    Ok(Opened { message: read(packet.freeze(), &PADDING_V1)?, token })
}
