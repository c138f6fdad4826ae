//! Our client against our server, which is killed and comes back.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use chappe_client::{FileStorage, InvokeError, PfsConfig, Push, RawClient};
use chappe_crypto::rsa::PublicKey;
use chappe_proto::schema::functions::{InitConnection, InvokeWithLayer};
use chappe_tl::Raw;

use crate::Server;

/// Rule: SES-18, PFS-03, PFS-17, SES-12: temporary keys do not survive the server; the client is
/// told so, makes another and loses no call that it had not sent, over several restarts.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_outlives_its_server() {
    let address = free_address();
    // All are kept, since the folder of the data belongs to the first.
    let mut servers = vec![Server::start(&["--listen", &address])];
    let data = servers[0].data.clone();
    let session = data.join("client.session");
    let builder = builder(&servers[0], &address).storage(FileStorage::open(&session).unwrap());
    let client = builder.connect().await.unwrap();
    let mut pushes = client.pushes();
    client.invoke_raw(nearest_dc()).await.unwrap();
    for _ in 0..2 {
        let server = servers.last_mut().unwrap();
        server.signal("-KILL");
        server.wait();
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let client = client.clone();
                tokio::spawn(async move { client.invoke_raw(nearest_dc()).await })
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        servers.push(Server::start_in(dir, data.clone(), &["--listen", &address]));
        let mut answered = 0;
        for call in calls {
            match call.await.unwrap() {
                Ok(_) => answered += 1,
                // It met the link before the cut was noticed.
                Err(InvokeError::Unknown(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert!(answered > 0);
        client.invoke_raw(nearest_dc()).await.unwrap();
        assert_eq!(pushes.next().await, Some(Push::MayBeLost));
    }
    client.close().await;
    assert!(fs::metadata(&session).unwrap().len() > 256);
}

/// Rule: PFS-11, PFS-18: keys that live for seconds are renewed under calls, and none of these
/// fails.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_renewed_under_calls() {
    let server = Server::start(&[]);
    let keys = PfsConfig::default().with_expires_in(9);
    let builder = builder(&server, server.address()).temporary_keys(keys);
    let client = builder.connect().await.unwrap();
    let mut pushes = client.pushes();
    let mut renewals = 0;
    while renewals < 3 {
        client.invoke_raw(nearest_dc()).await.unwrap();
        let push = tokio::time::timeout(Duration::from_millis(20), pushes.next()).await;
        renewals += usize::from(push == Ok(Some(Push::MayBeLost)));
    }
    client.close().await;
}

pub(crate) fn builder(server: &Server, address: &str) -> chappe_client::Builder {
    let pem = fs::read_to_string(server.public_key()).unwrap();
    let key = PublicKey::from_pem(&pem).unwrap();
    RawClient::builder(address, [key]).init(introduced)
}

/// `help.getNearestDc#1fb33026`.
pub(crate) fn nearest_dc() -> Bytes {
    Bytes::from_static(&[0x26, 0x30, 0xb3, 0x1f])
}

/// A call as clients of Telegram make their first one.
pub(crate) fn introduced(call: Bytes) -> Bytes {
    let init = InitConnection {
        api_id: 1,
        device_model: "test".into(),
        system_version: "1".into(),
        app_version: "1".into(),
        system_lang_code: "en".into(),
        lang_pack: "".into(),
        lang_code: "en".into(),
        proxy: None,
        params: None,
        query: Raw(call),
    };
    chappe_tl::to_bytes(&InvokeWithLayer { layer: chappe_api::LAYER, query: init }).unwrap()
}

pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
