//! HTTP as a carrier: each request brings one packet of a link and takes one back.
//!
//! Requests are parsed by hyper. What they mean is decided here, what they bring in by the link's
//! [`HttpOwner`]: this is the counterpart of [`driver`](crate::driver) for links that stand behind
//! requests.

mod answer;
mod meter;
mod request;

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use ::http::header::CONTENT_LENGTH;
use ::http::request::Parts;
use ::http::{Request, Response, StatusCode};
use bytes::{Bytes, BytesMut};
use chappe_proto::Now;
use chappe_proto::envelope::encrypted::key_id;
use chappe_proto::link::{self, CloseReason, Link};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::answer::Answer;
use self::meter::{Meter, Metered, Moved};
use self::request::{Judged, judge};
use crate::clock::Clock;
use crate::driver::{DriveConfig, End, Owner, discard, set, settle};

/// What is accepted by HTTP.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Take packets, and not only requests for a WebSocket. Default: true.
    pub packets: bool,
    /// Longest wait for the body of a request, from its head on. Default: 60 s. It costs a
    /// connection, and as much as came, for as long.
    pub body_wait_max: Duration,
    /// Let pages of any origin read answers to every path, and not only to `/apiw…`.
    /// Default: false (HTP-29).
    pub cors_everywhere: bool,
    /// Let pages of the public network call a server in a private one, where a browser asks.
    /// Default: false (HTP-30).
    pub private_network: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            packets: true,
            body_wait_max: Duration::from_secs(60),
            cors_everywhere: false,
            private_network: false,
        }
    }
}

/// The owner of a link that stands behind requests.
pub trait HttpOwner: Owner {
    /// Hears of a request that brings a packet, before that is read, or asks for a WebSocket.
    fn handle_head(&mut self, now: Now, head: &Parts);

    /// Answers a `GET`; `None` where no WebSocket is to be had. Status 101 makes the connection one,
    /// and what becomes of that is for whoever called [`serve`].
    fn upgrade(&mut self, request: &Request<()>) -> Option<Response<()>>;
}

/// What became of a connection.
#[derive(Debug)]
pub enum Outcome<S> {
    /// It is over.
    Over(End),
    /// It is a WebSocket, of which these bytes have been read already.
    Upgraded(S, BytesMut),
}

/// A request that hyper has parsed, and the way of its answer.
type Arrival = (Request<Incoming>, oneshot::Sender<Response<Full<Bytes>>>);

/// Hands each request to the loop of its connection.
struct Door(Arc<Mutex<Option<Arrival>>>);

impl Service<Request<Incoming>> for Door {
    type Response = Response<Full<Bytes>>;
    /// Nobody answers: the connection ends without a word.
    type Error = oneshot::error::RecvError;
    type Future = oneshot::Receiver<Self::Response>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (sender, receiver) = oneshot::channel();
        *lock(&self.0) = Some((request, sender));
        receiver
    }
}

/// What a connection is about.
enum State {
    /// No request has come since the last answer.
    Idle,
    /// The packet of a request comes.
    Reading { body: Incoming, read: BytesMut, len: usize, exchange: Exchange },
    /// The link has it.
    Waiting(Exchange),
}

/// A request that wants its answer.
struct Exchange {
    way: oneshot::Sender<Response<Full<Bytes>>>,
    answer: Answer,
}

/// What a look at the connection brought.
enum Step {
    /// It has come to its end.
    Ended(hyper::Result<()>),
    Arrived(Box<Arrival>),
    /// Bytes moved, or cannot.
    Moved,
}

/// Serves requests on `io` with a link made by [`Link::of_requests`], to the end of either.
pub async fn serve<S, O>(
    io: S,
    mut link: Link,
    owner: &mut O,
    clock: Clock,
    (http, drive): (&HttpConfig, &DriveConfig),
) -> Outcome<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    O: HttpOwner,
{
    let door = Arc::new(Mutex::new(None));
    let meter = Arc::new(Meter::default());
    let io = TokioIo::new(Metered::new(io, Arc::clone(&meter)));
    let mut connection = http1::Builder::new()
        .auto_date_header(false)
        .title_case_headers(true)
        .max_buf_size(HEAD_MAX)
        .serve_connection(io, Door(Arc::clone(&door)));
    meter.expect_head();
    let mut state = State::Idle;
    let mut stalled_at = None;
    // How the connection ends once its last answer is written, and when that is given up.
    let mut over: Option<(End, Duration)> = None;
    let mut is_upgraded = false;
    let mut timer = pin!(tokio::time::sleep_until(clock.instant(Duration::ZERO)));
    let end = loop {
        let Moved { read, written, is_blocked } = meter.take();
        owner.handle_traffic(read, written);
        if !is_blocked || written > 0 {
            stalled_at = None;
        }
        if is_blocked && stalled_at.is_none() {
            stalled_at = Some(clock.now().mono + drive.stalled_max);
        }
        if over.is_none() {
            take_up(&mut state, &mut link, clock);
            let closed = settle(&mut link, owner, &clock, &mut BytesMut::new()).await;
            let (reason, has_answered) = respond(&mut state, &mut link, closed);
            if has_answered {
                meter.expect_head();
            }
            match reason {
                Some(reason) if has_answered || is_blocked => {
                    Pin::new(&mut connection).graceful_shutdown();
                    over = Some((End::Closed(reason), clock.now().mono + drive.flush_max));
                }
                Some(reason) => break End::Closed(reason),
                None => {}
            }
        }
        let deadlines = match &over {
            Some((_, flushed_by)) => [Some(*flushed_by), None, stalled_at],
            None => [link.poll_timeout(), owner.poll_timeout(), stalled_at],
        };
        let deadline = deadlines.into_iter().flatten().min();
        set(timer.as_mut(), &clock, deadline);
        let is_reading = over.is_none() && matches!(state, State::Reading { .. });
        let step = poll_fn(|context| {
            if let Poll::Ready(ended) = connection.poll_without_shutdown(context) {
                return Poll::Ready(Step::Ended(ended));
            }
            if let Some(arrival) = lock(&door).take() {
                return Poll::Ready(Step::Arrived(Box::new(arrival)));
            }
            if meter.has_changed() { Poll::Ready(Step::Moved) } else { Poll::Pending }
        });
        tokio::select! {
            biased;
            step = step => match step {
                Step::Ended(ended) => {
                    break over.map_or_else(|| end_of(ended), |(end, _)| end);
                }
                Step::Arrived(arrival) if over.is_none() => {
                    let now = clock.now();
                    match begin(*arrival, &mut link, owner, &meter, (now, http)) {
                        Begun::Request(begun) => state = begun,
                        Begun::Answered(None) => meter.expect_head(),
                        Begun::Answered(Some(reason)) => {
                            over = Some((End::Closed(reason), now.mono + drive.flush_max));
                        }
                        Begun::Upgraded => is_upgraded = true,
                    }
                }
                Step::Arrived(_) | Step::Moved => {}
            },
            read = read_on(&mut state), if is_reading => {
                if let Err(end) = read {
                    break end;
                }
            }
            command = owner.next_command(), if over.is_none() => match command {
                Some(command) => owner.handle_command(clock.now(), &mut link, command),
                None => link.close(CloseReason::Owner),
            },
            () = timer.as_mut(), if deadline.is_some() => {
                let now = clock.now();
                if let Some((end, _)) = over.take_if(|(_, flushed_by)| *flushed_by <= now.mono) {
                    break end;
                }
                if stalled_at.is_some_and(|at| at <= now.mono) {
                    break End::Stalled { waiting: 0 };
                }
                if over.is_none() {
                    link.handle_timeout(now);
                    owner.handle_timeout(now, &mut link);
                }
            }
        }
    };
    let parts = connection.into_parts();
    let mut io = parts.io.into_inner().into_inner();
    if is_upgraded {
        return Outcome::Upgraded(io, parts.read_buf.into());
    }
    close(&mut io, &end, drive).await;
    Outcome::Over(end)
}

/// Largest head of a request; hyper answers 431 to larger ones (HTP-04).
const HEAD_MAX: usize = 16 << 10;

/// What became of a request at its head.
enum Begun {
    /// It brings a packet.
    Request(State),
    /// It was answered; if there is a reason, the connection ends by it.
    Answered(Option<CloseReason>),
    /// The connection is a WebSocket.
    Upgraded,
}

fn begin<O: HttpOwner>(
    (request, way): Arrival,
    link: &mut Link,
    owner: &mut O,
    meter: &Meter,
    (now, config): (Now, &HttpConfig),
) -> Begun {
    let (head, body) = request.into_parts();
    let has_length = meter.head_had(CONTENT_LENGTH.as_str());
    let answer = Answer::to(&head, config);
    let response = match judge(&head, has_length, config) {
        Judged::Packet(len) if len <= link.packet_max_bytes() => {
            link.expect_request(now, config.body_wait_max);
            owner.handle_head(now, &head);
            let exchange = Exchange { way, answer };
            return Begun::Request(State::Reading { body, read: BytesMut::new(), len, exchange });
        }
        Judged::Packet(_) => answer.refused(StatusCode::PAYLOAD_TOO_LARGE),
        Judged::Probe => answer.empty(StatusCode::NOT_FOUND),
        Judged::Preflight => answer.preflight(),
        Judged::Refused(status) => answer.refused(status),
        Judged::Upgrade => {
            owner.handle_head(now, &head);
            match owner.upgrade(&Request::from_parts(head, ())) {
                Some(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    // Where nobody hears it the connection ends before it is a WebSocket.
                    let _ = way.send(response.map(|()| Full::default()));
                    return Begun::Upgraded;
                }
                Some(response) => answer.not_upgraded(response),
                None => answer.refused(StatusCode::NOT_FOUND),
            }
        }
    };
    let ends = answer::ends_connection(&response);
    let reason = CloseReason::Error(response.status().as_u16().into());
    // A peer that is gone hears nothing.
    let _ = way.send(response);
    Begun::Answered(ends.then_some(reason))
}

/// Takes what comes of the body of a request, or says how the connection ends within it. May be
/// dropped without losing any of it.
async fn read_on(state: &mut State) -> Result<(), End> {
    let State::Reading { body, read, len, .. } = state else { return Ok(()) };
    match body.frame().await {
        Some(Ok(frame)) => {
            if let Some(data) = frame.data_ref() {
                read.extend_from_slice(data);
            }
            Ok(())
        }
        Some(Err(error)) if !is_eof(&error) => Err(End::Io(io::Error::other(error))),
        Some(Err(_)) | None => Err(End::Cut { got: read.len(), len: *len }),
    }
}

fn is_eof(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::UnexpectedEof)
}

/// Gives the link a packet that is complete, or tells it of one that is too large for a stranger's
/// and names a key (TRN-38).
fn take_up(state: &mut State, link: &mut Link, clock: Clock) {
    let State::Reading { read, len, .. } = state else { return };
    let (is_complete, is_large) = (read.len() >= *len, *len > link.request_max_bytes());
    if is_large {
        match key_id(read) {
            Some(id) => return link.announce_request(*len, id),
            None if is_complete => {}
            None => return,
        }
    }
    if is_complete {
        let State::Reading { read, exchange, .. } = std::mem::replace(state, State::Idle) else {
            return;
        };
        *state = State::Waiting(exchange);
        link.handle_request(clock.now(), read);
    }
}

/// Sends the answer of a request if there is one. The reason, if the connection ends: the link has
/// `closed`, or the answer is an error (HTP-10); and whether there was an answer.
fn respond(
    state: &mut State,
    link: &mut Link,
    closed: Option<CloseReason>,
) -> (Option<CloseReason>, bool) {
    let Some(response) = link.poll_response() else {
        let Some(reason) = closed else { return (None, false) };
        let status = match &reason {
            CloseReason::Plain(_) => Some(StatusCode::NOT_FOUND),
            CloseReason::Frame(_) => Some(StatusCode::PAYLOAD_TOO_LARGE),
            // Whatever else it was: silence (SEC-48).
            _ => None,
        };
        let exchange = status.zip(state.take_exchange());
        let has_answered = exchange.is_some();
        if let Some((status, exchange)) = exchange {
            let _ = exchange.way.send(exchange.answer.refused(status));
        }
        return (Some(reason), has_answered);
    };
    let exchange = match (&response, &state) {
        // It answers an earlier one.
        (link::Response::Packet(_), State::Reading { .. }) => None,
        _ => state.take_exchange(),
    };
    let Some(Exchange { way, answer }) = exchange else { return (closed, false) };
    match response {
        link::Response::Packet(packet) => {
            let _ = way.send(answer.packet(packet));
            (closed, true)
        }
        link::Response::Error(code) => {
            let status = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let _ = way.send(answer.refused(status));
            (Some(CloseReason::Error(code)), true)
        }
    }
}

impl State {
    /// Ends the request, to answer it.
    fn take_exchange(&mut self) -> Option<Exchange> {
        match std::mem::replace(self, Self::Idle) {
            Self::Idle => None,
            Self::Reading { exchange, .. } | Self::Waiting(exchange) => Some(exchange),
        }
    }
}

fn end_of(ended: hyper::Result<()>) -> End {
    match ended {
        Ok(()) => End::Eof,
        Err(error) if error.is_parse() => End::Http(error),
        Err(error) if error.is_incomplete_message() || error.is_canceled() => End::Eof,
        Err(error) => End::Io(io::Error::other(error)),
    }
}

/// Closes the connection; after an error not before the peer had time to read that, for with bytes
/// of the peer unread it would be destroyed on its way.
async fn close<S: AsyncRead + AsyncWrite + Unpin>(io: &mut S, end: &End, config: &DriveConfig) {
    let lingers = match end {
        End::Io(_) | End::Stalled { .. } => return,
        End::Closed(CloseReason::Error(_) | CloseReason::Plain(_) | CloseReason::Frame(_)) => true,
        End::Http(_) => true,
        _ => false,
    };
    if matches!(timeout(config.flush_max, io.shutdown()).await, Ok(Ok(()))) && lingers {
        let _ = timeout(config.linger_max, discard(io)).await;
    }
}

fn lock<T>(door: &Mutex<T>) -> MutexGuard<'_, T> {
    door.lock().unwrap_or_else(PoisonError::into_inner)
}
