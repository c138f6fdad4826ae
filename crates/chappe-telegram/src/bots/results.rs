//! What bots have answered to inline queries, for those who ask again and those who choose.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chappe_api::types;
use chappe_tl::Str;

use crate::store::Content;

/// Answers that were given, the oldest forgotten first.
#[derive(Default)]
pub(crate) struct Results(Mutex<Table>);

#[derive(Default)]
struct Table {
    /// By `query_id`.
    answers: HashMap<i64, Kept>,
    /// The newest answer to a question.
    by_question: HashMap<Question, i64>,
    /// Which are the oldest.
    order: BTreeMap<u64, i64>,
    last: u64,
    bytes: usize,
}

struct Kept {
    answer: Arc<Answer>,
    place: u64,
    /// On the monotonic clock: whoever asks the same until then is told the same …
    fresh_until: Duration,
    /// … and whoever was told may choose until then.
    until: Duration,
}

/// What was asked of a bot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(super) bot: i64,
    pub(super) query: String,
    pub(super) offset: String,
    /// Who asked, where the answer is for nobody else.
    pub(super) asker: Option<i64>,
}

/// What a bot answered.
pub(crate) struct Answer {
    pub(super) query_id: i64,
    pub(super) question: Question,
    pub(super) gallery: bool,
    pub(super) cache_time: i32,
    pub(super) next_offset: Option<Str>,
    pub(super) switch_pm: Option<types::InlineBotSwitchPm>,
    pub(super) switch_webview: Option<types::InlineBotWebView>,
    pub(super) results: Vec<InlineResult>,
    /// About how many bytes it takes.
    pub(super) size: usize,
}

/// One of the things to choose from.
pub(super) struct InlineResult {
    pub(super) id: Str,
    pub(super) kind: Str,
    pub(super) title: Option<Str>,
    pub(super) description: Option<Str>,
    pub(super) url: Option<Str>,
    pub(super) thumb: Option<types::WebDocument>,
    pub(super) content: Content,
}

/// Bytes of all answers together; the oldest go for one more.
const BYTES_MAX: usize = 32 << 20;
/// How long something may be chosen after the answer was given.
const CHOICE: Duration = Duration::from_secs(3600);

impl Results {
    pub(super) fn keep(&self, answer: Arc<Answer>, now: Duration) {
        let mut table = self.lock();
        table.bytes += answer.size;
        while table.bytes > BYTES_MAX
            && let Some((_, oldest)) = table.order.pop_first()
        {
            table.forget(oldest);
        }
        let seconds = u64::try_from(answer.cache_time).unwrap_or(0);
        let fresh_until = now + Duration::from_secs(seconds);
        let until = fresh_until.max(now + CHOICE);
        table.last += 1;
        let (place, id) = (table.last, answer.query_id);
        table.order.insert(place, id);
        if seconds > 0 {
            table.by_question.insert(answer.question.clone(), id);
        }
        table.answers.insert(id, Kept { answer, place, fresh_until, until });
    }

    /// What the bot has answered to this, for everybody or for who asks.
    pub(super) fn fresh(&self, question: &Question, now: Duration) -> Option<Arc<Answer>> {
        let table = self.lock();
        let for_all = Question { asker: None, ..question.clone() };
        [question, &for_all].into_iter().find_map(|question| {
            let kept = table.answers.get(table.by_question.get(question)?)?;
            (kept.fresh_until > now).then(|| Arc::clone(&kept.answer))
        })
    }

    /// The answer of this id, while something in it may be chosen by `asker`.
    pub(super) fn answer(&self, id: i64, asker: i64, now: Duration) -> Option<Arc<Answer>> {
        let mut table = self.lock();
        let kept = table.answers.get(&id)?;
        if kept.until <= now {
            let place = kept.place;
            table.order.remove(&place);
            table.forget(id);
            return None;
        }
        let is_theirs = kept.answer.question.asker.is_none_or(|only| only == asker);
        is_theirs.then(|| Arc::clone(&kept.answer))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Forgets an answer that has no place any more.
    fn forget(&mut self, id: i64) {
        let Some(Kept { answer, .. }) = self.answers.remove(&id) else { return };
        self.bytes -= answer.size;
        if self.by_question.get(&answer.question) == Some(&id) {
            self.by_question.remove(&answer.question);
        }
    }
}
