//! Keys in one file, which is always whole: it is replaced, never written into.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chappe_crypto::AuthKey;
use chappe_crypto::stored_key::{ITERATIONS_MIN, StoredKey};
use zeroize::Zeroizing;

use super::layout::{self, Entries, Entry, KeyAtRest};
use super::{KeyRecord, ServerId, Storage, StorageError};

/// Keeps keys in a file that only its owner may read (mode 0600).
///
/// Every change writes a second file beside it, syncs that to disk and puts it in the first one's
/// place, so a crash at any instant leaves the old state or the new one. Two processes that write
/// one file lose each other's changes.
pub struct FileStorage {
    path: PathBuf,
    protection: Option<Protection>,
    entries: Mutex<Entries>,
}

/// How a protected storage comes by the password.
///
/// The password is asked for whenever a key is opened or made, and wiped afterwards (CRY-28).
struct Protection {
    password: Box<dyn Fn() -> Zeroizing<String> + Send + Sync>,
    iterations: u32,
}

impl FileStorage {
    /// Opens `path`, or begins it with the first key that is kept.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is protected by a password.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StorageError> {
        Self::open_with(path.into(), None)
    }

    /// Opens a file whose keys are encrypted under a password, or begins one.
    ///
    /// `password` is called once for each key that is opened or made: it may ask a person, or
    /// read what the system keeps safe. A wrong one shows when a key is loaded.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is not protected.
    pub fn open_protected(
        path: impl Into<PathBuf>,
        password: impl Fn() -> String + Send + Sync + 'static,
    ) -> Result<Self, StorageError> {
        let password = Box::new(move || Zeroizing::new(password()));
        let protection = Protection { password, iterations: ITERATIONS_MIN };
        Self::open_with(path.into(), Some(protection))
    }

    fn open_with(path: PathBuf, protection: Option<Protection>) -> Result<Self, StorageError> {
        let entries = match fs::read(&path).map(Zeroizing::new) {
            Ok(file) => layout::decode(&file)
                .map_err(|what| StorageError::Damaged { path: path.clone(), what })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Entries::new(),
            Err(error) => return Err(io_error("read", &path, error)),
        };
        let fits = entries
            .values()
            .all(|entry| matches!(entry.key, KeyAtRest::Protected(_)) == protection.is_some());
        if !fits {
            let what = match protection {
                None => "its keys are protected; open it with their password",
                Some(_) => "its keys are not protected; open it without a password",
            };
            return Err(StorageError::Protection { path, what });
        }
        Ok(Self { path, protection, entries: Mutex::new(entries) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Changes the entries in memory if the change could be made durable.
    fn change(&self, change: impl FnOnce(&mut Entries)) -> Result<(), StorageError> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = entries.clone();
        change(&mut changed);
        replace(&self.path, &layout::encode(&changed))?;
        *entries = changed;
        Ok(())
    }

    fn entry(&self, server: ServerId) -> Option<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(&server).cloned()
    }

    fn key_at_rest(&self, key: &[u8; 256]) -> Result<KeyAtRest, StorageError> {
        let Some(Protection { password, iterations }) = &self.protection else {
            return Ok(KeyAtRest::Plain(Zeroizing::new(*key)));
        };
        let mut rng = chappe_net::entropy::rng()?;
        Ok(KeyAtRest::Protected(StoredKey::seal(key, &password(), *iterations, &mut rng)))
    }
}

impl Storage for FileStorage {
    fn load(&self, server: ServerId) -> Result<Option<KeyRecord>, StorageError> {
        let Some(Entry { salt, server_minus_unix, key, .. }) = self.entry(server) else {
            return Ok(None);
        };
        let wrong = || StorageError::Password { path: self.path.clone() };
        let key = match (key, &self.protection) {
            (KeyAtRest::Plain(key), _) => AuthKey::new(*key),
            (KeyAtRest::Protected(key), Some(Protection { password, .. })) => {
                key.open(&password()).map_err(|_| wrong())?
            }
            (KeyAtRest::Protected(_), None) => return Err(wrong()),
        };
        Ok(Some(KeyRecord { key, salt, server_minus_unix }))
    }

    fn save(&self, server: ServerId, record: &KeyRecord) -> Result<(), StorageError> {
        let key = record.key.full().ok_or(StorageError::Incomplete(record.key.id()))?;
        let key_id = record.key.id();
        // A new salt for a known key is no reason to ask for the password.
        let known = self.entry(server).filter(|entry| entry.key_id == key_id);
        let key = match known {
            Some(entry) => entry.key,
            None => self.key_at_rest(key)?,
        };
        let KeyRecord { salt, server_minus_unix, .. } = *record;
        self.change(|entries| {
            entries.insert(server, Entry { key_id, salt, server_minus_unix, key });
        })
    }

    fn remove(&self, server: ServerId) -> Result<(), StorageError> {
        if self.entry(server).is_none() {
            return Ok(());
        }
        self.change(|entries| {
            entries.remove(&server);
        })
    }
}

impl fmt::Debug for FileStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStorage")
            .field("path", &self.path)
            .field("is_protected", &self.protection.is_some())
            .finish_non_exhaustive()
    }
}

/// Puts a file with this content in the place of `path`, or leaves `path` as it is.
fn replace(path: &Path, content: &[u8]) -> Result<(), StorageError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    write_private(&beside, content).map_err(|error| io_error("write", &beside, error))?;
    fs::rename(&beside, path).map_err(|error| io_error("replace", path, error))?;
    sync_folder(path).map_err(|error| io_error("sync the folder of", path, error))
}

/// Writes a new file to disk. One left by a crash goes first: it may have any mode, or be a link.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Makes a renaming durable; elsewhere than on Unix folders cannot be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn io_error(doing: &'static str, path: &Path, error: io::Error) -> StorageError {
    StorageError::Io { doing, path: path.to_owned(), error: Arc::new(error) }
}
