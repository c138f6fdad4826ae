//! What outlives the process: what users with a quota have passed, and the greetings that were
//! accepted, each in a file of the state folder.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chappe_crypto::sha256;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::shared::Shared;
use crate::users::Used;

/// Writes the files, as long as they are this process's to write.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    folder: PathBuf,
    /// Whether they are. Held from before one is written until it is, even if nobody waits for that
    /// any more: what is older never comes last.
    is_ours: Arc<Mutex<bool>>,
}

/// What the files say.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) used: HashMap<String, Used>,
    pub(crate) greetings: Greetings,
}

/// Greetings from before.
#[derive(Debug, Default)]
pub(crate) struct Greetings {
    /// As [`Seen`](crate::seen::Seen) writes them.
    pub(crate) bytes: Vec<u8>,
    /// Whether the process that wrote them ended afterwards: else it accepted more.
    pub(crate) is_whole: bool,
}

/// Time between two looks at what users passed; what passed since the last one is forgotten by a
/// crash.
const TRAFFIC_INTERVAL: Duration = Duration::from_secs(10);
/// Time between two writes of the greetings.
const GREETINGS_INTERVAL: Duration = Duration::from_secs(60);

const TRAFFIC: &str = "traffic.json";
const GREETINGS: &str = "greetings";

/// Makes the folder where there is none.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_file() {
        return Err(io::Error::other("a folder is needed, and this is a file"));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

impl Keeper {
    /// Of nothing yet.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), is_ours: Arc::default() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// From here on the files are this process's.
    pub(crate) async fn take(&self) {
        *self.is_ours.lock().await = true;
    }

    /// From here on they are another's; what is being written is finished first.
    pub(crate) async fn leave(&self) {
        *self.is_ours.lock().await = false;
    }

    /// Reads the files; those that are not there say nothing.
    ///
    /// # Errors
    ///
    /// Traffic cannot be read, or is none of ours: it is not to be overwritten. Greetings that
    /// cannot be read are as if there were none.
    pub(crate) fn load(&self) -> io::Result<Kept> {
        let path = self.folder.join(TRAFFIC);
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let used = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from).map_err(named)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => HashMap::new(),
            Err(error) => return Err(named(error)),
        };
        let path = self.folder.join(GREETINGS);
        let read = fs::read(&path).and_then(|bytes| Greetings::parse(&bytes));
        let greetings = match read {
            Ok(greetings) => greetings,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    warn!(
                        path = %path.display(), %error,
                        "which greetings came before is forgotten: recorded ones may be accepted again"
                    );
                }
                Greetings::default()
            }
        };
        Ok(Kept { used, greetings })
    }

    /// Replaces a file, as a whole or not at all; whether it is ours to replace.
    async fn save(&self, name: &'static str, bytes: Vec<u8>) -> bool {
        let is_ours = Arc::clone(&self.is_ours).lock_owned().await;
        if !*is_ours {
            return false;
        }
        let path = self.folder.join(name);
        let saved = spawn_blocking(move || {
            let _writing = is_ours;
            let beside = path.with_extension("new");
            let mut file = File::create(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&beside, path)
        });
        match saved.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                warn!(file = name, %error, "what is to outlive the process cannot be written down");
                false
            }
            // The runtime goes down.
            Err(_) => false,
        }
    }
}

impl Greetings {
    /// Whose they are, and in which form.
    const MAGIC: [u8; 16] = *b"chappe seen 0002";

    fn parse(file: &[u8]) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
        let (content, hash) = file.split_last_chunk::<32>().ok_or_else(damaged)?;
        let rest = content.strip_prefix(&Self::MAGIC).ok_or_else(damaged)?;
        let (is_whole, bytes) = rest.split_first().ok_or_else(damaged)?;
        if sha256(&[content]) != *hash {
            return Err(damaged());
        }
        Ok(Self { bytes: bytes.to_vec(), is_whole: *is_whole == 1 })
    }

    fn file(&self) -> Vec<u8> {
        let mut file = Self::MAGIC.to_vec();
        file.push(self.is_whole.into());
        file.extend_from_slice(&self.bytes);
        let hash = sha256(&[&file]);
        file.extend_from_slice(&hash);
        file
    }
}

/// Writes the files whenever something has changed, as soon as they are ours.
pub(crate) async fn run(shared: Arc<Shared>) {
    let Some(keeper) = &shared.keeper else { return };
    let (mut traffic, mut greetings) = (None, None);
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            due = Instant::now() + GREETINGS_INTERVAL;
            greetings = write_greetings(&shared, keeper, greetings).await;
        }
        sleep(TRAFFIC_INTERVAL).await;
        traffic = write_traffic(&shared, keeper, traffic).await;
    }
}

/// Writes both for the last time: nothing passes any more.
pub(crate) async fn write_last(shared: &Shared) {
    if let Some(keeper) = &shared.keeper {
        write_traffic(shared, keeper, None).await;
        let bytes = shared.seen.write(shared.clock.now().unix);
        let greetings = Greetings { bytes, is_whole: true };
        keeper.save(GREETINGS, greetings.file()).await;
    }
}

/// Writes what users passed unless the file says so already; what it says then.
async fn write_traffic(
    shared: &Shared,
    keeper: &Keeper,
    written: Option<BTreeMap<String, Used>>,
) -> Option<BTreeMap<String, Used>> {
    let used = shared.register().used(shared.clock.now().unix);
    if written.as_ref() == Some(&used) {
        return written;
    }
    let text = serde_json::to_vec_pretty(&used).expect("names and numbers are always written");
    if keeper.save(TRAFFIC, text).await { Some(used) } else { written }
}

/// The same for greetings, of which their number tells whether there are new ones.
async fn write_greetings(shared: &Shared, keeper: &Keeper, written: Option<u64>) -> Option<u64> {
    let count = shared.seen.count();
    if written == Some(count) {
        return written;
    }
    let bytes = shared.seen.write(shared.clock.now().unix);
    let greetings = Greetings { bytes, is_whole: false };
    if keeper.save(GREETINGS, greetings.file()).await { Some(count) } else { written }
}
