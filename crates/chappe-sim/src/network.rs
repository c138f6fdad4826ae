//! Connections: two pipes each, in which bytes keep their order and take their time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chappe_proto::LinkId;

/// All connections of a world.
#[derive(Debug, Default)]
pub struct Network {
    conns: BTreeMap<LinkId, Conn>,
    last: u64,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// A client.
    Client(usize),
    /// Somebody without a key.
    Stranger,
}

/// Which way something travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// To the node.
    Up,
    /// To who opened the connection.
    Down,
}

/// What a pipe carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes of the stream.
    Bytes(Bytes),
    /// Its end.
    End,
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    /// Who opened it.
    pub opener: Opener,
    /// A middleman has had his hands on it.
    pub is_tampered: bool,
    /// Its first bytes have been written.
    pub has_begun: bool,
    up: Pipe,
    down: Pipe,
}

#[derive(Debug, Default)]
struct Pipe {
    parts: VecDeque<Part>,
    last_arrival: Duration,
    /// Nothing that is written from now on arrives.
    is_dead: bool,
}

impl Network {
    /// Opens a connection.
    pub fn open(&mut self, opener: Opener) -> LinkId {
        self.last += 1;
        let id = LinkId(self.last);
        let (up, down) = Default::default();
        let conn = Conn { opener, is_tampered: false, has_begun: false, up, down };
        self.conns.insert(id, conn);
        id
    }

    /// A connection, while it is known.
    pub fn get_mut(&mut self, id: LinkId) -> Option<&mut Conn> {
        self.conns.get_mut(&id)
    }

    /// Who opened a connection.
    pub fn opener(&self, id: LinkId) -> Option<Opener> {
        self.conns.get(&id).map(|conn| conn.opener)
    }

    /// Connections that a middleman has had his hands on.
    pub fn tampered(&self) -> Vec<LinkId> {
        self.conns.iter().filter(|(_, conn)| conn.is_tampered).map(|(id, _)| *id).collect()
    }

    /// Both ends are gone.
    pub fn forget(&mut self, id: LinkId) {
        self.conns.remove(&id);
    }
}

impl Conn {
    fn pipe(&mut self, way: Way) -> &mut Pipe {
        match way {
            Way::Up => &mut self.up,
            Way::Down => &mut self.down,
        }
    }

    /// Writes something that takes until `arrival`, or longer if something before it does. Tells
    /// when it arrives; never, if the pipe is dead.
    pub fn write(&mut self, way: Way, part: Part, arrival: Duration) -> Option<Duration> {
        let pipe = self.pipe(way);
        if pipe.is_dead {
            return None;
        }
        pipe.is_dead = part == Part::End;
        pipe.last_arrival = pipe.last_arrival.max(arrival);
        pipe.parts.push_back(part);
        Some(pipe.last_arrival)
    }

    /// What arrives next.
    pub fn arrive(&mut self, way: Way) -> Option<Part> {
        self.pipe(way).parts.pop_front()
    }

    /// Loses what is on its way, and everything written later.
    pub fn kill(&mut self, way: Way) {
        let pipe = self.pipe(way);
        pipe.is_dead = true;
        pipe.parts.clear();
    }

    /// Loses what is on its way, but not its own end.
    pub fn drain(&mut self, way: Way) {
        let pipe = self.pipe(way);
        pipe.parts.clear();
        pipe.is_dead = false;
    }
}
