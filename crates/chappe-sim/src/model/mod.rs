//! The reference model: what is right, said as simply as possible, and the first thing that is not.
//!
//! It sees every message as it leaves a session and before it is sealed, every call that begins to
//! run and every outcome that an application hears. It shares no code with what it judges beyond
//! the layout of a container.
//!
//! | file | holds |
//! | --- | --- |
//! | `rule` | what must hold |
//! | `calls` | calls, their runs and their outcomes |
//! | `stream` | what one side of a session has sent |

mod calls;
mod rule;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chappe_crypto::AuthKeyId;
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::rpc;
use chappe_proto::schema::{ctors, types};
use chappe_proto::session::container::Inner;
use chappe_proto::{LinkId, MsgId, SessionId, Side};
use chappe_tl::Constructor;

use crate::words::{self, Token};
use calls::Call;
use stream::Stream;

pub use calls::Wish;
pub use rule::{Broken, Rule};

/// Code of a notification that a message is too old to be known.
const TOO_OLD: i32 = 20;

/// What has happened so far, and the first rule that was broken.
#[derive(Debug, Default)]
pub struct Model {
    calls: BTreeMap<Token, Call>,
    runs: BTreeSet<(u64, AuthKeyId, SessionId, MsgId)>,
    /// How often a client's call may have run once more through no fault of anybody.
    excuses: BTreeMap<usize, u32>,
    /// Sessions that a client gave up.
    restarts: BTreeMap<usize, u32>,
    /// Questions about states that a client asked in a row without a reply.
    questions: BTreeMap<usize, u32>,
    pushes: BTreeMap<Token, Option<usize>>,
    owners: BTreeMap<SessionId, usize>,
    from_clients: BTreeMap<SessionId, Stream>,
    from_nodes: BTreeMap<(u64, AuthKeyId, SessionId), Stream>,
    heard_on: BTreeMap<LinkId, (AuthKeyId, SessionId)>,
    broken: Option<Broken>,
    results: u32,
    unreadable: u32,
}

impl Model {
    /// Notes that a rule was broken; the first time counts.
    pub fn fail(&mut self, rule: Rule, details: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(Broken { rule, details: details() });
        }
    }

    /// The first rule that was broken.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// One end of this client's session lost its memory.
    pub fn excuse(&mut self, client: usize) {
        *self.excuses.entry(client).or_default() += 1;
    }

    /// A client gave up its session. What the node refused there, for instance as too far ahead of
    /// its clock, somebody may play back when its time has come.
    pub fn restarted(&mut self, client: usize) {
        *self.restarts.entry(client).or_default() += 1;
        self.excuse(client);
    }

    /// Whether no end has lost its memory since the sessions began.
    pub fn has_excuses(&self) -> bool {
        self.excuses.values().any(|excuses| *excuses > 1)
    }

    /// The client that a session belongs to.
    pub fn owner(&self, session: SessionId) -> Option<usize> {
        self.owners.get(&session).copied()
    }

    /// A node pushes to a session.
    pub fn pushed(&mut self, token: Token, session: SessionId) {
        self.pushes.insert(token, self.owner(session));
    }

    /// A client hears a push.
    pub fn heard_push(&mut self, client: usize, body: &[u8]) {
        let token = words::pushed(body);
        if token.and_then(|token| self.pushes.insert(token, None)).flatten() != Some(client) {
            self.fail(Rule::OnePush, || {
                format!(
                    "client {client} hears a push that is not for it or came before: {token:x?}"
                )
            });
        }
    }

    /// A client works under this session.
    pub fn owns(&mut self, client: usize, session: SessionId) {
        self.owners.insert(session, client);
    }

    /// A node has opened a message that came on a link.
    pub fn opened(&mut self, link: LinkId, key: AuthKeyId, session: SessionId) {
        self.heard_on.insert(link, (key, session));
    }

    /// A node has forgotten a session: its next message there is number one.
    pub fn forgot(&mut self, life: u64, key: AuthKeyId, session: SessionId) {
        if let Some(stream) = self.from_nodes.get_mut(&(life, key, session)) {
            stream.floor = stream.sent.last_key_value().map(|(id, _)| *id);
        }
    }

    /// A client heard states: its questions are answered.
    pub fn heard_states(&mut self, client: usize) {
        self.questions.insert(client, 0);
    }

    /// A message leaves a client.
    pub fn client_sends(&mut self, client: usize, session: SessionId, message: &Message) {
        if message.header.session_id != session {
            self.fail(Rule::OwnSession, || format!("client {client} speaks for another session"));
        }
        let inners = words::flatten(message);
        for inner in &inners {
            if words::id_of(&inner.body) == types::MsgsStateReq::ID {
                let asked = self.questions.entry(client).or_default();
                *asked += 1;
                // After three questions calls go out anew (SES-10).
                if asked.is_multiple_of(3) {
                    self.excuse(client);
                }
            }
        }
        let stream = self.from_clients.entry(session).or_default();
        let fault = stream.judge(Side::Client, message, &inners);
        self.report(fault, "client", session);
    }

    /// A message leaves a node on a link.
    pub fn node_sends(&mut self, life: u64, key: AuthKeyId, link: LinkId, message: &Message) {
        let session = message.header.session_id;
        if self.heard_on.get(&link) != Some(&(key, session)) {
            self.fail(Rule::OwnSession, || {
                format!("session {session} is answered on link {}, bound elsewhere", link.0)
            });
        }
        let inners = words::flatten(message);
        // Whoever hears this sends calls of before again, under new ids: all (SVC-40), or the one
        // that is too old to be known.
        let is_new = |inner: &Inner| match words::id_of(&inner.body) {
            types::NewSession::ID => true,
            ctors::BadMsgNotification::ID => words::read::<ctors::BadMsgNotification>(&inner.body)
                .is_some_and(|notice| notice.error_code == TOO_OLD),
            _ => false,
        };
        if let Some(client) = self.owner(session).filter(|_| inners.iter().any(is_new)) {
            self.excuse(client);
        }
        let stream = self.from_nodes.entry((life, key, session)).or_default();
        let fault = stream.judge(Side::Server, message, &inners);
        self.report(fault, "node", session);
    }

    /// A client has accepted a message; its idea of the server's time was `before` and is `after`.
    pub fn clock_moved(
        &mut self,
        client: usize,
        before: Duration,
        after: Duration,
        message: &Message,
    ) {
        let is_lowered = after < before;
        let is_behind = after < message.header.msg_id.time();
        if !is_lowered && !is_behind {
            return;
        }
        let is_proof = |inner: &Inner| match words::id_of(&inner.body) {
            ctors::BadMsgNotification::ID => true,
            // An answer made long before its question, by the two clocks.
            rpc::RESULT | types::Pong::ID | types::FutureSalts::ID => {
                let question = MsgId(words::long_at(&inner.body, 4));
                inner.msg_id.time() + Duration::from_secs(14) < question.time()
            }
            _ => false,
        };
        if !words::flatten(message).iter().any(is_proof) {
            self.fail(Rule::ClockMovesUponProof, || {
                format!("client {client} moves its clock from {before:?} to {after:?}")
            });
        }
    }

    fn report(&mut self, fault: Option<(Rule, String)>, who: &str, session: SessionId) {
        if let Some((rule, details)) = fault {
            self.fail(rule, || format!("{who} of session {session}: {details}"));
        }
    }
}
