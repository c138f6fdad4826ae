//! `chappe bench telegram`: that it counts right, not how fast anything is.

use serde_json::Value;

use crate::{Server, run, stderr, stdout};

/// Users of which one has no partner, in groups, for two short steps.
const FEW: &[&str] = &[
    "bench",
    "telegram",
    "--json",
    "--users",
    "7",
    "--groups",
    "0.4",
    "--group-size",
    "3",
    "--rate",
    "20,40",
    "--duration",
    "1",
    "--warm-up",
    "1",
    "--log",
    "warn",
];

#[test]
fn users_chat_on_sqlite() {
    let report = report(&[]);
    assert_eq!(report["database"], "SQLite");
}

/// Whom a server that runs already keeps has to sign in a second time.
#[test]
fn users_come_again_to_a_server_that_runs() {
    let server = Server::start(&[]);
    let key = server.public_key().to_str().unwrap();
    let pid = server.child.id().to_string();
    for _ in 0..2 {
        let report = report(&["--server", server.address(), "--key", key, "--pid", &pid, "--pfs"]);
        assert_eq!(report["database"], Value::Null);
        assert_eq!(report["database_bytes_per_message"], Value::Null);
    }
}

#[test]
fn one_user_hears_itself_by_another_device() {
    let args = ["bench", "telegram", "--users", "1", "--rate", "5", "--duration", "1"];
    let output = run(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("1 users, 2 devices") && text.contains("sign-ins: "), "{text}");
}

#[test]
fn what_cannot_be_is_refused() {
    let check = |args: &[&str], said: &str| {
        let output = run(&[&["bench", "telegram"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    };
    check(&["--users", "0"], "--users");
    check(&["--rate", "0"], "above 0");
    check(&["--groups", "1.5"], "from 0 to 1");
    check(&["--users", "1", "--groups", "0.5"], "two users");
    check(&["--server", "127.0.0.1:1"], "--key");
    check(&["--database", "sqlite:/nowhere/chappe.db"], "/nowhere");
}

/// Runs it with these flags, and checks what holds for every run.
fn report(flags: &[&str]) -> Value {
    let output = run(&[FEW, flags].concat());
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["users"], &report["devices"]), (&7.into(), &8.into()));
    assert_eq!(report["errors"], serde_json::json!({}));
    assert_eq!(report["clean"], true);
    assert!(report["sign_in"]["per_second"].as_f64().unwrap() > 0.0);
    let steps = report["steps"].as_array().unwrap();
    let sent: Vec<_> = steps.iter().map(|step| step["sent"].as_u64().unwrap()).collect();
    assert_eq!(sent, [20, 20, 40]);
    for step in steps {
        assert_eq!(step["accepted"], step["sent"]);
        let deliveries = &step["deliveries"];
        assert_eq!((&deliveries["missing"], &step["failed"]), (&0.into(), &0.into()));
        assert_eq!(deliveries["made"], deliveries["expected"]);
        // Some go to a group, where two hear them.
        assert!(deliveries["made"].as_u64() > step["sent"].as_u64());
        assert!(step["delivered_seconds"]["max"].as_f64().unwrap() > 0.0);
    }
    report
}
