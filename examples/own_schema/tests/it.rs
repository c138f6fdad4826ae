//! The two programs, talking to each other.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[test]
fn a_reported_temperature_is_found_again() {
    let dir = std::env::temp_dir().join(format!("own-schema-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let key = dir.join("server.pub.pem");
    let mut server = Command::new(env!("CARGO_BIN_EXE_weather_server"))
        .args(["127.0.0.1:0".as_ref(), key.as_os_str()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let ask = |arguments: &[&str]| {
        let client = Command::new(env!("CARGO_BIN_EXE_weather_client"))
            .args([address.trim().as_ref(), key.as_os_str()])
            .args(arguments)
            .output()
            .unwrap();
        (client.status.success(), String::from_utf8(client.stdout).unwrap())
    };
    let unknown = ask(&["Lille"]);
    let reported = ask(&["Lille", "12.5"]);
    let known = ask(&["Lille"]);
    server.kill().unwrap();
    server.wait().unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(!unknown.0);
    assert!(reported.0 && reported.1.starts_with("Lille: 12.5 °C"), "{reported:?}");
    assert_eq!(known, reported);
}
