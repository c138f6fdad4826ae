//! A SOCKS5 server (another project's) and an HTTP one by hand, each leading where it is asked to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use fast_socks5::server::{DnsResolveHelper, Socks5ServerProtocol, run_tcp_proxy};
use fast_socks5::{ReplyError, Socks5Command};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Name and password that the proxies ask for.
pub(crate) const USER: (&str, &str) = ("jo:e", "s3cret@ü");

/// A proxy that runs until the test ends.
pub(crate) struct TestProxy {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl TestProxy {
    /// What it was asked for, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) async fn socks5(wants_user: bool) -> Self {
        Self::start(move |stream, seen| async move {
            let _ = serve_socks(stream, wants_user, seen).await;
        })
        .await
    }

    pub(crate) async fn http(answer: &'static str) -> Self {
        Self::start(move |stream, seen| async move {
            let _ = serve_http(stream, answer, seen).await;
        })
        .await
    }

    /// One that grants `CONNECT` and passes other requests on to `server` as they are.
    #[allow(dead_code, reason = "not every crate with these proxies has requests")]
    pub(crate) async fn forward(server: SocketAddr) -> Self {
        Self::start(move |mut stream, seen| async move {
            let Ok(head) = read_head(&mut stream).await else { return };
            seen.lock().unwrap().push(head.clone());
            let Ok(mut upstream) = TcpStream::connect(server).await else { return };
            if head.starts_with("CONNECT ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            } else {
                let _ = upstream.write_all(head.as_bytes()).await;
            }
            let _ = copy_bidirectional(&mut stream, &mut upstream).await;
        })
        .await
    }

    async fn start<S>(
        serve: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> S + Send + 'static,
    ) -> Self
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&noted)));
            }
        });
        Self { address, seen }
    }
}

async fn serve_socks(
    stream: TcpStream,
    wants_user: bool,
    seen: Arc<Mutex<Vec<String>>>,
) -> fast_socks5::Result<()> {
    let accepted = if wants_user {
        let check = |user, password| (user, password) == (USER.0.to_owned(), USER.1.to_owned());
        Socks5ServerProtocol::accept_password_auth(stream, check).await?.0
    } else {
        Socks5ServerProtocol::accept_no_auth(stream).await?
    };
    let (proxy, command, target) = accepted.read_command().await?;
    seen.lock().unwrap().push(target.to_string());
    let (proxy, command, target) = (proxy, command, target).resolve_dns().await?;
    match command {
        Socks5Command::TCPConnect => {
            run_tcp_proxy(proxy, &target, std::time::Duration::from_secs(5), true).await?;
        }
        _ => proxy.reply_error(&ReplyError::CommandNotSupported).await?,
    }
    Ok(())
}

/// Notes the head of the request, answers, and if the answer is a good one leads there.
async fn serve_http(
    mut stream: TcpStream,
    answer: &str,
    seen: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    seen.lock().unwrap().push(head.clone());
    stream.write_all(answer.as_bytes()).await?;
    if answer.starts_with("HTTP/1.1 2") {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let mut server = TcpStream::connect(target).await?;
        copy_bidirectional(&mut stream, &mut server).await?;
    }
    Ok(())
}

async fn read_head(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
