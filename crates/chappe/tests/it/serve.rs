//! `chappe serve`: first start, ready line, restart, signals, bad settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::{Server, run, stderr, stdout};

#[test]
fn the_first_start_makes_everything_and_says_so() {
    let server = Server::start(&[]);
    assert_eq!(server.ready["event"], "ready");
    assert_eq!(server.ready["dc"], 2);
    assert!(server.address().starts_with("127.0.0.1:") && !server.address().ends_with(":0"));
    let private = server.data.join("server.pem");
    assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
    let public = fs::read_to_string(server.public_key()).unwrap();
    assert!(public.starts_with("-----BEGIN RSA PUBLIC KEY-----"), "{public}");
    let fingerprint = run(&["keys", "fingerprint", server.data.to_str().unwrap()]);
    assert_eq!(stdout(&fingerprint).trim(), server.ready["fingerprint"]);
}

#[test]
fn sigterm_ends_it_with_0_and_a_restart_keeps_key_and_sessions() {
    let mut server = Server::start(&[]);
    let session = server.data.join("client.session");
    let call = ["--session", session.to_str().unwrap(), "help.getNearestDc"];
    assert!(server.call(&call).status.success());
    let fingerprint = server.ready["fingerprint"].clone();
    server.signal("-TERM");
    assert_eq!(server.wait(), Some(0));

    let dir = tempfile::tempdir().unwrap();
    let data = server.data.clone();
    let again = Server::start_in(dir, data, &[]);
    assert_eq!(again.ready["fingerprint"], fingerprint);
    let before = fs::read(&session).unwrap();
    let answer = again.call(&call);
    assert!(answer.status.success(), "{}", stderr(&answer));
    // The same auth key as before: a new one would have rewritten most of the file.
    let after = fs::read(&session).unwrap();
    let kept = before.iter().zip(&after).filter(|(a, b)| a == b).count();
    assert!(kept > 256, "the auth key was not used again");
}

#[test]
fn settings_come_from_a_file_and_errors_name_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chappe.toml");
    fs::write(&file, "dc = 4\nadvertise = \"192.0.2.1:443\"").unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap()]);
    assert_eq!(server.ready["dc"], 4);
    let config = server.call(&["help.getConfig"]);
    let config: serde_json::Value = serde_json::from_str(&stdout(&config)).unwrap();
    assert_eq!(config["this_dc"], 4);
    assert_eq!(config["dc_options"][0]["ip_address"], "192.0.2.1");
    assert_eq!(config["dc_options"][0]["port"], 443);

    fs::write(&file, "dc = 4\nlisten = \"here\"").unwrap();
    let output = run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("line 2"), "{}", stderr(&output));

    let taken =
        run(&["serve", "--listen", server.address(), "--data", dir.path().to_str().unwrap()]);
    assert_eq!(taken.status.code(), Some(2));
    assert!(stderr(&taken).contains(server.address()), "{}", stderr(&taken));
}

#[test]
fn a_damaged_key_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("server.pem");
    fs::write(&key, "not a key").unwrap();
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("server.pem"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&key).unwrap(), "not a key");
}
