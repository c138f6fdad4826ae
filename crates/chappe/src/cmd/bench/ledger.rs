//! What became of each message: acknowledged or not, and by how many devices it was heard.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::spread::Spread;

/// The messages of a run, and what went wrong in it.
#[derive(Debug)]
pub(super) struct Book {
    /// Names this run in the texts of its messages, for others may have left some.
    run: u64,
    ledgers: Mutex<Vec<Arc<Ledger>>>,
    faults: Mutex<BTreeMap<String, u64>>,
}

/// The messages of one rate.
#[derive(Debug)]
pub(super) struct Ledger {
    begun: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: Vec<Message>,
    acknowledged: Times,
    delivered: Times,
    late: Vec<Duration>,
}

/// How long things took, and when the last of them was over.
#[derive(Debug, Default)]
struct Times {
    took: Vec<Duration>,
    last: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    sent: Duration,
    fate: Fate,
    /// Devices that are to hear it, and that did.
    hearers: u32,
    heard: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    Accepted,
    Failed,
}

/// What came of the messages of one rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) sent: u64,
    pub(super) accepted: u64,
    /// Calls that ended with an error, or did not end.
    pub(super) failed: u64,
    /// Those that did not end.
    pub(super) unanswered: u64,
    /// Of accepted messages: those that devices should hear, did hear, and did not.
    pub(super) expected: u64,
    pub(super) delivered: u64,
    pub(super) missing: u64,
    /// Heard though nobody acknowledged them: no fault, but worth a look.
    pub(super) unacknowledged: u64,
    /// From the first message until the last answer and the last delivery.
    pub(super) answered_by: Duration,
    pub(super) delivered_by: Duration,
    pub(super) acknowledged: Spread,
    pub(super) delivery: Spread,
    /// How long after they were due messages were sent.
    pub(super) late: Spread,
}

impl Book {
    pub(super) fn new(run: u64) -> Self {
        Self { run, ledgers: Mutex::default(), faults: Mutex::default() }
    }

    /// Opens the ledger of the next rate.
    pub(super) fn open(&self) -> (usize, Arc<Ledger>) {
        let ledger = Arc::new(Ledger { begun: Instant::now(), state: Mutex::default() });
        let mut ledgers = lock(&self.ledgers);
        ledgers.push(Arc::clone(&ledger));
        (ledgers.len() - 1, ledger)
    }

    /// The text of a message, of so many bytes.
    pub(super) fn text(&self, ledger: usize, message: usize, size: usize) -> String {
        let mut text = format!("{MARK} {:016x} {ledger} {message} ", self.run);
        while text.len() < size {
            text.push_str(FILLER);
        }
        text.truncate(size);
        text
    }

    /// Notes that a device heard a text.
    pub(super) fn heard(&self, text: &str) {
        let Some((ledger, message)) = self.read(text) else { return };
        let ledger = lock(&self.ledgers).get(ledger).cloned();
        if !ledger.is_some_and(|ledger| ledger.heard(message)) {
            self.fault("a message was heard that was not sent");
        }
    }

    /// Of which ledger and message a text is, if it is one of this run.
    fn read(&self, text: &str) -> Option<(usize, usize)> {
        let mut words = text.split(' ');
        let is_ours = words.next()? == MARK
            && u64::from_str_radix(words.next()?, 16).is_ok_and(|run| run == self.run);
        let ledger = words.next()?.parse().ok()?;
        let message = words.next()?.parse().ok()?;
        is_ours.then_some((ledger, message))
    }

    /// Counts something that should not be.
    pub(super) fn fault(&self, what: impl Into<String>) {
        self.faults_of(what, 1);
    }

    /// The same of several.
    pub(super) fn faults_of(&self, what: impl Into<String>, count: u64) {
        if count > 0 {
            *lock(&self.faults).entry(what.into()).or_default() += count;
        }
    }

    pub(super) fn faults(&self) -> BTreeMap<String, u64> {
        lock(&self.faults).clone()
    }
}

impl Ledger {
    /// Notes that a message is sent, which was due some time after the beginning; its number.
    pub(super) fn sent(&self, due: Duration, hearers: u32) -> usize {
        let mut state = lock(&self.state);
        let sent = self.begun.elapsed();
        state.late.push(sent.saturating_sub(due));
        state.messages.push(Message { sent, fate: Fate::Open, hearers, heard: 0 });
        state.messages.len() - 1
    }

    /// Notes how the call of a message ended.
    pub(super) fn answered(&self, message: usize, is_accepted: bool) {
        let mut state = lock(&self.state);
        let now = self.begun.elapsed();
        let message = &mut state.messages[message];
        let took = now.saturating_sub(message.sent);
        message.fate = if is_accepted { Fate::Accepted } else { Fate::Failed };
        if is_accepted {
            state.acknowledged.add(took, now);
        }
    }

    /// Notes that one more device heard a message, if that can be.
    fn heard(&self, message: usize) -> bool {
        let mut state = lock(&self.state);
        let now = self.begun.elapsed();
        let Some(message) = state.messages.get_mut(message) else { return false };
        message.heard += 1;
        let took = now.saturating_sub(message.sent);
        let is_possible = message.heard <= message.hearers;
        state.delivered.add(took, now);
        is_possible
    }

    /// When the first message was due.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Whether every message has come to its end.
    pub(super) fn is_settled(&self) -> bool {
        lock(&self.state).messages.iter().all(|message| match message.fate {
            Fate::Open => false,
            Fate::Accepted => message.heard >= message.hearers,
            Fate::Failed => true,
        })
    }

    pub(super) fn outcome(&self) -> Outcome {
        let state = lock(&self.state);
        let mut outcome = Outcome {
            sent: state.messages.len() as u64,
            answered_by: state.acknowledged.last,
            delivered_by: state.delivered.last,
            acknowledged: Spread::of(state.acknowledged.took.clone()),
            delivery: Spread::of(state.delivered.took.clone()),
            late: Spread::of(state.late.clone()),
            ..Outcome::default()
        };
        for message in &state.messages {
            let (hearers, heard) = (u64::from(message.hearers), u64::from(message.heard));
            if message.fate == Fate::Accepted {
                outcome.accepted += 1;
                outcome.expected += hearers;
                outcome.delivered += heard;
                outcome.missing += hearers.saturating_sub(heard);
            } else {
                outcome.failed += 1;
                outcome.unanswered += u64::from(message.fate == Fate::Open);
                outcome.unacknowledged += heard;
            }
        }
        outcome
    }
}

impl Times {
    fn add(&mut self, took: Duration, now: Duration) {
        self.took.push(took);
        self.last = self.last.max(now);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Everything behind these is whole between two statements, whoever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins the text of each message.
const MARK: &str = "chappe-bench";
const FILLER: &str = "the quick brown fox jumps over the lazy dog ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_accounted_for() {
        let book = Book::new(7);
        let (number, ledger) = book.open();
        for hearers in [1, 2, 1, 3] {
            ledger.sent(Duration::ZERO, hearers);
        }
        assert!(!ledger.is_settled());
        for message in [0, 1, 1, 2] {
            book.heard(&book.text(number, message, 100));
        }
        ledger.answered(0, true);
        ledger.answered(1, true);
        ledger.answered(2, false);
        assert!(!ledger.is_settled() && ledger.outcome().unanswered == 1, "one has no answer");
        ledger.answered(3, true);
        assert!(!ledger.is_settled(), "one was not heard");
        let outcome = ledger.outcome();
        let counts = (outcome.sent, outcome.accepted, outcome.failed);
        assert_eq!(counts, (4, 3, 1));
        assert_eq!((outcome.expected, outcome.delivered, outcome.missing), (6, 3, 3));
        assert_eq!((outcome.unacknowledged, outcome.unanswered), (1, 0));
        for _ in 0..3 {
            book.heard(&book.text(number, 3, 64));
        }
        assert!(ledger.is_settled() && book.faults().is_empty());
    }

    #[test]
    fn what_was_not_sent_or_came_too_often_is_a_fault() {
        let book = Book::new(7);
        let (number, ledger) = book.open();
        ledger.sent(Duration::ZERO, 1);
        let text = book.text(number, 0, 64);
        assert_eq!(text.len(), 64);
        for other in ["hello", "chappe-bench x", &Book::new(8).text(0, 0, 64)] {
            book.heard(other);
        }
        book.heard(&text);
        assert!(book.faults().is_empty(), "others are none of ours");
        book.heard(&text);
        book.heard(&book.text(number, 1, 64));
        book.heard(&book.text(9, 0, 64));
        assert_eq!(book.faults().values().sum::<u64>(), 3);
    }
}
