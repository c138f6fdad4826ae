//! [`RawClient`]: the handle on the task that holds the connection.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use chappe_crypto::rsa::PublicKey;
use chappe_tl::{Function, Raw};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot};

use crate::builder::Builder;
use crate::error::{ConnectError, InvokeError};
use crate::push::{Push, Pushes};

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
    pushes: broadcast::WeakSender<Push>,
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
        pushes: broadcast::WeakSender<Push>,
    ) -> Self {
        let room = Arc::new(Semaphore::new(calls_max));
        Self { commands, room, last_call: Arc::default(), pushes }
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
        let answer = self.invoke_raw(body).await?;
        chappe_tl::from_bytes(answer).map_err(|error| InvokeError::Decode(error.to_string()))
    }

    /// Calls a function that is encoded already, and gives its result as it came, unpacked.
    ///
    /// # Errors
    /// As for [`invoke`](Self::invoke).
    pub async fn invoke_raw(&self, call: Bytes) -> Result<Bytes, InvokeError> {
        let len = call.len();
        if len > CALL_MAX_BYTES {
            return Err(InvokeError::TooLong { len });
        }
        let room = Arc::clone(&self.room).acquire_owned().await;
        let room = room.map_err(|_| InvokeError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let id = self.last_call.fetch_add(1, Ordering::Relaxed);
        let command = Command::Call(id, NewCall { body: call, answer, _room: room });
        self.commands.send(command).map_err(|_| InvokeError::Closed)?;
        let mut given_up = GivenUp { commands: Some(&self.commands), id };
        let result = answered.await.unwrap_or(Err(InvokeError::Closed));
        given_up.commands = None;
        result.map(|Raw(result)| result)
    }

    /// Receives what the server pushes from now on. Each receiver gets everything.
    pub fn pushes(&self) -> Pushes {
        // A task that has ended leaves a receiver that says so at once.
        let receiver = self
            .pushes
            .upgrade()
            .map_or_else(|| broadcast::channel(1).1, |sender| sender.subscribe());
        Pushes::new(receiver)
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

/// Tells the task when a caller stops waiting.
struct GivenUp<'a> {
    commands: Option<&'a mpsc::UnboundedSender<Command>>,
    id: u64,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(commands) = self.commands {
            // A task that has ended has no calls to give up.
            let _ = commands.send(Command::Drop(self.id));
        }
    }
}
