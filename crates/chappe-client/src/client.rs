//! [`RawClient`]: the handle on the task that holds the connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use chappe_crypto::rsa::PublicKey;
use chappe_net::Clock;
use chappe_proto::schema::functions::DestroyAuthKey;
use chappe_proto::schema::types::DestroyAuthKeyRes;
use chappe_proto::session::kind;
use chappe_tl::{Function, Raw};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tracing::{Span, debug, debug_span};

use crate::builder::Builder;
use crate::error::{ConnectError, DestroyError, InvokeError};
use crate::metrics::Metrics;
use crate::push::{PushSource, Pushes};
use crate::storage::StorageError;

/// Longest call, in bytes: what servers take in one packet (1 MiB − 4 KiB, MSG-03), less 4 KiB for
/// what envelopes and wrappers such as [`Builder::init`] add.
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

/// What may be done with a call. The default suits any function: it runs once or not at all, and
/// in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// The call may run twice, as reads may and calls that carry a `random_id` (SES-12). It is sent
    /// again where any other call ends with [`InvokeError::Unknown`]: when the server has lost what
    /// it knew of the first message.
    pub repeatable: bool,
    /// Calls of the same client that are finished, well or not, before the server begins this one
    /// (`invokeAfterMsg`). Those that were dropped count for nothing.
    pub after: Vec<Ticket>,
}

impl CallOptions {
    /// The same, and the call may run twice.
    #[must_use]
    pub fn repeatable(self) -> Self {
        Self { repeatable: true, ..self }
    }

    /// The same, and the call runs after these.
    #[must_use]
    pub fn after(self, after: impl IntoIterator<Item = Ticket>) -> Self {
        Self { after: after.into_iter().collect(), ..self }
    }
}

/// Names a call to those that come after it; see [`Pending::ticket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub(crate) u64);

/// What the task is asked.
#[derive(Debug)]
pub(crate) enum Command {
    Call(u64, NewCall),
    Drop(u64),
    /// Close every link; others are opened.
    Reconnect,
    /// Remove the key from the storage, and end.
    Forget(oneshot::Sender<Result<(), StorageError>>),
    Close(oneshot::Sender<()>),
}

/// A call on its way to the task.
#[derive(Debug)]
pub(crate) struct NewCall {
    pub(crate) body: Bytes,
    pub(crate) options: CallOptions,
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

    /// Settings of a client for the server at `address`, which must hold one of `server_keys`; no
    /// other key is believed (CRY-09).
    ///
    /// `address` is `host:port`, several separated by commas, or whatever else [`Target`] reads; if
    /// it is none of these, [`Builder::connect`] says so.
    ///
    /// [`Target`]: crate::Target
    pub fn builder(
        address: impl ToString,
        server_keys: impl IntoIterator<Item = PublicKey>,
    ) -> Builder {
        Builder::new(&address.to_string(), server_keys.into_iter().collect())
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

    /// Calls a function and waits for its result. It runs once, or not at all.
    ///
    /// Lost connections are mended meanwhile; there is no limit of time unless
    /// [`Builder::unreachable_max`] sets one. Dropping the future gives up the call, here and at
    /// the server, which may have executed it all the same.
    ///
    /// # Errors
    /// See [`InvokeError`].
    pub async fn invoke<F: Function>(&self, function: &F) -> Result<F::Return, InvokeError> {
        self.invoke_with(function, CallOptions::default()).await
    }

    /// Calls a function that is encoded already, and gives its result as it came, unpacked.
    ///
    /// # Errors
    /// As for [`invoke`](Self::invoke).
    pub async fn invoke_raw(&self, call: Bytes) -> Result<Bytes, InvokeError> {
        self.start_raw(call, CallOptions::default()).await?.await
    }

    /// Calls a function that may run twice, or only after others, and waits for its result.
    ///
    /// # Errors
    /// As for [`invoke`](Self::invoke).
    pub async fn invoke_with<F: Function>(
        &self,
        function: &F,
        options: CallOptions,
    ) -> Result<F::Return, InvokeError> {
        self.start(function, options).await?.await
    }

    /// Sends a call and does not wait for its result, so that others can be sent to run after it.
    ///
    /// # Errors
    /// The call cannot be written, is too long, or the client is closed.
    pub async fn start<F: Function>(
        &self,
        function: &F,
        options: CallOptions,
    ) -> Result<Pending<F::Return>, InvokeError> {
        let body = chappe_tl::to_bytes(function).map_err(InvokeError::Encode)?;
        let read = |answer| {
            chappe_tl::from_bytes(answer).map_err(|error| InvokeError::Decode(error.to_string()))
        };
        self.submit(FunctionName::Known(F::NAME), body, options, read).await
    }

    /// The same with a function that is encoded already, and its result as it comes.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub async fn start_raw(
        &self,
        call: Bytes,
        options: CallOptions,
    ) -> Result<Pending<Bytes>, InvokeError> {
        let function = FunctionName::Id(kind::id_of(&call));
        self.submit(function, call, options, Ok).await
    }

    async fn submit<R>(
        &self,
        function: FunctionName,
        body: Bytes,
        options: CallOptions,
        read: fn(Bytes) -> Result<R, InvokeError>,
    ) -> Result<Pending<R>, InvokeError> {
        let len = body.len();
        if len > CALL_MAX_BYTES {
            return Err(InvokeError::TooLong { len });
        }
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|_| InvokeError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let id = self.last_call.fetch_add(1, Ordering::Relaxed);
        let span = debug_span!("call", id, %function, len);
        let mut open = OpenCall::new(self, id, span);
        let command = Command::Call(id, NewCall { body, options, answer, _room: room });
        if self.commands.send(command).is_err() {
            open.end(Err(&InvokeError::Closed));
            return Err(InvokeError::Closed);
        }
        Ok(Pending { open, answered, read })
    }

    /// Has the server destroy the key, forgets it, and ends the client; to be called after signing
    /// out (SVC-38).
    ///
    /// The request is repeated until the server answers, or does not know the key any more.
    ///
    /// # Errors
    /// The server could not destroy the key, twice; or it cannot be removed from the storage.
    pub async fn destroy_key(&self) -> Result<(), DestroyError> {
        let mut failures = 0;
        loop {
            let request = self.invoke_with(&DestroyAuthKey {}, CallOptions::default().repeatable());
            match tokio::time::timeout(DESTROY_WAIT, request).await {
                Ok(Ok(DestroyAuthKeyRes::DestroyAuthKeyFail)) if failures == 0 => {
                    failures += 1;
                    tokio::time::sleep(DESTROY_PAUSE).await;
                }
                Ok(Ok(DestroyAuthKeyRes::DestroyAuthKeyFail)) => return Err(DestroyError::Failed),
                // What the server does not know is destroyed.
                Ok(Ok(_) | Err(InvokeError::KeyLost)) => break,
                Ok(Err(error)) => return Err(DestroyError::Invoke(error)),
                Err(_) => {
                    let asked = self.commands.send(Command::Reconnect);
                    asked.map_err(|_| InvokeError::Closed)?;
                }
            }
        }
        let (done, is_done) = oneshot::channel();
        self.commands.send(Command::Forget(done)).map_err(|_| InvokeError::Closed)?;
        is_done.await.map_err(|_| InvokeError::Closed)??;
        Ok(())
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

/// A call on its way: a future of its result. Dropping it gives up the call.
#[derive(Debug)]
#[must_use = "dropping it gives up the call"]
pub struct Pending<R> {
    open: OpenCall,
    answered: oneshot::Receiver<Result<Raw, InvokeError>>,
    read: fn(Bytes) -> Result<R, InvokeError>,
}

impl<R> Pending<R> {
    /// Names the call to others that are to run after it.
    pub fn ticket(&self) -> Ticket {
        Ticket(self.open.id)
    }
}

impl<R> Future for Pending<R> {
    type Output = Result<R, InvokeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answered).poll(context));
        let answer = answer.unwrap_or(Err(InvokeError::Closed));
        self.open.end(answer.as_ref().map(|_| ()));
        let Raw(answer) = answer?;
        Poll::Ready((self.read)(answer))
    }
}

/// A call without a result. When nobody waits for it any more, the task is told.
#[derive(Debug)]
struct OpenCall {
    id: u64,
    begun: Duration,
    is_over: bool,
    commands: mpsc::UnboundedSender<Command>,
    metrics: Arc<Metrics>,
    clock: Clock,
    span: Span,
}

impl OpenCall {
    fn new(client: &RawClient, id: u64, span: Span) -> Self {
        client.metrics.calls_open.increment(1.0);
        Self {
            id,
            begun: client.clock.now().mono,
            is_over: false,
            commands: client.commands.clone(),
            metrics: Arc::clone(&client.metrics),
            clock: client.clock,
            span,
        }
    }

    /// There is a result.
    fn end(&mut self, result: Result<(), &InvokeError>) {
        self.is_over = true;
        self.count(Some(result));
    }

    fn count(&self, result: Option<Result<(), &InvokeError>>) {
        let took = self.clock.now().mono.saturating_sub(self.begun);
        let outcome = self.metrics.called(result, took);
        self.span.in_scope(|| debug!(outcome, "call ended"));
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.metrics.calls_open.decrement(1.0);
        if !self.is_over {
            self.count(None);
            // A task that has ended has no calls to give up.
            let _ = self.commands.send(Command::Drop(self.id));
        }
    }
}

/// Wait for an answer to `destroy_auth_key` before it is repeated over another link (SVC-38).
const DESTROY_WAIT: Duration = Duration::from_secs(60);
/// Wait before a server that could not destroy the key is asked once more.
const DESTROY_PAUSE: Duration = Duration::from_secs(5);
