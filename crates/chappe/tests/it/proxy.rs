//! `chappe proxy`: before a server, as its users meet it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Server, chappe, run, stderr, stdout};

const ANN: &str = "5f8e1c0b7a69d4f3e2c1b0a998877665";
const BEN: &str = "0f8e1c0b7a69d4f3e2c1b0a998877666";
/// `www.example.org`.
const SITE: &str = "7777772e6578616d706c652e6f7267";

/// A running `chappe proxy run`; killed when dropped.
struct Proxy {
    child: Child,
    ready: Value,
}

impl Proxy {
    fn start(config: &Path) -> Self {
        let mut child = chappe(&["proxy", "run", "--config"])
            .arg(config)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn link(&self, secret: &str) -> String {
        let (host, port) = self.ready["listen"][0].as_str().unwrap().rsplit_once(':').unwrap();
        format!("tg://proxy?server={host}&port={port}&secret={secret}")
    }

    fn users(&self) -> Value {
        serde_json::from_str(&self.page("/users")).unwrap()
    }

    fn page(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.ready["metrics"].as_str().unwrap()).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn call(server: &Server, link: &str, seconds: &str) -> bool {
    let key = server.public_key().to_str().unwrap();
    let args = ["call", "--server", link, "--key", key, "--timeout", seconds, "help.getNearestDc"];
    run(&args).status.success()
}

/// Rules: PRX-04, PRX-08, PRX-37, FTL-01, FTL-11: our client comes in every form; users come and go
///        with the file of the settings.
#[test]
fn users_come_by_links_and_settings_change_meanwhile() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let config = |users: &str| {
        let address = server.address();
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nonly-named-dc = true\n\
             modes = [\"plain\", \"padded\", \"tls\"]\nclose-removed = true\n\
             dc.2 = [\"{address}\"]\n[[domain]]\nname = \"www.example.org\"\nat = \"{address}\"\n{users}"
        );
        fs::write(&path, text).unwrap();
    };
    let user = |name: &str, secret: &str| format!("[user.{name}]\nsecret = \"{secret}\"\n");
    config(&user("ann", ANN));
    let proxy = Proxy::start(&path);
    for secret in [ANN.to_owned(), format!("dd{ANN}"), format!("ee{ANN}{SITE}")] {
        assert!(call(&server, &proxy.link(&secret), "30"), "{secret}");
    }
    let users = proxy.users();
    assert_eq!(
        (users[0]["name"].as_str(), users[0]["connections_total"].as_u64()),
        (Some("ann"), Some(3))
    );
    assert!(users[0]["bytes_down"].as_u64() > Some(1000));

    config("[user.ben]\nsecret = \"wrong\"\n");
    std::thread::sleep(Duration::from_secs(3));
    assert!(call(&server, &proxy.link(ANN), "30"), "wrong settings changed something");
    config(&user("ben", BEN));
    let begun = Instant::now();
    while proxy.users().as_array().unwrap().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the file is not read again");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(call(&server, &proxy.link(&format!("ee{BEN}{SITE}")), "30"));
    assert!(!call(&server, &proxy.link(&format!("dd{ANN}")), "2"), "ann is gone and is served");
}

/// What operators expect of the page of metrics (15-proxy, section 9): connections by data centre and
/// family, bytes, addresses of users, and classes of durations up to those of connections that last.
#[test]
fn counters_are_there() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nonly-named-dc = true\n\
         dc.2 = [\"{}\"]\nuser.ann.secret = \"{ANN}\"\n",
        server.address()
    );
    fs::write(&path, text).unwrap();
    let proxy = Proxy::start(&path);
    assert!(call(&server, &proxy.link(&format!("dd{ANN}")), "30"));
    let begun = Instant::now();
    let page = loop {
        let page = proxy.page("/metrics");
        // It is over as soon as the proxy has noticed.
        if page.contains("chappe_proxy_ended_total{reason=\"finished\"} 1")
            || page.contains("chappe_proxy_ended_total{reason=\"reset\"} 1")
        {
            break page;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{page}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let line = |begin: &str, labels: &[&str]| {
        let of = |line: &&str| {
            line.starts_with(begin) && labels.iter().all(|label| line.contains(label))
        };
        let line = page.lines().find(of).unwrap_or_else(|| panic!("{begin} {labels:?}: {page}"));
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    let connected = ["dc=\"2\"", "outcome=\"connected\"", "family=\"v4\""];
    assert_eq!(line("chappe_proxy_centre_connections_total", &connected), 1.0);
    assert_eq!(line("chappe_proxy_centre_connections{", &["dc=\"2\""]), 0.0);
    for way in ["direction=\"up\"", "direction=\"down\""] {
        assert!(line("chappe_proxy_centre_bytes_total", &["dc=\"2\"", way]) > 500.0);
    }
    assert_eq!(line("chappe_proxy_user_addresses", &["user=\"ann\""]), 0.0);
    let of_hours = "chappe_proxy_connection_duration_seconds_bucket";
    assert_eq!(line(of_hours, &["le=\"1800\""]), 1.0);
    for zero in ["masked_total", "masked_refused_total", "reloads_failed_total"] {
        assert_eq!(line(&format!("chappe_proxy_{zero}"), &[]), 0.0);
    }
}

/// Rules: PRX-01, PRX-04: a link for each user and form, as text and drawn.
#[test]
fn links_are_printed_in_every_form() {
    let user = format!("ann={ANN}");
    let args = ["proxy", "links", "--public", "[2001:db8::1]:443", "--user", &user, "--domain"];
    let text = stdout(&run(&[&args[..], &["www.example.org"]].concat()));
    let at = "server=2001%3Adb8%3A%3A1&port=443&secret=";
    for link in [format!("tg://proxy?{at}dd{ANN}"), format!("https://t.me/proxy?{at}dd{ANN}")] {
        assert!(text.contains(&link), "{text}");
    }
    assert!(text.contains(&format!("{at}7l-OHAt6adTz4sGwqZiHdmV3d3cuZXhhbXBsZS5vcmc")), "{text}");
    let drawn = stdout(&run(&[&args[..], &["www.example.org", "--qr", "--hex"]].concat()));
    assert!(drawn.contains(&format!("{at}ee{ANN}{SITE}")) && drawn.contains('▀'), "{drawn}");
    let nobody = run(&[&args[..], &["www.example.org", "--only", "ben"]].concat());
    assert!(stderr(&nobody).contains("ben"));
    let nowhere = run(&["proxy", "links", "--user", &user]);
    assert!(stderr(&nowhere).contains("--public"));
}

/// What cannot be meant is refused by name, before anything listens.
#[test]
fn impossible_settings_are_named() {
    let user = format!("ann={ANN}");
    for (args, word) in [
        (vec!["--modes", "tls", "--user", &user], "domain"),
        (vec!["--user", &user, "--modes", "udp"], "udp"),
        (vec!["--user", "ann"], "NAME=VALUE"),
        (vec!["--user", "ann=0011"], "2 bytes"),
        (vec![], "no user"),
        (vec!["--user", &user, "--dc", "x=127.0.0.1:1"], "dc"),
        (vec!["--user", &user, "--domain", "white space"], "white space"),
        (
            vec!["--user", &user, "--ad-tag", ANN, "--upstream-proxy", "socks5://h:1"],
            "direct.proxy",
        ),
        (vec!["--user", &user, "--ad-tag", ANN, "--dc", "2=127.0.0.1:1"], "middle.servers"),
        (vec!["--user", &user, "--middle-servers", "http://example.org/list"], "https://"),
    ] {
        let output = run(&[&["proxy", "run", "--listen", "127.0.0.1:0"], &args[..]].concat());
        assert!(!output.status.success());
        assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output));
    }
}
