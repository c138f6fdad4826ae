//! Frames of links between proxies, their keys, and what damage does to them.

use bytes::BytesMut;
use chappe_crypto::cbc;
use chappe_proto::middle::frames::{
    Checksum, FRAME_MAX, Inbound, Outbound, PAYLOAD_MAX, PayloadSize,
};
use chappe_proto::middle::keys::{Keys, Nonces, Path, ProxySecret, ProxySecretError};
use chappe_proto::transport::FrameError;

use crate::middle_ends::{middle_vectors, path, secret};
use crate::transport_ends::{bytes, list};

/// Rules:  MPX-01, MPX-05, MPX-06: every frame of the vectors, in both directions, cut in two at
///         every byte and byte by byte.
/// Source: `middle_proxy.json`.
#[test]
fn both_ends_read_and_write_the_vectors() {
    let vectors = middle_vectors();
    for (dir, nonce) in [("c2s", "nonce_frame_client"), ("s2c", "nonce_frame_server")] {
        let mut ends = Ends::new(dir == "c2s");
        let nonce = bytes(&vectors[nonce]);
        ends.outbound.put(&[&nonce[8..40]]).unwrap();
        assert_eq!(ends.written(), nonce);
        ends.begin_cipher();

        let mut wire = Vec::new();
        let mut payloads = vec![nonce[8..40].to_vec()];
        for case in list(&vectors["encrypted_frames"]) {
            if case["dir"] == dir {
                let frame = bytes(&case["frame"]);
                let payload = &frame[8..frame.len() - 4];
                // In parts, as a packet and what heads it.
                ends.outbound.put(&[&payload[..4], &payload[4..]]).unwrap();
                let written = ends.written();
                assert_eq!(written, bytes(&case["wire"]));
                wire.extend(written);
                payloads.push(payload.to_vec());
            }
        }
        assert!(payloads.len() > 3);

        for cut in 0..=wire.len() {
            let (first, second) = wire.split_at(cut);
            assert_eq!(
                Ends::new(dir == "c2s").read(&nonce, &[first, second]),
                Ok(payloads.clone())
            );
        }
        let each: Vec<&[u8]> = wire.chunks(1).collect();
        assert_eq!(Ends::new(dir == "c2s").read(&nonce, &each), Ok(payloads));
    }
}

/// Rule:   MPX-01: over IPv6 the numbers of IPv4 addresses are 0 and the addresses come in later;
///         IPv4 in the form of IPv6 is IPv4.
/// Source: `middle_proxy.json`, `ipv6`.
#[test]
fn keys_depend_on_the_addresses_that_the_middle_server_sees() {
    let vectors = middle_vectors();
    let v6 = &vectors["ipv6"];
    let at = |ip: &serde_json::Value, port| format!("[{}]:{port}", ip.as_str().unwrap());
    let path = Path::new(
        at(&v6["client"], 40123).parse().unwrap(),
        at(&v6["server"], 8888).parse().unwrap(),
    );
    let mut zeros = [0; 32];
    Keys::derive(&secret(), &path.unwrap(), &nonces()).of_proxy().0.apply(&mut zeros).unwrap();
    let mut expected = [0; 32];
    let key = bytes(&v6["client_write_key"]).try_into().unwrap();
    cbc::encrypt(&mut expected, &key, &bytes(&v6["client_write_iv"]).try_into().unwrap()).unwrap();
    assert_eq!(zeros, expected);

    let start = |path: &Path| {
        let mut zeros = [0; 16];
        Keys::derive(&secret(), path, &nonces()).of_middle().0.apply(&mut zeros).unwrap();
        zeros
    };
    let plain = start(&crate::middle_ends::path());
    let mapped = Path::new(
        "[::ffff:203.0.113.7]:40123".parse().unwrap(),
        "149.154.175.50:8888".parse().unwrap(),
    );
    assert_eq!(plain, start(&mapped.unwrap()));
    for (proxy, middle) in [
        ("203.0.113.8:40123", "149.154.175.50:8888"),
        ("203.0.113.7:40124", "149.154.175.50:8888"),
        ("203.0.113.7:40123", "149.154.175.51:8888"),
        ("203.0.113.7:40123", "149.154.175.50:8889"),
    ] {
        let other = Path::new(proxy.parse().unwrap(), middle.parse().unwrap()).unwrap();
        assert_ne!(plain, start(&other), "{proxy} {middle}");
    }
    let mixed = Path::new("203.0.113.7:1".parse().unwrap(), "[2001:db8::1]:2".parse().unwrap());
    assert!(mixed.unwrap_err().to_string().contains("IPv6"));
}

/// Rule: MPX-04: CRC-32C guards frames once it is agreed, with the polynomial of Castagnoli.
#[test]
fn agreed_checksum_is_used_in_both_directions() {
    let mut outbound = Outbound::default();
    outbound.agree(Checksum::Crc32c);
    outbound.put(&[b"abcdefgh"]).unwrap();
    let mut wire = BytesMut::new();
    outbound.poll_transmit(&mut wire);
    // By a second way: bit by bit.
    let crc = wire[..16].iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 }
        })
    });
    assert_eq!(wire[16..], (!crc).to_le_bytes());

    let mut strict = Inbound::default();
    let error = strict.next(&mut wire.clone()).unwrap_err();
    assert!(matches!(error, FrameError::Crc { .. }), "{error}");
    let mut agreed = Inbound::default();
    agreed.agree(Checksum::Crc32c, FRAME_MAX);
    assert_eq!(agreed.next(&mut wire).unwrap().unwrap(), b"abcdefgh"[..]);
}

/// Rule: MPX-05: a frame is 16 bytes to 2²⁴, in whole words, and numbered without a gap from -2 on;
///       whoever is not known yet may say little.
#[test]
fn frames_that_cannot_be_end_the_link() {
    let head = |len: u32, number: i32| [len.to_le_bytes(), number.to_le_bytes()].concat();
    let check = |known: bool, wire: &[u8], expected: Result<(), FrameError>| {
        let mut inbound = Inbound::default();
        if known {
            inbound.agree(Checksum::Crc32, usize::MAX);
        }
        let got = inbound.next(&mut wire.into());
        assert_eq!(got.map(|frame| assert_eq!(frame, None)), expected, "{wire:?}");
    };
    for got in [0, 1, 8, 12, 15] {
        check(true, &head(got, -2), Err(FrameError::TooShort { min: 16, got: got as usize }));
    }
    check(true, &head(17, -2), Err(FrameError::Misaligned { got: 17 }));
    check(true, &head(16, -2), Ok(()));
    check(true, &head(1 << 24, -2), Ok(()));
    let got = (1 << 24) + 4;
    check(true, &head(got, -2), Err(FrameError::TooLong { limit: FRAME_MAX, got: got as usize }));
    check(
        true,
        &head(u32::MAX, -2),
        Err(FrameError::TooLong { limit: FRAME_MAX, got: u32::MAX as usize }),
    );
    check(false, &head(1024, -2), Ok(()));
    check(false, &head(1028, -2), Err(FrameError::TooLong { limit: 1024, got: 1028 }));
    for number in [-3, -1, 0] {
        let error = FrameError::Sequence { expected: -2_i32 as u32, got: number as u32 };
        check(true, &head(16, number), Err(error));
    }
    // The length is judged alone, the number as soon as it is there.
    check(true, &[8, 0, 0, 0], Err(FrameError::TooShort { min: 16, got: 8 }));
    check(true, &[16, 0, 0, 0, 1], Ok(()));

    let mut outbound = Outbound::default();
    for len in [0, 1, 6] {
        assert_eq!(outbound.put(&[&vec![0; len]]), Err(PayloadSize(len)));
    }
    assert_eq!(outbound.put(&[&vec![0; PAYLOAD_MAX + 4]]), Err(PayloadSize(PAYLOAD_MAX + 4)));
    assert!(outbound.is_empty());
    outbound.put(&[&vec![0; PAYLOAD_MAX]]).unwrap();
    assert_eq!(outbound.len(), FRAME_MAX);
}

/// Rule: MPX-05: whichever bit of a frame is damaged, in clear or encrypted, nothing of it is
///       believed.
#[test]
fn damaged_frames_are_not_believed() {
    let payload = [7; 32];
    let written = |encrypted: bool| {
        let mut ends = Ends::new(true);
        if encrypted {
            ends.begin_cipher();
        }
        ends.outbound.put(&[&payload]).unwrap();
        ends.written()
    };
    for encrypted in [false, true] {
        let wire = written(encrypted);
        for bit in 0..8 * wire.len() {
            let mut wire = BytesMut::from(&wire[..]);
            wire[bit / 8] ^= 1 << (bit % 8);
            let mut ends = Ends::new(true);
            if encrypted {
                ends.begin_cipher();
            }
            // A damaged length may make it wait; what it never does is to give a payload.
            let got = ends.inbound.next(&mut wire);
            assert!(!matches!(got, Ok(Some(_))), "bit {bit}: {got:?}");
        }
    }
}

/// Rule: MPX-06: a frame may end within a block, of which words that say nothing, or the next frame,
///       are the rest; half a block says nothing yet.
#[test]
fn blocks_and_frames_have_their_own_borders() {
    let mut ends = Ends::new(true);
    ends.begin_cipher();
    // 20, 24 and 28 bytes: together 72, filled up to 80.
    for len in [8, 12, 16] {
        ends.outbound.put(&[&vec![len; usize::from(len)]]).unwrap();
    }
    assert_eq!(ends.outbound.len(), 72);
    let first = ends.written();
    assert_eq!(first.len(), 80);
    ends.outbound.put(&[&[4; 4]]).unwrap();
    let second = ends.written();
    assert_eq!(second.len(), 16);
    assert!(ends.written().is_empty());

    let mut input = BytesMut::from(&first[..31]);
    assert_eq!(ends.inbound.next(&mut input).unwrap(), None);
    input.extend_from_slice(&first[31..32]);
    assert_eq!(ends.inbound.next(&mut input).unwrap().unwrap(), [8; 8][..]);
    assert_eq!(ends.inbound.next(&mut input).unwrap(), None);
    input.extend_from_slice(&first[32..]);
    input.extend_from_slice(&second);
    for len in [12, 16, 4] {
        let expected = vec![len; usize::from(len)];
        assert_eq!(ends.inbound.next(&mut input).unwrap().unwrap(), expected[..]);
    }
    assert_eq!(ends.inbound.next(&mut input).unwrap(), None);
    assert!(input.is_empty());
}

/// Rules: MPX-06, QRK-61: words that say nothing may fill up the last frame in clear as well, however
///        they are cut from what follows.
#[test]
fn clear_frame_may_be_filled_up() {
    for words in 0..4 {
        let mut ends = Ends::new(true);
        ends.outbound.put(&[&[1; 32]]).unwrap();
        let mut wire = [ends.written(), [4, 0, 0, 0].repeat(words)].concat();
        let nonce = wire.len();
        ends.begin_cipher();
        ends.outbound.put(&[&[2; 32]]).unwrap();
        wire.extend(ends.written());
        for cut in 44..=wire.len() {
            let mut ends = Ends::new(true);
            let mut input = BytesMut::from(&wire[..cut]);
            assert_eq!(ends.inbound.next(&mut input).unwrap().unwrap(), [1; 32][..]);
            ends.begin_cipher();
            let early = ends.inbound.next(&mut input).unwrap();
            assert_eq!(early.is_some(), cut == wire.len(), "{cut} of {}, {nonce}", wire.len());
            input.extend_from_slice(&wire[cut..]);
            let late = ends.inbound.next(&mut input).unwrap();
            assert_eq!(early.or(late).unwrap(), [2; 32][..]);
        }
    }
}

/// Rule: the file `proxy-secret` has 32 to 256 bytes, and the first four of them are its name.
#[test]
fn proxy_secret_has_a_length_and_a_name() {
    for len in [0, 31, 257, 4096] {
        let error = ProxySecret::parse(&vec![1; len]).unwrap_err();
        assert_eq!(error, ProxySecretError::Length(len));
    }
    for len in [32, 128, 256] {
        assert_eq!(ProxySecret::parse(&vec![1; len]).unwrap().selector(), 0x0101_0101);
    }
    assert_eq!(ProxySecret::parse(&[0; 128]).unwrap_err(), ProxySecretError::Nameless);
    assert_eq!(format!("{:?}", secret()), "ProxySecret(..)");
    assert_eq!(format!("{:?}", Keys::derive(&secret(), &path(), &nonces())), "Keys(..)");
}

/// The ends of one direction of the vectors' link.
struct Ends {
    outbound: Outbound,
    inbound: Inbound,
    upward: bool,
}

impl Ends {
    fn new(upward: bool) -> Self {
        Self { outbound: Outbound::default(), inbound: Inbound::default(), upward }
    }

    fn begin_cipher(&mut self) {
        let keys = Keys::derive(&secret(), &path(), &nonces());
        let (proxy, middle) = (keys.of_proxy(), keys.of_middle());
        let (encrypt, decrypt) = match self.upward {
            true => (proxy.0, middle.1),
            false => (middle.0, proxy.1),
        };
        self.outbound.begin_cipher(encrypt);
        self.inbound.begin_cipher(decrypt);
    }

    fn written(&mut self) -> Vec<u8> {
        let mut wire = BytesMut::new();
        self.outbound.poll_transmit(&mut wire);
        wire.to_vec()
    }

    /// The payloads of a nonce frame and of what follows it, in pieces.
    fn read(&mut self, nonce: &[u8], pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut input = BytesMut::from(nonce);
        let mut payloads = vec![self.inbound.next(&mut input)?.unwrap().to_vec()];
        self.begin_cipher();
        for piece in pieces {
            input.extend_from_slice(piece);
            while let Some(payload) = self.inbound.next(&mut input)? {
                payloads.push(payload.to_vec());
            }
        }
        Ok(payloads)
    }
}

fn nonces() -> Nonces {
    let vectors = middle_vectors();
    Nonces {
        proxy: bytes(&vectors["client_nonce"]).try_into().unwrap(),
        middle: bytes(&vectors["server_nonce"]).try_into().unwrap(),
        proxy_time: vectors["client_ts"].as_u64().unwrap() as u32,
    }
}
