//! The one task that writes: takes what has gathered, commits it at once, answers each.
//!
//! A commit waits for the disk, and that wait is most of what a lone write costs; those that come
//! together share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chappe_crypto::AuthKeyId;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::row_id;
use crate::sql::{Statement, sql};
use crate::{Claim, ConnectionInfo, Database, StoreError, StoredKey};

/// The writing task, seen from those who write.
pub(super) struct Writer {
    /// `None` once closed.
    task: Mutex<Option<(mpsc::Sender<Job>, JoinHandle<()>)>>,
}

/// One change; it answers whether it changed, or found, anything.
pub(super) enum Write {
    /// `true`: stored. The claim is held until the key is durable, even if nobody waits any more.
    InsertKey { key: StoredKey, _claim: Claim },
    /// `true`: there was such a key.
    DeleteKey(AuthKeyId),
    /// `true`: there is such a key.
    SaveConnection { id: AuthKeyId, info: ConnectionInfo },
    /// `true`: this one is the secret from now on.
    ServerSecret(Zeroizing<[u8; 32]>),
}

struct Job {
    write: Write,
    done: oneshot::Sender<Result<bool, StoreError>>,
}

impl Writer {
    pub(super) fn start(database: Database) -> Self {
        let (sender, jobs) = mpsc::channel(BATCH_MAX);
        let task = tokio::spawn(run(database, jobs));
        Self { task: Mutex::new(Some((sender, task))) }
    }

    /// Gives the answer of `write` once it is durable.
    pub(super) async fn write(&self, write: Write) -> Result<bool, StoreError> {
        let sender = self.task().as_ref().map(|(sender, _)| sender.clone());
        let (done, answer) = oneshot::channel();
        sender
            .ok_or(StoreError::Closed)?
            .send(Job { write, done })
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Takes no more writes and waits for those under way.
    pub(super) async fn finish(&self) {
        let Some((sender, task)) = self.task().take() else { return };
        drop(sender);
        // A task that died has no writes under way.
        task.await.ok();
    }

    fn task(&self) -> MutexGuard<'_, Option<(mpsc::Sender<Job>, JoinHandle<()>)>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(database: Database, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while jobs.recv_many(&mut batch, BATCH_MAX).await > 0 {
        match commit_again(&database, &batch).await {
            Ok(answers) => {
                for (job, answer) in batch.drain(..).zip(answers) {
                    // Whoever asked may have left; the write stands.
                    job.done.send(Ok(answer)).ok();
                }
            }
            Err(error) => {
                for job in batch.drain(..) {
                    job.done.send(Err(error.clone())).ok();
                }
            }
        }
    }
}

/// Commits a batch, and if it was undone, once more and again.
async fn commit_again(database: &Database, batch: &[Job]) -> Result<Vec<bool>, StoreError> {
    let mut tries = 1;
    loop {
        match commit(database, batch).await {
            Err(StoreError::Undone { .. }) if tries < TRIES_MAX => tries += 1,
            outcome => return outcome,
        }
    }
}

/// All of the batch or, after an error, nothing of it, unless the commit itself was cut off.
async fn commit(database: &Database, batch: &[Job]) -> Result<Vec<bool>, StoreError> {
    let mut transaction = database.begin().await?;
    let mut answers = Vec::with_capacity(batch.len());
    for job in batch {
        answers.push(transaction.run(job.write.statement()).await? > 0);
    }
    transaction.commit().await?;
    Ok(answers)
}

impl Write {
    fn statement(&self) -> Statement {
        match self {
            Self::InsertKey { key, .. } => {
                sql("INSERT INTO auth_key (id, key, aux_hash, created, first_salt, dc)
                 VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (id) DO NOTHING")
                .bind(row_id(key.key.id()))
                .bind(&key.key.stored()[..])
                .bind(&key.key.aux_hash()[..])
                .bind(key.created.cast_signed())
                .bind(key.first_salt)
                .bind(key.dc)
            }
            Self::DeleteKey(id) => sql("DELETE FROM auth_key WHERE id = $1").bind(row_id(*id)),
            Self::SaveConnection { id, info } => sql("INSERT INTO connection (key_id, layer, data)
                 SELECT id, $1, $2 FROM auth_key WHERE id = $3
                 ON CONFLICT (key_id) DO UPDATE SET layer = excluded.layer, data = excluded.data")
            .bind(info.layer)
            .bind(&info.data[..])
            .bind(row_id(*id)),
            Self::ServerSecret(fresh) => {
                sql("INSERT INTO installation (only_row, server_secret) VALUES (1, $1)
                 ON CONFLICT (only_row) DO NOTHING")
                .bind(&fresh[..])
            }
        }
    }
}

/// Most writes in one transaction, and most that wait for the next; whoever comes after waits to
/// be let in.
const BATCH_MAX: usize = 256;

/// Times that a batch is tried which another transaction undoes.
const TRIES_MAX: usize = 5;
