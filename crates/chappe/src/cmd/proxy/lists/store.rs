//! What was fetched last: in memory, and in the state folder where there is one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tracing::warn;

use crate::cmd::files;
use crate::config::lists::Lists;

/// What was fetched last.
pub(crate) struct Store {
    path: Option<PathBuf>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    lists: Arc<Lists>,
    /// Whether the file says so.
    is_saved: bool,
}

/// Its name in the state folder.
const FILE: &str = "middle.json";

impl Store {
    /// With what the folder holds. What cannot be read is fetched again.
    pub(crate) fn open(folder: Option<&Path>) -> Self {
        let path = folder.map(|folder| folder.join(FILE));
        let lists = folder.map(Self::read).transpose().unwrap_or_else(|error| {
            let error = format!("{error:#}");
            warn!(error, "what was fetched of middle servers is forgotten, and fetched again");
            None
        });
        let kept = Kept { lists: lists.flatten().unwrap_or_default().into(), is_saved: true };
        Self { path, kept: Mutex::new(kept) }
    }

    /// What the folder holds.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is damaged.
    pub(crate) fn read(folder: &Path) -> Result<Option<Lists>> {
        let path = folder.join(FILE);
        let named = || path.display().to_string();
        match std::fs::read(&path) {
            Ok(bytes) => {
                let lists: Lists = serde_json::from_slice(&bytes).with_context(named)?;
                lists.check().with_context(named)?;
                Ok(Some(lists))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(named),
        }
    }

    pub(crate) fn lists(&self) -> Arc<Lists> {
        Arc::clone(&self.lock().lists)
    }

    /// Keeps these in memory, until they are [saved](Self::save).
    pub(crate) fn put(&self, lists: Lists) {
        *self.lock() = Kept { lists: lists.into(), is_saved: false };
    }

    /// Writes down what was not written yet.
    pub(crate) fn save(&self) {
        let mut kept = self.lock();
        let Some(path) = self.path.as_deref().filter(|_| !kept.is_saved) else { return };
        let text =
            serde_json::to_string(&*kept.lists).expect("texts and numbers are always written");
        match files::keep(path, &text) {
            Ok(()) => kept.is_saved = true,
            Err(error) => {
                let error = format!("{error:#}");
                warn!(error, "what was fetched of middle servers is not kept");
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
