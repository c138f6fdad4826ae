//! What the tables take for granted of our own client. Also why Cargo builds the program along with
//! the tests.

#![allow(clippy::unwrap_used, reason = "the helpers of a test may panic as the test does")]

use std::collections::HashSet;
use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_interop-client")).args(args).output().unwrap()
}

/// Each transport that it lists is known by that name and by no other, and a missing server is an
/// error with a word to it.
#[test]
fn listed_transports_are_those_it_takes() {
    let listed = String::from_utf8(run(&["--list"]).stdout).unwrap();
    let names: HashSet<&str> = listed.lines().collect();
    assert!(names.len() == listed.lines().count() && names.contains("ws"), "{listed}");
    for name in names.iter().copied().chain(["teleport"]) {
        let output = run(&["--address", "127.0.0.1:9", "--key", "/none", "--transport", name]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert_eq!(said.contains("--transport"), name == "teleport", "{said}");
    }
}
