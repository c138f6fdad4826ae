//! [`RawClient`]: the handle on the task that holds the connection.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::rsa::PublicKey;
use chappe_net::Clock;
use chappe_proto::session::kind;
use chappe_tl::{Function, Raw};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{Instrument, debug, debug_span};

use crate::builder::Builder;
use crate::error::{ConnectError, InvokeError};
use crate::metrics::Metrics;
use crate::push::{PushSource, Pushes};

/// Longest call, in bytes: what servers take in one packet (1 MiB − 4 KiB, MSG-03), less what an
/// envelope adds.
pub const CALL_MAX_BYTES: usize = (1 << 20) - (8 << 10);

/// A client of one server, for any schema.
///
/// Cheap to clone; all clones use one connection. It is closed by [`close`](Self::close), or
/// when the last clone is dropped.
#[derive(Clone)]
pub struct RawClient {
    commands: mpsc::UnboundedSender<Command>,
    /// One permit for each call that the task holds: this bounds the queue of commands.
    room: Arc<Semaphore>,
    last_call: Arc<AtomicU64>,
    pushes: PushSource,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// What the task is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Call(u64, NewCall),
    Drop(u64),
    Close(oneshot::Sender<()>),
}

/// A call on its way to the task.
#[derive(Debug)]
pub(crate) struct NewCall {
    pub(crate) body: Bytes,
    pub(crate) answer: oneshot::Sender<Result<Raw, InvokeError>>,
    /// Given back with the answer.
    pub(crate) _room: OwnedSemaphorePermit,
}

impl NewCall {
    /// Answers with an error.
    pub(crate) fn refuse(self, error: InvokeError) {
        // A caller who left has no use for it.
        let _ = self.answer.send(Err(error));
    }
}

impl RawClient {
    /// Connects to the server at `address` that proves itself by `server_key`, with the
    /// defaults of [`Builder`].
    ///
    /// # Errors
    /// See [`Builder::connect`].
    pub async fn connect(
        address: impl ToString,
        server_key: &PublicKey,
    ) -> Result<Self, ConnectError> {
        Self::builder(address, [server_key.clone()]).connect().await
    }

    /// Settings of a client for the server at `address`, as `host:port`, which must hold one of
    /// `server_keys`; no other key is believed (CRY-09).
    pub fn builder(
        address: impl ToString,
        server_keys: impl IntoIterator<Item = PublicKey>,
    ) -> Builder {
        Builder::new(address.to_string(), server_keys.into_iter().collect())
    }

    pub(crate) fn new(
        commands: mpsc::UnboundedSender<Command>,
        calls_max: usize,
        pushes: PushSource,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Self {
        let room = Arc::new(Semaphore::new(calls_max));
        Self { commands, room, last_call: Arc::default(), pushes, metrics, clock }
    }

    /// Calls a function and waits for its result.
    ///
    /// Lost connections are mended meanwhile; there is no limit of time unless
    /// [`Builder::unreachable_max`] sets one. Dropping the future gives up the call, here and at
    /// the server, which may have executed it all the same.
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn invoke<F: Function>(&self, function: &F) -> Result<F::Return, InvokeError> {
        let body = chappe_tl::to_bytes(function).map_err(InvokeError::Encode)?;
        let answer = self.call(body, FunctionName::Known(F::NAME)).await?;
        chappe_tl::from_bytes(answer).map_err(|error| InvokeError::Decode(error.to_string()))
    }

    /// Calls a function that is encoded already, and gives its result as it came, unpacked.
    ///
    /// # Errors
    /// As for [`invoke`](Self::invoke).
    pub async fn invoke_raw(&self, call: Bytes) -> Result<Bytes, InvokeError> {
        let function = FunctionName::Id(kind::id_of(&call));
        self.call(call, function).await
    }

    async fn call(&self, call: Bytes, function: FunctionName) -> Result<Bytes, InvokeError> {
        let id = self.last_call.fetch_add(1, Ordering::Relaxed);
        let span = debug_span!("call", id, %function, len = call.len());
        self.ask(id, call).instrument(span).await
    }

    async fn ask(&self, id: u64, call: Bytes) -> Result<Bytes, InvokeError> {
        let len = call.len();
        if len > CALL_MAX_BYTES {
            return Err(InvokeError::TooLong { len });
        }
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|_| InvokeError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let mut open = OpenCall::new(self, id);
        let command = Command::Call(id, NewCall { body: call, answer, _room: room });
        if self.commands.send(command).is_err() {
            let closed = Err(InvokeError::Closed);
            open.end(&closed);
            return closed.map(|Raw(result)| result);
        }
        let result = answered.await.unwrap_or(Err(InvokeError::Closed));
        open.end(&result);
        result.map(|Raw(result)| result)
    }

    /// Receives what the server pushes from now on. Each receiver gets everything.
    pub fn pushes(&self) -> Pushes {
        self.pushes.subscribe()
    }

    /// Ends the client, for all clones: what was received is acknowledged, the key's salt is
    /// stored, the connection closed. Calls without an answer fail with [`InvokeError::Closed`].
    pub async fn close(&self) {
        let (done, is_done) = oneshot::channel();
        if self.commands.send(Command::Close(done)).is_ok() {
            // It fails when the task has ended in the meantime, which is all we wait for.
            let _ = is_done.await;
        }
    }
}

impl fmt::Debug for RawClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawClient").field("is_closed", &self.commands.is_closed()).finish()
    }
}

/// A function in logs.
enum FunctionName {
    Known(&'static str),
    Id(u32),
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(name) => f.write_str(name),
            Self::Id(id) => write!(f, "{id:08x}"),
        }
    }
}

/// A call on its way. When its caller stops waiting, the task is told.
struct OpenCall<'a> {
    client: &'a RawClient,
    id: u64,
    begun: Duration,
    is_over: bool,
}

impl<'a> OpenCall<'a> {
    fn new(client: &'a RawClient, id: u64) -> Self {
        client.metrics.calls_open.increment(1.0);
        Self { client, id, begun: client.clock.now().mono, is_over: false }
    }

    /// There is a result.
    fn end(&mut self, result: &Result<Raw, InvokeError>) {
        self.is_over = true;
        let outcome = self.client.metrics.called(Some(result), self.took());
        debug!(id = self.id, outcome, "call ended");
    }

    fn took(&self) -> Duration {
        self.client.clock.now().mono.saturating_sub(self.begun)
    }
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        self.client.metrics.calls_open.decrement(1.0);
        if !self.is_over {
            let outcome = self.client.metrics.called::<Raw>(None, self.took());
            debug!(id = self.id, outcome, "call ended");
            // A task that has ended has no calls to give up.
            let _ = self.client.commands.send(Command::Drop(self.id));
        }
    }
}
