//! Which MTProto the client speaks.

use std::time::Duration;

use bytes::Bytes;
use chappe_client::ConnectError;
use chappe_proto::link::LinkConfig;

use crate::server::{Hooks, Server};

/// Rule: MSG-32, V1-02, SEC-43: 2.0 unless told otherwise; a client told to speak 1.0 speaks nothing
/// else, so a server without it does not understand a word.
#[tokio::test(flavor = "multi_thread")]
async fn the_older_version_is_spoken_on_demand_only() {
    let server = Server::start(Hooks::default()).await;
    let call = Bytes::from_static(&[7, 7, 7, 7]);
    let limits = LinkConfig::client;
    let older = [
        server.client().mtproto1(),
        server.client().mtproto1().link_config(limits()),
        server.client().link_config(limits()).mtproto1(),
    ];
    for client in older.into_iter().chain([server.client()]) {
        let client = client.connect().await.unwrap();
        assert_eq!(client.invoke_raw(call.clone()).await.unwrap(), call);
    }
    server.state().link.mtproto1 = false;
    let client = server.client().connect().await.unwrap();
    assert_eq!(client.invoke_raw(call.clone()).await.unwrap(), call);
    for older in [server.client().mtproto1(), server.client().mtproto1().link_config(limits())] {
        let older = older.connect_timeout(Duration::from_secs(1));
        assert!(matches!(older.connect().await, Err(ConnectError::Timeout { .. })));
    }
}
