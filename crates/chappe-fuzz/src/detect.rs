//! What a peer speaks, and frames of it, on both ends: the same however the stream is cut, in
//! bounded memory, and nothing after the end.

use std::sync::Arc;

use bytes::BytesMut;
use chappe_crypto::AuthKey;
use chappe_proto::envelope::encrypted::{self, Header, Message};
use chappe_proto::envelope::plain;
use chappe_proto::link::{CloseReason, Link, LinkConfig, LinkEvent};
use chappe_proto::transport::{
    CLIENT_LIMIT, ClientOptions, Codec, Detect, DetectConfig, HANDSHAKE_LIMIT, Secret, Transport,
};
use chappe_proto::{MsgId, SessionId, Side};

use crate::identity::{START, rng};
use crate::script::Script;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let transport = Transport::ALL[script.below(Transport::ALL.len())];
    let secret = script.one_in(4).then(|| Secret::from([5; 16]));
    let knows_key = script.one_in(2);
    let cut = 1 + script.below(64);
    let from = if script.one_in(2) { Side::Server } else { Side::Client };
    // A server's codec is made by detection; for what a client hears, a client's serves as well,
    // since framing is the same both ways unless it is obfuscated.
    let options = ClientOptions { secret: secret.clone(), dc: 2 };
    let mut codec = Codec::client(transport, &options, CLIENT_LIMIT, &mut rng(2));
    let wire = stream(&mut script, &mut codec, from);
    let link = || match from {
        Side::Client => {
            let mut config = DetectConfig::default();
            config.secrets = secret.iter().cloned().collect();
            (config.http, config.websocket, config.tls) = (knows_key, knows_key, knows_key);
            Link::server(START, LinkConfig::server(), Arc::new(Detect::new(config)), rng(1))
        }
        Side::Server => Link::client(LinkConfig::client(), transport, &options, rng(1)),
    };
    let whole = hear(link(), &wire, wire.len().max(1), knows_key, from);
    let cut_up = hear(link(), &wire, cut, knows_key, from);
    assert_eq!(whole, cut_up, "cuts of {cut} bytes make a difference");
}

/// What a peer sends: frames with sound and unsound packets, and bytes that are none.
fn stream(script: &mut Script<'_>, codec: &mut Codec, from: Side) -> Vec<u8> {
    let mut wire = BytesMut::new();
    let mut chance = rng(3);
    let mut msg_id = if from == Side::Client { 4 } else { 5 };
    for _ in 0..64 {
        if script.is_over() {
            break;
        }
        msg_id += 4;
        let mut packet = match script.below(6) {
            0 => {
                wire.extend_from_slice(script.bytes(256));
                continue;
            }
            1 => {
                codec.put_error(script.i32() & 0xffff, &mut wire);
                continue;
            }
            2 => {
                let mut packet = BytesMut::new();
                plain::seal(MsgId(msg_id), &[1; 40][..20 + script.below(6) * 4], &mut packet);
                packet.to_vec()
            }
            3 => script.bytes(200).to_vec(),
            _ => {
                let header =
                    Header { salt: 1, session_id: SessionId(2), msg_id: MsgId(msg_id), seq_no: 0 };
                let len = if script.one_in(16) { 6000 } else { 4 * (1 + script.below(16)) };
                let message = Message { header, body: vec![9; len].into() };
                encrypted::seal(&[(&key(), &message)], from, &mut chance).remove(0).to_vec()
            }
        };
        if script.one_in(16) && !packet.is_empty() {
            let at = usize::from(script.byte()) % packet.len();
            packet[at] ^= 1 << script.below(8);
        }
        let _ = codec.put(&[&packet], &mut wire, &mut chance);
    }
    wire.to_vec()
}

/// Everything that a link tells about a stream that comes in pieces.
fn hear(mut link: Link, wire: &[u8], piece: usize, knows_key: bool, from: Side) -> Vec<String> {
    let mut input = BytesMut::new();
    let mut seen = Vec::new();
    let mut is_closed = false;
    let mut is_known = false;
    let mut heard = 0;
    for piece in wire.chunks(piece) {
        input.extend_from_slice(piece);
        heard += piece.len();
        loop {
            link.handle_bytes(START, &mut input);
            let mut wanted = None;
            while let Some(event) = link.poll_event() {
                assert!(!is_closed, "{event:?} after the end");
                is_closed = matches!(event, LinkEvent::Closed(_));
                if let LinkEvent::Closed(CloseReason::HandOver(_)) = event {
                    // Whoever goes on with the connection misses nothing of it.
                    assert_eq!(input, wire[..heard]);
                    return vec![format!("{event:?}")];
                }
                if let LinkEvent::KeyWanted(id) = event {
                    assert!(wanted.replace(id).is_none() && !link.wants_bytes());
                }
                seen.push(format!("{event:?}"));
            }
            let Some(id) = wanted else { break };
            let is_ours = knows_key && id == key().id();
            is_known |= is_ours;
            link.provide_key(START, id, is_ours.then(|| Arc::new(key())));
        }
        // A whole frame with what stands around it, and what came behind it.
        let is_bounded = input.len() <= HANDSHAKE_LIMIT + 64 + piece.len();
        assert!(is_bounded || is_known || from == Side::Server, "{} bytes held", input.len());
        assert!(!is_closed || input.is_empty());
    }
    let mut out = BytesMut::new();
    link.poll_transmit(&mut out).unwrap();
    assert!(out.len() <= 10 * 20 + 64, "{} bytes said", out.len());
    seen
}

fn key() -> AuthKey {
    AuthKey::new(rng(7).bytes())
}
