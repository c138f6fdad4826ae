//! The one line of JSON that tells how the steps went.

use std::time::Instant;

use serde_json::{Value, json};

/// What is known so far.
#[derive(Debug)]
pub(crate) struct Report(Value);

impl Report {
    pub(crate) fn new(transport: &str) -> Self {
        Self(json!({
            "client": "chappe",
            "version": env!("CARGO_PKG_VERSION"),
            "layer": chappe_api::LAYER,
            "transport": transport,
            "seconds": {},
        }))
    }

    /// A step begins: the one to name if it fails.
    pub(crate) fn begin(&mut self, step: &str) -> Instant {
        self.set("step", step);
        Instant::now()
    }

    /// A step has taken its time.
    pub(crate) fn end(&mut self, step: &str, begun: Instant) {
        let seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        self.0["seconds"][step] = seconds.into();
    }

    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0[name] = value.into();
    }

    pub(crate) fn print(mut self, ok: bool, connections: usize) {
        self.set("ok", ok);
        self.set("connections", connections);
        println!("{}", self.0);
    }
}
