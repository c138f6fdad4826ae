//! Many clients at once, on several threads, and what the logs say of them.

use std::sync::Arc;

use chappe_proto::MsgId;

use crate::client::Client;
use crate::functions::{Count, Echo, Sleep};
use crate::log::Log;
use crate::world::World;

/// Rule:   whatever connections come and go, each client gets its own answers, and each call runs
///         once.
/// Source: SEC-35, SES-03, MSG-39.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_come_and_go() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 20;
    let world = Arc::new(World::new().await);
    let account = Client::new(&world).await.account;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let (world, account) = (Arc::clone(&world), account.clone());
        clients.push(tokio::spawn(async move {
            let mut client = Client::with(&world, &account).await;
            for round in 0..ROUNDS {
                let text = format!("{number} {round}");
                let answer = client.call(Echo::from(text.as_str())).await.unwrap();
                assert_eq!(answer, text.as_str());
                client.call(Count::from("")).await.unwrap();
                if round % 5 == number % 5 {
                    let call = client.begin(&Sleep::from("5")).await;
                    client.reconnect(&world).await;
                    client.answer::<Sleep>(call).await.unwrap();
                }
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let runs = world.app.runs.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(runs, CLIENTS * ROUNDS);
}

/// Rule:   logs name keys, links and sessions by their ids; keys, nonces and texts never appear in
///         them.
/// Source: SEC-53.
#[tokio::test]
async fn logs_hold_no_secrets() {
    // Of the whole process: what other tests log is held to the same.
    let log = Log::of_the_process();
    let world = World::new().await;
    let mut client = Client::new(&world).await;
    client.call(Echo::from("a private text")).await.unwrap();
    client.wire.raw(&[9; 100]).await;
    client.wire.ends().await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;

    let text = log.text();
    assert!(text.contains(&client.account.key.id().to_string()));
    assert!(text.contains("link closed"));
    assert!(!text.contains("private"));
    let key = client.account.key.stored();
    for part in key.chunks(8) {
        let hex: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let numbers = format!("{part:?}");
        let numbers = numbers.trim_matches(['[', ']']);
        assert!(!text.to_lowercase().contains(&hex) && !text.contains(numbers));
    }
    let salt = client.account.salt;
    assert!(!text.contains(&salt.to_string()) && !text.contains(&MsgId(salt).to_string()));
}
