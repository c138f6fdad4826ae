//! What users with a quota have passed, kept in a file from one run to the next.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::warn;

use crate::shared::Shared;
use crate::users::Used;

/// Time between two writes; what passed since the last one is forgotten by a crash.
const INTERVAL: Duration = Duration::from_secs(10);

/// Reads the file; one that is not there says nothing.
///
/// # Errors
///
/// It cannot be read, or is none of ours: it is not to be overwritten.
pub(crate) fn load(path: &Path) -> io::Result<HashMap<String, Used>> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashMap::new()),
        Err(error) => Err(error),
    }
}

/// Replaces the file, as a whole or not at all.
fn save(path: &Path, used: &BTreeMap<String, Used>) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(used)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// Writes the file whenever something has changed.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut written = None;
    loop {
        sleep(INTERVAL).await;
        written = write(&shared, written).await;
    }
}

/// Writes the file unless it says so already; what it says then.
pub(crate) async fn write(
    shared: &Shared,
    written: Option<BTreeMap<String, Used>>,
) -> Option<BTreeMap<String, Used>> {
    let path = shared.state.clone()?;
    let used = shared.register().used(shared.clock.now().unix);
    if written.as_ref() == Some(&used) {
        return written;
    }
    let saved = spawn_blocking({
        let used = used.clone();
        move || save(&path, &used)
    });
    match saved.await {
        Ok(Ok(())) => Some(used),
        Ok(Err(error)) => {
            warn!(%error, "what users have passed cannot be written down");
            written
        }
        // The runtime goes down.
        Err(_) => written,
    }
}
