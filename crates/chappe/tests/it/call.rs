//! `chappe call`: answers, errors, help, and who cannot be reached.

use serde_json::{Value, json};

use crate::{Server, run, stderr, stdout};

fn answer(output: &std::process::Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|_| panic!("{}", stderr(output)))
}

/// Rules: our client on every transport (TRN-01 to TRN-13, OBF-01 to OBF-13 from end to end).
#[test]
fn every_transport_brings_the_configuration() {
    let server = Server::start(&[]);
    for transport in [
        "abridged",
        "intermediate",
        "padded",
        "full",
        "obfuscated-abridged",
        "obfuscated-intermediate",
        "obfuscated-padded",
    ] {
        let output = server.call(&["--transport", transport, "help.getConfig"]);
        assert!(output.status.success(), "{transport}: {}", stderr(&output));
        let config = answer(&output);
        assert_eq!(config["_"], "config");
        assert_eq!(config["this_dc"], 2);
        let option = &config["dc_options"][0];
        let address = format!("{}:{}", option["ip_address"].as_str().unwrap(), option["port"]);
        assert_eq!(address, server.address(), "{transport}");
    }
}

#[test]
fn arguments_are_json_and_answers_too() {
    let server = Server::start(&[]);
    let output = server.call(&["help.getAppConfig", r#"{"hash": 0}"#]);
    assert_eq!(answer(&output)["_"], "help.appConfig");
    let hash = answer(&output)["hash"].as_i64().unwrap();
    let output = server.call(&["help.getAppConfig", &json!({ "hash": hash }).to_string()]);
    assert_eq!(answer(&output), json!({"_": "help.appConfigNotModified"}));
    let output = server.call(&["langpack.getLanguages", r#"{"lang_pack": "weba"}"#]);
    assert_eq!(answer(&output)[0]["lang_code"], "en");
}

/// Rules: SVC-26; API-04.
#[test]
fn an_error_of_the_server_is_status_1() {
    let server = Server::start(&[]);
    let output = server.call(&["users.getUsers", r#"{"id": [{"_": "inputUserSelf"}]}"#]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(answer(&output)["error_code"], 401);
    assert_eq!(answer(&output)["error_message"], "AUTH_KEY_UNREGISTERED");
}

/// Rule: QRK-22: what may be asked before signing in is not answered by "sign in first".
#[test]
fn what_strangers_may_ask_is_no_401() {
    let server = Server::start(&[]);
    for function in ["help.getDeepLinkInfo", "auth.initPasskeyLogin"] {
        let example = stdout(&run(&["call", "--help", function]));
        let arguments = example.split_once("example:\n").unwrap().1;
        let output = server.call(&[function, arguments]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert_eq!(answer(&output)["error_code"], 400, "{function}");
        assert_eq!(answer(&output)["error_message"], "METHOD_INVALID");
    }
}

#[test]
fn faults_of_the_user_are_status_2_and_name_the_mend() {
    let missing = run(&["call", "help.getConfig"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("--server"), "{}", stderr(&missing));
    let unknown = run(&["call", "help.getConfg"]);
    assert_eq!(unknown.status.code(), Some(2));
    let wrong = run(&["call", "help.getAppConfig", r#"{"hush": 1}"#]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("hush"), "{}", stderr(&wrong));
}

#[test]
fn nobody_there_is_status_3() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    assert!(run(&["keys", "new", key.to_str().unwrap()]).status.success());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let key = dir.path().join("key.pub.pem");
    let output = run(&[
        "call",
        "--server",
        &address,
        "--key",
        key.to_str().unwrap(),
        "--timeout",
        "2",
        "help.getConfig",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

/// Rules: CRY-09, SEC-12.
#[test]
fn a_server_of_another_key_is_not_believed() {
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("key.pem");
    assert!(run(&["keys", "new", key.to_str().unwrap()]).status.success());
    let output = run(&[
        "call",
        "--server",
        server.address(),
        "--key",
        key.to_str().unwrap(),
        "--timeout",
        "10",
        "help.getConfig",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("key"), "{}", stderr(&output));
}

/// Rules: KEY-14, SEC-60.
#[test]
fn a_strict_server_refuses_other_data_centres() {
    let server = Server::start(&["--strict-dc", "--dc", "3"]);
    assert!(server.call(&["--dc", "3", "help.getConfig"]).status.success());
    assert!(server.call(&["--dc", "-3", "help.getConfig"]).status.success());
    let output = server.call(&["--dc", "2", "--timeout", "5", "help.getConfig"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("444"), "{}", stderr(&output));
}

#[test]
fn the_schema_is_at_hand() {
    let list = stdout(&run(&["call", "--list", "getConfig"]));
    assert!(list.contains("help.getConfig"), "{list}");
    let help = stdout(&run(&["call", "--help", "help.getAppConfig"]));
    assert!(help.contains("hash") && help.contains("help.AppConfig"), "{help}");
    let usage = run(&["call", "--help"]);
    assert_eq!(usage.status.code(), Some(0));
    assert!(stdout(&usage).contains("--server"));
}
