//! Exit statuses, one for each thing a script may want to tell apart. Beside them a server that is
//! told twice to stop ends with 130, as by Ctrl-C.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It did what was asked: 0.
    Done,
    /// It did, and the answer is no: an `rpc_error`, a difference, a schema with faults: 1.
    No,
    /// Flags, configuration, files or keys are not usable: 2 (as for flags that do not parse).
    Usage,
    /// The other side could not be reached or did not answer: 3.
    Unreachable,
    /// It did, and the answer is a yes with doubts: 4.
    Doubtful,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unreachable => 3,
            Exit::Doubtful => 4,
        })
    }
}

/// Marks an error as the other side's silence.
#[derive(Debug)]
pub(crate) struct Unreachable;

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer from the server")
    }
}

impl std::error::Error for Unreachable {}

impl Exit {
    /// The status that an error stands for.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let is_silence = error.chain().any(|cause| cause.is::<Unreachable>());
        if is_silence { Self::Unreachable } else { Self::Usage }
    }
}
