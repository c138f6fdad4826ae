//! Both ends of a link, one virtual clock, and ends written by hand that say what they like.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_proto::Now;
use chappe_proto::middle::frames::{Checksum, FRAME_MAX, Inbound, Outbound};
use chappe_proto::middle::greeting::ProcessId;
use chappe_proto::middle::keys::{Keys, Nonces, Path, ProxySecret};
use chappe_proto::middle::link::{LinkConfig, MiddleEvent, MiddleLink, ProxyEvent, ProxyLink};
use chappe_proto::middle::messages::Origin;
use chappe_proto::transport::{FrameError, Framing};
use serde_json::Value;

use crate::transport_ends::{bytes, rng, vectors};

/// When both ends begin.
pub(crate) const START: Now =
    Now { mono: Duration::from_secs(1000), unix: Duration::from_secs(1_700_000_000) };

pub(crate) fn later(seconds: u64) -> Now {
    let span = Duration::from_secs(seconds);
    Now { mono: START.mono + span, unix: START.unix + span }
}

pub(crate) fn secret() -> ProxySecret {
    ProxySecret::parse(&bytes(&middle_vectors()["proxy_secret"])).unwrap()
}

pub(crate) fn middle_vectors() -> Value {
    vectors("middle_proxy.json")
}

/// The path of the vectors.
pub(crate) fn path() -> Path {
    let path =
        Path::new("203.0.113.7:40123".parse().unwrap(), "149.154.175.50:8888".parse().unwrap());
    path.unwrap()
}

/// The process of the middle server.
pub(crate) fn own() -> ProcessId {
    ProcessId { pid: 7, start: 1_600_000_000, ..ProcessId::at(path().middle()) }
}

/// The process of the proxy.
pub(crate) fn proxy_process() -> ProcessId {
    ProcessId { pid: 8, start: 1_600_000_001, ..ProcessId::at(path().proxy()) }
}

pub(crate) fn proxy_link(config: LinkConfig) -> ProxyLink {
    ProxyLink::new(START, config, Arc::new(secret()), path(), proxy_process(), rng(1))
}

pub(crate) fn middle_link(config: LinkConfig) -> MiddleLink {
    MiddleLink::new(START, config, [secret()].into(), path(), own(), rng(2))
}

pub(crate) fn origin(framing: Framing) -> Origin {
    Origin {
        client: "198.51.100.9:5555".parse().unwrap(),
        proxy: "[2001:db8::1]:443".parse().unwrap(),
        framing,
        ad_tag: None,
    }
}

/// An encrypted packet, as far as anybody without its key can tell.
pub(crate) fn sealed(len: usize) -> Vec<u8> {
    vec![5; len]
}

/// The two ends of one link, between which bytes go in pieces of any size.
pub(crate) struct Pair {
    pub(crate) proxy: ProxyLink,
    pub(crate) middle: MiddleLink,
    to_middle: BytesMut,
    to_proxy: BytesMut,
    piece: usize,
}

impl Pair {
    pub(crate) fn new(proxy: LinkConfig, middle: LinkConfig, piece: usize) -> Self {
        let (proxy, middle) = (proxy_link(proxy), middle_link(middle));
        let (to_middle, to_proxy) = (BytesMut::new(), BytesMut::new());
        Self { proxy, middle, to_middle, to_proxy, piece }
    }

    /// A pair that has greeted each other.
    pub(crate) fn ready() -> Self {
        let mut pair = Self::new(LinkConfig::default(), LinkConfig::default(), 7);
        pair.exchange(START);
        assert_eq!(pair.proxy.poll_event(), Some(ProxyEvent::Ready));
        assert_eq!(pair.middle.poll_event(), Some(MiddleEvent::Ready));
        pair
    }

    /// Carries bytes until neither end has any.
    pub(crate) fn exchange(&mut self, now: Now) {
        loop {
            let mut up = BytesMut::new();
            self.proxy.poll_transmit(&mut up);
            for piece in up.chunks(self.piece) {
                self.to_middle.extend_from_slice(piece);
                self.middle.handle_bytes(now, &mut self.to_middle);
            }
            let mut down = BytesMut::new();
            self.middle.poll_transmit(&mut down);
            for piece in down.chunks(self.piece) {
                self.to_proxy.extend_from_slice(piece);
                self.proxy.handle_bytes(now, &mut self.to_proxy);
            }
            if up.is_empty() && down.is_empty() {
                return;
            }
        }
    }

    pub(crate) fn proxy_events(&mut self) -> Vec<ProxyEvent> {
        std::iter::from_fn(|| self.proxy.poll_event()).collect()
    }

    pub(crate) fn middle_events(&mut self) -> Vec<MiddleEvent> {
        std::iter::from_fn(|| self.middle.poll_event()).collect()
    }
}

/// One end, written by hand: it says whatever it is told to.
#[derive(Default)]
pub(crate) struct Raw {
    pub(crate) inbound: Inbound,
    pub(crate) outbound: Outbound,
    input: BytesMut,
}

/// What the link under test can do, whichever end it is.
pub(crate) trait Peer {
    fn take(&mut self, now: Now, input: &mut BytesMut);
    fn give(&mut self, out: &mut BytesMut);
}

impl Peer for ProxyLink {
    fn take(&mut self, now: Now, input: &mut BytesMut) {
        self.handle_bytes(now, input);
    }

    fn give(&mut self, out: &mut BytesMut) {
        self.poll_transmit(out);
    }
}

impl Peer for MiddleLink {
    fn take(&mut self, now: Now, input: &mut BytesMut) {
        self.handle_bytes(now, input);
    }

    fn give(&mut self, out: &mut BytesMut) {
        self.poll_transmit(out);
    }
}

impl Raw {
    /// Says one frame to `peer`.
    pub(crate) fn say(&mut self, peer: &mut impl Peer, payload: &[u8]) {
        self.outbound.put(&[payload]).unwrap();
        self.flush(peer);
    }

    pub(crate) fn flush(&mut self, peer: &mut impl Peer) {
        let mut wire = BytesMut::new();
        self.outbound.poll_transmit(&mut wire);
        peer.take(START, &mut wire);
    }

    /// The next frame that `peer` has said.
    pub(crate) fn hear(&mut self, peer: &mut impl Peer) -> Option<Vec<u8>> {
        self.try_hear(peer).unwrap()
    }

    pub(crate) fn try_hear(&mut self, peer: &mut impl Peer) -> Result<Option<Vec<u8>>, FrameError> {
        peer.give(&mut self.input);
        Ok(self.inbound.next(&mut self.input)?.map(|payload| payload.to_vec()))
    }

    /// A middle server whose nonce frame is `answer`, made from the proxy's.
    pub(crate) fn answer_nonce(&mut self, proxy: &mut ProxyLink, answer: &[u8]) {
        let asked = self.hear(proxy).unwrap();
        self.say(proxy, answer);
        let (encrypt, decrypt) = keys(&asked, answer).of_middle();
        self.outbound.begin_cipher(encrypt);
        self.inbound.begin_cipher(decrypt);
    }

    /// A middle server that has greeted the proxy.
    pub(crate) fn middle(proxy: &mut ProxyLink) -> Self {
        let mut raw = Self::default();
        raw.answer_nonce(proxy, &nonce(1_700_000_000));
        let asked = raw.hear(proxy).unwrap();
        raw.say(proxy, &handshake(0, &own_bytes(&asked, 20), &own_bytes(&asked, 8)));
        raw.greeted();
        assert_eq!(proxy.poll_event(), Some(ProxyEvent::Ready));
        raw
    }

    /// A proxy that has said its nonce and heard the middle server's.
    pub(crate) fn ask(middle: &mut MiddleLink, asked: &[u8]) -> Self {
        let mut raw = Self::default();
        raw.say(middle, asked);
        let answer = raw.hear(middle).unwrap();
        let (encrypt, decrypt) = keys(asked, &answer).of_proxy();
        raw.outbound.begin_cipher(encrypt);
        raw.inbound.begin_cipher(decrypt);
        raw
    }

    /// A proxy that was greeted by the middle server.
    pub(crate) fn proxy(middle: &mut MiddleLink) -> Self {
        let mut raw = Self::ask(middle, &nonce(1_700_000_000));
        raw.say(middle, &handshake(0, &[9; 12], &[0; 12]));
        assert_eq!(raw.hear(middle).unwrap()[..4], 0x7682_eef5_u32.to_le_bytes());
        raw.greeted();
        assert_eq!(middle.poll_event(), Some(MiddleEvent::Ready));
        raw
    }

    fn greeted(&mut self) {
        self.inbound.agree(Checksum::Crc32, FRAME_MAX);
    }
}

fn keys(asked: &[u8], answer: &[u8]) -> Keys {
    let nonces = Nonces {
        proxy: asked[16..32].try_into().unwrap(),
        middle: answer[16..32].try_into().unwrap(),
        proxy_time: u32::from_le_bytes(asked[12..16].try_into().unwrap()),
    };
    Keys::derive(&secret(), &path(), &nonces)
}

/// A nonce frame of that time.
pub(crate) fn nonce(time: u32) -> Vec<u8> {
    nonce_of(secret().selector(), 1, time)
}

pub(crate) fn nonce_of(selector: u32, schema: u32, time: u32) -> Vec<u8> {
    let words = [0x7acb_87aa, selector, schema, time];
    let mut frame: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    frame.extend([0xa5; 16]);
    frame
}

pub(crate) fn handshake(flags: u32, sender: &[u8], peer: &[u8]) -> Vec<u8> {
    [&0x7682_eef5_u32.to_le_bytes(), &flags.to_le_bytes(), sender, peer].concat()
}

fn own_bytes(frame: &[u8], at: usize) -> Vec<u8> {
    frame[at..at + 12].to_vec()
}
