//! The program: what it prints, and by what status it ends.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chappe-sim")).args(args).output().expect("it starts")
}

/// Rule: status 0 when all invariants held, 2 for wrong usage.
#[test]
fn status_tells_the_outcome() {
    assert_eq!(run(&["--seeds", "20", "--jobs", "2"]).status.code(), Some(0));
    for args in [&["--seed"][..], &["--seeds", "many"], &["--wrong"], &["--trace"]] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

/// Rule: a trace shows what happened, and ends with the hash of an untraced run.
#[test]
fn trace_ends_with_the_hash() {
    let text = String::from_utf8(run(&["--seed", "5", "--trace"]).stdout).unwrap();
    let hash = format!("hash {:016x}", chappe_sim::examine(5, false).0);
    assert!(text.contains("client 0 opens link"));
    assert_eq!(text.lines().last(), Some(hash.as_str()));
}
