//! Why a server does not start.

use std::path::PathBuf;

use chappe_backend::StoreError;
use chappe_crypto::rsa::PemError;
use chappe_net::entropy::EntropyError;

/// Why an RSA identity cannot be had from a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file holds no RSA key that serves.
    #[error("{path} holds no usable RSA private key: {error}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: PemError,
    },
}

/// Why a server cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Clients could not check whom they talk to.
    #[error("a server needs an RSA identity: call `identity`")]
    NoIdentity,
    /// There is nowhere to keep keys.
    #[error("a server needs a backend: call `backend`")]
    NoBackend,
    /// There is nothing to answer.
    #[error("a server needs a router: call `router`")]
    NoRouter,
    /// Settings that cannot work.
    #[error("{setting} is {value}, but {need}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it would have to be.
        need: &'static str,
    },
    /// The system gives no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

/// Why serving ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The backend does not give the secret of the installation.
    #[error("the backend does not work: {0}")]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}
