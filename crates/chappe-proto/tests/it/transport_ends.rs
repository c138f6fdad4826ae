//! The two ends of a connection, and streams cut in every way.

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_proto::transport::{
    CLIENT_LIMIT, ClientOptions, Codec, Detect, DetectConfig, Detected, Frame, FrameError, Framing,
    Transport,
};
use serde_json::Value;

/// The client of a new connection to a server without a secret.
pub(crate) fn client(transport: Transport) -> Codec {
    Codec::client(transport, &ClientOptions::default(), CLIENT_LIMIT, &mut rng(1))
}

/// A server that has just recognised a client that speaks `framing` openly.
pub(crate) fn server(framing: Framing) -> Codec {
    let opening: &[u8] = match framing {
        Framing::Abridged => &[0xef],
        Framing::Intermediate => &[0xee; 4],
        Framing::Padded => &[0xdd; 4],
        Framing::Full => &[0x10, 0, 0, 0, 0, 0, 0, 0],
    };
    match Detect::default().handle(&mut BytesMut::from(opening)) {
        Detected::Codec(codec, None) => codec,
        other => panic!("{framing} gave {other:?}"),
    }
}

/// A listener that accepts everything and knows `secrets`.
pub(crate) fn listener(secrets: &[[u8; 16]]) -> Detect {
    let mut config = DetectConfig::default();
    config.secrets = secrets.iter().map(|secret| (*secret).into()).collect();
    Detect::new(config)
}

/// All frames of `wire`, which comes in one piece.
pub(crate) fn frames(codec: &mut Codec, wire: &[u8]) -> Result<Vec<Frame>, FrameError> {
    drain(codec, &mut BytesMut::from(wire))
}

/// All frames that `input` holds.
pub(crate) fn drain(codec: &mut Codec, input: &mut BytesMut) -> Result<Vec<Frame>, FrameError> {
    let mut frames = Vec::new();
    while let Some(frame) = codec.next(input)? {
        frames.push(frame);
    }
    Ok(frames)
}

/// Holds the frames of `wire` against `expected`: cut in two at every byte, and byte by byte.
#[track_caller]
pub(crate) fn check(
    mut codec: impl FnMut() -> Codec,
    wire: &[u8],
    expected: &Result<Vec<Frame>, FrameError>,
) {
    for cut in 0..=wire.len() {
        let (first, second) = wire.split_at(cut);
        let got = in_pieces(&mut codec(), [first, second]);
        assert_eq!(&got, expected, "{} cut at {cut}", hex::encode(wire));
    }
    let got = in_pieces(&mut codec(), wire.chunks(1));
    assert_eq!(&got, expected, "{} byte by byte", hex::encode(wire));
}

/// All frames of a stream that comes in `pieces`.
pub(crate) fn in_pieces<'a>(
    codec: &mut Codec,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<Frame>, FrameError> {
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        frames.extend(drain(codec, &mut input)?);
    }
    Ok(frames)
}

/// A packet nobody wants a quick acknowledgement for.
pub(crate) fn packet(bytes: &[u8]) -> Frame {
    Frame::Packet { bytes: bytes.into(), quick_ack_wanted: false }
}

/// What `codec` writes for one packet.
pub(crate) fn put(codec: &mut Codec, packet: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    codec.put(&[packet], &mut out, &mut rng(2)).unwrap();
    out.to_vec()
}

pub(crate) fn rng(seed: u8) -> Rng {
    Rng::from_seed([seed; 32])
}

pub(crate) fn vectors(file: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors");
    serde_json::from_str(&std::fs::read_to_string(format!("{folder}/{file}")).unwrap()).unwrap()
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The bytes of a field in hex; none where the field is absent.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap_or_default()).unwrap()
}

pub(crate) fn framing(value: &Value) -> Framing {
    match value.as_str().unwrap() {
        "padded_intermediate" => Framing::Padded,
        name => name.parse().unwrap(),
    }
}

pub(crate) fn wants_quick_ack(frame: &Frame) -> bool {
    matches!(frame, Frame::Packet { quick_ack_wanted: true, .. })
}

pub(crate) fn content(frame: &Frame) -> &[u8] {
    match frame {
        Frame::Packet { bytes, .. } => bytes,
        other => panic!("{other:?} is no packet"),
    }
}

/// The length field of a frame that claims `len` bytes.
pub(crate) fn length(framing: Framing, len: usize) -> Vec<u8> {
    match framing {
        Framing::Abridged => [&[0x7f], &(len / 4).to_le_bytes()[..3]].concat(),
        _ => (len as u32).to_le_bytes().to_vec(),
    }
}

pub(crate) fn tag(framing: Framing) -> &'static [u8] {
    match framing {
        Framing::Abridged => &[0xef],
        Framing::Intermediate => &[0xee; 4],
        Framing::Padded => &[0xdd; 4],
        Framing::Full => &[],
    }
}

pub(crate) const FRAMINGS: [Framing; 4] =
    [Framing::Abridged, Framing::Intermediate, Framing::Padded, Framing::Full];
pub(crate) const ABRIDGED: Transport = Transport::plain(Framing::Abridged);
pub(crate) const INTERMEDIATE: Transport = Transport::plain(Framing::Intermediate);
pub(crate) const PADDED: Transport = Transport::plain(Framing::Padded);
pub(crate) const FULL: Transport = Transport::plain(Framing::Full);
