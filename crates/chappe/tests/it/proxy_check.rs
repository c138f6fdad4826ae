//! `chappe proxy check`: before servers and sites that are well, and some that are not.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use rcgen::generate_simple_self_signed;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::site::acceptor;
use crate::{Server, chappe, stdout};

const ANN: &str = "5f8e1c0b7a69d4f3e2c1b0a998877665";
const BEN: &str = "9c41d27e05b83f6ad1e47c2b90f5a863";
const CAT: &str = "e7306b9f2ad85c144f0e93d7b6a1c258";

/// A web site in TLS 1.3 whose clock is wrong by so many seconds.
async fn site(skew: i64) -> SocketAddr {
    let made = generate_simple_self_signed(["www.example.org".to_owned()]).unwrap();
    let acceptor = acceptor(&made);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read(&mut [0; 4096]).await;
                let far = Duration::from_secs(skew.unsigned_abs());
                let now = SystemTime::now();
                let time = if skew < 0 { now - far } else { now + far };
                let date = httpdate::fmt_http_date(time);
                let answer =
                    format!("HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    address
}

/// Settings before `centre`, which seem to be the site at `site`.
fn settings(folder: &Path, listen: &str, centre: &str, site: &str) -> String {
    let path = folder.join("proxy.toml");
    let text = format!(
        "listen = [\"{listen}\"]\npublic = \"127.0.0.1:443\"\nonly-named-dc = true\n\
         modes = [\"plain\", \"padded\", \"tls\"]\ndc.2 = [\"{centre}\"]\n\
         user.ann.secret = \"{ANN}\"\n\
         [[domain]]\nname = \"www.example.org\"\nat = \"{site}\"\n"
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn check(args: &[&str]) -> Output {
    let mut command = chappe(&[&["proxy", "check", "--config"], args].concat());
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Lines of a check that begin with an outcome.
fn lines(output: &Output, outcome: &str, check: &str) -> Vec<String> {
    let text = stdout(output);
    let lines = text.lines().filter(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(outcome) && words.next() == Some(check)
    });
    lines.map(str::to_owned).collect()
}

/// Rules: PRX-06, PRX-30, PRX-39: where all is well every line says so; in each form two exchanges
///        pass from one end to the other, by a proxy that is started for it and by one that runs.
#[tokio::test(flavor = "multi_thread")]
async fn all_is_well_where_it_is() {
    let server = Server::start(&[]);
    let site = site(0).await.to_string();
    let folder = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let path = settings(folder.path(), &free, server.address(), &site);
    let output = check(&[&path]).await;
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().all(|line| line.starts_with("ok ")), "{text}");
    for name in ["settings", "clock", "upstream", "site"] {
        assert_eq!(lines(&output, "ok", name).len(), 1, "{name}: {text}");
    }
    assert!(lines(&output, "ok", "site")[0].contains("TLS 1.3"));
    let links = lines(&output, "ok", "link");
    for (link, form) in
        links.iter().zip(["plain, ann", "padded, ann", "tls as www.example.org, ann"])
    {
        assert!(link.contains(form) && link.contains("answers in"), "{link}");
        assert!(link.contains("started for it"), "{link}");
    }
    assert_eq!(links.len(), 3);
    assert!(!text.contains(ANN));

    let mut child = chappe(&["proxy", "run", "--config", &path])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = check(&[&path, "--json"]).await;
    let _ = child.kill();
    let _ = child.wait();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), report["worst"].as_str()), (Some(0), Some("ok")));
    let links =
        report["checks"].as_array().unwrap().iter().filter(|found| found["check"] == "link");
    let by = format!("by the proxy at {free}");
    assert_eq!(links.filter(|link| link["message"].as_str().unwrap().contains(&by)).count(), 3);
}

/// Rule: PRX-39: a clock that is wrong by more than 30 s is a warning, and so is one that nobody can
///       be asked about.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_a_warning() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    for (skew, side) in [(45, "behind"), (-45, "ahead of")] {
        let site = site(skew).await.to_string();
        let path = settings(folder.path(), "127.0.0.1:0", server.address(), &site);
        let output = check(&[&path]).await;
        assert_eq!(output.status.code(), Some(4), "{}", stdout(&output));
        let clock = &lines(&output, "warn", "clock")[0];
        assert!(clock.contains(side) && clock.contains("middle mode cannot work"), "{clock}");
        assert_eq!(lines(&output, "ok", "link").len(), 3);
    }
    // A site without TLS, and a source of time beside it.
    let path = settings(folder.path(), "127.0.0.1:0", server.address(), server.address());
    let output = check(&[&path]).await;
    assert!(lines(&output, "warn", "clock")[0].contains("nobody tells the time"));
    assert_eq!(lines(&output, "warn", "site").len() + lines(&output, "FAILED", "site").len(), 1);
    let text = fs::read_to_string(&path).unwrap();
    let source = site(0).await.port();
    fs::write(&path, format!("clocks = [\"https://127.0.0.1:{source}/\"]\n{text}")).unwrap();
    let output = check(&[&path]).await;
    assert_eq!(lines(&output, "ok", "clock").len(), 1, "{}", stdout(&output));
}

/// Rules: PRX-06, PRX-39: middle servers are tried as the proxy would, and one that does not know the
///        secret is named; links pass by them.
#[tokio::test(flavor = "multi_thread")]
async fn middle_servers_are_tried() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (secret, wrong, servers) = (place("secret"), place("wrong"), place("servers"));
    fs::write(&secret, [7; 128]).unwrap();
    fs::write(&wrong, [8; 128]).unwrap();
    let server = Server::start(&["--middle-listen", "127.0.0.1:0", "--middle-secret", &secret]);
    let middle = server.ready["middle"].as_str().unwrap();
    fs::write(&servers, format!("default 2;\nproxy_for 2 {middle};\n")).unwrap();
    let path = settings(folder.path(), "127.0.0.1:0", "127.0.0.1:1", &site(0).await.to_string());
    let by = |secret| [&path[..], "--middle-secret", secret, "--middle-servers", &servers];
    let output = check(&by(&secret)).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(lines(&output, "ok", "upstream")[0].contains(&format!("middle server {middle}")));
    assert_eq!(lines(&output, "ok", "link").len(), 3);
    let output = check(&by(&wrong)).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(lines(&output, "FAILED", "upstream")[0].contains("secret"));

    // Where not everybody goes by them, both ways are tried.
    let site = site(0).await.to_string();
    let path = settings(folder.path(), "127.0.0.1:0", server.address(), &site);
    let text = fs::read_to_string(&path).unwrap();
    let others = format!(
        "user.ben = {{ secret = \"{BEN}\", ad-tag = \"{ANN}\" }}\nuser.cat.secret = \"{CAT}\"\n"
    );
    fs::write(&path, format!("{others}middle.only-tagged = true\n{text}")).unwrap();
    let output = check(&[&path, "--middle-secret", &secret, "--middle-servers", &servers]).await;
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert_eq!(lines(&output, "ok", "upstream").len(), 2);
    let links = lines(&output, "ok", "link");
    let of = |name| links.iter().filter(|link| link.contains(name)).count();
    assert_eq!((links.len(), of(", ann by"), of(", ben by")), (6, 3, 3), "{links:?}");
}

/// Rule: PRX-06: what does not answer is named, with what to do, and the exit status says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_work_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = settings(folder.path(), "127.0.0.1:0", "127.0.0.1:1", "127.0.0.1:1");
    let output = check(&[&path]).await;
    assert_eq!(output.status.code(), Some(1));
    let upstream = &lines(&output, "FAILED", "upstream")[0];
    assert!(upstream.contains("dc 2 at 127.0.0.1:1") && upstream.contains("[dc]"), "{upstream}");
    assert_eq!(lines(&output, "FAILED", "site").len(), 1);
    assert_eq!(lines(&output, "FAILED", "link").len(), 3);

    // What listens there is no proxy of these settings.
    let server = Server::start(&[]);
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let listen = other.local_addr().unwrap().to_string();
    tokio::spawn(async move { while other.accept().await.is_ok() {} });
    let path = settings(folder.path(), &listen, server.address(), "127.0.0.1:1");
    let output = check(&[&path]).await;
    let link = &lines(&output, "FAILED", "link")[0];
    assert!(link.contains(&listen) && link.contains("other settings"), "{link}");

    fs::write(&path, format!("user.ann.secret = \"{ANN}\"\n[users]\n")).unwrap();
    let output = check(&[&path]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(lines(&output, "FAILED", "settings")[0].contains("users"));
    let weak =
        ["--user", "ann=00000000000000000000000000000000", "--dc", "2=127.0.0.1:1", "--json"];
    fs::write(&path, "").unwrap();
    let output = check(&[&[&path[..]], &weak[..]].concat()).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["worst"], "failed");
    let found = report["checks"].as_array().unwrap().iter();
    let mut warned =
        found.filter(|found| found["outcome"] == "warn" && found["check"] == "settings");
    assert!(warned.any(|found| found["message"].as_str().unwrap().contains("guess")));
}

/// Rules: PRX-06, PRX-13, PRX-40: where the proxy that runs would not serve who comes from this
///        machine, or take him for a balancer, the links are tried over one that is started for it.
#[tokio::test(flavor = "multi_thread")]
async fn links_are_tried_where_this_machine_may_come() {
    let server = Server::start(&[]);
    let site = site(0).await.to_string();
    let folder = tempfile::tempdir().unwrap();
    // Whatever listens there, it is not to be asked.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let path = settings(folder.path(), &listen, server.address(), &site);
    let text = fs::read_to_string(&path).unwrap();
    for access in [
        "proxy-protocol = [\"127.0.0.1/32\"]",
        "allow = [\"192.0.2.0/24\"]",
        "deny = [\"127.0.0.0/8\"]",
    ] {
        fs::write(&path, format!("{text}[access]\n{access}\n")).unwrap();
        let output = check(&[&path]).await;
        let links = lines(&output, "ok", "link");
        assert_eq!(links.len(), 3, "{access}: {}", stdout(&output));
        assert!(links.iter().all(|link| link.contains("started for it")), "{links:?}");
    }
}
