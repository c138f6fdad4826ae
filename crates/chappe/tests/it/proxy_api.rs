//! The interface for operators of `chappe proxy run`, over real processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chappe_client::RawClient;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::recovery::{builder, nearest_dc};
use crate::{Server, chappe, run, stderr};

const ANN: &str = "5f8e1c0b7a69d4f3e2c1b0a998877665";
const BEN: &str = "0f8e1c0b7a69d4f3e2c1b0a998877666";
const CAT: &str = "1f8e1c0b7a69d4f3e2c1b0a998877667";
const TOKEN: &str = "a-token-that-nobody-guesses";

/// A running proxy with an interface; killed when dropped.
struct World {
    child: Child,
    ready: Value,
    path: PathBuf,
    log: PathBuf,
    _folder: TempDir,
}

/// An answer.
struct Answer {
    status: u16,
    tag: Option<String>,
    body: Value,
}

impl World {
    /// Users `ann` and `ben`, before a data centre at `centre`.
    fn start(centre: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (path, log) = (folder.path().join("proxy.toml"), folder.path().join("log"));
        let text = format!(
            "# Ours, with comments.\nlisten = [\"127.0.0.1:0\"]\npublic = \"proxy.test:443\"\n\
             modes = [\"plain\", \"padded\", \"tls\"]\nonly-named-dc = true\n\
             dc.2 = [\"{centre}\"]\n\n[api]\nlisten = \"0\" # a free port\n\
             token-file = {:?}\n\n[[domain]]\nname = \"www.example.org\"\nat = \"127.0.0.1:1\"\n\n\
             # The first.\n[user.ann]\nsecret = \"{ANN}\" # hers\nmonthly-quota = 1_000_000_000\n\n\
             [user.ben]\nsecret = \"{BEN}\"\n",
            folder.path().join("token")
        );
        fs::write(folder.path().join("token"), format!("{TOKEN}\n")).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut child = chappe(&["proxy", "run", "--log", "debug", "--config"])
            .arg(&path)
            .args(["--user", &format!("flo={CAT}")])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line).unwrap();
        Self { child, ready, path, log, _folder: folder }
    }

    fn api(&self) -> SocketAddr {
        self.ready["api"].as_str().unwrap().parse().unwrap()
    }

    fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask_with(method, path, &[], &body)
    }

    fn ask_with(&self, method: &str, path: &str, fields: &[&str], body: &str) -> Answer {
        let token = format!("Authorization: Bearer {TOKEN}");
        ask(self.api(), method, path, &[&[token.as_str()], fields].concat(), body)
    }

    fn user(&self, name: &str) -> Value {
        self.ask("GET", &format!("/v1/users/{name}"), Value::Null).body
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// A client that comes by a secret.
    async fn client(&self, server: &Server, secret: &str) -> RawClient {
        let (_, port) = self.ready["listen"][0].as_str().unwrap().rsplit_once(':').unwrap();
        let link = format!("tg://proxy?server=127.0.0.1&port={port}&secret={secret}");
        let builder = builder(server, server.address()).mtproxy(link.parse().unwrap());
        let client = builder.connect().await.unwrap();
        client.invoke_raw(nearest_dc()).await.unwrap();
        client
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(at: SocketAddr, method: &str, path: &str, fields: &[&str], body: &str) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: api\r\nConnection: close\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // One that refuses a body may not read all of it.
    let _ = stream.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let fields = lines.filter_map(|line| line.split_once(": "));
    let tag = fields.filter(|(name, _)| name.eq_ignore_ascii_case("etag"));
    let tag = tag.map(|(_, value)| value.to_owned()).next();
    let body = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
    Answer { status, tag, body }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Rules: PRX-05, PRX-37: users come, change and go, the file says so and keeps what else is in it;
///        nobody loses a connection that he may still have, and who may not does.
#[tokio::test(flavor = "multi_thread")]
async fn users_come_and_go_and_nobody_else_notices() {
    let server = Server::start(&[]);
    let world = World::start(server.address());
    let ann = world.client(&server, &format!("dd{ANN}")).await;
    let ben = world.client(&server, BEN).await;
    let added = world.ask("PUT", "/v1/users/cat", json!({ "rate_down": 5_000_000 }));
    assert_eq!((added.status, &added.body["rate_down"]), (201, &json!(5_000_000)));
    let links = world.ask("GET", "/v1/users/cat/links", Value::Null).body;
    let hex = links["links"][1]["tg_hex"].as_str().unwrap();
    assert!(hex.starts_with("tg://proxy?server=proxy.test&port=443&secret=dd"), "{hex}");
    let cats = hex.rsplit_once("secret=dd").unwrap().1.to_owned();
    let cat = world.client(&server, &cats).await;
    assert_eq!(world.user("cat")["connections"], 1);
    assert_eq!(world.user("cat")["addresses"], 1);

    let changed = world.ask(
        "PATCH",
        "/v1/users/ann",
        json!({ "connections_max": 3, "quota": 9_000_000_000_u64, "expires": "2099-01-02" }),
    );
    let body = &changed.body;
    assert_eq!((changed.status, &body["status"]), (200, &json!("served")));
    assert_eq!(body["expires"], "2099-01-02T00:00:00Z");
    assert_eq!((&body["quota"], &body["monthly_quota"]), (&json!(9_000_000_000_u64), &Value::Null));
    let used = body["quota_used"].as_u64().unwrap();
    assert_eq!(body["quota_left"], 9_000_000_000 - used);
    let text = world.text();
    for kept in ["# Ours, with comments.", "# a free port", "# The first.", "# hers"] {
        assert!(text.contains(kept), "{text}");
    }
    assert!(text.contains("expires = 2099-01-02\n") && text.contains("[user.cat]"), "{text}");
    assert_eq!(fs::metadata(&world.path).unwrap().permissions().mode() & 0o777, 0o640);
    ann.invoke_raw(nearest_dc()).await.unwrap();
    assert_eq!(world.user("ann")["connections_total"], 1, "ann lost a connection");

    // The old secret is nobody's, and the connection by it ends.
    assert_eq!(world.ask("POST", "/v1/users/cat/secret", Value::Null).status, 200);
    until("cat may stay", || world.user("cat")["connections"] == 0);
    assert!(!world.text().contains(&cats));
    drop(cat);
    let kept = json!({ "secret": CAT.replace('1', "2"), "keep_connections": true });
    assert_eq!(world.ask("POST", "/v1/users/ben/secret", kept).status, 200);
    // What changes nothing of whether he is served leaves those that were to go on.
    for change in [json!({ "rate_up": 9_000_000 }), json!({ "enabled": true })] {
        assert_eq!(world.ask("PATCH", "/v1/users/ben", change).status, 200);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    ben.invoke_raw(nearest_dc()).await.unwrap();
    assert_eq!(world.user("ben")["connections_total"], 1, "ben lost a connection");
    assert_eq!(world.ask("PATCH", "/v1/users/ben", json!({ "enabled": false })).status, 200);
    until("ben may stay", || world.user("ben")["connections"] == 0);
    assert_eq!(world.user("ben")["status"], "off");
    assert_eq!(world.ask("DELETE", "/v1/users/ben", Value::Null).status, 204);
    assert_eq!(world.ask("GET", "/v1/users/ben", Value::Null).status, 404);
    assert!(!world.text().contains("ben"));

    ann.invoke_raw(nearest_dc()).await.unwrap();
    assert_eq!(world.user("ann")["connections_total"], 1, "ann lost a connection");
    ann.close().await;
    drop(ben);
    let said = world.log();
    for secret in [ANN, BEN, CAT, &cats, TOKEN] {
        assert!(!said.contains(secret), "the log gives a secret away");
    }
}

/// Changes that are made at once are all made; one that is meant for other settings is not.
#[test]
fn changes_do_not_lose_each_other() {
    let world = World::start("127.0.0.1:1");
    thread::scope(|scope| {
        for number in 0..16 {
            let world = &world;
            scope.spawn(move || {
                let path = format!("/v1/users/user-{number}");
                assert_eq!(world.ask("PUT", &path, json!({ "rate_up": 1000 })).status, 201);
                let limits =
                    if number % 2 == 0 { "connections_total_max" } else { "held_max_bytes" };
                let changed = world.ask("PATCH", "/v1/limits", json!({ limits: 90_000 + number }));
                assert_eq!(changed.status, 200);
            });
        }
    });
    let listed = world.ask("GET", "/v1/users", Value::Null);
    assert_eq!(listed.body["users"].as_array().unwrap().len(), 19);
    let tag = listed.tag.unwrap();
    let limit = |field: &str, max: u64| {
        let body = json!({ "connections_total_max": max }).to_string();
        world.ask_with("PATCH", "/v1/limits", &[field], &body).status
    };
    assert_eq!(limit(&format!("If-Match: {tag}"), 5), 200);
    assert_eq!(limit(&format!("If-Match: {tag}"), 6), 412);
    assert_eq!(limit("If-Match: *", 7), 200);
    // Somebody writes into the file by hand, and is not overruled.
    let tag = world.ask("GET", "/v1/limits", Value::Null).tag.unwrap();
    fs::write(&world.path, format!("{}\n# By hand.\n", world.text())).unwrap();
    assert_eq!(limit(&format!("If-Match: {tag}"), 8), 412);
    assert_eq!(limit("If-Match: *", 9), 200);
    assert!(world.text().contains("# By hand.") && world.text().contains("total-max = 9"));
    let again = world.ask_with("PUT", "/v1/users/ann", &["If-None-Match: *"], "{}");
    assert_eq!(again.status, 412);
}

/// Whoever does not hold the token learns nothing, and bad requests change nothing and say why.
#[test]
fn what_cannot_be_done_is_said_in_json() {
    let world = World::start("127.0.0.1:1");
    for fields in [&[][..], &["Authorization: Bearer wrong"], &["Authorization: Basic YTpi"]] {
        for path in ["/v1/users", "/v1/openapi.json", "/none"] {
            let answer = ask(world.api(), "GET", path, fields, "");
            assert_eq!((answer.status, &answer.body["error"]), (401, &json!("no-token")));
        }
    }
    let before = world.text();
    for (method, path, body, status, error) in [
        ("GET", "/none", "", 404, "no-such-path"),
        ("POST", "/v1/users", "", 405, "no-such-method"),
        ("GET", "/v1/users/dan", "", 404, "no-user"),
        ("PATCH", "/v1/users/dan", "{}", 404, "no-user"),
        ("PATCH", "/v1/users/ann", "{", 400, "no-json"),
        ("PATCH", "/v1/users/ann", "{\"rate\":1}", 422, "invalid"),
        ("PATCH", "/v1/users/ann", "{\"rate_up\":-1}", 422, "invalid"),
        ("PATCH", "/v1/users/ann", "{\"secret\":\"0011\"}", 422, "invalid"),
        ("PATCH", "/v1/users/ann", "{\"expires\":\"soon\"}", 422, "invalid"),
        ("PATCH", "/v1/users/ann", "{\"expires\":\"12:00:00\"}", 422, "invalid"),
        ("PATCH", "/v1/users/ann", "{\"domain\":\"elsewhere.org\"}", 422, "invalid"),
        ("PATCH", "/v1/users/ann", "{\"quota\":1,\"monthly_quota\":1}", 422, "invalid"),
        ("PATCH", "/v1/users/flo", "{\"enabled\":false}", 409, "user-of-flags"),
        ("DELETE", "/v1/users/flo", "", 409, "user-of-flags"),
        ("PUT", "/v1/users/a%20b", "{}", 422, "invalid"),
        ("PATCH", "/v1/limits", "{\"buffer_bytes\":1}", 422, "invalid"),
        ("PATCH", "/v1/limits", "{\"idle_max\":-1.0}", 422, "invalid"),
        ("PATCH", "/v1/limits", "{\"idle_max\":1e19}", 422, "invalid"),
        ("PATCH", "/v1/limits", "{\"greeting_wait_max\":40000000.0}", 422, "invalid"),
    ] {
        let answer = world.ask_with(method, path, &[], body);
        assert_eq!(
            (answer.status, &answer.body["error"]),
            (status, &json!(error)),
            "{path} {body}"
        );
        assert!(answer.body["message"].as_str().unwrap().len() > 5);
    }
    let secret = format!("{{\"secret\":\"{BEN}\"}}");
    assert_eq!(world.ask_with("PATCH", "/v1/users/ann", &[], &secret).status, 422);
    let large = format!("{{\"domain\":\"{}\"}}", "a".repeat(100_000));
    let answer = world.ask_with("PATCH", "/v1/users/ann", &[], &large);
    assert_eq!((answer.status, &answer.body["error"]), (413, &json!("too-large")));
    assert_eq!(world.text(), before);
    // A file that nobody can read is not made worse.
    fs::write(&world.path, "listen = [\n").unwrap();
    let answer = world.ask("PATCH", "/v1/users/ann", json!({ "enabled": false }));
    assert_eq!((answer.status, &answer.body["error"]), (409, &json!("file-broken")));
    assert_eq!(world.user("ann")["enabled"], true);
    assert!(!world.log().contains(TOKEN) && !world.log().contains(BEN));
}

/// Every limit that may change while it runs is shown, and changed by its name: the file has it, and
/// takes it back to its default.
#[test]
fn every_limit_is_changed_by_its_name() {
    let world = World::start("127.0.0.1:1");
    let shown = world.ask("GET", "/v1/limits", Value::Null).body;
    for (name, before) in shown.as_object().unwrap() {
        let is_middle = name.starts_with("middle_");
        let other = match before {
            Value::Bool(is_on) => json!(!is_on),
            Value::Array(_) => json!(["192.0.2.0/24", "2001:db8::/32"]),
            Value::Number(number) if number.is_f64() => json!(number.as_f64().unwrap() + 1.5),
            Value::Number(number) => json!(number.as_u64().unwrap() + 1),
            _ if name == "middle_connect_wait_max" || name == "middle_link_wait_max" => json!(3.5),
            _ => json!(1400),
        };
        for (value, expected) in [(&other, &other), (&Value::Null, before)] {
            let changed = world.ask("PATCH", "/v1/limits", json!({ (name): value }));
            assert_eq!(changed.status, 200, "{name}: {}", changed.body);
            // Where there are no middle servers there is nothing to show.
            let expected = if is_middle { &Value::Null } else { expected };
            assert_eq!(&changed.body[name], expected, "{name}");
        }
    }
    assert!(shown.as_object().unwrap().len() >= 26);
    let wrong = world.ask("PATCH", "/v1/limits", json!({ "deny": ["everybody"] }));
    assert_eq!((wrong.status, &wrong.body["error"]), (422, &json!("invalid")));
}

/// Who says nothing, or much too slowly, holds a place for a short time only, and there are few.
#[test]
fn idle_connections_do_not_keep_others_out() {
    let world = World::start("127.0.0.1:1");
    let begun = Instant::now();
    let _idle: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(world.api()).unwrap();
            stream.write_all(b"GET /v1/users HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(world.ask("GET", "/v1/users", Value::Null).status, 200);
    assert!(begun.elapsed() > Duration::from_secs(5), "there is no bound on connections");
}

/// Without a token there is no interface, and no proxy that would seem to have one.
#[test]
fn without_a_token_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.toml");
    for (api, word) in [
        ("listen = \"0\"", "token"),
        ("listen = \"0\"\ntoken-env = \"CHAPPE_NO_SUCH_TOKEN\"", "CHAPPE_NO_SUCH_TOKEN"),
    ] {
        let text =
            format!("listen = [\"127.0.0.1:0\"]\nuser.ann.secret = \"{ANN}\"\n[api]\n{api}\n");
        fs::write(&path, text).unwrap();
        let output = run(&["proxy", "run", "--config", path.to_str().unwrap()]);
        assert!(!output.status.success());
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
}

/// Rule: PRX-37: a broken file changes nothing and is complained of without the secrets in it; what
///       takes a restart is named, and the rest is in use.
#[test]
fn settings_are_read_again_or_stay() {
    let world = World::start("127.0.0.1:1");
    let before = world.text();
    let secret = "0123456789abcdef0123456789abcdeX";
    fs::write(&world.path, format!("{before}[user.dan]\nsecret = \"{secret}\"\n")).unwrap();
    until("nobody complains", || world.log().contains("the settings stay as they were"));
    let said = world.log();
    assert!(said.contains("`secret`") && !said.contains(secret), "{said}");
    let answer = world.ask("POST", "/v1/reload", Value::Null);
    assert_eq!((answer.status, &answer.body["error"]), (409, &json!("file-broken")));
    assert_eq!(
        world.ask("GET", "/v1/users", Value::Null).body["users"].as_array().unwrap().len(),
        3
    );

    // Forms of other proxies, whose values are of another type than the one that belongs there.
    for (written, place) in [
        (format!("user.dan = \"{secret}\"\n"), "`user.dan`"),
        (format!("user.dan = [\n\"{secret}\",\n]\n"), "line"),
        (format!("drain-max = \"{secret}\"\n"), "`drain-max`"),
        (format!("unknown-domain = \"{secret}\"\n"), "`unknown-domain`"),
        (format!("drain-max = [\n\"{secret}=\"]\n"), "line"),
    ] {
        let (others, _) = before.split_once("# The first.").unwrap();
        fs::write(&world.path, format!("{written}{others}")).unwrap();
        let answer = world.ask("POST", "/v1/reload", Value::Null);
        let message = answer.body["message"].as_str().unwrap();
        assert_eq!((answer.status, &answer.body["error"]), (409, &json!("file-broken")));
        assert!(message.contains(place) && !message.contains(secret), "{message}");
        let refused = world.ask("PATCH", "/v1/limits", json!({ "idle_max": 60.0 }));
        assert!(!refused.body["message"].as_str().unwrap().contains(secret));
    }
    fs::write(&world.path, &before).unwrap();
    assert!(!world.log().contains(secret), "{}", world.log());

    let moved = before.replace("127.0.0.1:0", "127.0.0.1:2").replace("# hers", "\nrate-up = 7");
    fs::write(&world.path, &moved).unwrap();
    until("the file is not read", || world.user("ann")["rate_up"] == 7);
    assert!(world.log().contains("takes a restart"));
    let counted = world.ask("GET", "/v1/statistics", Value::Null).body;
    assert!(counted["reloads_failed_total"].as_u64() >= Some(6), "{counted}");
    let answer = world.ask("POST", "/v1/reload", Value::Null);
    assert_eq!((answer.status, &answer.body["awaits_restart"]), (200, &json!(["listen"])));

    // SIGHUP is at once, whatever the clock of the file says.
    fs::write(&world.path, moved.replace("rate-up = 7", "rate-up = 8")).unwrap();
    world.signal("-HUP");
    until("SIGHUP does nothing", || world.user("ann")["rate_up"] == 8);
    // A file that is replaced as editors do, and one that is gone.
    let beside = world.path.with_extension("new");
    fs::write(&beside, moved.replace("rate-up = 7", "rate-up = 9")).unwrap();
    fs::rename(&beside, &world.path).unwrap();
    until("what was put in its place is not read", || world.user("ann")["rate_up"] == 9);
    fs::remove_file(&world.path).unwrap();
    until("nobody misses it", || world.log().contains("a file of the settings is gone"));
    assert_eq!(world.user("ann")["rate_up"], 9);
}

/// Every route is described, and what it answers is what is described of it.
#[test]
fn answers_are_as_described() {
    let world = World::start("127.0.0.1:1");
    let description = world.ask("GET", "/v1/openapi.json", Value::Null).body;
    let mut described: BTreeSet<(String, String)> = BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        described.extend(
            methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())),
        );
    }
    let methods = description["paths"].as_object().unwrap().values();
    let operations = methods.flat_map(|methods| methods.as_object().unwrap().values());
    let ids: BTreeSet<_> = operations.map(|operation| operation["operationId"].as_str()).collect();
    assert_eq!(ids.len(), described.len(), "two operations have one name: {ids:?}");
    let mut asked = BTreeSet::new();
    for (method, path, body, statuses) in [
        ("GET", "/v1/users", "", &[200][..]),
        ("GET", "/v1/users/{name}", "", &[200, 404]),
        ("PATCH", "/v1/users/{name}", "{\"enabled\":false}", &[200, 404]),
        ("PATCH", "/v1/users/{name}", "{", &[400]),
        ("PATCH", "/v1/users/{name}", "{\"quota\":\"much\"}", &[422]),
        ("POST", "/v1/users/{name}/secret", "", &[200, 404]),
        ("GET", "/v1/users/{name}/links", "", &[200, 404]),
        ("PUT", "/v1/users/{name}", "{\"quota\":5}", &[200, 201]),
        ("GET", "/v1/limits", "", &[200]),
        ("PATCH", "/v1/limits", "{\"stalled_max\":30.5}", &[200]),
        ("GET", "/v1/statistics", "", &[200]),
        ("POST", "/v1/reload", "", &[200]),
        ("GET", "/v1/openapi.json", "", &[200]),
        ("DELETE", "/v1/users/{name}", "", &[204, 204]),
        ("DELETE", "/v1/users/{name}", "", &[404]),
    ] {
        for (name, status) in ["ann", "cat"].into_iter().zip(statuses) {
            let answer = world.ask_with(method, &path.replace("{name}", name), &[], body);
            assert_eq!(answer.status, *status, "{method} {path} {name}: {}", answer.body);
            let operation = &description["paths"][path][method.to_lowercase()];
            let response = &operation["responses"][status.to_string()];
            assert!(response.is_object(), "{method} {path}: {status} is not described");
            if let Some(schema) = response["content"]["application/json"].get("schema") {
                check(&description, schema, &answer.body, &format!("{method} {path} {status}"));
            } else {
                assert_eq!(answer.body, Value::Null, "{method} {path}: the body is not described");
            }
            if operation["responses"][status.to_string()]["headers"].get("ETag").is_some() {
                assert!(answer.tag.is_some(), "{method} {path}");
            }
        }
        asked.insert((method.to_owned(), path.to_owned()));
    }
    assert_eq!(asked, described);
    let refused = ask(world.api(), "GET", "/v1/users", &[], "");
    let schema = &description["components"]["schemas"]["Problem"];
    check(&description, schema, &refused.body, "401");
    assert_eq!(description["security"][0], json!({ "token": [] }));
}

/// Whether a value is as a schema says, with no member that it does not know. A word of the schema
/// that is not understood here fails.
fn check(description: &Value, schema: &Value, value: &Value, place: &str) {
    let words = schema.as_object().unwrap_or_else(|| panic!("{place}: no schema"));
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    for (word, said) in words {
        match word.as_str() {
            "description" | "format" | "title" | "default" => {}
            "$ref" => {
                let name = said.as_str().unwrap().rsplit('/').next().unwrap();
                let schema = &description["components"]["schemas"][name];
                check(description, schema, value, place);
            }
            "type" => {
                let kinds = said.as_array().cloned().unwrap_or_else(|| vec![said.clone()]);
                let fits = |of: &Value| of == kind || (of == "number" && kind == "integer");
                assert!(kinds.iter().any(fits), "{place}: {value} is no {said}");
            }
            "enum" => assert!(said.as_array().unwrap().contains(value), "{place}: {value}"),
            "minimum" => {
                let number = value.as_f64();
                assert!(number.is_none_or(|number| number >= said.as_f64().unwrap()), "{place}");
            }
            "required" => {
                for name in said.as_array().unwrap() {
                    assert!(value.get(name.as_str().unwrap()).is_some(), "{place}: no {name}");
                }
            }
            "properties" => {
                let members: BTreeMap<_, _> = value.as_object().into_iter().flatten().collect();
                for (name, member) in members {
                    let schema = said.get(name).unwrap_or_else(|| panic!("{place}: {name}?"));
                    check(description, schema, member, &format!("{place} {name}"));
                }
            }
            "propertyNames" => {
                for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                    check(description, said, &json!(name), place);
                }
            }
            "additionalProperties" => {
                for member in value.as_object().into_iter().flatten().map(|(_, member)| member) {
                    check(description, said, member, place);
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(description, said, item, place);
                }
            }
            _ => panic!("{place}: `{word}` of a schema is not understood"),
        }
    }
}
