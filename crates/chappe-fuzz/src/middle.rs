//! Both ends of a link between proxies, and lines that damage it: what arrives is what was sent, for
//! whom it was sent, and in its order; a damaged link ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use chappe_proto::Now;
use chappe_proto::middle::config::MiddleServers;
use chappe_proto::middle::frames::Checksum;
use chappe_proto::middle::greeting::ProcessId;
use chappe_proto::middle::keys::{Path, ProxySecret};
use chappe_proto::middle::link::{
    LinkConfig, MiddleEvent, MiddleLink, NotSent, ProxyEvent, ProxyLink,
};
use chappe_proto::middle::messages::{AdTag, ConnId, Message, Origin};
use chappe_proto::transport::Framing;

use crate::identity::{START, later, rng};
use crate::script::Script;

/// Most steps of one run.
const STEPS_MAX: usize = 200;
/// Clients that one end allows.
const CLIENTS_MAX: usize = 8;

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    match script.below(8) {
        0 => {
            let _ = MiddleServers::parse(&String::from_utf8_lossy(script.rest()));
        }
        1 => read(script.rest()),
        _ => {
            let mut world = World::new(&mut script);
            script.play(STEPS_MAX, |script| world.step(script));
        }
    }
}

/// What is read can be written, and read the same.
fn read(payload: &[u8]) {
    let again = match Message::decode(payload.into()) {
        Ok(Message::Request(request, packet)) => [&request.encode()[..], &packet].concat(),
        Ok(Message::Answer(answer, packet)) => [&answer.encode()[..], &packet].concat(),
        Ok(Message::Note(note)) => note.encode(),
        Ok(Message::Unknown(_)) | Err(_) => return,
    };
    let (first, second) = (Message::decode(payload.into()), Message::decode(again[..].into()));
    assert_eq!(first, second);
}

struct World {
    now: Now,
    proxy: ProxyLink,
    middle: MiddleLink,
    to_middle: BytesMut,
    to_proxy: BytesMut,
    heard_by_middle: BytesMut,
    heard_by_proxy: BytesMut,
    clients: BTreeMap<ConnId, Client>,
    /// Somebody on the line has changed what passes.
    is_damaged: bool,
    is_over: [bool; 2],
    sent: u8,
}

/// What is on its way.
struct Client {
    origin: Origin,
    up: VecDeque<Vec<u8>>,
    down: VecDeque<Vec<u8>>,
    is_opened: bool,
}

impl World {
    fn new(script: &mut Script<'_>) -> Self {
        let path = Path::new(([203, 0, 113, 7], 40123).into(), ([192, 0, 2, 1], 8888).into());
        let path = path.unwrap();
        let secret = ProxySecret::parse(&[7; 64]).unwrap();
        let mut config = LinkConfig::default();
        config.clients_max = CLIENTS_MAX;
        if script.one_in(2) {
            config.checksum = Checksum::Crc32c;
        }
        let (secrets, own) = ([secret.clone()].into(), ProcessId::at(path.middle()));
        let (middle_config, process) = (config.clone(), ProcessId::at(path.proxy()));
        Self {
            now: START,
            proxy: ProxyLink::new(START, config, Arc::new(secret), path, process, rng(1)),
            middle: MiddleLink::new(START, middle_config, secrets, path, own, rng(2)),
            to_middle: BytesMut::new(),
            to_proxy: BytesMut::new(),
            heard_by_middle: BytesMut::new(),
            heard_by_proxy: BytesMut::new(),
            clients: BTreeMap::new(),
            is_damaged: false,
            is_over: [false; 2],
            sent: 0,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(16) {
            0..=4 => self.carry(script),
            5 | 6 => self.open(script),
            7 | 8 => self.ask(script),
            9 | 10 => self.answer(script),
            11 => self.tell(script),
            12 => {
                if let Some(client) = self.pick(script) {
                    self.proxy.close(client);
                    self.clients.remove(&client);
                }
            }
            13 => self.pass(Duration::from_millis(500 * u64::from(script.byte()))),
            14 => self.damage(script),
            _ => {
                let mut strange = BytesMut::from(script.bytes(256));
                self.is_damaged |= !strange.is_empty();
                if script.one_in(2) {
                    self.heard_by_proxy.unsplit(strange.split());
                } else {
                    self.heard_by_middle.unsplit(strange.split());
                }
            }
        }
        self.drain();
    }

    /// Some of what was said arrives, at either end.
    fn carry(&mut self, script: &mut Script<'_>) {
        self.proxy.poll_transmit(&mut self.to_middle);
        self.middle.poll_transmit(&mut self.to_proxy);
        let share = |wire: &BytesMut, byte: u8| match byte {
            0..128 => wire.len(),
            _ => wire.len() * usize::from(byte - 128) / 128,
        };
        let up = share(&self.to_middle, script.byte());
        self.heard_by_middle.extend_from_slice(&self.to_middle.split_to(up));
        self.middle.handle_bytes(self.now, &mut self.heard_by_middle);
        let down = share(&self.to_proxy, script.byte());
        self.heard_by_proxy.extend_from_slice(&self.to_proxy.split_to(down));
        self.proxy.handle_bytes(self.now, &mut self.heard_by_proxy);
    }

    fn open(&mut self, script: &mut Script<'_>) {
        let framings = [Framing::Abridged, Framing::Intermediate, Framing::Padded];
        let origin = Origin {
            client: ([198, 51, 100, script.byte()], 5).into(),
            proxy: ([192, 0, 2, 9], 443).into(),
            framing: framings[script.below(3)],
            ad_tag: script.one_in(2).then_some(AdTag([3; 16])),
        };
        if let Some(client) = self.proxy.open(origin) {
            let (up, down) = (VecDeque::new(), VecDeque::new());
            let opened = Client { origin, up, down, is_opened: false };
            assert!(client.0 != 0 && self.clients.insert(client, opened).is_none());
            assert!(self.clients.len() <= CLIENTS_MAX);
        }
    }

    fn pick(&self, script: &mut Script<'_>) -> Option<ConnId> {
        let known: Vec<ConnId> = self.clients.keys().copied().collect();
        script.pick(&known).copied()
    }

    fn packet(&mut self, script: &mut Script<'_>) -> Vec<u8> {
        self.sent = self.sent.wrapping_add(1) | 1;
        vec![self.sent; 56 + 4 * script.below(64)]
    }

    fn ask(&mut self, script: &mut Script<'_>) {
        let Some(client) = self.pick(script) else { return };
        let packet = match script.below(4) {
            0 => script.bytes(100).to_vec(),
            _ => self.packet(script),
        };
        match self.proxy.send(client, &packet, script.one_in(3)) {
            Ok(()) => {
                let known = self.clients.get_mut(&client).unwrap();
                let padding =
                    if known.origin.framing == Framing::Padded { packet.len() % 4 } else { 0 };
                known.up.push_back(packet[..packet.len() - padding].to_vec());
            }
            Err(NotSent::NoClient) => assert!(self.is_over[0], "{client:?} is not known"),
            Err(NotSent::Implausible(_)) => {}
        }
    }

    fn answer(&mut self, script: &mut Script<'_>) {
        let Some(client) = self.pick(script) else { return };
        let packet = self.packet(script);
        if self.middle.send(client, &packet) {
            self.clients.get_mut(&client).unwrap().down.push_back(packet);
        }
    }

    fn tell(&mut self, script: &mut Script<'_>) {
        let Some(client) = self.pick(script) else { return };
        match script.below(3) {
            0 => self.middle.acknowledge(client, 0x8000_0000 | u32::from(script.byte())),
            1 => self.middle.fail(client, 404),
            _ => self.middle.close(client),
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now = later(self.now, span);
        self.proxy.handle_timeout(self.now);
        self.middle.handle_timeout(self.now);
        for due in [self.proxy.poll_timeout(), self.middle.poll_timeout()] {
            assert!(due.is_none_or(|due| due > self.now.mono), "a timer runs again");
        }
    }

    fn damage(&mut self, script: &mut Script<'_>) {
        let wire = if script.one_in(2) { &mut self.to_middle } else { &mut self.to_proxy };
        if !wire.is_empty() {
            let at = usize::from(script.byte()) * 7 % wire.len();
            wire[at] ^= 1 << script.below(8);
            self.is_damaged = true;
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.middle.poll_event() {
            assert!(!self.is_over[1], "{event:?} after the end");
            match event {
                MiddleEvent::Opened(client, origin) => {
                    // It may have left the proxy meanwhile.
                    if let Some(known) = self.clients.get_mut(&client) {
                        assert!(!std::mem::replace(&mut known.is_opened, true));
                        assert_eq!(known.origin, origin);
                    }
                }
                MiddleEvent::Packet { client, packet, .. } => {
                    if let Some(known) = self.clients.get_mut(&client) {
                        assert!(known.is_opened);
                        assert_eq!(known.up.pop_front().as_deref(), Some(&packet[..]));
                    }
                }
                MiddleEvent::Over(_) => self.is_over[1] = true,
                MiddleEvent::Ready | MiddleEvent::Closed(_) => {}
            }
        }
        while let Some(event) = self.proxy.poll_event() {
            assert!(!self.is_over[0], "{event:?} after the end");
            match event {
                ProxyEvent::Packet { client, packet, .. } => {
                    let known = self.clients.get_mut(&client).unwrap();
                    assert_eq!(known.down.pop_front().as_deref(), Some(&packet[..]));
                }
                ProxyEvent::Error(client, code) => {
                    assert!(code == 404 && self.clients.contains_key(&client));
                }
                ProxyEvent::QuickAck(client, _) => assert!(self.clients.contains_key(&client)),
                ProxyEvent::Closed(client) => assert!(self.clients.remove(&client).is_some()),
                ProxyEvent::Over(_) => {
                    self.is_over[0] = true;
                    self.clients.clear();
                }
                ProxyEvent::Ready => {}
            }
        }
        assert!(self.is_over[0] || self.proxy.clients() == self.clients.len());
        assert!(self.middle.clients() <= CLIENTS_MAX);
        // Silence ends a link as well: time may have passed.
        let is_in_time = self.now.mono < START.mono + Duration::from_secs(10);
        assert!(!is_in_time || self.is_damaged || self.is_over == [false; 2]);
    }
}
