//! `chappe serve --metrics`: what Prometheus finds there is what the guide says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use crate::{Server, stderr};

const GUIDE: &str = include_str!("../../../../docs/guide/observe.md");

/// Kind and labels of a metric.
type Shape = (String, BTreeSet<String>);

/// Every metric of a process that has served a client has a row in the guide, with its kind and
/// its labels, and every row is there.
#[test]
fn the_page_holds_what_the_guide_lists() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    let before = server.scrape();
    assert_eq!(
        value(&before, "chappe_server_calls_total{function=\"unknown\",outcome=\"ok\"}"),
        0.0
    );
    let answer = server.call(&["help.getConfig"]);
    assert!(answer.status.success(), "{}", stderr(&answer));
    server.call(&["users.getFullUser", r#"{"id": {"_": "inputUserSelf"}}"#]);
    let page = server.scrape();

    let listed: BTreeMap<String, Shape> = GUIDE.lines().filter_map(row).collect();
    let found = shapes(&page);
    for (name, shape) in &found {
        assert_eq!(listed.get(name), Some(shape), "the guide on {name}");
    }
    for name in listed.keys() {
        assert!(found.contains_key(name), "{name} is in the guide and not on the page");
    }

    // What happened, as numbers; each call made a permanent and a temporary key.
    assert_eq!(value(&page, "chappe_server_handshakes_total{outcome=\"created\"}"), 4.0);
    assert_eq!(value(&page, "chappe_server_handshake_duration_seconds_count"), 4.0);
    let config = "chappe_server_calls_total{function=\"help.getConfig\",outcome=\"ok\"}";
    assert_eq!(value(&page, config), 1.0);
    let refused = "chappe_server_calls_total{function=\"users.getFullUser\",outcome=\"error\"}";
    assert_eq!(value(&page, refused), 1.0);
    assert_eq!(value(&page, "chappe_server_links_opened_total"), 2.0);
    assert!(value(&page, "chappe_server_received_bytes_total") > 1000.0);
    for line in page.lines().filter(|line| line.starts_with("# TYPE")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(page.contains(&format!("# HELP {name} ")), "{name} has no text");
    }
}

#[test]
fn other_requests_are_answered_shortly() {
    let server = Server::start(&["--metrics", "127.0.0.1:0"]);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n".to_owned(), "405"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9000)), "400"),
    ] {
        let answer = server.ask(&request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let taken = server.ready["metrics"].as_str().unwrap();
    let output = crate::run(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--metrics",
        taken,
        "--data",
        server.data.join("other").to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(taken), "{}", stderr(&output));
}

/// Limits come from the file as well.
#[test]
fn the_file_sets_address_and_limits() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chappe.toml");
    fs::write(&file, "metrics = \"127.0.0.1:0\"\n[limits.connections]\nper-address-max = 1")
        .unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap()]);
    let _one = TcpStream::connect(server.address()).unwrap();
    let mut two = TcpStream::connect(server.address()).unwrap();
    assert!(matches!(two.read(&mut [0; 8]), Ok(0) | Err(_)));
    assert_eq!(value(&server.scrape(), "chappe_server_links_refused_total"), 1.0);

    fs::write(&file, "[limits.session]\ncalls-maximum = 1").unwrap();
    let output = crate::run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("calls-maximum"), "{}", stderr(&output));
}

impl Server {
    fn scrape(&self) -> String {
        let answer = self.ask("GET /metrics HTTP/1.1\r\nHost: chappe\r\n\r\n");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert!(head.contains("text/plain; version=0.0.4"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        body.to_owned()
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.ready["metrics"].as_str().unwrap()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A request that was not read to its end may cost the answer's last bytes.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }
}

/// A row of the guide's table: name, kind, labels, text.
fn row(line: &str) -> Option<(String, Shape)> {
    let mut cells = line.split('|').map(str::trim).skip(1);
    let name = cells.next()?.trim_matches('`').to_owned();
    let kind = cells.next()?.to_owned();
    let labels = cells.next()?.split(", ").map(|label| label.trim_matches('`').to_owned());
    let labels = labels.filter(|label| !label.is_empty()).collect();
    name.starts_with("chappe_server_").then_some((name, (kind, labels)))
}

/// What a page holds: `# TYPE name kind`, then samples `name{label="value",…} number`.
fn shapes(page: &str) -> BTreeMap<String, Shape> {
    let mut shapes = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let mut labels = BTreeSet::new();
        for sample in page.lines().filter_map(|line| line.strip_prefix(name)) {
            let sample = sample.trim_start_matches("_bucket");
            let Some((inside, _)) = sample.strip_prefix('{').and_then(|rest| rest.split_once('}'))
            else {
                continue;
            };
            labels.extend(
                inside.split("\",").map(|label| label.split('=').next().unwrap().to_owned()),
            );
        }
        labels.remove("le");
        shapes.insert(name.to_owned(), (kind.to_owned(), labels));
    }
    shapes
}

/// The number of one sample.
fn value(page: &str, sample: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in\n{page}")).parse().unwrap()
}
