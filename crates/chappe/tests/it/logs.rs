//! Both ends log everything they can; nothing of it may be a secret.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chappe_backend::Backend;
use chappe_client::{
    KeyLoss, KeyRecord, MemoryStorage, RawClient, ServerId, Storage, StorageError,
};
use chappe_crypto::{Rng, rsa};
use chappe_proto::rpc::RpcError;
use chappe_server::{Pusher, Request, Router, RsaIdentity, Server, ServerConfig};
use chappe_tl::{Decode, DecodeError, Encode, Function, Reader, Str, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

/// What calls and answers carry.
const TEXT: &str = "a letter nobody else may read";

/// Rule:   keys, nonces, salts and what messages hold are in no log, at no level, whatever form they
///         might be written in; ids are.
/// Source: SEC-53.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_of_both_ends_hold_no_secrets() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let backend = Backend::embedded(dir.path().join("keys.db")).await.unwrap();
    let (address, server_key, pusher) = serve(backend).await;
    let relay = Relay::start(address.clone()).await;
    let storage = Arc::new(Remembering::default());
    let client = RawClient::builder(&relay.address, [server_key.clone()])
        .storage(Arc::clone(&storage))
        .connect()
        .await
        .unwrap();
    let mut pushes = client.pushes();

    // Calls that succeed, are refused, fail and panic, at once and later.
    let echoed = client.invoke_raw(call(ECHO)).await.unwrap();
    assert_eq!(echoed, call(ECHO).slice(4..));
    for function in [REFUSE, PANIC, HUGE, 0x7700_0000] {
        client.invoke_raw(call(function)).await.unwrap_err();
    }
    let given_up = client.invoke_raw(call(HANG));
    tokio::time::timeout(Duration::from_millis(50), given_up).await.unwrap_err();
    // A link that is cut, and one on which a packet is damaged.
    relay.cut();
    client.invoke_raw(call(ECHO)).await.unwrap();
    relay.damage();
    client.invoke_raw(call(ECHO)).await.unwrap();
    let key = storage.last().key;
    assert_eq!(pusher.to_key(key.id(), call(ECHO)).await, 1);
    pushes.next().await.unwrap();
    client.close().await;
    // Strangers: garbage, an exchange out of order, a key of nobody, a server of another name.
    for bytes in [
        vec![9; 300],
        [&[0xef, 13][..], &[0; 20], TEXT.as_bytes(), &[0; 3]].concat(),
        [&[0xef, 20][..], &[5; 80]].concat(),
    ] {
        let mut stranger = TcpStream::connect(&address).await.unwrap();
        stranger.write_all(&bytes).await.unwrap();
        let mut answer = [0; 64];
        let read = stranger.read(&mut answer);
        let _ = tokio::time::timeout(Duration::from_millis(100), read).await;
    }
    let other = rsa::PrivateKey::generate(&mut Rng::from_seed([1; 32]));
    let misled = RawClient::connect(&address, other.public()).await;
    assert!(misled.is_err());
    // A key that the server has lost: -404, and another key.
    let (address, _, _) = serve(Backend::memory()).await;
    let client = RawClient::builder(&address, [server_key.clone()])
        .storage(Arc::clone(&storage))
        .key_loss(KeyLoss::MakeNew)
        .connect()
        .await
        .unwrap();
    client.invoke_raw(call(ECHO)).await.unwrap();
    client.close().await;
    tokio::time::sleep(Duration::from_millis(100)).await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for named in [
        format!("auth_key_id={}", key.id()),
        "link opened".to_owned(),
        "link closed".to_owned(),
        "session opened".to_owned(),
        "call{msg_id=".to_owned(),
        "function=echo".to_owned(),
        "its handler panicked".to_owned(),
        "call ended".to_owned(),
        "key created".to_owned(),
    ] {
        assert!(text.contains(&named), "the log does not say {named}");
    }
    let mut secrets = vec![TEXT.as_bytes().to_vec()];
    for record in storage.records.lock().unwrap().iter() {
        secrets.push(record.key.full().unwrap().to_vec());
        secrets.push(record.salt.to_le_bytes().to_vec());
    }
    let bodies = relay.plain_bodies();
    assert!(bodies.len() >= 6, "the key exchange has six messages");
    let first_salt = storage.records.lock().unwrap()[0].salt.to_le_bytes();
    // resPQ: id, nonce, server_nonce. The first salt is new_nonce xor server_nonce.
    let res_pq = bodies.iter().find(|body| body.starts_with(&[0x63, 0x24, 0x16, 0x05])).unwrap();
    let new_nonce = first_salt.iter().zip(&res_pq[20..28]).map(|(a, b)| a ^ b).collect();
    secrets.push(new_nonce);
    // Which RSA key a server has is no secret.
    let public = server_key.fingerprint().to_le_bytes();
    secrets.extend(bodies.into_iter().map(|mut body| {
        if let Some(at) = body.windows(8).position(|part| part == public) {
            body[at..at + 8].fill(0);
        }
        body
    }));
    for secret in &secrets {
        if let Some(form) = found(&text, secret) {
            let line = text.lines().find(|line| line.to_lowercase().contains(&form.to_lowercase()));
            panic!("the log holds {form}: {}", line.unwrap_or_default());
        }
    }
}

/// The search above finds a secret in every form that it looks for.
#[test]
fn the_search_finds_every_form() {
    let secret: Vec<u8> = (0..40_u8).map(|n| n.wrapping_mul(37).wrapping_add(11)).collect();
    let part = &secret[8..32];
    let number = i64::from_le_bytes(part[..8].try_into().unwrap());
    for written in [
        part.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        part.iter().map(|byte| format!("{byte:02X}")).collect::<String>(),
        format!("{part:?}"),
        format!("{:?}", Bytes::copy_from_slice(part)),
        base64(&secret[9..], b"+/"),
        base64(part, b"-_"),
        number.to_string(),
        (number as u64).to_string(),
        number.swap_bytes().to_string(),
        format!("{:016x}", number.swap_bytes()),
        format!("{:x}", number),
    ] {
        assert!(found(&format!("x={written} y"), &secret).is_some(), "{written}");
    }
    assert_eq!(found("nothing of it", &secret), None);
}

/// A form in which eight or nine bytes in a row of `secret` stand in `text`; every fourth such
/// part is looked for, which sees any whole word and any seventeen bytes in a row.
fn found(text: &str, secret: &[u8]) -> Option<String> {
    let lower = text.to_lowercase();
    for part in secret.windows(8).step_by(4) {
        let mut kinds = part.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        // Zeros and ids of constructors are no secret.
        if kinds.len() < 6 {
            continue;
        }
        let array: [u8; 8] = part.try_into().unwrap();
        let number = i64::from_le_bytes(array);
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let backwards: String = part.iter().rev().map(|byte| format!("{byte:02x}")).collect();
        let list = format!("{part:?}");
        for form in [hex, backwards, list.trim_matches(['[', ']']).to_owned()] {
            if lower.contains(&form) {
                return Some(form);
            }
        }
        for number in [number, number.swap_bytes()] {
            for form in [number.to_string(), (number as u64).to_string()] {
                if text.contains(&form) {
                    return Some(form);
                }
            }
        }
        let escaped = format!("{:?}", Bytes::copy_from_slice(part));
        let form = escaped.trim_start_matches("b\"").trim_end_matches('"');
        if text.contains(form) {
            return Some(form.to_owned());
        }
    }
    for part in secret.windows(9).step_by(4) {
        for alphabet in [b"+/", b"-_"] {
            let form = base64(part, alphabet);
            if text.contains(&form) {
                return Some(form);
            }
        }
    }
    None
}

/// Base64 of whole groups of three bytes; the last two digits are `last`.
fn base64(bytes: &[u8], last: &[u8; 2]) -> String {
    let digits: Vec<u8> =
        (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*last).collect();
    bytes
        .chunks_exact(3)
        .flat_map(|group| {
            let number = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            [18, 12, 6, 0].map(|shift| char::from(digits[(number >> shift & 63) as usize]))
        })
        .collect()
}

const ECHO: u32 = 0x7700_0001;
const REFUSE: u32 = 0x7700_0002;
const PANIC: u32 = 0x7700_0003;
const HUGE: u32 = 0x7700_0004;
const HANG: u32 = 0x7700_0005;

fn call(function: u32) -> Bytes {
    let mut writer = Writer::new();
    writer.u32(function);
    writer.bytes(TEXT.as_bytes());
    writer.finish().unwrap()
}

/// `echo#77000001 text:string = string`, by hand.
#[derive(Clone)]
struct Echo(Str);

impl Encode for Echo {
    fn encode(&self, w: &mut Writer) {
        w.u32(ECHO);
        w.bytes(&self.0.to_bytes());
    }
}

impl Decode for Echo {
    fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        r.expect_id(ECHO, "echo")?;
        Ok(Self(r.str()?))
    }
}

impl Function for Echo {
    const ID: u32 = ECHO;
    const NAME: &'static str = "echo";
    type Return = Str;
}

async fn echo(call: Echo) -> Result<Str, RpcError> {
    Ok(call.0)
}

/// A server whose functions do what their names say, without a schema.
async fn serve(backend: Backend) -> (String, rsa::PublicKey, Pusher) {
    let identity = RsaIdentity::generate(&mut Rng::from_seed([42; 32]));
    let key = identity.public().clone();
    let router = Router::new(()).function(echo).fallback(|request: Request| async move {
        tokio::task::yield_now().await;
        match request.id() {
            REFUSE => Err(RpcError::bad_request("NO")),
            PANIC => panic!("as it must"),
            HUGE => Ok(Bytes::from(vec![7; 5000])),
            HANG => std::future::pending().await,
            id => Err(RpcError::unknown_method(id)),
        }
    });
    let mut config = ServerConfig::default();
    config.result_max_bytes = 4000;
    let server =
        Server::builder().identity(identity).backend(backend).router(router).config(config).build();
    let server = server.unwrap();
    let pusher = server.pusher();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(server.serve(listener).into_future());
    (address, key, pusher)
}

/// A storage that remembers everything it was ever given.
#[derive(Default)]
struct Remembering {
    inner: MemoryStorage,
    records: Mutex<Vec<KeyRecord>>,
}

impl Remembering {
    fn last(&self) -> KeyRecord {
        self.records.lock().unwrap().last().unwrap().clone()
    }
}

impl Storage for Remembering {
    fn load(&self, server: ServerId) -> Result<Option<KeyRecord>, StorageError> {
        self.inner.load(server)
    }

    fn save(&self, server: ServerId, record: &KeyRecord) -> Result<(), StorageError> {
        self.records.lock().unwrap().push(record.clone());
        self.inner.save(server, record)
    }

    fn remove(&self, server: ServerId) -> Result<(), StorageError> {
        self.inner.remove(server)
    }
}

/// Passes bytes on, remembers them, and cuts or damages when told.
struct Relay {
    address: String,
    said: Said,
    orders: tokio::sync::broadcast::Sender<Order>,
}

/// What was said on each link, by the client (`true`) and by the server.
type Said = Arc<Mutex<BTreeMap<(u32, bool), Vec<u8>>>>;

#[derive(Clone, Copy, PartialEq)]
enum Order {
    Cut,
    Damage,
}

impl Relay {
    async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let said = Said::default();
        let (orders, _) = tokio::sync::broadcast::channel(4);
        let (heard, given) = (Arc::clone(&said), orders.clone());
        tokio::spawn(async move {
            for link in 0.. {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut server = TcpStream::connect(&server).await.unwrap();
                let mut orders = given.subscribe();
                let heard = Arc::clone(&heard);
                tokio::spawn(async move {
                    let mut damages = false;
                    let (mut up, mut down) = ([0; 4096], [0; 4096]);
                    loop {
                        let (bytes, is_up) = tokio::select! {
                            order = orders.recv() => match order {
                                Ok(Order::Damage) => {
                                    damages = true;
                                    continue;
                                }
                                _ => break,
                            },
                            len = client.read(&mut up) => (&mut up[..len.unwrap_or(0)], true),
                            len = server.read(&mut down) => (&mut down[..len.unwrap_or(0)], false),
                        };
                        let Some(last) = bytes.last_mut() else { break };
                        if damages && is_up {
                            *last ^= 1;
                        }
                        heard.lock().unwrap().entry((link, is_up)).or_default().extend(&*bytes);
                        let to = if is_up { &mut server } else { &mut client };
                        if to.write_all(bytes).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, said, orders }
    }

    fn cut(&self) {
        let _ = self.orders.send(Order::Cut);
    }

    fn damage(&self) {
        let _ = self.orders.send(Order::Damage);
    }

    /// Bodies of the unencrypted messages, of abridged frames.
    fn plain_bodies(&self) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        for ((_, is_up), bytes) in &*self.said.lock().unwrap() {
            let mut rest = if *is_up { &bytes[1..] } else { &bytes[..] };
            while let Some((words, after)) = rest.split_first() {
                let (len, after) = match words {
                    0x7f => {
                        let len = u32::from_le_bytes([after[0], after[1], after[2], 0]);
                        (len as usize * 4, &after[3..])
                    }
                    words => (usize::from(*words) * 4, after),
                };
                let Some((packet, after)) = after.split_at_checked(len) else { break };
                if packet.starts_with(&[0; 8]) {
                    bodies.push(packet[20..].to_vec());
                }
                rest = after;
            }
        }
        bodies
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
