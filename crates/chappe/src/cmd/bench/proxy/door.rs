//! How a client comes: to a proxy in one of its forms, or straight to the data centre.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chappe_crypto::{Rng, x25519_public};
use chappe_proto::transport::fake_tls::{
    CHANGE_CIPHER_SPEC, Records, greeting, read_flight, record_header,
};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::exchange;
use super::fault::{Fault, in_time};
use super::line::{Header, Hearer, Speaker, halves_of_client};
use super::wish::{PACKET, Wish, receipt};
use crate::config::proxy::Mode;

/// Where clients come to, and how.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    /// `None`: no proxy is there.
    pub(super) key: Option<Key>,
}

/// By what a proxy lets them in.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) mode: Mode,
    pub(super) secret: [u8; 16],
    pub(super) domain: Arc<str>,
}

/// Longest wait for a connection and its first answer.
const ENTRY_MAX: Duration = Duration::from_secs(20);
/// Longest answer to a hello, or longer.
const FLIGHT_MAX: usize = 32 << 10;

impl Door {
    /// Comes in, and says what for.
    pub(super) async fn enter(
        &self,
        wish: Wish,
        rng: &mut Rng,
    ) -> Result<(Speaker, Hearer), Fault> {
        let entered = timeout(ENTRY_MAX, self.try_enter(wish, rng)).await;
        entered.map_err(|_| Fault::Silent)?
    }

    /// Comes in, says something, and has it come back.
    pub(super) async fn greet(&self, rng: &mut Rng) -> Result<(Speaker, Hearer), Fault> {
        let greeted = timeout(ENTRY_MAX, async {
            let (mut speaker, mut hearer) = self.try_enter(Wish::Echo, rng).await?;
            turn(&mut speaker, &mut hearer).await?;
            Ok((speaker, hearer))
        });
        greeted.await.map_err(|_| Fault::Silent)?
    }

    async fn try_enter(&self, wish: Wish, rng: &mut Rng) -> Result<(Speaker, Hearer), Fault> {
        let socket = TcpSocket::new_v4()?;
        if matches!(wish, Wish::Exchange(_)) {
            socket.set_recv_buffer_size(exchange::BUFFER)?;
            socket.set_send_buffer_size(exchange::BUFFER)?;
            SockRef::from(&socket).set_tcp_mss(exchange::SEGMENT)?;
        }
        let mut stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mode = self.key.as_ref().map(|key| key.mode);
        let tag = match mode {
            None | Some(Mode::Plain) => [0xee; 4],
            Some(Mode::Padded | Mode::Tls) => [0xdd; 4],
        };
        let mut first = Vec::new();
        let records = match &self.key {
            Some(key) if key.mode == Mode::Tls => {
                shake_hands(&mut stream, key, rng).await?;
                first.extend_from_slice(&CHANGE_CIPHER_SPEC);
                first.extend_from_slice(&record_header(HEADER_AND_WISH));
                Some(Records::of_proxy())
            }
            _ => None,
        };
        let mut header = Header::draw(tag, self.key.as_ref().map(|key| &key.secret), rng);
        let mut packet = wish.packet();
        header.outbound.apply(&mut packet);
        // As clients do it: header and first packet in one piece.
        first.extend_from_slice(&header.bytes);
        first.extend_from_slice(&packet);
        stream.write_all(&first).await?;
        Ok(halves_of_client(stream, header.outbound, header.inbound, records))
    }
}

const HEADER_AND_WISH: usize = super::line::HEADER + PACKET;

/// Has a packet come back.
pub(super) async fn turn(speaker: &mut Speaker, hearer: &mut Hearer) -> Result<(), Fault> {
    let packet = receipt();
    in_time(speaker.say(&packet)).await?;
    let mut heard = [0; PACKET];
    in_time(hearer.hear_all(&mut heard)).await?;
    if heard == packet { Ok(()) } else { Err(Fault::Changed) }
}

/// Waits for the word that everything has come.
pub(super) async fn hear_receipt(hearer: &mut Hearer) -> Result<(), Fault> {
    let mut heard = [0; PACKET];
    in_time(hearer.hear_all(&mut heard)).await?;
    if heard == receipt() { Ok(()) } else { Err(Fault::Changed) }
}

/// The hello and its answer, at once and without the waiting and the retries of our own client.
async fn shake_hands(stream: &mut TcpStream, key: &Key, rng: &mut Rng) -> Result<(), Fault> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
    let secret = key.secret.into();
    let keys = [x25519_public(rng), x25519_public(rng)];
    let (hello, random) = greeting(&key.domain, &secret, time, &keys, rng);
    stream.write_all(&hello).await?;
    let mut answer = Vec::with_capacity(FLIGHT_MAX);
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(Fault::Closed);
        }
        match read_flight(&answer, &secret, &random) {
            Ok(Some(len)) if len == answer.len() => return Ok(()),
            Ok(None) if answer.len() < FLIGHT_MAX => {}
            Ok(_) | Err(_) => return Err(Fault::Hello),
        }
    }
}
