//! A client's and a server's session with one clock and scripted links between them: messages
//! are handed over as they are, without sockets and without encryption.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::Rng;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::session::client::{self, CallError, CallId, ClientEvent, ClientSession};
use chappe_proto::session::server::{self, IncomingCall, ServerEvent, ServerSession};
use chappe_proto::session::time::ServerClock;
use chappe_proto::{LinkId, Now};
use chappe_tl::Raw;

use crate::raw::{answer_to, salts};

/// Seconds since 1970 at which every pair begins, by the server's clock.
pub(crate) const EPOCH: i64 = 1_800_000_000;

/// Two sessions and whatever is between them.
pub(crate) struct Pair {
    pub(crate) client: ClientSession,
    pub(crate) server: ServerSession,
    /// Time that both ends have seen pass.
    pub(crate) mono: Duration,
    /// The client's wall clock minus the server's, in seconds.
    pub(crate) client_ahead: i64,
    /// Seconds that passed for the server alone: the client's machine slept.
    pub(crate) client_late: u64,
    pub(crate) link: Option<LinkId>,
    links: u64,
    pub(crate) to_server: VecDeque<Message>,
    pub(crate) to_client: VecDeque<Message>,
    /// How often the server ran each query.
    pub(crate) runs: BTreeMap<Bytes, usize>,
    pub(crate) answers: BTreeMap<CallId, Vec<Result<Raw, CallError>>>,
    pub(crate) client_events: Vec<ClientEvent>,
    pub(crate) server_events: Vec<ServerEvent>,
    /// Calls that the server holds, when it does not answer by itself.
    pub(crate) running: Vec<IncomingCall>,
    pub(crate) answers_itself: bool,
    /// Everything that reached the server, for replays.
    pub(crate) heard: Vec<Message>,
    /// Sessions that the server has forgotten.
    forgotten: u8,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::with(0, client::SessionConfig::default(), server::SessionConfig::default())
    }

    /// A pair whose client's clock is `client_ahead` seconds ahead of the server's.
    pub(crate) fn with(
        client_ahead: i64,
        client: client::SessionConfig,
        server: server::SessionConfig,
    ) -> Self {
        let now = now_at(Duration::from_secs(5000), client_ahead);
        let clock = ServerClock::guess(now, 0);
        let salt = salts().current(EPOCH).value;
        let client = ClientSession::new(client, salt, clock, Rng::from_seed([1; 32]));
        let server = ServerSession::new(client.id(), salts(), server, Rng::from_seed([2; 32]));
        Self {
            client,
            server,
            mono: now.mono,
            client_ahead,
            client_late: 0,
            link: None,
            links: 0,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            runs: BTreeMap::new(),
            answers: BTreeMap::new(),
            client_events: Vec::new(),
            server_events: Vec::new(),
            running: Vec::new(),
            answers_itself: true,
            heard: Vec::new(),
            forgotten: 0,
        }
    }

    /// A pair with a link, over which one call has been answered.
    pub(crate) fn connected() -> Self {
        let mut pair = Self::new();
        pair.reconnect();
        let call = pair.client.call(crate::raw::query(0));
        pair.run_to_idle();
        assert!(pair.is_answered(call));
        pair.run_for(Duration::from_secs(40));
        pair
    }

    pub(crate) fn client_now(&self) -> Now {
        now_at(self.mono - Duration::from_secs(self.client_late), self.client_ahead)
    }

    pub(crate) fn server_now(&self) -> Now {
        now_at(self.mono, 0)
    }

    pub(crate) fn is_answered(&self, call: CallId) -> bool {
        self.answers.contains_key(&call)
    }

    pub(crate) fn runs_of(&self, query: &Bytes) -> usize {
        self.runs.get(query).copied().unwrap_or(0)
    }

    /// Opens a link where there is none.
    pub(crate) fn reconnect(&mut self) {
        if self.link.is_none() {
            self.links += 1;
            self.link = Some(LinkId(self.links));
            self.client.handle_link_opened(self.client_now());
            self.collect();
        }
    }

    /// Ends the link for both; what was under way is lost.
    pub(crate) fn cut(&mut self) {
        if let Some(link) = self.link {
            self.cut_for_client();
            self.server.handle_link_closed(link);
        }
    }

    /// Ends the link for the client alone: the server has not noticed.
    pub(crate) fn cut_for_client(&mut self) {
        self.link = None;
        self.to_server.clear();
        self.to_client.clear();
        self.client.handle_link_closed();
    }

    /// The server's timers have ended the links that only the client knew to be gone.
    pub(crate) fn notice_dead_links(&mut self) {
        for link in self.server.links().to_vec() {
            if Some(link) != self.link {
                self.server.handle_link_closed(link);
            }
        }
    }

    /// Puts a new session in the server's place, as after a restart.
    pub(crate) fn forget_session(&mut self) {
        let config = server::SessionConfig::default();
        let id = self.client.id();
        self.forgotten += 1;
        let rng = Rng::from_seed([2 + self.forgotten; 32]);
        self.server = ServerSession::new(id, salts(), config, rng);
    }

    /// Takes from both ends what they want to send and to tell.
    pub(crate) fn collect(&mut self) {
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Answer(call, result) => {
                    self.answers.entry(call).or_default().push(result);
                }
                event => self.client_events.push(event),
            }
        }
        while let Some(event) = self.server.poll_event() {
            match event {
                ServerEvent::Call(call) => self.run(call),
                event => self.server_events.push(event),
            }
        }
        while let Some(message) = self.client.poll_transmit(self.client_now()) {
            self.to_server.push_back(message);
        }
        while let Some((link, message)) = self.server.poll_transmit(self.server_now()) {
            if Some(link) == self.link {
                self.to_client.push_back(message);
            }
        }
    }

    fn run(&mut self, call: IncomingCall) {
        *self.runs.entry(call.call.query.clone()).or_default() += 1;
        if self.answers_itself {
            self.answer(&call);
        } else {
            self.running.push(call);
        }
    }

    pub(crate) fn answer(&mut self, call: &IncomingCall) {
        let answer = answer_to(&call.call.query);
        self.server.answer(self.server_now(), call.msg_id, Ok(answer));
    }

    pub(crate) fn answer_all(&mut self) {
        for call in std::mem::take(&mut self.running) {
            self.answer(&call);
        }
    }

    /// Hands the server the next message, if there is one.
    pub(crate) fn deliver_to_server(&mut self) -> bool {
        let Some(message) = self.to_server.pop_front() else { return false };
        self.hand_to_server(message);
        true
    }

    /// Hands the server a message; one of another session founds that session anew.
    pub(crate) fn hand_to_server(&mut self, message: Message) {
        let link = self.link.expect("a message travels on a link");
        self.heard.push(message.clone());
        if message.header.session_id == self.server.id() {
            self.server.handle_message(self.server_now(), link, message);
        } else if message.header.session_id == self.client.id() {
            self.forget_session();
            self.server.handle_message(self.server_now(), link, message);
        }
        self.collect();
        self.collect();
    }

    /// Hands the server a message it has heard, on the link of whoever recorded it. What the
    /// server says there never reaches the client.
    pub(crate) fn replay(&mut self, message: Message) {
        if message.header.session_id == self.server.id() {
            self.server.handle_message(self.server_now(), LinkId(u64::MAX), message);
            self.collect();
        }
    }

    pub(crate) fn deliver_to_client(&mut self) -> bool {
        let Some(message) = self.to_client.pop_front() else { return false };
        self.hand_to_client(message);
        true
    }

    /// Hands the client a message; one that it takes for an attack ends the link.
    pub(crate) fn hand_to_client(&mut self, message: Message) {
        if self.client.handle_message(self.client_now(), message).is_err() {
            self.cut();
        }
        self.collect();
    }

    /// Delivers everything until nobody has anything to say without time passing.
    pub(crate) fn run_to_idle(&mut self) {
        self.collect();
        while self.deliver_to_server() || self.deliver_to_client() {}
    }

    /// Lets time pass, with all timers on the way.
    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.mono + span;
        self.run_to_idle();
        loop {
            let late = Duration::from_secs(self.client_late);
            let client = self.client.poll_timeout().map(|due| due + late);
            let due = [client, self.server.poll_timeout()];
            let Some(next) = due.into_iter().flatten().min().filter(|next| *next <= end) else {
                break;
            };
            self.mono = self.mono.max(next);
            self.tick();
        }
        self.mono = end;
        self.tick();
    }

    fn tick(&mut self) {
        if self.link.is_some() {
            self.client.handle_timeout(self.client_now());
        }
        self.server.handle_timeout(self.server_now());
        self.run_to_idle();
    }
}

fn now_at(mono: Duration, ahead: i64) -> Now {
    let seconds = EPOCH - 5000 + ahead;
    Now { mono, unix: mono + Duration::from_secs(seconds.unsigned_abs()) }
}
