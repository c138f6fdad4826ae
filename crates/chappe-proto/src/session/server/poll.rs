//! Links of HTTP: each of their requests waits for one response, which takes along what there is.
//!
//! Nothing can be sent to such a link unasked. Messages gather here until the timers of
//! `http_wait` let a response leave, and where no request is open they wait for the next.

use std::collections::BTreeMap;
use std::time::Duration;

use super::queue::{Queue, SERVICE_BYTES_MAX};
use crate::ids::LinkId;
use crate::schema::types;
use crate::spare::Part;

/// How requests of HTTP are held, and what their responses carry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PollConfig {
    /// How long a request without `http_wait` is held while there is nothing to say.
    /// Default: 25 s (SVC-41).
    pub wait: Duration,
    /// Longest that a client may have one held. Default: 60 s (HTP-16). It costs a connection
    /// for as long.
    pub wait_max: Duration,
    /// What left in a response and stays unacknowledged leaves again, in a later one, after this.
    /// Default: 40 s, since a client may keep its acknowledgement for 30 s (HTP-19).
    pub resend_after: Duration,
    /// It is given up at this age. Default: 10 min (HTP-19).
    pub age_max: Duration,
    /// Most messages in one response. Default: 1020, since clients refuse more (HTP-18).
    pub messages_max: usize,
    /// Bytes of one response, a lone message apart; the rest waits for the next. Default: 1 MiB
    /// (HTP-18).
    pub response_max_bytes: usize,
}

impl Default for PollConfig {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(25),
            wait_max: Duration::from_secs(60),
            resend_after: Duration::from_secs(40),
            age_max: Duration::from_secs(600),
            messages_max: 1020,
            response_max_bytes: 1 << 20,
        }
    }
}

/// The requests of a session that wait for their responses, and what waits for a request.
#[derive(Debug, Default)]
pub(super) struct Polls {
    open: BTreeMap<LinkId, Poll>,
    /// What any request may take that was believed.
    pub(super) common: Queue,
    /// Whether the client was heard by a request last, and not on a stream.
    pub(super) in_use: bool,
    /// Nothing is held any more: the session ends.
    is_hurried: bool,
    refusals: Refusals,
}

/// A request that has no response yet.
#[derive(Debug)]
struct Poll {
    begun: Duration,
    waits: Waits,
    /// It does not say how it wants to be held: it waits for its own answers.
    is_plain: bool,
    standing: Standing,
    /// What answers this very request.
    own: Queue,
}

/// What a request may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Whatever there is, when its timers say so: it brought something new.
    Heard,
    /// Only what answers it, at this moment: a recording of others shall get no more.
    Unheard(Duration),
    /// Nothing: its link ends.
    Failed,
}

/// The timers of `http_wait`.
#[derive(Clone, Copy, Debug)]
struct Waits {
    max_delay: Duration,
    wait_after: Duration,
    max_wait: Duration,
}

impl Part for Polls {
    const EMPTY: &'static Self = &Self {
        open: BTreeMap::new(),
        common: Queue::new(),
        in_use: false,
        is_hurried: false,
        refusals: Refusals { paid: Duration::ZERO },
    };

    /// A client that uses requests will use more: what it needs for them stays.
    fn rest(&mut self) -> bool {
        self.open.is_empty()
            && self.common.len() == 0
            && !self.in_use
            && !self.is_hurried
            && self.refusals.paid == Duration::ZERO
    }
}

impl Polls {
    /// A request begins on a link.
    pub(super) fn begin(&mut self, now: Duration, link: LinkId, config: &PollConfig) {
        let zero = Duration::ZERO;
        let max_wait = config.wait.min(config.wait_max);
        let poll = Poll {
            begun: now,
            waits: Waits { max_delay: zero, wait_after: zero, max_wait },
            is_plain: true,
            standing: Standing::Unheard(now),
            own: Queue::default(),
        };
        self.open.insert(link, poll);
    }

    /// The request of this link brought something new; `false` if it has none.
    pub(super) fn hear(&mut self, link: LinkId) -> bool {
        let Some(poll) = self.open.get_mut(&link) else { return false };
        poll.standing = Standing::Heard;
        true
    }

    /// Takes `http_wait`; the last of a request counts (HTP-16). A stream has no use for it.
    pub(super) fn hold(&mut self, link: LinkId, wait: &types::HttpWait, config: &PollConfig) {
        let Some(poll) = self.open.get_mut(&link) else { return };
        let span = |millis: i32| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        let max_wait = span(wait.max_wait).min(config.wait_max);
        poll.waits = Waits {
            max_delay: span(wait.max_delay).min(max_wait),
            wait_after: span(wait.wait_after).min(max_wait),
            max_wait,
        };
        poll.is_plain = false;
    }

    /// All of a request was judged. One that brought nothing new is told so at once, unless that
    /// happens often (QRK-17).
    pub(super) fn judged(&mut self, now: Duration, link: LinkId) {
        let Some(poll) = self.open.get_mut(&link) else { return };
        if let Standing::Unheard(due) = &mut poll.standing {
            *due = now + self.refusals.wait(now);
        }
    }

    /// The request of this link gets an error from others, and no response from here.
    pub(super) fn fail(&mut self, link: LinkId) {
        if let Some(poll) = self.open.get_mut(&link) {
            poll.standing = Standing::Failed;
        }
    }

    /// A link is gone. Gives what answered its request, which may wait for the next one (HTP-21),
    /// unless nobody knows who sent it.
    pub(super) fn close(&mut self, link: LinkId) -> Option<Queue> {
        let poll = self.open.remove(&link)?;
        let is_known = !matches!(poll.standing, Standing::Unheard(_));
        is_known.then_some(poll.own)
    }

    /// The requests of a session that forgets everything are answered, with nothing.
    pub(super) fn forget(self) -> Self {
        let open = self.open.into_iter().map(|(link, poll)| {
            let standing = match poll.standing {
                Standing::Heard => Standing::Unheard(Duration::ZERO),
                other => other,
            };
            (link, Poll { standing, own: Queue::default(), ..poll })
        });
        Self { open: open.collect(), refusals: self.refusals, ..Self::default() }
    }

    /// Holds no request any more.
    pub(super) fn hurry(&mut self) {
        self.is_hurried = true;
    }

    /// Whether a request of this link waits for its response.
    pub(super) fn is_open(&self, link: LinkId) -> bool {
        self.open.contains_key(&link)
    }

    /// Whether it waits for its own answers.
    pub(super) fn is_plain(&self, link: LinkId) -> bool {
        self.open.get(&link).is_some_and(|poll| poll.is_plain)
    }

    /// Whether no request waits.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a request waits that takes whatever there is.
    pub(super) fn has_takers(&self) -> bool {
        self.open.values().any(|poll| poll.standing == Standing::Heard)
    }

    /// What only the request of this link takes.
    pub(super) fn own(&mut self, link: LinkId) -> Option<&mut Queue> {
        self.open.get_mut(&link).map(|poll| &mut poll.own)
    }

    /// When the next response leaves, on the monotonic clock.
    pub(super) fn due(&self) -> Option<Duration> {
        self.open.values().filter_map(|poll| self.due_of(poll)).min()
    }

    /// The link whose response leaves now: of several the one that has waited longest (HTP-20).
    pub(super) fn next(&self, now: Duration) -> Option<LinkId> {
        let due =
            self.open.iter().filter(|(_, poll)| self.due_of(poll).is_some_and(|due| due <= now));
        due.min_by_key(|(link, poll)| (poll.begun, **link)).map(|(link, _)| *link)
    }

    /// Ends the request of a link with what its response shall carry.
    pub(super) fn take(&mut self, link: LinkId) -> Queue {
        let Some(poll) = self.open.remove(&link) else { return Queue::default() };
        let mut queue = poll.own;
        if poll.standing == Standing::Heard {
            queue.append(std::mem::take(&mut self.common), usize::MAX);
        }
        queue
    }

    /// Leaves messages for the next request, whichever it is.
    pub(super) fn leave(&mut self, queue: Queue) {
        self.common.append(queue, SERVICE_BYTES_MAX);
    }

    /// What the service messages here take.
    pub(super) fn bytes(&self) -> usize {
        let own: usize = self.open.values().map(|poll| poll.own.service_bytes).sum();
        own + self.common.service_bytes
    }

    fn due_of(&self, poll: &Poll) -> Option<Duration> {
        match poll.standing {
            Standing::Failed => None,
            _ if self.is_hurried => Some(Duration::ZERO),
            Standing::Unheard(due) => Some(due),
            Standing::Heard => {
                let at_latest = poll.begun + poll.waits.max_wait;
                let spans = [poll.own.span(), self.common.span()];
                let first = spans.iter().flatten().map(|(first, _)| *first).min();
                let last = spans.iter().flatten().map(|(_, last)| *last).max();
                let (Some(first), Some(last)) = (first, last) else { return Some(at_latest) };
                // What was queued before the request came counts as if it came with it.
                let first = first.max(poll.begun) + poll.waits.max_delay;
                let last = last.max(poll.begun) + poll.waits.wait_after;
                Some(at_latest.min(first).min(last))
            }
        }
    }
}

/// How often requests came lately that brought nothing new.
#[derive(Debug, Default)]
struct Refusals {
    /// When all of them were worth their time.
    paid: Duration,
}

/// Such requests that are answered at once before they have to wait.
const REFUSALS_FREE: Duration = Duration::from_secs(10);
/// What one is worth, and how long it waits when there were too many.
const REFUSAL: Duration = Duration::from_secs(1);

impl Refusals {
    /// How long one more has to wait.
    fn wait(&mut self, now: Duration) -> Duration {
        let free = now + REFUSALS_FREE;
        self.paid = (self.paid.max(now) + REFUSAL).min(free + REFUSAL);
        self.paid.saturating_sub(free)
    }
}
