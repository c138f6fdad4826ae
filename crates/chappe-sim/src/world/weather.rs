//! The way of every byte: delays, cuts, and a middleman who meddles.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use chappe_proto::LinkId;
use chappe_proto::transport::{Framing, Transport};

use super::{Event, World};
use crate::network::{Opener, Part, Way};

/// Recordings that a middleman keeps.
const RECORDED_MAX: usize = 32;

impl World {
    /// Sends what an end has written, past whoever sits in between.
    pub(super) fn transmit(&mut self, link: LinkId, way: Way, bytes: &[u8]) {
        self.trace.bytes(bytes);
        let Some(conn) = self.network.get_mut(link) else { return };
        let Opener::Client(client) = conn.opener else { return };
        let is_first = way == Way::Up && !conn.has_begun;
        conn.has_begun |= is_first;
        let transport = self.clients[client].transport;
        let meddled = match is_first {
            true => bytes.to_vec(),
            false => self.meddle(link, way, transport, bytes),
        };
        let bytes = &meddled[..];
        if is_first {
            self.record(transport, way, without_tag(transport, bytes));
        } else {
            self.record(transport, way, bytes);
        }
        let weather = &self.plan.network;
        let (cut, split) = (weather.cut, weather.split);
        if self.strikes(cut) {
            let kept = self.rng.below(bytes.len() as u32 + 1) as usize;
            self.put(link, way, &bytes[..kept]);
            self.end(link, way);
            return self.cut_off(link, way);
        }
        let mut rest = bytes;
        while rest.len() > 1 && self.strikes(split) {
            let (piece, after) = rest.split_at(1 + self.rng.below(rest.len() as u32 - 1) as usize);
            self.put(link, way, piece);
            rest = after;
        }
        self.put(link, way, rest);
    }

    fn strikes(&mut self, chance: u32) -> bool {
        chance > 0 && !self.is_well && self.rng.below(10_000) < chance
    }

    /// What a middleman makes of a write.
    fn meddle(&mut self, link: LinkId, way: Way, transport: Transport, bytes: &[u8]) -> Vec<u8> {
        let weather = self.plan.network.clone();
        let mut out = bytes.to_vec();
        let mut is_tampered = true;
        if self.strikes(weather.swallow) {
            out.clear();
        } else if self.strikes(weather.steal) {
            if way == Way::Up {
                self.send_as_stranger(transport, bytes);
            }
            out.clear();
        } else if self.strikes(weather.duplicate) {
            out.extend_from_slice(bytes);
        } else if self.strikes(weather.flip) {
            let bit = self.rng.below(8 * bytes.len() as u32);
            out[(bit / 8) as usize] ^= 1 << (bit % 8);
        } else if self.strikes(weather.inject) {
            out = self.injected(way, transport);
            out.extend_from_slice(bytes);
        } else {
            is_tampered = false;
        }
        if is_tampered {
            self.trace.note(self.at, "middleman meddles with link {}", &[link.0]);
            if let Some(conn) = self.network.get_mut(link) {
                conn.is_tampered = true;
            }
        }
        out
    }

    /// Something recorded elsewhere, or a transport error.
    fn injected(&mut self, way: Way, transport: Transport) -> Vec<u8> {
        let fits =
            |(spoken, went, _): &&(Transport, Way, Bytes)| *spoken == transport && *went == way;
        let known: Vec<_> = self.recorded.iter().filter(fits).collect();
        if !known.is_empty() && self.rng.below(3) > 0 {
            let (_, _, bytes) = known[self.rng.below(known.len() as u32) as usize];
            return bytes.to_vec();
        }
        let code: i32 = -[404, 429, 444, 403][self.rng.below(4) as usize];
        match transport.framing() {
            Framing::Abridged => [&[1][..], &code.to_le_bytes()].concat(),
            _ => [4i32.to_le_bytes(), code.to_le_bytes()].concat(),
        }
    }

    fn record(&mut self, transport: Transport, way: Way, bytes: &[u8]) {
        let is_readable = !transport.is_obfuscated() && transport.framing() != Framing::Full;
        if is_readable && !bytes.is_empty() && !self.is_well {
            self.recorded.push_back((transport, way, Bytes::copy_from_slice(bytes)));
            if self.recorded.len() > RECORDED_MAX {
                let victim = self.rng.below(RECORDED_MAX as u32) as usize;
                self.recorded.remove(victim);
            }
        }
    }

    /// Opens a connection of a stranger's own and sends something recorded there.
    pub(super) fn send_as_stranger(&mut self, transport: Transport, bytes: &[u8]) {
        let mut out = BytesMut::new();
        match transport.framing() {
            Framing::Abridged => out.put_bytes(0xef, 1),
            Framing::Intermediate => out.put_bytes(0xee, 4),
            _ => out.put_bytes(0xdd, 4),
        }
        out.extend_from_slice(bytes);
        let link = self.network.open(Opener::Stranger);
        self.trace.note(self.at, "stranger opens link {}", &[link.0]);
        if !self.is_down {
            self.node(|node, env| node.accept(env, link));
        }
        let wait = self.delay();
        self.add_in(wait, Event::Sends(link, out.freeze()));
        let stays = Duration::from_millis(u64::from(self.rng.below(30_000)));
        self.add_in(wait + stays, Event::Leaves(link));
    }

    /// After a cut in one way the other end hears of it, too.
    fn cut_off(&mut self, link: LinkId, way: Way) {
        let other = if way == Way::Up { Way::Down } else { Way::Up };
        if let Some(conn) = self.network.get_mut(link) {
            conn.drain(other);
        }
        self.end(link, other);
    }

    pub(super) fn delay(&mut self) -> Duration {
        let jitter = self.plan.network.jitter.as_millis() as u32;
        // Most are quick; a few take as long as it gets.
        let jitter = if self.rng.below(8) == 0 { jitter } else { jitter / 10 };
        self.plan.network.delay + Duration::from_millis(u64::from(self.rng.below(jitter + 1)))
    }

    pub(super) fn put(&mut self, link: LinkId, way: Way, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let arrival = self.at + self.delay();
        let Some(conn) = self.network.get_mut(link) else { return };
        if let Some(at) = conn.write(way, Part::Bytes(Bytes::copy_from_slice(bytes)), arrival) {
            self.add(at, Event::Arrive(link, way));
        }
    }

    pub(super) fn end(&mut self, link: LinkId, way: Way) {
        let arrival = self.at + self.delay();
        let Some(conn) = self.network.get_mut(link) else { return };
        if let Some(at) = conn.write(way, Part::End, arrival) {
            self.add(at, Event::Arrive(link, way));
        }
    }

    pub(super) fn arrive(&mut self, link: LinkId, way: Way) {
        let Some(conn) = self.network.get_mut(link) else { return };
        let opener = conn.opener;
        if let (Way::Down, Opener::Client(client)) = (way, opener)
            && let Some(at) = self.clients[client].sleeps_until
        {
            return self.add(at, Event::Arrive(link, way));
        }
        let Some(part) = conn.arrive(way) else { return };
        match (way, part, opener) {
            (Way::Up, Part::Bytes(bytes), _) => {
                let is_known = !self.is_down && self.node.has_link(link);
                if is_known {
                    self.node(|node, env| node.handle_bytes(env, link, &bytes));
                } else {
                    // Nobody is there: the machine says so.
                    if let Some(conn) = self.network.get_mut(link) {
                        conn.drain(Way::Down);
                    }
                    self.end(link, Way::Down);
                }
            }
            (Way::Up, Part::End, _) => {
                if !self.is_down {
                    self.node(|node, env| node.handle_end(env, link));
                }
                self.end(link, Way::Down);
            }
            (Way::Down, part, Opener::Client(client)) => {
                if self.clients[client].link() != Some(link) {
                    return;
                }
                match part {
                    Part::Bytes(bytes) => {
                        self.client(client, |peer, env| peer.handle_bytes(env, &bytes))
                    }
                    Part::End => {
                        self.end(link, Way::Up);
                        self.lose_link(client);
                    }
                }
            }
            (Way::Down, _, Opener::Stranger) => {}
        }
    }
}

/// The bytes after what announces the transport.
fn without_tag(transport: Transport, bytes: &[u8]) -> &[u8] {
    let len = match transport.framing() {
        Framing::Abridged => 1,
        Framing::Intermediate | Framing::Padded => 4,
        Framing::Full => 0,
    };
    bytes.get(len..).unwrap_or_default()
}
