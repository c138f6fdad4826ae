//! Calls: how often each runs, in which order, and with what outcome.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chappe_crypto::AuthKeyId;
use chappe_proto::session::client::CallError;
use chappe_proto::{MsgId, SessionId};
use chappe_tl::Raw;

use super::{Model, Rule};
use crate::words::{self, Question, Token};

/// What an application wants of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// It may run twice.
    pub is_repeatable: bool,
    /// Calls that have to be finished first.
    pub after: Vec<Token>,
    /// What it asks for.
    pub question: Question,
}

/// What is known of one call.
#[derive(Debug)]
pub(super) struct Call {
    client: usize,
    wish: Wish,
    /// Excuses of its client when it was made.
    excused: u32,
    /// Sessions that its client had given up by then.
    restarts: u32,
    /// In each life of the node.
    runs: BTreeMap<u64, u32>,
    /// The messages that ran.
    messages: BTreeSet<(SessionId, MsgId)>,
    /// Some run of it has ended.
    is_finished: bool,
    /// What it was answered, where that does not follow from its token.
    answers: Vec<Bytes>,
    is_dropped: bool,
    has_outcome: bool,
}

impl Model {
    /// An application makes a call.
    pub fn called(&mut self, client: usize, token: Token, wish: Wish) {
        let call = Call {
            client,
            wish,
            excused: self.excuses.get(&client).copied().unwrap_or(0),
            restarts: self.restarts.get(&client).copied().unwrap_or(0),
            runs: BTreeMap::new(),
            messages: BTreeSet::new(),
            is_finished: false,
            answers: Vec::new(),
            is_dropped: false,
            has_outcome: false,
        };
        self.calls.insert(token, call);
    }

    /// A node has ended a run of a call.
    pub fn finished(&mut self, token: Token) {
        if let Some(call) = self.calls.get_mut(&token) {
            call.is_finished = true;
        }
    }

    /// A node answers a call with what does not follow from its token.
    pub fn answered(&mut self, token: Token, answer: Bytes) {
        if let Some(call) = self.calls.get_mut(&token) {
            call.answers.push(answer);
        }
    }

    /// A call that this one comes after and that nobody has ended yet.
    fn is_before(&self, call: &Call) -> Option<Token> {
        call.wish.after.iter().copied().find(|first| {
            self.calls
                .get(first)
                .is_some_and(|first| !first.is_finished && !first.is_dropped && !first.has_outcome)
        })
    }

    /// An application wants to hear no more of a call.
    pub fn dropped(&mut self, token: Token) {
        if let Some(call) = self.calls.get_mut(&token) {
            call.is_dropped = true;
        }
    }

    /// Calls whose outcome is still owed.
    pub fn open(&self) -> impl Iterator<Item = Token> {
        let open = |call: &Call| !call.has_outcome && !call.is_dropped;
        self.calls.iter().filter(move |(_, call)| open(call)).map(|(token, _)| *token)
    }

    /// A node begins to run a call.
    pub fn ran(&mut self, life: u64, key: AuthKeyId, session: SessionId, id: MsgId, body: &[u8]) {
        if !self.runs.insert((life, key, session, id)) {
            self.fail(Rule::OneRunPerMessage, || {
                format!("message {id} of session {session} runs a second time")
            });
        }
        let Some(token) = words::asked(body) else { return };
        let Some(call) = self.calls.get_mut(&token) else { return };
        *call.runs.entry(life).or_default() += 1;
        call.messages.insert((session, id));
        let Some(call) = self.calls.get(&token) else { return };
        let client = call.client;
        let (runs, excuses) = if call.wish.is_repeatable {
            let excuses = self.excuses.get(&client).copied().unwrap_or(0) - call.excused;
            (call.runs[&life], excuses)
        } else {
            let restarts = self.restarts.get(&client).copied().unwrap_or(0) - call.restarts;
            (call.messages.len() as u32, restarts)
        };
        let early = self.is_before(call);
        if runs > 1 + excuses {
            self.fail(Rule::OneRunPerCall, || {
                format!(
                    "call {:x} of client {client} runs {runs} times, {excuses} excused",
                    token.0
                )
            });
        }
        if let Some(first) = early {
            self.fail(Rule::CallsInOrder, || {
                format!("call {:x} of client {client} begins before {:x} ends", token.0, first.0)
            });
        }
    }

    /// An application hears the outcome of its call.
    pub fn outcome(&mut self, token: Token, result: &Result<Raw, CallError>) {
        self.results += u32::from(result.is_ok());
        self.unreadable += u32::from(matches!(result, Err(CallError::Unreadable(_))));
        let Some(call) = self.calls.get_mut(&token) else { return };
        let excuses = self.excuses.get(&call.client).copied().unwrap_or(0);
        // Also before the call: the client may hear of it only afterwards.
        let is_excused = excuses > 0 && !call.wish.is_repeatable;
        let is_late = call.has_outcome || call.is_dropped;
        call.has_outcome = true;
        let is_plain = call.wish.question == Question::Plain;
        let is_right = match (result, words::answer(token)) {
            (Ok(Raw(body)), _) if !is_plain => call.answers.contains(body),
            (Ok(Raw(body)), Ok(right)) => *body == right,
            (Err(CallError::Rpc(error)), Err(right)) => *error == right,
            // Nobody knows whether it ran: only where something was forgotten on the way, and it
            // may not simply run again (SES-12).
            (Err(CallError::Unknown(_)), _) => is_excused,
            _ => false,
        };
        if is_late {
            self.fail(Rule::OneOutcome, || format!("call {:x} has an outcome too many", token.0));
        }
        if !is_right {
            self.fail(Rule::RightOutcome, || {
                let result: String = format!("{result:?}").chars().take(100).collect();
                format!("call {:x} ends with {result}", token.0)
            });
        }
    }

    /// Whether some outcome was a result.
    pub fn saw_result(&self) -> bool {
        self.results > 0
    }

    /// Whether some outcome could not be read.
    pub fn saw_unreadable(&self) -> bool {
        self.unreadable > 0
    }
}
