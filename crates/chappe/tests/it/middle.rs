//! Clients by way of a proxy and its links to a server, all of them processes of ours.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use chappe_client::{InvokeError, RawClient};
use futures_util::future::join_all;
use serde_json::Value;

use crate::recovery::{builder, free_address, nearest_dc};
use crate::{Server, chappe};

const SECRET: &str = "00112233445566778899aabbccddeeff";
/// A site that nobody looks for here.
const SITE: &str = "www.example.org";

/// Rules: MPX-07, MPX-09, MPX-14, MPX-16, PRX-37: in every mode a hundred calls are answered through
///        proxy and links, and large ones; after a server that died and came back they are again,
///        and after one that is found elsewhere by a list that changed.
#[tokio::test(flavor = "multi_thread")]
async fn calls_pass_by_way_of_middle_servers() {
    let dir = tempfile::tempdir().unwrap();
    let (secret, servers) = (dir.path().join("proxy-secret"), dir.path().join("proxy-multi.conf"));
    fs::write(&secret, [7; 128]).unwrap();
    let address = free_address();
    let serve = |middle: &str| {
        fs::write(&servers, format!("default 2;\nproxy_for 2 {middle};\n")).unwrap();
        let secret = secret.to_str().unwrap();
        let args = ["--listen", &address, "--middle-listen", middle, "--middle-secret", secret];
        let data = dir.path().join("data");
        let server = Server::start_in(tempfile::tempdir().unwrap(), data, &args);
        assert_eq!(server.ready["middle"], middle);
        server
    };
    let middle = free_address();
    let mut server = serve(&middle);
    let proxy = Proxy::start(&secret, &servers);
    let site: String = SITE.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut clients = Vec::new();
    for form in [SECRET.to_owned(), format!("dd{SECRET}"), format!("ee{SECRET}{site}")] {
        let link = format!("tg://proxy?server=127.0.0.1&port={}&secret={form}", proxy.port());
        let builder = builder(&server, &address).mtproxy(link.parse().unwrap());
        let client = builder.connect().await.unwrap();
        check(&client).await;
        large(&client).await;
        clients.push(client);
    }
    for middle in [middle, free_address()] {
        server.signal("-KILL");
        server.wait();
        server = serve(&middle);
        for client in &clients {
            check(client).await;
        }
    }
    for client in clients {
        client.close().await;
    }
}

/// A hundred calls at once.
async fn check(client: &RawClient) {
    let call = || async {
        loop {
            match client.invoke_raw(nearest_dc()).await {
                Ok(answer) => return answer,
                // It was on its way when the server died; this one may be made again.
                Err(InvokeError::Unknown(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let answers = join_all((0..100).map(|_| call()));
    let answers = tokio::time::timeout(Duration::from_secs(60), answers).await.unwrap();
    // `nearestDc`.
    assert!(answers.iter().all(|answer| answer.starts_with(&0x8e1a_1775_u32.to_le_bytes())));
}

/// A call of half a megabyte: whatever is made of it, it came through.
async fn large(client: &RawClient) {
    let mut long = Vec::new();
    for _ in 0..125_000 {
        // `invokeWithoutUpdates`, of itself.
        long.extend_from_slice(&0xbf94_59b7_u32.to_le_bytes());
    }
    long.extend_from_slice(&nearest_dc());
    let answer = client.invoke_raw(long.into()).await;
    assert!(matches!(answer, Ok(_) | Err(InvokeError::Rpc(_))), "{answer:?}");
}

/// A running `chappe proxy run`; killed when dropped.
struct Proxy {
    child: Child,
    ready: Value,
}

impl Proxy {
    fn start(secret: &Path, servers: &Path) -> Self {
        let user = format!("one={SECRET}");
        let domain = format!("{SITE}=127.0.0.1:1");
        let mut child = chappe(&["proxy", "run", "--listen", "127.0.0.1:0", "--user", &user])
            .args(["--modes", "plain,padded,tls", "--domain", &domain])
            .arg("--middle-secret")
            .arg(secret)
            .arg("--middle-servers")
            .arg(servers)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn port(&self) -> u16 {
        let address: std::net::SocketAddr =
            self.ready["listen"][0].as_str().unwrap().parse().unwrap();
        address.port()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
