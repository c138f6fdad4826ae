//! Calls counted by function: as many label values as the router has functions, and one more.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use chappe_proto::rpc::RpcError;
use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

const CALLS: &str = "chappe_server_calls_total";
const DURATION: &str = "chappe_server_call_duration_seconds";
/// Name of all functions that the router does not know.
const UNKNOWN: &str = "unknown";

/// Counters for each function; a function that is never called costs only its name.
pub(crate) struct Functions {
    known: HashMap<u32, Function>,
    unknown: Handles,
}

struct Function {
    name: &'static str,
    handles: OnceLock<Handles>,
}

struct Handles {
    ok: Counter,
    error: Counter,
    fault: Counter,
    duration: Histogram,
}

impl Functions {
    pub(super) fn new(names: HashMap<u32, &'static str>) -> Self {
        describe_counter!(CALLS, "Calls answered, by function and by what the answer was.");
        describe_histogram!(
            DURATION,
            Unit::Seconds,
            "Time from the beginning of a call until its answer was made."
        );
        let known = names
            .into_iter()
            .map(|(id, name)| (id, Function { name, handles: OnceLock::new() }))
            .collect();
        Self { known, unknown: Handles::new(UNKNOWN) }
    }

    /// What to call a function in logs.
    pub(crate) fn name(&self, id: u32) -> FunctionName {
        FunctionName(self.known.get(&id).map(|function| function.name), id)
    }

    /// Counts a call that was answered.
    pub(crate) fn answered(&self, id: u32, result: &Result<Bytes, RpcError>, took: Duration) {
        let handles = self.known.get(&id).map_or(&self.unknown, |function| {
            function.handles.get_or_init(|| Handles::new(function.name))
        });
        let counter = match result {
            Ok(_) => &handles.ok,
            // Ours, as 500 and -503 are; the others are the client's.
            Err(error) if error.code < 0 || error.code >= 500 => &handles.fault,
            Err(_) => &handles.error,
        };
        counter.increment(1);
        handles.duration.record(took);
    }
}

impl Handles {
    fn new(function: &'static str) -> Self {
        let counter = |outcome| counter!(CALLS, "function" => function, "outcome" => outcome);
        Self {
            ok: counter("ok"),
            error: counter("error"),
            fault: counter("fault"),
            duration: histogram!(DURATION, "function" => function),
        }
    }
}

/// A function in logs: its name, else its id.
pub(crate) struct FunctionName(Option<&'static str>, u32);

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(name), _) => f.write_str(name),
            Self(None, id) => write!(f, "{id:08x}"),
        }
    }
}
