//! Files: as clients say them, in parts; as they are kept, each content once; as clients ask for
//! them (20-telegram-api-service §5).

mod assemble;
mod assemblies;
mod blobs;
mod digest;
mod download;
mod hashes;
mod kind;
mod location;
mod reference;
mod sweep;
mod upload;
mod write;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use blobs::{Blobs, BlobsError};

pub(crate) use assemble::Uploaded;
pub(crate) use download::get_file;
pub(crate) use hashes::get_file_hashes;
pub(crate) use kind::Kind;
pub(crate) use upload::{save_big_file_part, save_file_part};

use assemblies::Assemblies;
use sweep::Sweeps;

/// Millions of pixels decoded at once: each is up to 15 MB while it is scaled.
const PIXELS_MAX: usize = 32;

/// What handlers of files share.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) blobs: Blobs,
    assemblies: Assemblies,
    /// In millions of pixels.
    pub(crate) pictures: Arc<Semaphore>,
    sweeps: Arc<Sweeps>,
}

impl Files {
    pub(crate) fn new(blobs: Blobs) -> Self {
        Self {
            blobs,
            assemblies: Assemblies::default(),
            pictures: Arc::new(Semaphore::new(PIXELS_MAX)),
            sweeps: Arc::default(),
        }
    }
}
