//! What an application does over its client: it follows the log of its account.

use std::time::Duration;

use chappe_proto::session::client::CallError;
use chappe_tl::Raw;
use chappe_updates::Follower;

use crate::model::Wish;
use crate::words::{self, Event, Events, Question, Token};

/// A device of an account.
#[derive(Debug)]
pub struct Device {
    account: u32,
    follower: Follower<Event>,
    /// Before that of its first question.
    first: Token,
    asked: u64,
}

impl Device {
    /// A device that has nothing yet. Its questions have the tokens after `first`.
    pub fn new(now: Duration, account: u32, first: Token) -> Self {
        Self { account, follower: Follower::new(now, 0), first, asked: 0 }
    }

    /// Whose it is.
    pub fn account(&self) -> u32 {
        self.account
    }

    /// Questions asked so far.
    pub fn asked(&self) -> u64 {
        self.asked
    }

    /// Something was pushed. False where it is not for this device.
    pub fn handle_push(&mut self, now: Duration, account: u32, event: Event) -> bool {
        if account == self.account {
            self.follower.handle_event(now, event.step, event);
        }
        account == self.account
    }

    /// A call has ended, one of its own or of the application.
    pub fn handle_outcome(
        &mut self,
        now: Duration,
        question: Question,
        result: &Result<Raw, CallError>,
    ) {
        let events = result.as_ref().ok().and_then(|Raw(body)| words::read_events(body));
        match (question, events) {
            (Question::Plain, _) => {}
            (Question::Write(_), Some(Events { events, .. })) => {
                for event in events {
                    self.follower.handle_event(now, event.step, event);
                }
            }
            (Question::Missed(_), Some(Events { pts, is_whole, events })) => {
                self.follower.handle_difference(now, pts, events, is_whole);
            }
            (Question::Write(_), None) => self.follower.handle_loss(),
            (Question::Missed(_), None) => self.follower.handle_failure(),
        }
    }

    /// Pushes may have been lost, or the outcome of a call.
    pub fn handle_loss(&mut self) {
        self.follower.handle_loss();
    }

    /// What it has to ask.
    pub fn poll_question(&mut self) -> Option<(Token, Wish)> {
        let question = Question::Missed(self.follower.poll_question()?);
        let wish = Wish { is_repeatable: true, question, ..Wish::default() };
        self.asked += 1;
        Some((Token(self.first.0 + self.asked), wish))
    }

    /// The next event of the log, as this device has it.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.follower.poll_event()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called, by the monotonic clock.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.follower.poll_timeout()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.follower.handle_timeout(now);
    }
}
