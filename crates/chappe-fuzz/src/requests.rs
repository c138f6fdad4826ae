//! Packets in requests of HTTP, and what answers them, on both ends of a link: what is sound arrives
//! as it was sent, in the version in which it was sent; nothing else does.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::AuthKey;
use chappe_proto::envelope::encrypted::{Header, Message, key_id};
use chappe_proto::link::{Link, LinkConfig, LinkEvent, Response};
use chappe_proto::transport::HANDSHAKE_LIMIT;
use chappe_proto::{MsgId, Now, SessionId};

use crate::identity::{START, later, rng};
use crate::script::Script;

/// Most steps of one run.
const STEPS_MAX: usize = 100;
/// Longest wait for a request that has begun.
const REQUEST_WAIT: Duration = Duration::from_secs(60);

pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let mut world = World::new(&mut script);
    script.play(STEPS_MAX, |script| world.step(script));
}

struct World {
    now: Now,
    key: Arc<AuthKey>,
    /// The server has the key.
    is_known: bool,
    config: LinkConfig,
    server: Link,
    is_over: bool,
    last_id: i64,
}

/// What a request holds, for whoever opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Message(Message),
    Plain(Bytes),
    /// Not what anybody wrote.
    Nothing,
}

impl World {
    fn new(script: &mut Script<'_>) -> Self {
        let mut config = LinkConfig::server();
        config.mtproto1 = !script.one_in(4);
        config.errors_end = script.one_in(4);
        Self {
            now: START,
            key: Arc::new(AuthKey::new(rng(7).bytes())),
            is_known: !script.one_in(4),
            server: connect(&config, START),
            config,
            is_over: false,
            last_id: START.unix_seconds() << 32,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.below(8) {
            0 => {
                let packet = script.bytes(128).into();
                self.ask(script, packet, Content::Nothing, &mut self.client(false));
            }
            1 => {
                let mut client = Link::by_requests(LinkConfig::client(), rng(4));
                let body = Bytes::from(vec![1; 20 + 4 * script.below(4)]);
                client.send_plain(self.now.unix, &body);
                self.request(script, client, Content::Plain(body));
            }
            2 => self.pass(Duration::from_millis(100 * u64::from(script.byte()))),
            _ => {
                let mut client = self.client(script.one_in(4));
                let message = self.message(script);
                client.send(Arc::clone(&self.key), message.clone());
                self.request(script, client, Content::Message(message));
            }
        }
        if self.is_over {
            self.server = connect(&self.config, self.now);
            self.is_over = false;
        }
    }

    fn client(&self, is_old: bool) -> Link {
        let mut config = LinkConfig::client();
        config.mtproto1 = is_old && self.config.mtproto1;
        let mut client = Link::by_requests(config, rng(5));
        client.use_key(Arc::clone(&self.key));
        client
    }

    fn message(&mut self, script: &mut Script<'_>) -> Message {
        self.last_id += 4;
        let len = if script.one_in(16) { 6000 } else { 4 * (1 + script.below(16)) };
        let header =
            Header { salt: 1, session_id: SessionId(2), msg_id: MsgId(self.last_id), seq_no: 0 };
        Message { header, body: vec![9; len].into() }
    }

    /// Sends what a client has to send, now and then damaged.
    fn request(&mut self, script: &mut Script<'_>, mut client: Link, content: Content) {
        let mut packet = BytesMut::from(client.poll_request().unwrap());
        assert!(client.poll_request().is_none());
        let is_damaged = script.one_in(8);
        if is_damaged {
            let at = usize::from(script.byte()) % packet.len();
            packet[at] ^= 1 << script.below(8);
        }
        // Of a message in the clear nobody can tell.
        let content = match content {
            Content::Message(_) if is_damaged => Content::Nothing,
            Content::Plain(_) if is_damaged => return self.ask_anything(packet),
            content => content,
        };
        self.ask(script, packet, content, &mut client);
    }

    fn ask_anything(&mut self, packet: BytesMut) {
        self.server.expect_request(self.now, REQUEST_WAIT);
        self.server.handle_request(self.now, packet);
        self.heed();
        while self.server.poll_response().is_some() {}
    }

    /// One request and what answers it.
    fn ask(
        &mut self,
        script: &mut Script<'_>,
        packet: BytesMut,
        content: Content,
        client: &mut Link,
    ) {
        self.server.expect_request(self.now, REQUEST_WAIT);
        assert_eq!(self.server.poll_response(), None, "an answer to an earlier request");
        let mut heard = Vec::new();
        if packet.len() > self.server.request_max_bytes() {
            assert_eq!(self.server.request_max_bytes(), HANDSHAKE_LIMIT);
            self.server.announce_request(packet.len(), key_id(&packet).unwrap());
            heard = self.heed();
        }
        if !self.is_over {
            self.server.handle_request(self.now, packet);
            heard.append(&mut self.heed());
        }
        let expected = match &content {
            Content::Nothing => None,
            Content::Message(_) if !self.is_known => None,
            content => Some(content),
        };
        // Garbage may be a message in the clear.
        heard.retain(|heard| !matches!((heard, &content), (Content::Plain(_), Content::Nothing)));
        assert!(heard.iter().eq(expected), "{heard:?} instead of {expected:?}");
        let refusal = self.server.poll_response();
        assert!(matches!(refusal, None | Some(Response::Error(404))), "{refusal:?}");
        assert!(refusal.is_none() || expected.is_none());
        if expected.is_some() && !self.is_over {
            self.answer(script, &content, client);
        }
    }

    fn answer(&mut self, script: &mut Script<'_>, content: &Content, client: &mut Link) {
        let count = script.below(3);
        let mut sent = Vec::new();
        for _ in 0..count {
            match content {
                Content::Plain(_) => {
                    let body = Bytes::from(vec![3; 20 + 4 * script.below(8)]);
                    self.server.send_plain(self.now.unix, &body);
                    sent.push(Content::Plain(body));
                }
                _ => {
                    let mut message = self.message(script);
                    message.header.msg_id.0 |= 1;
                    self.server.send(Arc::clone(&self.key), message.clone());
                    sent.push(Content::Message(message));
                }
            }
        }
        if script.one_in(8) {
            // It is too late for it; the next request must not get it.
            return;
        }
        for content in sent {
            let Some(Response::Packet(packet)) = self.server.poll_response() else {
                panic!("no answer");
            };
            let mut packet = BytesMut::from(packet);
            let is_damaged = matches!(content, Content::Message(_)) && script.one_in(8);
            if is_damaged {
                let at = usize::from(script.byte()) % packet.len();
                packet[at] ^= 1 << script.below(8);
            }
            client.handle_answer(self.now, packet);
            let event = client.poll_event();
            let heard = match event {
                Some(LinkEvent::Message(id, received)) => {
                    assert_eq!((id, received.quick_ack), (self.key.id(), None));
                    Content::Message(received.message)
                }
                Some(LinkEvent::Plain(message)) => Content::Plain(message.body),
                Some(LinkEvent::Closed(_)) if is_damaged => return,
                event => panic!("{event:?} instead of {content:?}"),
            };
            assert!(!is_damaged && heard == content, "{heard:?} instead of {content:?}");
        }
    }

    fn pass(&mut self, span: Duration) {
        self.now = later(self.now, span);
        if self.server.poll_timeout().is_some_and(|at| at <= self.now.mono) {
            self.server.handle_timeout(self.now);
            assert!(self.server.poll_timeout().is_none());
            self.heed();
            assert!(self.is_over, "nothing was said for long");
        }
    }

    /// Does what the server's end asks for, and gives what came.
    fn heed(&mut self) -> Vec<Content> {
        let mut heard = Vec::new();
        while let Some(event) = self.server.poll_event() {
            assert!(!self.is_over, "{event:?} after the end");
            match event {
                LinkEvent::KeyWanted(id) => {
                    let is_ours = self.is_known && id == self.key.id();
                    let key = is_ours.then(|| Arc::clone(&self.key));
                    self.server.provide_key(self.now, id, key);
                }
                LinkEvent::Message(id, received) => {
                    assert_eq!((id, received.quick_ack), (self.key.id(), None));
                    heard.push(Content::Message(received.message));
                }
                LinkEvent::Plain(message) => heard.push(Content::Plain(message.body)),
                LinkEvent::Closed(_) => self.is_over = true,
                event => panic!("{event:?} of requests"),
            }
        }
        heard
    }
}

fn connect(config: &LinkConfig, now: Now) -> Link {
    Link::of_requests(config.clone(), now.mono + config.first_packet_wait_max, rng(6))
}
