//! `chappe keys`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::{run, stderr, stdout};

#[test]
fn a_new_key_has_two_files_and_one_fingerprint() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("mine.pem");
    let path = key.to_str().unwrap();
    let made = run(&["keys", "new", path]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let public = dir.path().join("mine.pub.pem");
    let of_private = stdout(&run(&["keys", "fingerprint", path]));
    let of_public = stdout(&run(&["keys", "fingerprint", public.to_str().unwrap()]));
    assert_eq!(of_private, of_public);
    assert_eq!(of_private.trim().len(), 16);
    let shown = stdout(&run(&["keys", "show", path]));
    assert!(shown.starts_with(&fs::read_to_string(&public).unwrap()));
    assert!(shown.contains(of_private.trim()));
    assert!(!shown.contains("PRIVATE"));
    assert!(stdout(&run(&["keys", "show", "--spki", path])).contains("BEGIN PUBLIC KEY"));

    let before = fs::read(&key).unwrap();
    let again = run(&["keys", "new", path]);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("exists"), "{}", stderr(&again));
    assert_eq!(fs::read(&key).unwrap(), before);
}

#[test]
fn what_is_no_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("notes.txt");
    fs::write(&file, "hello").unwrap();
    let output = run(&["keys", "show", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("notes.txt") && stderr(&output).contains("chappe keys new"));
}
