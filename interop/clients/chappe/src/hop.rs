//! A hop on the way to the server that can be cut: the client knows nothing of it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Passes connections on to the server.
#[derive(Debug)]
pub(crate) struct Hop {
    /// Where the client is to connect.
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    connections: AtomicUsize,
    cut: Notify,
}

impl Hop {
    /// Listens on a free loopback port, until the runtime ends.
    pub(crate) async fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let hop = Self { address: listener.local_addr()?, state: Arc::default() };
        let state = Arc::clone(&hop.state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, server, Arc::clone(&state)));
            }
        });
        Ok(hop)
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Closes every connection.
    pub(crate) fn cut(&self) {
        self.state.cut.notify_waiters();
    }
}

async fn pass_on(mut client: TcpStream, server: SocketAddr, state: Arc<State>) {
    let cut = state.cut.notified();
    state.connections.fetch_add(1, Ordering::Relaxed);
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        () = cut => {}
        // However it ended, both sockets close here.
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}
