//! The calls of a client: made, handed to its session, given up, answered.

use chappe_proto::session::client::{CallError, CallId, CallOptions};
use chappe_tl::Raw;

use super::Peer;
use crate::device::Device;
use crate::model::Wish;
use crate::node::Env;
use crate::words::{self, Question, Token};

impl Peer {
    /// The application makes a call.
    pub fn call(&mut self, env: &mut Env<'_>, token: Token, wish: Wish) {
        self.make(env, token, wish);
        self.settle(env);
    }

    fn make(&mut self, env: &mut Env<'_>, token: Token, wish: Wish) {
        env.model.called(self.number, token, wish.clone());
        self.wishes.insert(token, wish);
        self.waiting.push(token);
        self.hand_calls_over();
    }

    /// Gives the session the calls that waited for it, in the order in which they were made.
    pub(super) fn hand_calls_over(&mut self) {
        let Some(session) = &mut self.session else { return };
        for token in std::mem::take(&mut self.waiting) {
            let Some(wish) = self.wishes.get(&token) else { continue };
            let is_first = |(_, token): &(&CallId, &Token)| wish.after.contains(token);
            let first: Vec<CallId> =
                self.calls.iter().filter(is_first).map(|(id, _)| *id).collect();
            let mut options = CallOptions::default().after(first);
            options.repeatable = wish.is_repeatable;
            self.calls
                .insert(session.call_with(words::question(token, wish.question), options), token);
        }
    }

    /// Calls without an outcome.
    pub fn open_calls(&self) -> Vec<Token> {
        self.wishes.keys().copied().collect()
    }

    /// The application gives up a call.
    pub fn drop_call(&mut self, env: &mut Env<'_>, token: Token) {
        let wish = self.wishes.remove(&token);
        // It may be written all the same, and the answer would have told.
        if let (Some(device), Some(Wish { question: Question::Write(_), .. })) =
            (&mut self.device, wish)
        {
            device.handle_loss();
        }
        if self.waiting.contains(&token) {
            self.waiting.retain(|waiting| *waiting != token);
            env.model.dropped(token);
        }
        let found = self.calls.iter().find(|(_, known)| **known == token).map(|(id, _)| *id);
        if let (Some(id), Some(session)) = (found, &mut self.session) {
            env.model.dropped(token);
            self.calls.remove(&id);
            session.drop_call(id);
        }
        self.settle(env);
    }

    pub(super) fn end_call(
        &mut self,
        env: &mut Env<'_>,
        token: Token,
        result: &Result<Raw, CallError>,
    ) {
        env.model.outcome(token, result);
        let wish = self.wishes.remove(&token).unwrap_or_default();
        if let Some(device) = &mut self.device {
            device.handle_outcome(self.clock.now(env.at).mono, wish.question, result);
        }
    }

    /// Asks what the device wants to know.
    pub(super) fn ask(&mut self, env: &mut Env<'_>) {
        if let Some((token, wish)) = self.device.as_mut().and_then(Device::poll_question) {
            env.trace.note(env.at, "client {} asks what it missed", &[self.number as u64]);
            self.make(env, token, wish);
        }
    }
}
