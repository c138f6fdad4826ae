//! `chappe tl`.

use std::fs;

use crate::{run, stderr, stdout};

fn schema(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("schema.tl");
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap().to_owned();
    (dir, path)
}

/// Rules: TL-03, TL-10.
#[test]
fn check_counts_and_finds_wrong_ids() {
    let (_dir, good) = schema("one = One;\n---functions---\nask = One;\n");
    let output = run(&["tl", "check", &good]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("1 constructors of 1 types, 1 functions"));

    let (_dir, wrong) = schema("one#00000001 = One;\n");
    let output = run(&["tl", "check", &wrong]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains(":1: one"), "{}", stdout(&output));
    assert_eq!(run(&["tl", "check", "--allow", "one", &wrong]).status.code(), Some(0));

    let (_dir, broken) = schema("boolTrue#997275b5 = Bool;\nask x:Nowhere = Bool;\n");
    let output = run(&["tl", "check", &broken]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(":2:"), "{}", stderr(&output));
}

#[test]
fn show_finds_by_name_type_and_id() {
    let by_name = stdout(&run(&["tl", "show", "help.getConfig"]));
    assert!(by_name.starts_with("help.getConfig#c4f9186b"), "{by_name}");
    assert_eq!(by_name, stdout(&run(&["tl", "show", "0xc4f9186b"])));
    assert_eq!(stdout(&run(&["tl", "show", "help.AppConfig"])).lines().count(), 2);
    assert_eq!(run(&["tl", "show", "nothing.like.it"]).status.code(), Some(2));
}

#[test]
fn diff_tells_what_changed() {
    let (_a, old) = schema("one = One;\ntwo = Two;\n");
    let (_b, new) = schema("one x:One = One;\nthree = Two;\n");
    let output = run(&["tl", "diff", &old, &new]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("+ three") && text.contains("- two"), "{text}");
    assert_eq!(run(&["tl", "diff", &old, &old]).status.code(), Some(0));
}
