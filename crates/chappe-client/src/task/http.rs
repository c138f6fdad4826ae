//! A link that is made of requests: one connection for those that bring something, another for the
//! one that waits until the server has something to say (HTP-23).
//!
//! Any request that fails ends the link, and the next one carries on as with any other: what was
//! sent is asked for, and what did not arrive goes again under its ids (HTP-25).

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chappe_crypto::Rng;
use chappe_net::connect::{Answer, HttpConnection};
use chappe_net::{Clock, DriveConfig, End, Owner};
use chappe_proto::link::{CloseReason, Link, LinkEvent};
use tokio::time::timeout;

use super::dial::{Carrier, DOUBT_WAIT_MAX, Dialler};
use super::link::{LinkCommand, News, Teller};

/// The link, and what its requests are made on.
pub(super) struct Requests {
    pub(super) link: Link,
    pub(super) dialler: Dialler,
    pub(super) rng: Rng,
    /// Largest answer accepted, in bytes (HTP-13).
    pub(super) answer_max: usize,
    /// Longest wait of the server before it answers the request that waits.
    pub(super) poll_max: Duration,
}

/// A connection, which has a request under way or not.
#[derive(Default)]
struct Lane {
    idle: Option<HttpConnection>,
    busy: Option<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
}

type Outcome = io::Result<(HttpConnection, Answer)>;

/// Longest wait for an answer that the server does not hold back, and beyond that of one that it
/// does (HTP-25).
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
const POLL_GRACE: Duration = Duration::from_secs(10);
/// Bytes a second that even a slow network takes.
const UPLINK_MIN: u64 = 16 << 10;

impl Requests {
    /// Carries packets until the link ends, or its owner has no more to ask.
    pub(super) async fn run(
        mut self,
        first: HttpConnection,
        teller: &mut Teller,
        clock: Clock,
        config: &DriveConfig,
    ) -> End {
        let mut calls = Lane { idle: Some(first), busy: None };
        let mut polls = Lane::default();
        let mut waiting = VecDeque::new();
        loop {
            while let Some(event) = self.link.poll_event() {
                match event {
                    LinkEvent::Closed(reason) => return End::Closed(reason),
                    event => teller.tell(News::Event(event)).await,
                }
            }
            if calls.busy.is_none()
                && let Some(body) = waiting.pop_front()
            {
                self.ask(&mut calls, teller, body, Duration::ZERO);
            }
            tokio::select! {
                outcome = calls.answer() => {
                    if let Err(error) = self.take(&mut calls, teller, outcome, clock).await {
                        return End::Io(error);
                    }
                }
                outcome = polls.answer() => {
                    if let Err(error) = self.take(&mut polls, teller, outcome, clock).await {
                        return End::Io(error);
                    }
                    teller.tell(News::PollIsIdle).await;
                }
                command = teller.next_command() => {
                    let Some(command) = command else { break };
                    let is_poll = matches!(command, LinkCommand::Poll(..));
                    if matches!(command, LinkCommand::UseKey(_)) && polls.busy.is_none() {
                        teller.tell(News::PollIsIdle).await;
                    }
                    teller.handle_command(clock.now(), &mut self.link, command);
                    while let Some(body) = self.link.poll_request() {
                        if is_poll {
                            self.ask(&mut polls, teller, body, self.poll_max);
                        } else {
                            waiting.push_back(body);
                        }
                    }
                }
            }
        }
        // What is left to say is said; nobody is there to hear the answers.
        let last_words = async {
            let mut outcome = Ok(());
            while outcome.is_ok() && (calls.busy.is_some() || !waiting.is_empty()) {
                match waiting.pop_front() {
                    Some(body) if calls.busy.is_none() => {
                        self.ask(&mut calls, teller, body, Duration::ZERO);
                    }
                    Some(body) => waiting.push_front(body),
                    None => {}
                }
                outcome = calls.answer().await.map(|(connection, _)| calls.idle = Some(connection));
            }
        };
        let _ = timeout(config.flush_max, last_words).await;
        End::Closed(CloseReason::Owner)
    }

    /// Sends a request that the server may hold back for so long.
    fn ask(&mut self, lane: &mut Lane, teller: &mut Teller, body: Bytes, held_max: Duration) {
        let idle = lane.idle.take().filter(HttpConnection::is_open);
        let (dialler, mut rng, answer_max) =
            (self.dialler.clone(), self.rng.fork(), self.answer_max);
        let is_doubtful = dialler.route.is_doubtful && teller.has_heard_nothing();
        let sending = Duration::from_secs(body.len() as u64 / UPLINK_MIN);
        let wait_max = match held_max {
            _ if is_doubtful => DOUBT_WAIT_MAX + held_max,
            Duration::ZERO => ANSWER_WAIT_MAX,
            _ => POLL_GRACE + held_max,
        };
        teller.handle_traffic(0, body.len());
        lane.busy = Some(Box::pin(async move {
            let mut connection = match idle {
                Some(connection) => connection,
                None => match dialler.dial(&mut rng).await?.carrier {
                    Carrier::Http(connection) => connection,
                    _ => return Err(io::Error::other("the way to the server is no HTTP")),
                },
            };
            let answer = connection.post(body, answer_max, wait_max + sending).await;
            Ok((connection, answer.map_err(io::Error::other)?))
        }));
    }

    /// Takes the answer to a request.
    async fn take(
        &mut self,
        lane: &mut Lane,
        teller: &mut Teller,
        outcome: Outcome,
        clock: Clock,
    ) -> io::Result<()> {
        let (connection, Answer { status, body }) = outcome?;
        lane.idle = Some(connection);
        teller.handle_traffic(body.len().max(1), 0);
        match status {
            OK => self.link.handle_answer(clock.now(), BytesMut::from(body)),
            // Whatever it says, it is the code of a transport error (HTP-11).
            code => {
                let error = LinkEvent::TransportError(code.into());
                teller.tell(News::Event(error)).await;
            }
        }
        Ok(())
    }
}

const OK: u16 = 200;

impl Lane {
    /// The answer to the request under way; never, if there is none. May be dropped without losing
    /// it.
    async fn answer(&mut self) -> Outcome {
        let outcome = match &mut self.busy {
            Some(request) => request.await,
            None => std::future::pending().await,
        };
        self.busy = None;
        outcome
    }
}
