//! What is published for proxies of middle servers, fetched by a proxy: real processes before a real
//! web site.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chappe_client::RawClient;
use rcgen::generate_simple_self_signed;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::sleep;

use self::proxies::{TestProxy, USER};
use crate::recovery::{builder, nearest_dc};
use crate::site::acceptor;
use crate::{Server, chappe, run, stderr, stdout};

// A SOCKS5 proxy that writes down what it was asked for.
#[allow(dead_code)]
#[path = "../../../chappe-net/tests/it/proxies.rs"]
mod proxies;

const ANN: &str = "5f8e1c0b7a69d4f3e2c1b0a998877665";
/// In an address, where it may be a password.
const KEY: &str = "hush";

/// Rule:   the first start fetches the secret and the list before it serves; what came is kept for
///         its owner alone, and enough for a start when nobody answers. Without it there is none.
/// Source: 15-proxy.md, section 8 (refresh at least daily, keep the last good copy).
#[tokio::test(flavor = "multi_thread")]
async fn restart_without_the_network_uses_what_is_kept() {
    let mut site = Site::start().await;
    let server = middle_server(&site.secret);
    site.publish("/servers", &list(&server));
    let settings = Settings::new(&site, "fetch-interval = 3600");
    let proxy = Running::start(&settings);
    assert!(calls(&proxy, &server).await);
    let kept = settings.folder.path().join("state/middle.json");
    until("it is kept", || kept.exists()).await;
    drop(proxy);
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!((site.asked("/secret"), site.asked("/servers")), (1, 1));
    site.stop();

    let proxy = Running::start(&settings);
    assert!(calls(&proxy, &server).await);
    drop(proxy);

    // What is damaged is as if it were not there.
    fs::write(&kept, "{").unwrap();
    let output = settings.fails();
    assert!(output.contains("middle.json") && output.contains("forgotten"), "{output}");
    fs::remove_file(&kept).unwrap();
    let output = settings.fails();
    for word in ["cannot fetch https://127.0.0.1", "/secret", "fetch-proxy", "direct-instead"] {
        assert!(output.contains(word), "{word}: {output}");
    }
    assert!(!output.contains(KEY), "{output}");
}

/// Rule:   an answer that is none, too long, of another status or of no use changes nothing, is
///         logged and counted; a list that has changed is in use soon, and whoever is served by the
///         one before goes on.
/// Source: 15-proxy.md, section 8; PRX-37.
#[tokio::test(flavor = "multi_thread")]
async fn lists_change_while_clients_are_served() {
    let site = Site::start().await;
    let (server, other) = (middle_server(&site.secret), middle_server(&site.secret));
    site.publish("/servers", &list(&server));
    let settings = Settings::new(&site, "fetch-interval = 1");
    let proxy = Running::start(&settings);
    let client = long_client(&proxy, &server).await;
    client.invoke_raw(nearest_dc()).await.unwrap();

    let elsewhere = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nproxy_for 2";
    let long = format!("{}{}", list(&other), "#".repeat(64 << 10));
    let bad: [(&str, Vec<u8>, &str); 7] = [
        ("/servers", answer(b""), "unusable"),
        ("/servers", answer(b"<html>proxy_for</html>"), "unusable"),
        ("/servers", answer(long.as_bytes()), "unusable"),
        ("/servers", elsewhere.to_vec(), "failed"),
        ("/servers", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "failed"),
        ("/servers", cut.to_vec(), "failed"),
        ("/secret", answer(&[7; 31]), "unusable"),
    ];
    site.publish("/other", &list(&other));
    for (path, bad, outcome) in bad {
        let good = site.answer(path, bad);
        let (counted, asked) = (proxy.fetches(outcome), site.asked(path));
        until("it is counted", || proxy.fetches(outcome) > counted).await;
        assert!(site.asked(path) > asked);
        site.answer(path, good);
    }
    assert_eq!(site.asked("/other"), 0);
    assert_eq!(proxy.fetches("changed"), 0);
    client.invoke_raw(nearest_dc()).await.unwrap();
    assert!(calls(&proxy, &server).await);
    let log = proxy.log();
    for word in ["not fetched", "no server is listed", "status 302", "65536 bytes", "31 bytes"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    assert!(!log.contains(KEY), "{log}");

    // One good answer, and then nothing but new ones.
    let reloads = proxy.counter("chappe_proxy_reloads_total ");
    let connections = || {
        let users: Value = serde_json::from_str(&proxy.page("/users")).unwrap();
        users[0]["connections_total"].as_u64().unwrap()
    };
    let before = connections();
    site.publish("/servers", &list(&other));
    until("it is fetched", || proxy.fetches("changed") == 1).await;
    until("it is in use", || proxy.counter("chappe_proxy_reloads_total ") > reloads).await;
    assert!(calls(&proxy, &other).await);
    client.invoke_raw(nearest_dc()).await.unwrap();
    assert_eq!(connections(), before + 1, "the client of before had to come again");
    assert!(!calls(&proxy, &server).await);
    let fetched = proxy.counter("chappe_proxy_middle_fetched_timestamp_seconds ");
    assert!(fetched > 1e9, "{fetched}");
    client.close().await;
}

/// Rule:   who adds addresses to settings in use has clients served as before until what is there was
///         fetched: straight, or by the files of before.
/// Source: PRX-37.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_added_while_it_runs() {
    let site = Site::start().await;
    let (server, other) = (middle_server(&site.secret), middle_server(&site.secret));
    site.publish("/servers", &list(&other));
    let servers = site.folder.path().join("servers");
    fs::write(&servers, list(&server)).unwrap();
    let files = format!("[middle]\nsecret = {:?}\nservers = {servers:?}\n", site.secret);
    for (centre, middle) in [(server.address(), ""), ("127.0.0.1:1", &files)] {
        let later = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n".to_vec();
        let good = site.answer("/secret", later);
        let settings = Settings::new(&site, "fetch-interval = 1");
        let whole = fs::read_to_string(&settings.path).unwrap();
        let whole = format!("only-named-dc = true\ndc.2 = [\"{centre}\"]\n{whole}");
        let (before, _) = whole.split_once("[middle]").unwrap();
        fs::write(&settings.path, format!("{before}{middle}")).unwrap();
        let proxy = Running::start(&settings);
        let client = long_client(&proxy, &server).await;
        client.invoke_raw(nearest_dc()).await.unwrap();
        fs::write(&settings.path, &whole).unwrap();
        until("it tries", || proxy.fetches("failed") > 0).await;
        assert!(calls(&proxy, &server).await);
        site.answer("/secret", good);
        until("both are there", || proxy.fetches("changed") == 2).await;
        until("it is in use", || proxy.log().contains("that were fetched are in use")).await;
        assert!(calls(&proxy, &other).await);
        client.invoke_raw(nearest_dc()).await.unwrap();
        client.close().await;
    }
}

/// Rule:   where clients may be served straight from the data centre, a proxy that cannot fetch does
///         so and goes on trying.
/// Source: MPX-14.
#[tokio::test(flavor = "multi_thread")]
async fn clients_are_served_straight_meanwhile() {
    let site = Site::start().await;
    let server = middle_server(&site.secret);
    let more =
        format!("fetch-interval = 1\ndirect-instead = true\n[dc]\n2 = [\"{}\"]", server.address());
    let settings = Settings::new(&site, &more);
    let proxy = Running::start(&settings);
    assert!(calls(&proxy, &server).await);
    assert_eq!(proxy.counter("chappe_proxy_middle_links "), 0.0);
    site.publish("/servers", &list(&server));
    until("it is fetched", || proxy.fetches("changed") > 0).await;
    until("links are made", || {
        assert!(calls_now(&proxy, &server));
        proxy.counter("chappe_proxy_middle_links ") > 0.0
    })
    .await;
}

/// Rule:   what is fetched comes through the proxy that is named for it, and from nobody whose
///         certificate is not believed. Without a state folder it is fetched for this process alone.
#[tokio::test(flavor = "multi_thread")]
async fn fetching_takes_the_way_that_is_named() {
    let site = Site::start().await;
    let server = middle_server(&site.secret);
    site.publish("/servers", &list(&server));
    let socks = TestProxy::socks5(true).await;
    let (user, password) = (USER.0.replace(':', "%3A"), USER.1.replace('@', "%40"));
    let by = format!("fetch-proxy = \"socks5://{user}:{password}@{}\"", socks.address);
    let settings = Settings::new(&site, &by.replace('ü', "%C3%BC"));
    settings.forget_state();
    let proxy = Running::start(&settings);
    assert!(calls(&proxy, &server).await);
    assert_eq!(socks.seen().len(), 2, "{:?}", socks.seen());
    assert!(socks.seen().iter().all(|asked| asked.contains(&site.address.port().to_string())));
    drop(proxy);

    let wrong = Settings::new(&site, "");
    let text = fs::read_to_string(&wrong.path).unwrap();
    let ca = text.lines().find(|line| line.starts_with("ca = ")).unwrap();
    fs::write(&wrong.path, text.replace(ca, "")).unwrap();
    let output = wrong.fails();
    assert!(output.contains("certificate"), "{output}");
}

/// Rule:   of two processes the one in charge fetches, and the other no more.
/// Source: PRX-38.
#[tokio::test(flavor = "multi_thread")]
async fn process_in_charge_fetches() {
    let site = Site::start().await;
    let server = middle_server(&site.secret);
    site.publish("/servers", &list(&server));
    site.publish("/successor", &list(&server));
    let settings = Settings::new(&site, "fetch-interval = 1");
    let first = Running::start(&settings);
    let client = long_client(&first, &server).await;
    client.invoke_raw(nearest_dc()).await.unwrap();
    let more = ["--middle-servers", &site.url("/successor")];
    let second = Running::start_with(&settings, &more);
    assert_eq!(second.ready["takes-over"], true);
    until("the second one fetches", || site.asked("/successor") > 2).await;
    let asked = site.asked("/servers");
    let now = site.asked("/successor");
    until("it does so again", || site.asked("/successor") > now + 2).await;
    assert_eq!(site.asked("/servers"), asked, "the first one still fetches");
    // It is still there, for its client.
    client.invoke_raw(nearest_dc()).await.unwrap();
    client.close().await;
}

/// Rule:   a check tells whether each address answers and is of use, and how old what is kept is.
/// Source: PRX-06.
#[tokio::test(flavor = "multi_thread")]
async fn check_looks_at_what_is_fetched() {
    let mut site = Site::start().await;
    let server = middle_server(&site.secret);
    site.publish("/servers", &list(&server));
    let settings = Settings::new(&site, "");
    let check = || {
        let path = settings.path.to_str().unwrap();
        let output = run(&["proxy", "check", "--config", path]);
        let text = stdout(&output);
        let lines = text.lines().filter(|line| line.contains("  lists "));
        (lines.map(str::to_owned).collect::<Vec<_>>(), text)
    };
    let (lines, text) = check();
    assert_eq!(lines.iter().filter(|line| line.starts_with("ok ")).count(), 3, "{text}");
    assert!(lines[0].contains("nothing is kept") && lines[1].contains("128 bytes"), "{text}");
    assert!(text.contains("takes links") && text.contains("answers in"), "{text}");
    assert!(!text.contains(KEY), "{text}");

    site.answer("/servers", answer(b"<html>"));
    let (lines, text) = check();
    assert!(lines[2].starts_with("FAILED") && lines[2].contains("of no use"), "{text}");
    // Data centres are not asked in their stead.
    assert_eq!(text.matches("no middle server is known").count(), 2, "{text}");
    assert!(!text.contains("  dc "), "{text}");
    site.publish("/servers", &list(&server));
    let proxy = Running::start(&settings);
    let kept = settings.folder.path().join("state/middle.json");
    until("it is kept", || kept.exists()).await;
    drop(proxy);
    site.stop();
    let (lines, text) = check();
    assert!(lines[0].starts_with("ok ") && lines[0].contains(" s old"), "{text}");
    assert!(lines[1].starts_with("warn") && lines[2].starts_with("warn"), "{text}");
    assert!(text.contains("takes links"), "{text}");
    settings.forget_state();
    let (lines, text) = check();
    assert!(lines[0].starts_with("warn") && lines[0].contains("kept nowhere"), "{text}");
    assert!(lines[1].starts_with("FAILED") && lines[2].starts_with("FAILED"), "{text}");
}

/// A web site in TLS, and what it says at each path.
struct Site {
    address: SocketAddr,
    folder: TempDir,
    secret: PathBuf,
    pages: Arc<Mutex<Pages>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Pages {
    answers: HashMap<String, Vec<u8>>,
    asked: HashMap<String, usize>,
}

impl Site {
    async fn start() -> Self {
        let made = generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, [7; 128]).unwrap();
        let acceptor = acceptor(&made);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pages: Arc<Mutex<Pages>> = Arc::default();
        let told = Arc::clone(&pages);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, pages) = (acceptor.clone(), Arc::clone(&told));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        if stream.read_buf(&mut head).await.unwrap_or_default() == 0 {
                            return;
                        }
                    }
                    let answer = pages.lock().unwrap().answer(&String::from_utf8(head).unwrap());
                    let _ = stream.write_all(&answer).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        let site = Self { address, folder, secret, pages, task: task.abort_handle() };
        site.answer("/secret", answer(&[7; 128]));
        site
    }

    /// Nobody answers any more.
    fn stop(&mut self) {
        self.task.abort();
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}?key={KEY}", self.address)
    }

    fn publish(&self, path: &str, text: &str) {
        self.answer(path, answer(text.as_bytes()));
    }

    /// What is said at a path from here on; what was before.
    fn answer(&self, path: &str, answer: Vec<u8>) -> Vec<u8> {
        let mut pages = self.pages.lock().unwrap();
        pages.answers.insert(path.to_owned(), answer).unwrap_or_default()
    }

    /// How often that was asked for.
    fn asked(&self, path: &str) -> usize {
        self.pages.lock().unwrap().asked.get(path).copied().unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pages {
    fn answer(&mut self, head: &str) -> Vec<u8> {
        let path =
            head.strip_prefix("GET ").and_then(|rest| rest.split([' ', '?']).next()).unwrap();
        assert!(head.contains(&format!("?key={KEY} HTTP/1.1\r\n")), "{head}");
        *self.asked.entry(path.to_owned()).or_default() += 1;
        let none = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
        self.answers.get(path).cloned().unwrap_or_else(|| none.to_vec())
    }
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Settings whose middle servers a site knows, with a state folder beside them.
struct Settings {
    folder: TempDir,
    path: PathBuf,
}

impl Settings {
    fn new(site: &Site, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nstate = {:?}\n\
             public = \"127.0.0.1:443\"\nuser.ann.secret = \"{ANN}\"\n[middle]\n\
             secret = \"{}\"\nservers = \"{}\"\nca = {:?}\n{more}\n",
            folder.path().join("state"),
            site.url("/secret"),
            site.url("/servers"),
            site.folder.path().join("ca.pem"),
        );
        let path = folder.path().join("proxy.toml");
        fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    /// The same without a state folder.
    fn forget_state(&self) {
        let text = fs::read_to_string(&self.path).unwrap();
        let rest: Vec<_> = text.lines().filter(|line| !line.starts_with("state = ")).collect();
        fs::write(&self.path, rest.join("\n")).unwrap();
    }

    /// What a proxy says that cannot start.
    fn fails(&self) -> String {
        let mut child = chappe(&["proxy", "run", "--config"])
            .arg(&self.path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > Duration::from_secs(30) {
                let _ = child.kill();
                panic!("it starts");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output: Output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    }
}

/// A running `chappe proxy run`; killed when dropped.
struct Running {
    child: Child,
    ready: Value,
    log: PathBuf,
}

impl Running {
    fn start(settings: &Settings) -> Self {
        Self::start_with(settings, &[])
    }

    fn start_with(settings: &Settings, more: &[&str]) -> Self {
        let log = settings.folder.path().join(format!("log{}", more.len()));
        let mut child = chappe(&["proxy", "run", "--config"])
            .arg(&settings.path)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("{}", fs::read_to_string(&log).unwrap()));
        Self { child, ready, log }
    }

    fn link(&self) -> String {
        let (host, port) = self.ready["listen"][0].as_str().unwrap().rsplit_once(':').unwrap();
        format!("tg://proxy?server={host}&port={port}&secret=dd{ANN}")
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn page(&self, path: &str) -> String {
        let address = self.ready["metrics"].as_str().unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// What a counter says whose line begins so; 0 where there is none yet.
    fn counter(&self, begin: &str) -> f64 {
        let page = self.page("/metrics");
        let line = page.lines().find(|line| line.starts_with(begin));
        line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }

    fn fetches(&self, outcome: &str) -> u64 {
        let name = format!("chappe_proxy_middle_fetches_total{{outcome=\"{outcome}\"}} ");
        self.counter(&name) as u64
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that takes links of proxies that know the secret.
fn middle_server(secret: &Path) -> Server {
    let secret = secret.to_str().unwrap();
    Server::start(&["--middle-listen", "127.0.0.1:0", "--middle-secret", secret])
}

fn list(server: &Server) -> String {
    format!("default 2;\nproxy_for 2 {};\n", server.ready["middle"].as_str().unwrap())
}

/// Whether a new client is answered through the proxy by that server and no other.
async fn calls(proxy: &Running, server: &Server) -> bool {
    let mut command = call(&proxy.link(), server);
    spawn_blocking(move || command.output().unwrap().status.success()).await.unwrap()
}

fn calls_now(proxy: &Running, server: &Server) -> bool {
    call(&proxy.link(), server).output().unwrap().status.success()
}

fn call(link: &str, server: &Server) -> std::process::Command {
    let key = server.public_key().to_str().unwrap();
    chappe(&["call", "--server", link, "--key", key, "--timeout", "5", "help.getNearestDc"])
}

async fn long_client(proxy: &Running, server: &Server) -> RawClient {
    let link = proxy.link().parse().unwrap();
    builder(server, server.address()).mtproxy(link).connect().await.unwrap()
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: not within 30 s");
        sleep(Duration::from_millis(50)).await;
    }
}
