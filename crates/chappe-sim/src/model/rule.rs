//! What must hold, and what did not.

use std::fmt;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub rule: Rule,
    /// In what way.
    pub details: String,
}

/// What must hold in every world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// A message runs at most once per life of a node, key, session and id (MSG-39).
    OneRunPerMessage,
    /// A call runs as one message, whatever is lost or forgotten, unless its client gave a session
    /// up; one that may run twice does so only where an end lost its memory in between (SES-11,
    /// SES-12, SES-17).
    OneRunPerCall,
    /// A call begins when those that it comes after are finished (SVC-44, SVC-45).
    CallsInOrder,
    /// A call gets exactly one outcome, and none after it was dropped.
    OneOutcome,
    /// The outcome is the one that belongs to the call.
    RightOutcome,
    /// What is pushed arrives once, and at whom it is for.
    OnePush,
    /// A device has the events of its account's log, in its order, each once, and no others; a
    /// session hears of each at most once by a push, in order, and of its own by the answer alone
    /// (UPD-01 to UPD-03, UPD-14).
    OneLine,
    /// A link carries messages of the session bound to it alone (SES-03, TRN-41).
    OwnSession,
    /// Ids rise, say who made them and mean one message each (MSG-07 to MSG-09, MSG-13).
    MessageIds,
    /// Sequence numbers count what has to be acknowledged (MSG-16, MSG-18).
    SequenceNumbers,
    /// What is sent again under its old id travels in a container (SES-11, MSG-12).
    OldIdsInContainers,
    /// A client takes a clock back only upon proof (06 §6).
    ClockMovesUponProof,
    /// What a peer can fill stays within its bounds.
    Bounds,
    /// A key that was destroyed is nowhere in memory any more (SVC-37).
    KeyLifetime,
    /// A link whose time is up is closed (SVC-34, TRN-42).
    DeadLinksEnd,
    /// Once the network is well, every call comes to its end and every debt is paid.
    Completion,
    /// Nobody is busy without time passing.
    Progress,
    /// A message written by hand is judged as the specification says.
    Judgement,
    /// A peer's input never makes anybody panic.
    NoPanic,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.details)
    }
}
