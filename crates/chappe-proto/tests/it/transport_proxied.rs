//! The streams of a proxy, between a client's codec and a server's.

use bytes::BytesMut;
use chappe_crypto::{Ctr, Rng};
use chappe_proto::transport::{
    CLIENT_LIMIT, ClientLeg, ClientOptions, Codec, Detected, Downward, Frame, Framing, HEADER_LEN,
    Leg, Secret, Transport,
};

use crate::transport_ends::{drain, listener, rng};

type Path = fn(ClientLeg, &mut Rng) -> Leg;

/// Rules: PRX-15, PRX-16, PRX-17: packets pass in both directions, whichever way the leg to the data
///        centre is keyed, and the data centre sees the framing and the field of the client.
#[test]
fn packets_pass_in_both_directions() {
    for (path, copies) in [(ClientLeg::recoded as Path, false), (ClientLeg::mirrored, true)] {
        for framing in [Framing::Abridged, Framing::Intermediate, Framing::Padded] {
            check(framing, path, copies);
        }
    }
}

fn check(framing: Framing, path: Path, copies: bool) {
    let secrets = [1, 2, 3].map(|byte| Secret::from([byte; 16]));
    let transport = Transport::obfuscated(framing).unwrap();
    let options = ClientOptions { dc: -2, secret: Some(secrets[1].clone()) };
    let mut client = Codec::client(transport, &options, CLIENT_LIMIT, &mut rng(8));
    let mut wire = BytesMut::new();
    client.put(&[&[7; 40]], &mut wire, &mut rng(9)).unwrap();

    let header: [u8; HEADER_LEN] = wire.split_to(HEADER_LEN)[..].try_into().unwrap();
    let leg = ClientLeg::open(&header, &secrets).unwrap();
    assert_eq!((leg.secret, leg.framing, leg.dc), (1, framing, -2));
    assert!(ClientLeg::open(&header, &secrets[..1]).is_none());
    let mut leg = path(leg, &mut rng(10));
    assert_eq!(matches!(leg.down, Downward::Copied), copies);

    // In pieces that have nothing to do with frames.
    let mut sent = BytesMut::from(&leg.header[..]);
    for piece in wire.chunks_mut(7) {
        leg.up.apply(piece);
        sent.extend_from_slice(piece);
    }
    let mut plain = leg.header;
    let (key, iv) = (plain[8..40].try_into().unwrap(), plain[40..56].try_into().unwrap());
    Ctr::new(&key, &iv).apply(&mut plain);
    assert_eq!(plain[60..62], (-2_i16).to_le_bytes());
    let Detected::Codec(mut server, _) = listener(&[]).handle(&mut sent) else {
        panic!("the leg is not recognised");
    };
    assert_eq!(server.transport(), transport);
    assert_eq!(drain(&mut server, &mut sent).unwrap().len(), 1);
    for len in [24, 1000, 40] {
        let mut answer = BytesMut::new();
        server.put(&[&vec![3; len]], &mut answer, &mut rng(11)).unwrap();
        for piece in answer.chunks_mut(13) {
            leg.down.apply(piece);
        }
        let frames = drain(&mut client, &mut answer).unwrap();
        let [Frame::Packet { bytes, .. }] = &frames[..] else { panic!("{frames:?}") };
        assert_eq!(bytes[..len], vec![3; len]);
    }
}
