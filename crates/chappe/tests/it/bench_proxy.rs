//! `chappe bench proxy`: that it counts right, not how fast anything is.

use serde_json::Value;

use crate::{run, stderr, stdout};

/// Little of everything.
const FEW: &[&str] = &[
    "bench",
    "proxy",
    "--json",
    "--handshakes",
    "40",
    "--at-once",
    "4",
    "--rate",
    "100",
    "--duration",
    "1",
    "--bulk",
    "32",
    "--bulk-connections",
    "2",
    "--idle",
    "20",
    "--stalls",
    "8",
    "--stall-bytes",
    "100",
    "--soak",
    "50",
    "--rest",
    "0.2",
];

/// Rules: PRX-16, PRX-17, PRX-33, FTL-16: in every form connections come and go, wait, and bring
///        every byte, over full sockets as well; nothing that is measured is left out.
#[test]
fn ours_is_measured_in_every_form() {
    let report = report(&[]);
    assert!(report["round_trip_seconds_without_proxy"]["p50"].as_f64().unwrap() > 0.0);
    let results = report["results"].as_array().unwrap();
    let modes: Vec<&str> = results.iter().map(|row| row["mode"].as_str().unwrap()).collect();
    assert_eq!(modes, ["plain", "dd", "ee"]);
    for row in results {
        assert_eq!(row["proxy"], "chappe");
        assert_eq!(row["handshakes"]["count"], 40);
        assert!(row["handshakes"]["per_second"].as_f64().unwrap() > 0.0);
        assert!(row["handshakes"]["cpu_seconds_per_1000"].as_f64().unwrap() > 0.0);
        let trip = &row["round_trip_seconds"];
        assert!(
            trip["p50"].as_f64().unwrap() > 0.0 && trip["p50"].as_f64() <= trip["p99"].as_f64()
        );
        for way in ["up", "down"] {
            assert!(row[way]["bytes"].as_u64().unwrap() >= 32 << 20);
            assert!(row[way]["cpu_seconds_per_gib"].as_f64().unwrap() > 0.0);
        }
        assert_eq!(row["idle"]["connections"], 20);
        assert!(row["idle"]["mib_per_1000"].as_f64().unwrap() >= 0.0);
        assert_eq!(
            (&row["stalls"]["connections"], &row["stalls"]["stalled"]),
            (&8.into(), &0.into())
        );
        assert_eq!(row["soak"]["connections"], 50);
        let memory = &row["soak"]["memory_bytes"];
        assert!(memory["most"].as_u64() >= memory["before"].as_u64() && memory["after"].is_u64());
    }
}

/// Any command line is a proxy, beside ours in the same run; what is not asked for is not measured.
#[test]
fn another_is_measured_beside_ours() {
    let line = format!(
        "other=exec {} proxy run --listen 127.0.0.1:{{port}} --user a={{secret}} --modes {{mode}} \
         --domain {{domain}}=127.0.0.1:{{dc_port}} --dc 2=127.0.0.1:{{dc_port}}",
        env!("CARGO_BIN_EXE_chappe")
    );
    let report = report(&["--modes", "ee,dd", "--only", "handshakes", "--command", &line]);
    let results = report["results"].as_array().unwrap();
    let named: Vec<_> = results
        .iter()
        .map(|row| (row["proxy"].as_str().unwrap(), row["mode"].as_str().unwrap()))
        .collect();
    assert_eq!(named, [("chappe", "ee"), ("other", "ee"), ("chappe", "dd"), ("other", "dd")]);
    for row in results {
        assert_eq!(row["handshakes"]["count"], 40);
        assert_eq!(
            (&row["idle"], &row["up"], &row["soak"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
    }
    assert_eq!(report["round_trip_seconds_without_proxy"], Value::Null);
}

/// Rules: MPX-10, MPX-11, MPX-13, MPX-15: by links to a middle server every byte comes as well, also to
///        who is slow, and another proxy finds the files of that.
#[test]
fn proxies_are_measured_by_middle_servers() {
    let line = format!(
        "other=exec {} proxy run --listen 127.0.0.1:{{port}} --user a={{secret}} --modes {{mode}} \
         --domain {{domain}}=127.0.0.1:{{dc_port}} --middle-secret {{middle_secret}} \
         --middle-servers {{middle_servers}}",
        env!("CARGO_BIN_EXE_chappe")
    );
    let args =
        ["--middle", "--only", "handshakes,round-trips,bulk,stalls,idle", "--command", &line];
    let report = report(&args);
    let results = report["results"].as_array().unwrap();
    let named = results.iter().map(|row| row["proxy"].as_str().unwrap());
    assert_eq!(named.collect::<Vec<_>>(), ["chappe", "chappe-middle", "other"].repeat(3));
    for row in results {
        assert_eq!(
            (&row["handshakes"]["count"], &row["stalls"]["stalled"]),
            (&40.into(), &0.into())
        );
        for way in ["up", "down"] {
            assert!(row[way]["bytes"].as_u64().unwrap() >= 32 << 20);
        }
    }
}

/// A proxy that strands bytes is a fault that is counted, and none that is waited for.
#[test]
fn stranded_bytes_end_no_run() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("strands.toml");
    let text = "listen = [\"127.0.0.1:{port}\"]\nmodes = [\"padded\"]\nonly-named-dc = true\n\
                dc.2 = [\"127.0.0.1:{dc_port}\"]\n\
                user.a = { secret = \"{secret}\", rate-down = 300 }\n";
    std::fs::write(&settings, text).unwrap();
    let line = format!(
        "slow=exec {} proxy run --config {{file:{}}}",
        env!("CARGO_BIN_EXE_chappe"),
        settings.display()
    );
    let args = ["--without-own", "--modes", "dd", "--only", "bulk,round-trips", "--command", &line];
    let output = run(&[FEW, &args].concat());
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["clean"], false);
    let errors = report["results"][0]["errors"].as_object().unwrap();
    for measure in ["bytes down", "round trips"] {
        let silent = format!("{measure}: nothing moves any more");
        assert!(errors.contains_key(&silent), "{errors:?}");
    }
}

#[test]
fn the_table_has_a_row_for_each_form() {
    let args = ["--modes", "plain", "--only", "handshakes,soak"];
    let flags: Vec<&str> = FEW.iter().filter(|flag| **flag != "--json").copied().collect();
    let output = run(&[&flags[..], &args].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    let row = text.lines().find(|line| line.starts_with("chappe ")).unwrap();
    assert_eq!(row.split_whitespace().nth(1), Some("plain"), "{text}");
    assert!(stderr(&output).contains("50 of 50 connections"), "{}", stderr(&output));
}

#[test]
fn what_does_not_start_says_so() {
    let check = |args: &[&str], said: &[&str]| {
        let output = run(&[&["bench", "proxy", "--modes", "dd"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let text = stderr(&output);
        assert!(said.iter().all(|said| text.contains(said)), "{text}");
    };
    let gone = ["--without-own", "--command", "gone=echo it has no port {port} >&2; exit 3"];
    check(&gone, &["gone does not start", "exit status: 3", "it has no port"]);
    check(&["--command", "x=cat {file:/nowhere/at/all}"], &["x does not start", "/nowhere/at/all"]);
    check(&["--without-own"], &["--command"]);
    check(&["--modes", "udp"], &["udp"]);
    check(&["--only", "everything"], &["everything"]);
}

/// Runs it with these flags, and checks what holds for every run.
fn report(flags: &[&str]) -> Value {
    let output = run(&[FEW, flags].concat());
    assert!(output.status.success(), "{}{}", stdout(&output), stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["clean"], true);
    for row in report["results"].as_array().unwrap() {
        assert_eq!(row["errors"], serde_json::json!({}));
    }
    report
}
