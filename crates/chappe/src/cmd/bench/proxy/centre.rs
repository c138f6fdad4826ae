//! A data centre for the bench alone: it does what the connection is for, and is no server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::exchange;
use super::fault::{Fault, in_time};
use super::line::{HEADER, Header, Hearer, Speaker, halves};
use super::wish::{BULK_PACKET, Bulk, PACKET, Wish, receipt};

/// A data centre that listens; gone when dropped.
pub(super) struct Centre {
    pub(super) address: SocketAddr,
    listener: Arc<TcpListener>,
    serving: JoinHandle<()>,
}

/// Connections that the system accepts before we do.
const BACKLOG: u32 = 4096;

impl Centre {
    pub(super) fn start() -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = Arc::new(socket.listen(BACKLOG)?);
        let address = listener.local_addr()?;
        let serving = tokio::spawn(accept(Arc::clone(&listener)));
        Ok(Self { address, listener, serving })
    }

    /// Takes segments of so many bytes from here on, or of any length by 0.
    pub(super) fn set_segment(&self, bytes: u32) -> io::Result<()> {
        SockRef::from(&*self.listener).set_tcp_mss(bytes)
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: Arc<TcpListener>) {
    loop {
        // Whoever is not let in finds that out by himself.
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // How it ended the client finds out, who is told nothing more.
                let _ = serve(stream).await;
            });
        }
    }
}

async fn serve(mut stream: TcpStream) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await?;
    let Some(Header { outbound, inbound, .. }) = Header::open(header) else {
        return Ok(());
    };
    let (mut speaker, mut hearer) = halves(stream, outbound, inbound);
    let mut packet = [0; PACKET];
    hearer.hear_all(&mut packet).await?;
    match Wish::read(&packet).ok_or(Fault::Changed)? {
        Wish::Echo => echo(speaker, hearer).await,
        Wish::Sink(amount) => {
            sink(&mut hearer, amount).await?;
            Ok(speaker.say(&receipt()).await?)
        }
        Wish::Pour(mut amount) => loop {
            pour(&mut speaker, amount).await?;
            // Until the client is gone.
            hearer.hear_all(&mut packet).await?;
            match Wish::read(&packet) {
                Some(Wish::Pour(more)) => amount = more,
                _ => return Err(Fault::Changed),
            }
        },
        Wish::Exchange(amount) => {
            speaker.narrow(exchange::BUFFER)?;
            let mut rng = chappe_net::entropy::rng().map_err(io::Error::other)?;
            exchange::run(amount, &mut speaker, &mut hearer, &mut rng).await?;
            speaker.say(&receipt()).await?;
            hearer.hear(&mut packet).await?;
            Ok(())
        }
    }
}

async fn echo(mut speaker: Speaker, mut hearer: Hearer) -> Result<(), Fault> {
    let mut bytes = [0; 4 << 10];
    loop {
        match hearer.hear(&mut bytes).await? {
            0 => return Ok(()),
            len => speaker.say(&bytes[..len]).await?,
        }
    }
}

/// Hears so many bytes, each the right one.
pub(super) async fn sink(hearer: &mut Hearer, amount: u64) -> Result<(), Fault> {
    let (mut expected, mut left) = (Bulk::new(), amount);
    let mut bytes = vec![0; BULK_PACKET];
    while left > 0 {
        let room = left.min(BULK_PACKET as u64) as usize;
        match in_time(hearer.hear(&mut bytes[..room])).await? {
            0 => return Err(Fault::Closed),
            len if !expected.is_next(&bytes[..len]) => return Err(Fault::Changed),
            len => left -= len as u64,
        }
    }
    Ok(())
}

/// Says so many bytes.
pub(super) async fn pour(speaker: &mut Speaker, amount: u64) -> Result<(), Fault> {
    let (mut bulk, mut left) = (Bulk::new(), amount);
    while left > 0 {
        let bytes = bulk.next(left.min(BULK_PACKET as u64) as usize);
        left -= bytes.len() as u64;
        in_time(speaker.say(bytes)).await?;
    }
    Ok(())
}
