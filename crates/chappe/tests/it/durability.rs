//! What was acknowledged survives the sudden death of the server, and of its database.
//!
//! The short form runs with the other tests; `cargo xtask durability` kills a hundred times.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chappe_api::functions::auth::{SendCode, SignIn};
use chappe_api::functions::contacts::ResolvePhone;
use chappe_api::functions::messages::{GetHistory, SendMessage};
use chappe_api::{ctors, types};
use chappe_backend::scratch::Scratch;
use chappe_backend::sql::sql;
use chappe_backend::{Backend, PostgresConfig};
use chappe_client::{CallOptions, InvokeError, RawClient};
use chappe_crypto::rsa::PublicKey;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::chappe;
use crate::recovery::introduced;

/// How often to kill.
const KILLS: &str = "CHAPPE_TEST_KILLS";
/// How many people talk, each with the next, and how many messages each has under way.
const PEOPLE: usize = 4;
const AT_ONCE: u64 = 3;

/// Rule:   every message that its sender was told of is in both histories afterwards, exactly once,
///         and no pts is left out, however often the server dies.
/// Source: API-12, UPD-01, KEY-22.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_survive_the_death_of_the_server_on_sqlite() {
    let mut server = Server::new(None);
    let load = Load::begin(&server).await;
    for kill in 0..kills() {
        load.run(kill).await;
        server.kill();
        server.start();
    }
    load.end(server, "server on SQLite").await;
}

/// Rule, source: as above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_survive_the_death_of_the_server_on_postgresql() {
    let database = Scratch::start(&[]);
    let mut server = Server::new(Some(database.url()));
    let load = Load::begin(&server).await;
    for kill in 0..kills() {
        load.run(kill).await;
        server.kill();
        server.start();
    }
    load.end(server, "server on PostgreSQL").await;
}

/// Rule, source: as above, however often the database dies and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_survive_the_death_of_the_database() {
    let mut database = Scratch::start(&[]);
    let server = Server::new(Some(database.url()));
    let load = Load::begin(&server).await;
    for kill in 0..kills() {
        load.run(kill).await;
        tokio::task::block_in_place(|| {
            database.kill();
            database.resume();
        });
    }
    load.end(server, "PostgreSQL").await;
}

fn kills() -> u64 {
    std::env::var(KILLS).map_or(3, |kills| kills.parse().expect("a number of kills"))
}

/// A server that dies and comes back at the same address.
struct Server {
    child: Option<Child>,
    address: String,
    public_key: PathBuf,
    database: Option<String>,
    dir: TempDir,
}

impl Server {
    fn new(database: Option<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let public_key = dir.path().join("data/server.pub.pem");
        let address = "127.0.0.1:0".to_owned();
        let mut server = Self { child: None, address, public_key, database, dir };
        server.start();
        server
    }

    fn start(&mut self) {
        let mut command = chappe(&["serve", "--log", "warn", "--listen", &self.address, "--data"]);
        command.arg(self.dir.path().join("data"));
        if let Some(url) = &self.database {
            command.args(["--database", url]);
        }
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = || std::fs::read_to_string(self.log()).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}", said()));
        self.address = ready["listen"][0].as_str().unwrap().to_owned();
        self.child = Some(child);
    }

    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    async fn backend(&self) -> Backend {
        match &self.database {
            Some(url) => Backend::postgres(PostgresConfig::from_url(url).unwrap()).await.unwrap(),
            None => Backend::embedded(self.dir.path().join("data/chappe.db")).await.unwrap(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Somebody who talks with others.
#[derive(Clone)]
struct Person {
    client: RawClient,
    /// Whom they write to, and who writes to them.
    next: types::InputPeer,
    before: types::InputPeer,
}

/// People who write as fast as they are answered, and do not give up.
struct Load {
    people: Vec<Person>,
    tasks: JoinSet<Vec<(usize, String)>>,
    acknowledged: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Load {
    async fn begin(server: &Server) -> Self {
        let key = std::fs::read_to_string(&server.public_key).unwrap();
        let key = PublicKey::from_pem(&key).unwrap();
        let mut clients = Vec::new();
        for number in 0..PEOPLE {
            let client = RawClient::builder(&server.address, [key.clone()]).pfs(false);
            let client = client.init(introduced).connect().await.unwrap();
            enter(&client, &phone(number)).await;
            clients.push(client);
        }
        let mut people = Vec::new();
        for (number, client) in clients.into_iter().enumerate() {
            let next = find(&client, &phone((number + 1) % PEOPLE)).await;
            let before = find(&client, &phone((number + PEOPLE - 1) % PEOPLE)).await;
            people.push(Person { client, next, before });
        }
        let mut load = Self {
            people,
            tasks: JoinSet::new(),
            acknowledged: Arc::default(),
            refused: Arc::default(),
            is_over: Arc::default(),
        };
        for number in 0..PEOPLE {
            for line in 0..AT_ONCE {
                load.write(number, line);
            }
        }
        load
    }

    /// One message after the other; each is sent, under its random_id, until it is acknowledged.
    fn write(&mut self, number: usize, line: u64) {
        let person = self.people[number].clone();
        let (acknowledged, refused) = (Arc::clone(&self.acknowledged), Arc::clone(&self.refused));
        let is_over = Arc::clone(&self.is_over);
        self.tasks.spawn(async move {
            let mut told = Vec::new();
            for count in 0u64.. {
                let text = format!("{number}/{line}/{count}");
                let call = SendMessage {
                    peer: person.next.clone(),
                    message: text.as_str().into(),
                    random_id: (count * AT_ONCE + line + 1).cast_signed(),
                    ..chappe_tl::blank()
                };
                let options = || CallOptions::default().repeatable();
                while let Err(error) = person.client.invoke_with(&call, options()).await {
                    let is_ours = matches!(&error, InvokeError::Rpc(error) if error.code == 500);
                    assert!(is_ours, "{text}: {error}");
                    refused.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(20)).await;
                }
                acknowledged.fetch_add(1, Ordering::Relaxed);
                told.push((number, text));
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
            }
            told
        });
    }

    /// Waits until some messages were acknowledged, and then for a while that differs each time.
    async fn run(&self, round: u64) {
        let enough = self.acknowledged.load(Ordering::Relaxed) + 20;
        while self.acknowledged.load(Ordering::Relaxed) < enough {
            sleep(Duration::from_millis(2)).await;
        }
        // Steps of the golden ratio fall everywhere.
        sleep(Duration::from_micros(round * 61_803 % 100_000)).await;
    }

    /// Lets everybody finish, and looks for what each was told.
    async fn end(mut self, mut server: Server, what: &str) {
        self.is_over.store(true, Ordering::Relaxed);
        let mut told: Vec<Vec<String>> = vec![Vec::new(); PEOPLE];
        while let Some(of_task) = self.tasks.join_next().await {
            for (number, text) in of_task.unwrap() {
                told[number].push(text);
            }
        }
        let refused = self.refused.load(Ordering::Relaxed);
        let all: usize = told.iter().map(Vec::len).sum();
        for (number, told) in told.iter_mut().enumerate() {
            told.sort_unstable();
            let person = &self.people[number];
            let next = &self.people[(number + 1) % PEOPLE];
            let own = texts(&person.client, &person.next).await;
            let theirs = texts(&next.client, &next.before).await;
            // Of messages between two people, those of one.
            let of = |texts: Vec<String>| {
                let mut own: Vec<String> = texts
                    .into_iter()
                    .filter(|text| text.starts_with(&format!("{number}/")))
                    .collect();
                own.sort_unstable();
                own
            };
            let (own, theirs) = (of(own), of(theirs));
            assert!(own == *told, "{}", difference(&own, told));
            assert!(theirs == *told, "{}", difference(&theirs, told));
        }
        server.kill();
        check_lines(&server.backend().await, all).await;
        println!(
            "{what} was killed {} times, {all} messages were acknowledged, {refused} tries failed",
            kills()
        );
    }
}

/// Rule: UPD-01: the events of an account follow each other without a hole up to its pts.
async fn check_lines(backend: &Backend, messages: usize) {
    let database = backend.database().unwrap();
    // Without that of the service itself (ACC-10).
    let accounts = sql("SELECT id, pts FROM account WHERE id >= 1000000");
    let accounts = database.rows(accounts).await.unwrap();
    let mut lines: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for mut row in accounts {
        // An account begins at 1.
        lines.insert(row.read().unwrap(), (1, row.read().unwrap()));
    }
    assert_eq!(lines.len(), PEOPLE);
    let events = database.rows(sql("SELECT owner, pts, count FROM event ORDER BY owner, pts"));
    let events = events.await.unwrap();
    assert_eq!(events.len(), 2 * messages, "one event in each box");
    for mut row in events {
        let (owner, pts, count): (i64, i64, i64) =
            (row.read().unwrap(), row.read().unwrap(), row.read().unwrap());
        let line = lines.get_mut(&owner).unwrap();
        assert_eq!(pts - count, line.0, "of {owner}");
        line.0 = pts;
    }
    for (owner, (reached, pts)) in lines {
        assert_eq!(reached, pts, "of {owner}");
    }
    backend.store().close().await;
}

fn phone(number: usize) -> String {
    format!("999662{:04}", number + 1)
}

async fn enter(client: &RawClient, phone: &str) {
    let (api_id, api_hash) = (1, "any".into());
    let settings = chappe_tl::blank();
    let ask = SendCode { phone_number: phone.into(), api_id, api_hash, settings };
    let types::auth::SentCode::SentCode(sent) = client.invoke(&ask).await.unwrap() else {
        panic!("no code")
    };
    let enter = SignIn {
        phone_number: phone.into(),
        phone_code_hash: sent.phone_code_hash.clone(),
        phone_code: Some("22222".into()),
        email_verification: None,
    };
    client.invoke(&enter).await.unwrap();
}

async fn find(client: &RawClient, phone: &str) -> types::InputPeer {
    let found = client.invoke(&ResolvePhone { phone: phone.into() }).await.unwrap();
    let [types::User::User(user)] = &found.users[..] else { panic!("nobody") };
    let (user_id, access_hash) = (user.id, user.access_hash.unwrap());
    types::InputPeer::InputPeerUser(ctors::InputPeerUser { user_id, access_hash })
}

/// Every text of a history.
async fn texts(client: &RawClient, peer: &types::InputPeer) -> Vec<String> {
    let mut texts = Vec::new();
    let mut offset_id = 0;
    loop {
        let page = GetHistory { peer: peer.clone(), limit: 100, offset_id, ..chappe_tl::blank() };
        let messages = match client.invoke(&page).await.unwrap() {
            types::messages::Messages::Messages(all) => all.messages,
            types::messages::Messages::MessagesSlice(slice) => slice.messages,
            _ => panic!("no messages"),
        };
        if messages.is_empty() {
            return texts;
        }
        for message in messages {
            let types::Message::Message(message) = message else { panic!("no message") };
            offset_id = message.id;
            texts.push(message.message.as_str().unwrap().to_owned());
        }
    }
}

/// What is in one of two sorted lists and not as often in the other.
fn difference(found: &[String], told: &[String]) -> String {
    let mut counts: BTreeMap<&str, i32> = BTreeMap::new();
    found.iter().for_each(|text| *counts.entry(text).or_default() += 1);
    told.iter().for_each(|text| *counts.entry(text).or_default() -= 1);
    counts.retain(|_, count| *count != 0);
    format!("found more often than told: {counts:?}")
}
