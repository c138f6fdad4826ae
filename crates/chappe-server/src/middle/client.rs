//! One client of a proxy: a pipe into which its packets go framed, and out of which come such for it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::BytesMut;
use chappe_crypto::Rng;
use chappe_proto::middle::messages::ConnId;
use chappe_proto::transport::{ClientOptions, Codec, Frame, Framing, PACKET_MAX, Transport};
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, duplex, split};
use tokio::sync::mpsc;

use crate::connection::Connection;
use crate::queue::{Receiver, Weighed};

/// A packet of the client.
pub(super) struct Told {
    pub(super) packet: BytesMut,
    pub(super) quick_ack_wanted: bool,
}

impl Weighed for Told {
    fn bytes(&self) -> usize {
        self.packet.len()
    }
}

/// What the server says to the client.
pub(super) enum Said {
    Packet(BytesMut),
    QuickAck(u32),
    Error(i32),
    /// Nothing any more.
    End,
}

/// What the pipe speaks. Which framing the client speaks is between it and its proxy.
const SPOKEN: Transport = Transport::plain(Framing::Intermediate);
/// Bytes in the pipe, either way.
const PIPE: usize = 64 << 10;

/// Serves a client until its connection ends, or nobody is left who would tell it anything.
pub(super) async fn serve(
    connection: Box<Connection>,
    mut rng: Rng,
    client: ConnId,
    told: Receiver<Told>,
    say: mpsc::Sender<(ConnId, Said)>,
) {
    let (ours, theirs) = duplex(PIPE);
    tokio::spawn(connection.serve(theirs));
    let codec = Codec::client(SPOKEN, &ClientOptions::default(), PACKET_MAX, &mut rng);
    pump(ours, codec, client, told, &say, rng).await;
    // Whoever gets it may be gone, with the whole link.
    let _ = say.send((client, Said::End)).await;
}

async fn pump(
    pipe: DuplexStream,
    mut codec: Codec,
    client: ConnId,
    mut told: Receiver<Told>,
    say: &mpsc::Sender<(ConnId, Said)>,
    mut rng: Rng,
) {
    let (mut reader, mut writer) = split(pipe);
    let (mut inbound, mut outbound) = (BytesMut::new(), BytesMut::new());
    let mut next = None;
    loop {
        if next.is_none() {
            // Our own server sends no frame that cannot be.
            let Ok(frame) = codec.next(&mut inbound) else { return };
            next = frame.and_then(said);
        }
        if inbound.is_empty() {
            inbound = BytesMut::new();
        }
        if outbound.is_empty() {
            outbound = BytesMut::new();
        }
        tokio::select! {
            permit = say.reserve(), if next.is_some() => {
                let (Ok(permit), Some(said)) = (permit, next.take()) else { return };
                permit.send((client, said));
            }
            // One frame at a time: what waits to be said keeps the server from saying more.
            read = read(&mut reader, &mut inbound), if next.is_none() => {
                if !matches!(read, Ok(1..)) {
                    return;
                }
            }
            written = writer.write_buf(&mut outbound), if !outbound.is_empty() => {
                if written.is_err() {
                    return;
                }
            }
            packet = told.next(), if outbound.is_empty() => {
                let Some(Told { packet, quick_ack_wanted }) = packet else { return };
                let frame = codec.begin(&mut outbound);
                outbound.extend_from_slice(&packet);
                let frame = if quick_ack_wanted { frame.with_quick_ack() } else { frame };
                if codec.finish(frame, &mut outbound, &mut rng).is_err() {
                    return;
                }
            }
        }
    }
}

/// Reads what is there into `inbound`, which holds nothing while there is nothing: most clients wait
/// most of the time.
async fn read(pipe: &mut ReadHalf<DuplexStream>, inbound: &mut BytesMut) -> io::Result<usize> {
    poll_fn(|context| {
        let mut scratch = [0; SCRATCH];
        let mut scratch = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut *pipe).poll_read(context, &mut scratch))?;
        inbound.extend_from_slice(scratch.filled());
        Poll::Ready(Ok(scratch.filled().len()))
    })
    .await
}

/// Bytes read at once, on the stack.
const SCRATCH: usize = 8 << 10;

fn said(frame: Frame) -> Option<Said> {
    match frame {
        Frame::Packet { bytes, .. } => Some(Said::Packet(bytes)),
        Frame::QuickAck(token) => Some(Said::QuickAck(token)),
        Frame::Error(code) => Some(Said::Error(code)),
        Frame::Noop => None,
    }
}
