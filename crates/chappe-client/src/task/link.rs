//! One connection of a client: dialled, driven, and told of to the task that owns the session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::{AuthKey, Rng};
use chappe_net::{Clock, DriveConfig, End, Owner, drive};
use chappe_proto::envelope::encrypted::Message;
use chappe_proto::link::{CloseReason, Link, LinkConfig, LinkEvent};
use chappe_proto::transport::ClientOptions;
use chappe_proto::{LinkId, Now};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tracing::{Instrument, debug, info_span};

use super::dial::{Carrier, DOUBT_WAIT_MAX, Dialler, Reached};
use super::http::Requests;
use crate::error::DialError;
use crate::metrics::Metrics;
use crate::routes::Stop;

/// What a connection needs to know to be made.
pub(super) struct Dial {
    pub(super) id: LinkId,
    pub(super) dialler: Dialler,
    /// Without the secret, which depends on the address.
    pub(super) options: ClientOptions,
    pub(super) link: LinkConfig,
    pub(super) drive: DriveConfig,
    pub(super) clock: Clock,
    pub(super) rng: Rng,
    pub(super) metrics: Arc<Metrics>,
    pub(super) last_read: Arc<LastRead>,
    /// Over HTTP: longest wait of the server before it answers the request that waits.
    pub(super) poll_max: Duration,
}

/// When bytes last came on a connection. Looked at where that matters, for it wakes nobody.
#[derive(Debug, Default)]
pub(super) struct LastRead(AtomicU64);

impl LastRead {
    /// On the monotonic clock.
    pub(super) fn at(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    /// Nothing has come.
    pub(super) fn is_none(&self) -> bool {
        self.at().is_zero()
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
    /// Over HTTP: let this message wait for the server to speak.
    Poll(Arc<AuthKey>, Message),
    /// The same, and ask the server to say at once that it has it.
    SendWithQuickAck(Arc<AuthKey>, Message),
    /// Send a message of a key exchange; ids go by this time.
    Plain(Duration, Bytes),
}

/// What a connection tells.
pub(super) enum News {
    /// It leads to this address of the routes.
    Opened {
        address: usize,
    },
    Refused(DialError),
    /// Over HTTP: no request waits for the server to speak.
    PollIsIdle,
    Event(LinkEvent),
    /// A datagram came beside the link, from there.
    Datagram((SocketAddr, BytesMut)),
    Closed(End),
}

/// Dials and drives a connection to its end.
pub(super) async fn run(
    dial: Dial,
    commands: mpsc::UnboundedReceiver<LinkCommand>,
    news: mpsc::Sender<(LinkId, News)>,
) {
    let Dial { id, dialler, options, link, drive: config, clock, mut rng, .. } = dial;
    let Dial { metrics, last_read, poll_max, .. } = dial;
    let last = match dialler.dial(&mut rng).await {
        Err(error) => News::Refused(error),
        Ok(Reached { stop, peer, carrier }) => {
            let route = &dialler.route;
            let Stop { endpoint, transport, disguise, address } = route.stops[stop].clone();
            let secret = disguise.map(|disguise| disguise.secret);
            let span =
                info_span!("link", link = id.0, address = %endpoint, way = %route.way, ?peer);
            let options = ClientOptions { secret, ..options };
            let mute_at = route.is_doubtful.then(|| clock.now().mono + DOUBT_WAIT_MAX);
            let mut teller =
                Teller { id, clock, commands, news: news.clone(), metrics, last_read, mute_at };
            let life = async {
                debug!("link opened");
                teller.tell(News::Opened { address }).await;
                match carrier {
                    Carrier::Stream(mut stream) => {
                        let mut link = Link::client(link, transport, &options, rng);
                        drive(&mut stream, &mut link, &mut teller, &clock, &config).await
                    }
                    Carrier::FakeTls(mut stream) => {
                        let mut link = Link::client(link, transport, &options, rng);
                        drive(&mut stream, &mut link, &mut teller, &clock, &config).await
                    }
                    Carrier::WebSocket(mut socket) => {
                        let mut link = Link::client(link, transport, &options, rng);
                        drive(&mut socket, &mut link, &mut teller, &clock, &config).await
                    }
                    Carrier::Http(connection) => {
                        let answer_max = link.packet_max_bytes;
                        let link = Link::by_requests(link, rng.fork());
                        let requests = Requests { link, dialler, rng, answer_max, poll_max };
                        requests.run(connection, &mut teller, clock, &config).await
                    }
                }
            };
            News::Closed(life.instrument(span).await)
        }
    };
    // A task that has ended needs no news.
    let _ = news.send((id, last)).await;
}

/// The owner of the link here, for the owner of the session elsewhere.
pub(super) struct Teller {
    id: LinkId,
    clock: Clock,
    commands: mpsc::UnboundedReceiver<LinkCommand>,
    news: mpsc::Sender<(LinkId, News)>,
    metrics: Arc<Metrics>,
    last_read: Arc<LastRead>,
    /// When the way counts as blocked unless a byte has come.
    mute_at: Option<Duration>,
}

impl Teller {
    /// Not a byte has come.
    pub(super) fn has_heard_nothing(&self) -> bool {
        self.last_read.is_none()
    }

    /// Waits while the task is busy, so that a fast server is slowed and nothing piles up.
    pub(super) async fn tell(&self, news: News) {
        // It fails when the task has ended, and then the link is about to.
        let _ = self.news.send((self.id, news)).await;
    }
}

impl Owner for Teller {
    type Command = LinkCommand;

    fn handle_event<'a>(
        &'a mut self,
        _now: Now,
        _link: &'a mut Link,
        event: LinkEvent,
    ) -> Option<BoxFuture<'a, ()>> {
        Some(Box::pin(self.tell(News::Event(event))))
    }

    fn handle_traffic(&mut self, read: usize, written: usize) {
        if read > 0 {
            self.mute_at = None;
            self.last_read.note(self.clock.now().mono);
        }
        self.metrics.received_bytes.increment(read as u64);
        self.metrics.sent_bytes.increment(written as u64);
    }

    fn poll_timeout(&self) -> Option<Duration> {
        self.mute_at
    }

    fn handle_timeout(&mut self, now: Now, link: &mut Link) {
        if self.mute_at.is_some_and(|at| at <= now.mono) {
            link.close(CloseReason::Silent);
        }
    }

    async fn next_command(&mut self) -> Option<LinkCommand> {
        self.commands.recv().await
    }

    fn handle_command(&mut self, _now: Now, link: &mut Link, command: LinkCommand) {
        match command {
            LinkCommand::UseKey(key) => link.use_key(key),
            LinkCommand::Send(key, message) | LinkCommand::Poll(key, message) => {
                link.send(key, message);
            }
            LinkCommand::SendWithQuickAck(key, message) => link.send_with_quick_ack(key, message),
            LinkCommand::Plain(unix, body) => link.send_plain(unix, &body),
        }
    }
}
