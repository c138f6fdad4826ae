//! Why a call fails, and what its client is told.

use chappe_backend::StoreError;
use chappe_proto::rpc::RpcError;
use chappe_tl::Str;
use tracing::{debug, error};

use crate::repeat;

/// A failure of a handler.
#[derive(Debug)]
pub(crate) enum Failure {
    /// For the client to hear.
    Rpc(RpcError),
    /// Ours; the client hears 500.
    Store(StoreError),
    /// Ours, too.
    Blobs(object_store::Error),
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        Self::Rpc(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Blobs(error)
    }
}

impl From<Failure> for RpcError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rpc(error) => error,
            Failure::Store(StoreError::Undone { problem, .. }) => {
                debug!(problem, "a transaction was undone");
                repeat::undone()
            }
            Failure::Store(error) => {
                error!(%error, "the database failed");
                Self::internal()
            }
            Failure::Blobs(error) => {
                error!(%error, "the store of files failed");
                Self::internal()
            }
        }
    }
}

/// Text of a call, which nothing has checked.
pub(crate) fn text(text: &Str) -> Result<&str, Failure> {
    text.as_str().map_err(|_| bad("INPUT_FETCH_ERROR"))
}

/// 400 with this text.
pub(crate) fn bad(message: &str) -> Failure {
    Failure::Rpc(RpcError::bad_request(message))
}
