//! One connection of a client: dialled, driven, and told of to the task that owns the session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_net::{Clock, DriveConfig, End, Owner, connect, drive};
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::link::{Link, LinkConfig, LinkEvent};
use chappe_proto::transport::{ClientOptions, Transport};
use chappe_proto::{LinkId, Now};
use tokio::sync::mpsc;
use tracing::{Instrument, debug, info_span};

use crate::metrics::Metrics;

/// What a connection needs to know to be made.
pub(super) struct Dial {
    pub(super) id: LinkId,
    pub(super) address: String,
    pub(super) transport: Transport,
    pub(super) options: ClientOptions,
    pub(super) link: LinkConfig,
    pub(super) drive: DriveConfig,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) metrics: Arc<Metrics>,
    pub(super) last_read: Arc<LastRead>,
}

/// When bytes last came on a connection. Looked at where that matters, for it wakes nobody.
#[derive(Debug, Default)]
pub(super) struct LastRead(AtomicU64);

impl LastRead {
    /// On the monotonic clock.
    pub(super) fn at(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn note(&self, at: Duration) {
        self.0.store(at.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// What is asked of a connection. Once nobody can ask any more, it ends.
pub(super) enum LinkCommand {
    /// Packets come under this key from now on, and nothing unencrypted.
    UseKey(Arc<AuthKey>),
    /// Send a message of a session.
    Send(Arc<AuthKey>, Message),
    /// The same, and ask the server to say at once that it has it.
    SendWithQuickAck(Arc<AuthKey>, Message),
    /// Send a message of a key exchange; ids go by this time.
    Plain(Duration, Bytes),
}

/// What a connection tells.
pub(super) enum News {
    Opened,
    Refused(io::Error),
    Event(LinkEvent),
    /// A datagram came beside the link, from there.
    Datagram((SocketAddr, BytesMut)),
    Closed(End),
}

/// Longest wait for a connection to be accepted.
const ACCEPT_WAIT_MAX: Duration = Duration::from_secs(10);

/// Dials and drives a connection to its end.
pub(super) async fn run(
    dial: Dial,
    commands: mpsc::UnboundedReceiver<LinkCommand>,
    news: mpsc::Sender<(LinkId, News)>,
) {
    let Dial { id, address, transport, options, link, .. } = dial;
    let Dial { drive: config, clock, rng, metrics, last_read, .. } = dial;
    let last = match connect::connect(address.clone(), ACCEPT_WAIT_MAX).await {
        Err(error) => News::Refused(error),
        Ok(stream) => {
            let span = info_span!("link", link = id.0, address, peer = ?stream.peer_addr().ok());
            let link = Link::client(link, transport, &options, rng);
            let mut teller = Teller { id, clock, commands, news: news.clone(), metrics, last_read };
            let life = async {
                debug!("link opened");
                teller.tell(News::Opened).await;
                drive(stream, link, &mut teller, clock, &config).await
            };
            News::Closed(life.instrument(span).await)
        }
    };
    // A task that has ended needs no news.
    let _ = news.send((id, last)).await;
}

/// The owner of the link here, for the owner of the session elsewhere.
struct Teller {
    id: LinkId,
    clock: Clock,
    commands: mpsc::UnboundedReceiver<LinkCommand>,
    news: mpsc::Sender<(LinkId, News)>,
    metrics: Arc<Metrics>,
    last_read: Arc<LastRead>,
}

impl Teller {
    /// Waits while the task is busy, so that a fast server is slowed and nothing piles up.
    async fn tell(&self, news: News) {
        // It fails when the task has ended, and then the link is about to.
        let _ = self.news.send((self.id, news)).await;
    }
}

impl Owner for Teller {
    type Command = LinkCommand;

    async fn handle_event(&mut self, _now: Now, _link: &mut Link, event: LinkEvent) {
        self.tell(News::Event(event)).await;
    }

    fn handle_traffic(&mut self, read: usize, written: usize) {
        if read > 0 {
            self.last_read.note(self.clock.now().mono);
        }
        self.metrics.received_bytes.increment(read as u64);
        self.metrics.sent_bytes.increment(written as u64);
    }

    async fn next_command(&mut self) -> Option<LinkCommand> {
        self.commands.recv().await
    }

    fn handle_command(&mut self, _now: Now, link: &mut Link, command: LinkCommand) {
        match command {
            LinkCommand::UseKey(key) => link.use_key(key),
            LinkCommand::Send(key, message) => link.send(key, message),
            LinkCommand::SendWithQuickAck(key, message) => link.send_with_quick_ack(key, message),
            LinkCommand::Plain(unix, body) => link.send_plain(unix, &body),
        }
    }
}
