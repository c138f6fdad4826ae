//! One `chappe proxy` takes over from another, as processes: no connection is refused or broken, no
//! byte is counted twice or not at all.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use self::client::{Client, PADDED, header};
use self::world::{ALICE, BOB, Centre};
use crate::{chappe, stderr};

// Bytes that a proxy takes for a client's, and a data centre that sends them back.
#[allow(dead_code)]
#[path = "../../../chappe-proxy/tests/it/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../../../chappe-proxy/tests/it/world.rs"]
mod world;

/// What a [`check`](Client::check) counts, both ways.
const CHECK: u64 = 600;

/// What operators know.
const TOKEN: &str = "of the interface for operators";

/// A running proxy; killed when dropped.
struct Process {
    child: Child,
    stdout: BufReader<ChildStdout>,
    ready: Value,
}

impl Process {
    fn start(config: &Path) -> Self {
        Self::spawn(chappe(&["proxy", "run", "--config"]).arg(config))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let ready = line(&mut stdout);
        Self { child, stdout, ready }
    }

    fn address(&self) -> SocketAddr {
        self.ready["listen"][0].as_str().unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits until it ends by itself.
    fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the proxy does not end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(from: &mut impl BufRead) -> Value {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.unwrap().success());
}

/// Settings with a state folder beside them.
struct Settings {
    folder: TempDir,
    path: PathBuf,
}

impl Settings {
    fn new(centre: SocketAddr, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        fs::write(&token, TOKEN).unwrap();
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\nmetrics = \"127.0.0.1:0\"\nonly-named-dc = true\n\
             state = \"{}\"\ndc.2 = [\"{centre}\"]\nhanded-over-max = 60\n\
             access.per-address-per-second = 100000\n{more}\n\
             [api]\nlisten = \"127.0.0.1:0\"\ntoken-file = \"{}\"\n\
             [user.alice]\nsecret = \"{}\"\nquota = 1_000_000_000_000\n\
             [user.bob]\nsecret = \"{}\"\nmonthly-quota = 1_000_000_000_000\n",
            folder.path().join("state").display(),
            token.display(),
            hex(ALICE),
            hex(BOB),
        );
        let path = folder.path().join("proxy.toml");
        fs::write(&path, text).unwrap();
        Self { folder, path }
    }

    /// What the file says that a user passed.
    fn passed(&self, user: &str) -> Option<u64> {
        let text = fs::read(self.folder.path().join("state/traffic.json")).unwrap();
        let traffic: Value = serde_json::from_slice(&text).unwrap();
        traffic[user]["bytes"].as_u64()
    }
}

fn hex(secret: [u8; 16]) -> String {
    secret.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The page of metrics says what a user passed.
async fn used(page: &str, user: usize) -> u64 {
    get(page, "/users").await[user]["quota_used"].as_u64().unwrap()
}

async fn get(address: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\
         Authorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    serde_json::from_str(page.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Rules: PRX-14, PRX-24, PRX-26, PRX-37, PRX-38: connections are opened all the time while a proxy is
///        replaced three times, by hand and by SIGUSR2; none is refused and none breaks, one goes on
///        from before the first to after the last, and afterwards all is counted to the byte; what
///        the first process accepted is a replay to the last. What cannot start changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_notices_a_restart() {
    let centre = Centre::start().await;
    let settings = Settings::new(centre.address, "");
    let mut first = Process::start(&settings.path);
    let address = first.address();
    let page = first.ready["metrics"].as_str().unwrap().to_owned();
    let api = first.ready["api"].clone();
    assert_eq!(first.ready["takes-over"], false);

    let (replayed, outbound, inbound) = header(BOB, PADDED, 2);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&replayed).await.unwrap();
    let mut long = Client { stream, outbound, inbound, records: None };
    long.check().await;

    let is_over = Arc::new(AtomicBool::new(false));
    let opened = Arc::new(AtomicU64::new(0));
    let busy: Vec<_> = (0..4)
        .map(|_| tokio::spawn(keep_opening(address, is_over.clone(), opened.clone())))
        .collect();
    let progress = async || {
        let before = opened.load(Ordering::Relaxed);
        while opened.load(Ordering::Relaxed) < before + 20 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    progress().await;
    let mut longs = 1;
    let mut check_long = async |client: &mut Client| {
        client.check().await;
        longs += 1;
    };

    let mut second = Process::start(&settings.path);
    assert_eq!((second.address(), &second.ready["takes-over"]), (address, &Value::Bool(true)));
    assert_eq!((&second.ready["metrics"], &second.ready["api"]), (&page.clone().into(), &api));
    check_long(&mut long).await;
    progress().await;

    // Settings that are wrong, and right ones that cannot be followed.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("127.0.0.1:{}", taken.local_addr().unwrap().port());
    for wrong in [["--listen", &taken], ["--modes", "tls"], ["--metrics", "192.0.2.1:1"]] {
        let run = chappe(&["proxy", "run", "--config"]).arg(&settings.path).args(wrong).output();
        let run = run.unwrap();
        assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
        check_long(&mut long).await;
        progress().await;
    }

    // The program starts itself anew, and the other process has its output.
    second.signal("-USR2");
    let third = line(&mut second.stdout);
    assert_eq!(
        (&third["listen"], &third["takes-over"]),
        (&second.ready["listen"], &Value::Bool(true))
    );
    check_long(&mut long).await;
    progress().await;
    let mut fourth = Process::start(&settings.path);
    assert_eq!(fourth.address(), address);
    check_long(&mut long).await;
    progress().await;

    is_over.store(true, Ordering::Relaxed);
    for busy in busy {
        busy.await.unwrap();
    }
    check_long(&mut long).await;
    let mut again = TcpStream::connect(address).await.unwrap();
    again.write_all(&replayed).await.unwrap();
    assert!(timeout(Duration::from_millis(300), again.read(&mut [0])).await.is_err(), "a replay");
    drop((long, again));
    assert_eq!((first.ended(), second.ended()), (Some(0), Some(0)));

    let (alice, bob) = (opened.load(Ordering::Relaxed) * CHECK, longs * CHECK);
    // The third process, whose end nobody here sees, may still have to tell the fourth.
    let begun = Instant::now();
    loop {
        let counted = (used(&page, 0).await, used(&page, 1).await);
        if counted == (alice, bob) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{counted:?}, not {alice} and {bob}");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(get(api.as_str().unwrap(), "/v1/statistics").await["masked"], 0);
    fourth.signal("-TERM");
    assert_eq!(fourth.ended(), Some(0));
    assert_eq!((settings.passed("alice"), settings.passed("bob")), (Some(alice), Some(bob)));
}

/// Opens connections one after the other, has something come back on each, and closes it.
async fn keep_opening(address: SocketAddr, is_over: Arc<AtomicBool>, opened: Arc<AtomicU64>) {
    while !is_over.load(Ordering::Relaxed) {
        let mut client = Client::bare(address, ALICE, PADDED, 2).await;
        client.check().await;
        opened.fetch_add(1, Ordering::Relaxed);
    }
}

/// Rules: PRX-37, PRX-38: whoever is removed by the interface for operators of the new process loses
///        the connections of the old one, too; and who asks over a connection to the old one is asked
///        to come anew.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_is_gone_from_both_processes() {
    let centre = Centre::start().await;
    let settings = Settings::new(centre.address, "");
    let mut first = Process::start(&settings.path);
    let (mut alice, mut bob) = (
        Client::bare(first.address(), ALICE, PADDED, 2).await,
        Client::bare(first.address(), BOB, PADDED, 2).await,
    );
    alice.check().await;
    bob.check().await;
    let api = first.ready["api"].as_str().unwrap().to_owned();
    let mut kept = TcpStream::connect(&api).await.unwrap();
    let request = format!(
        "GET /v1/statistics HTTP/1.1\r\nHost: proxy\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    );
    kept.write_all(request.as_bytes()).await.unwrap();
    assert_ne!(kept.read(&mut [0; 1 << 14]).await.unwrap(), 0);
    let mut second = Process::start(&settings.path);
    let closed = timeout(Duration::from_secs(5), kept.read(&mut [0])).await.unwrap();
    assert!(!matches!(closed, Ok(1..)), "the old process goes on to answer");

    let mut stream = TcpStream::connect(&api).await.unwrap();
    let request = format!(
        "DELETE /v1/users/alice HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\
         Authorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(timeout(Duration::from_secs(10), alice.is_closed()).await, Ok(true));
    bob.check().await;
    drop(bob);
    assert_eq!(first.ended(), Some(0));
    second.signal("-TERM");
    assert_eq!(second.ended(), Some(0));
}

/// Rules: PRX-38: a socket in the file system passes on, too; whoever serves last removes it.
#[tokio::test]
async fn sockets_in_the_file_system_pass_on() {
    let centre = Centre::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let settings = Settings::new(centre.address, "");
    let at = format!("unix:{}", path.display());
    let start = || {
        let mut command = chappe(&["proxy", "run", "--listen", &at, "--config"]);
        Process::spawn(command.arg(&settings.path))
    };
    let mut first = start();
    let mut second = start();
    assert_eq!(first.ended(), Some(0));
    tokio::net::UnixStream::connect(&path).await.unwrap();
    second.signal("-TERM");
    assert_eq!(second.ended(), Some(0));
    assert!(!path.exists());
    // One that was killed leaves its sockets behind, and hands nothing over.
    drop(start());
    assert!(path.exists());
    assert_eq!(start().ready["takes-over"], false);
}

/// What systemd is told: that the proxy serves, that another process is started to take over, that
/// it does, as the main one; and that the service stops.
#[tokio::test]
async fn systemd_hears_of_it() {
    let centre = Centre::start().await;
    let settings = Settings::new(centre.address, "");
    let place = settings.folder.path().join("notify");
    let heard = UnixDatagram::bind(&place).unwrap();
    heard.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let hear = || {
        let mut bytes = [0; 500];
        let len = loop {
            match heard.recv(&mut bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                heard => break heard.unwrap(),
            }
        };
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    let mut command = chappe(&["proxy", "run", "--config"]);
    let mut first = Process::spawn(command.arg(&settings.path).env("NOTIFY_SOCKET", &place));
    let main = |said: &str| {
        let id = said.strip_prefix("MAINPID=").unwrap().split('\n').next().unwrap();
        assert!(said.contains("\nREADY=1\n"), "{said}");
        id.parse::<u32>().unwrap()
    };
    assert_eq!(main(&hear()), first.child.id());
    // What does not start changes nothing.
    let text = fs::read_to_string(&settings.path).unwrap();
    fs::write(&settings.path, text.replace("quota", "quotum")).unwrap();
    first.signal("-USR2");
    assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    let failed = hear();
    assert!(failed.starts_with("READY=1\nSTATUS=No other process"), "{failed}");
    fs::write(&settings.path, text).unwrap();
    first.signal("-USR2");
    assert!(hear().starts_with("RELOADING=1\n"));
    let second = main(&hear());
    assert_ne!(second, first.child.id());
    assert_eq!(first.ended(), Some(0));
    signal(second, "-TERM");
    assert_eq!(hear(), "STOPPING=1");
}

/// Sockets that systemd opened are listened at; nothing else where nothing else is said.
#[tokio::test]
async fn sockets_of_systemd_are_used() {
    let activate = Path::new("/usr/bin/systemd-socket-activate");
    if !activate.exists() {
        return;
    }
    let centre = Centre::start().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new(activate);
    command.args(["--listen", &address, env!("CARGO_BIN_EXE_chappe"), "proxy", "run"]);
    command.args(["--user", &format!("alice={}", hex(ALICE))]);
    command.args(["--dc", &format!("2={}", centre.address)]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    // It starts the proxy when somebody comes.
    let begun = Instant::now();
    while TcpStream::connect(&address).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "nobody listens");
        sleep(Duration::from_millis(20)).await;
    }
    let ready = line(&mut stdout);
    assert_eq!(ready["listen"], serde_json::json!([address]));
    Client::bare(address.parse().unwrap(), ALICE, PADDED, 2).await.check().await;
    child.kill().unwrap();
    child.wait().unwrap();
}
