//! `chappe user` and `chappe bot`.

use std::io::Read;

use chappe_backend::scratch::Scratch;
use serde_json::Value;

use crate::{Server, run, stderr, stdout};

/// Rule:   an operator makes accounts and bots beside a running server, whose clients meet them.
/// Source: ACC-04, ACC-10.
#[test]
fn accounts_are_made_beside_a_running_server() {
    let server = Server::start(&["--sign-up", "closed"]);
    let data = ["--data", server.data.to_str().unwrap()];
    let with = |args: &[&str]| run(&[args, &data].concat());
    let add = ["user", "add", "9996620001", "--first-name", "Ada", "--username", "ada_l"];
    let added: Value = serde_json::from_str(&stdout(&with(&add))).unwrap();
    assert_eq!(added["id"], 1_000_000);
    let again = with(&add);
    assert!(!again.status.success() && stderr(&again).contains("ada_l"), "{}", stderr(&again));

    let made: Value =
        serde_json::from_str(&stdout(&with(&["bot", "create", "Echo", "echo_bot"]))).unwrap();
    let token = made["token"].as_str().unwrap();
    let arguments = format!(
        "{{\"flags\": 0, \"api_id\": 1, \"api_hash\": \"x\", \"bot_auth_token\": \"{token}\"}}"
    );
    let entered = server.call(&["auth.importBotAuthorization", &arguments]);
    assert!(stdout(&entered).contains("echo_bot"), "{}", stderr(&entered));

    let listed = stdout(&with(&["user", "list"]));
    let listed: Vec<Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown = |at: usize, key: &str| listed[at][key].clone();
    assert_eq!(listed.len(), 2);
    assert_eq!((shown(0, "username"), shown(0, "bot")), ("ada_l".into(), false.into()));
    assert_eq!((shown(1, "username"), shown(1, "bot")), ("echo_bot".into(), true.into()));
}

/// Rule:   the same with a database elsewhere, whose password nobody sees, however much is logged.
/// Source: SEC-53, docs/decisions/0017.
#[test]
fn accounts_are_made_in_a_database_elsewhere() {
    let database = Scratch::start(&[]);
    let url = database.url().replace("chappe@", "chappe:s3cret@");
    let mut server = Server::start(&["--database", &url, "--log", "trace"]);
    let mut log = server.child.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        text
    });
    assert!(!server.data.join("chappe.db").exists());
    let config = server.data.join("chappe.toml");
    std::fs::write(&config, format!("database = \"{url}\"")).unwrap();
    let config = config.to_str().unwrap();
    let add = ["user", "add", "9996620001", "--first-name", "Ada"];
    let added = run(&[&add[..], &["--config", config]].concat());
    assert!(added.status.success(), "{}", stderr(&added));
    let listed = stdout(&run(&["user", "list", "--database", &url]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["id"], &listed["first_name"]), (&1_000_000.into(), &"Ada".into()));

    let wrong = run(&["user", "list", "--database", &url.replace("/postgres?", "/absent?")]);
    assert!(!wrong.status.success() && stderr(&wrong).contains("make the database"));
    let unreadable = run(&["user", "list", "--database", "postgres://chappe:s3cret@host?x=s3cret"]);
    assert!(!unreadable.status.success());
    server.signal("-TERM");
    assert_eq!(server.wait(), Some(0));
    let said = log.join().unwrap() + &stderr(&wrong) + &stderr(&unreadable);
    assert!(said.contains("chappe") && !said.contains("s3cret"), "{said}");
}

#[test]
fn accounts_need_a_server_that_was_started_once() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(&["user", "list", "--data", dir.path().to_str().unwrap()]);
    assert!(!output.status.success() && stderr(&output).contains("chappe serve"));
}

/// Rule:   a bot answers inline queries if its operator says so, under a placeholder that is shown.
/// Source: 20-telegram-api-service §2.1, `BOT_INLINE_DISABLED`.
#[test]
fn operator_lets_a_bot_answer_inline() {
    let server = Server::start(&[]);
    let data = ["--data", server.data.to_str().unwrap()];
    let with = |args: &[&str]| run(&[args, &data].concat());
    let made = with(&["bot", "create", "Echo", "echo_bot", "--inline", "Search"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let off: Value = serde_json::from_str(&stdout(&with(&["bot", "inline", "Echo_Bot"]))).unwrap();
    assert_eq!(off["inline"], Value::Null);
    let nobody = with(&["bot", "inline", "nobody_bot", "x"]);
    assert!(!nobody.status.success() && stderr(&nobody).contains("nobody_bot"));
}

/// Rule:   the program for a library holds the key of the data directory that is named.
/// Source: 20-telegram-api-service §9.
#[test]
fn program_for_a_library_names_this_server() {
    let server = Server::start(&[]);
    let data = server.data.to_str().unwrap();
    let key = std::fs::read_to_string(server.data.join("server.pub.pem")).unwrap();
    for source in [["--data", data], ["--key", &format!("{data}/server.pub.pem")]] {
        let printed =
            run(&[&["connect", "telethon", "--address", "127.0.0.1:9"], &source[..]].concat());
        assert!(stdout(&printed).contains(key.trim()), "{}", stderr(&printed));
    }
    let nowhere = run(&["connect", "telethon", "--data", "/nowhere"]);
    assert!(!nowhere.status.success() && stderr(&nowhere).contains("/nowhere"));
}
