//! The settings in use, and how others take their place: at SIGHUP, when a file has changed, by the
//! interface for operators. All three read the file, which is the one truth.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use chappe_proxy::Handle;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use toml_edit::DocumentMut;
use tracing::{error, info, warn};

use super::lists::Store;
use crate::cli::ProxyArgs;
use crate::cmd::files;
use crate::config::lists::Lists;
use crate::config::proxy::{ProxySettings, tag};

/// The settings of a running proxy.
pub(crate) struct Live {
    args: ProxyArgs,
    handle: Handle,
    /// Those that the process began with: some of them stay.
    first: ProxySettings,
    in_use: watch::Sender<Arc<InUse>>,
    /// What was fetched of middle servers.
    store: Store,
    /// One change at a time; what the files were like when they were read last.
    known: Mutex<Option<Vec<Look>>>,
}

/// Settings, and the text that they were read from.
pub(crate) struct InUse {
    pub(crate) settings: ProxySettings,
    /// Tells one text from another.
    pub(crate) tag: String,
    /// Settings that differ from those of the start and take a restart.
    pub(crate) awaits_restart: Vec<&'static str>,
}

/// Why settings were not changed.
#[derive(Debug)]
pub(crate) enum NotChanged<E> {
    /// The file is not the one that the change is meant for.
    Other,
    /// The change cannot be made to this file.
    Refused(E),
    /// The file was of no use before.
    Broken(anyhow::Error),
    /// It would be of no use afterwards.
    Impossible(anyhow::Error),
    /// It cannot be read or written.
    File(anyhow::Error),
}

/// What is known of a file without reading it: no two that follow one another are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    place: (u64, u64),
    changed: (i64, i64),
    len: u64,
}

/// Time between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

impl Live {
    /// Settings that `handle` was started with, which were just read by `args`.
    pub(crate) fn new(
        args: ProxyArgs,
        settings: ProxySettings,
        store: Store,
        handle: Handle,
    ) -> Result<Self> {
        let known = looks(&settings.files);
        let text = args.config.as_deref().map(files::read).transpose()?;
        // Somebody may have changed it meanwhile, and that is not to be overlooked.
        let known = known.filter(|_| settings.tag == tag(text.as_deref().unwrap_or_default()));
        let in_use = InUse {
            tag: settings.tag.clone(),
            settings: settings.clone(),
            awaits_restart: Vec::new(),
        };
        Ok(Self {
            args,
            handle,
            first: settings,
            in_use: watch::Sender::new(Arc::new(in_use)),
            store,
            known: Mutex::new(known),
        })
    }

    pub(crate) fn in_use(&self) -> Arc<InUse> {
        Arc::clone(&self.in_use.borrow())
    }

    /// Tells of each that is put in use from here on.
    pub(super) fn changes(&self) -> watch::Receiver<Arc<InUse>> {
        self.in_use.subscribe()
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Whether a user is named by a flag, which no file overrules.
    pub(crate) fn is_of_flags(&self, name: &str) -> bool {
        self.args.user.iter().any(|user| user.name == name)
    }

    /// Reads the file again.
    ///
    /// # Errors
    ///
    /// What is wrong with it. The settings stay as they were.
    pub(crate) fn reload(&self) -> Result<Arc<InUse>> {
        let reloaded = self.read_again();
        if reloaded.is_err() {
            self.handle.reload_failed();
        }
        reloaded
    }

    fn read_again(&self) -> Result<Arc<InUse>> {
        let mut known = self.lock();
        // Whatever changes from here on will be seen.
        *known = looks(&self.in_use().settings.files);
        let text = self.args.config.as_deref().map(files::read).transpose()?;
        let settings = self.settings(text.as_deref())?;
        let in_use = self.put_in_use(&mut known, settings, None)?;
        info!("the settings were read again and are in use");
        Ok(in_use)
    }

    /// Settings of this text and of what was fetched.
    fn settings(&self, text: Option<&str>) -> Result<ProxySettings> {
        let mut settings = ProxySettings::from_text(&self.args, text)?;
        self.fill(&mut settings, &self.store.lists())?;
        Ok(settings)
    }

    /// Completes settings with what was fetched. As long as some of that is missing, clients are
    /// served as they were.
    fn fill(&self, settings: &mut ProxySettings, lists: &Lists) -> Result<()> {
        if !settings.fill(lists)? {
            settings.proxy.middle.clone_from(&self.in_use().settings.proxy.middle);
        }
        Ok(())
    }

    /// What was fetched of middle servers.
    pub(super) fn fetched(&self) -> Arc<Lists> {
        self.store.lists()
    }

    /// Writes down what was fetched, unless it is.
    pub(super) async fn save_fetched(self: &Arc<Self>) {
        let live = Arc::clone(self);
        // It fails when the runtime goes down.
        let _ = spawn_blocking(move || live.store.save()).await;
    }

    /// Puts in use what was fetched, and keeps it; whether it is of use.
    pub(super) async fn put_fetched(self: &Arc<Self>, lists: Lists) -> bool {
        let live = Arc::clone(self);
        let put = spawn_blocking(move || live.take(lists)).await;
        match put {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                let error = format!("{error:#}");
                error!(error, "what was fetched is of no use; the settings stay as they were");
                false
            }
            // The runtime goes down.
            Err(_) => false,
        }
    }

    fn take(&self, lists: Lists) -> Result<()> {
        let mut known = self.lock();
        let before = self.in_use();
        let mut settings = before.settings.clone();
        self.fill(&mut settings, &lists)?;
        if settings.proxy.middle != before.settings.proxy.middle {
            self.put_in_use(&mut known, settings, None)?;
            info!("the middle servers that were fetched are in use");
        }
        self.store.put(lists);
        self.store.save();
        Ok(())
    }

    /// Makes a change to the file and reads it: as a whole or not at all. `revoked` is a user whose
    /// connections end if he is not served any more as he came.
    ///
    /// # Errors
    ///
    /// See [`NotChanged`].
    pub(crate) fn change<T, E>(
        &self,
        is_meant: impl Fn(&str) -> bool,
        revoked: Option<&str>,
        edit: impl FnOnce(&mut DocumentMut) -> Result<T, E>,
    ) -> Result<(Arc<InUse>, T), NotChanged<E>> {
        let mut known = self.lock();
        let path = self.args.config.as_deref().context("there is no file to change");
        let path = path.map_err(NotChanged::File)?;
        let before = files::read(path).map_err(NotChanged::File)?;
        if !is_meant(&tag(&before)) {
            return Err(NotChanged::Other);
        }
        let read = |text: &str| self.settings(Some(text));
        // Its whole text would show the line, which may have a secret in it.
        let document =
            before.parse::<DocumentMut>().map_err(|error| anyhow!("{}", error.message()));
        let mut document = document.map_err(NotChanged::Broken)?;
        let edited = edit(&mut document).map_err(NotChanged::Refused)?;
        let after = document.to_string();
        let settings = read(&after).map_err(|error| match read(&before) {
            Ok(_) => NotChanged::Impossible(error),
            Err(error) => NotChanged::Broken(error),
        })?;
        if after != before {
            self.write(path, &before, &after).map_err(NotChanged::File)?;
        }
        // Else those would end, too, that were to go on by a secret of before.
        let revoked = revoked.filter(|name| !self.in_use().settings.serves_as(&settings, name));
        *known = looks(&settings.files);
        let in_use = self.put_in_use(&mut known, settings, revoked);
        let in_use = in_use.map_err(NotChanged::Impossible)?;
        info!("the settings were changed and are in use");
        Ok((in_use, edited))
    }

    /// Replaces the file unless somebody else has done so meanwhile.
    fn write(&self, path: &Path, before: &str, after: &str) -> Result<()> {
        anyhow::ensure!(files::read(path)? == before, "somebody else is changing the file, too");
        files::replace(path, after)
    }

    fn put_in_use(
        &self,
        known: &mut Option<Vec<Look>>,
        settings: ProxySettings,
        revoked: Option<&str>,
    ) -> Result<Arc<InUse>> {
        match revoked {
            Some(name) => self.handle.reload_revoking(settings.proxy.clone(), name)?,
            None => self.handle.reload(settings.proxy.clone())?,
        }
        let awaits_restart = self.first.fixed(&settings);
        for setting in &awaits_restart {
            warn!(setting, "it differs from what the proxy began with, and takes a restart");
        }
        let before = self.in_use();
        if before.settings.files != settings.files {
            *known = looks(&settings.files);
        }
        let in_use = Arc::new(InUse { tag: settings.tag.clone(), settings, awaits_restart });
        self.in_use.send_replace(Arc::clone(&in_use));
        Ok(in_use)
    }

    /// Reads the file again at each SIGHUP, and whenever one of those that were read has changed
    /// and changes no more: one half written may make sense and mean something else.
    pub(crate) async fn follow(self: Arc<Self>, mut hangup: Signal) {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.look();
        let mut is_gone = false;
        loop {
            tokio::select! {
                hung_up = hangup.recv() => if hung_up.is_none() { return },
                _ = ticks.tick() => {
                    let found = self.look();
                    if found.is_none() && !is_gone {
                        error!("a file of the settings is gone; the settings stay as they were");
                    }
                    is_gone = found.is_none();
                    let has_settled = found == seen;
                    seen = found;
                    if seen.is_none() || !has_settled || seen == *self.lock() {
                        continue;
                    }
                }
            }
            let live = Arc::clone(&self);
            match spawn_blocking(move || live.reload()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    error!(error = format!("{error:#}"), "the settings stay as they were");
                }
                // The runtime goes down.
                Err(_) => return,
            }
        }
    }

    fn look(&self) -> Option<Vec<Look>> {
        looks(&self.in_use().settings.files)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Look>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What files look like; `None` while one of them is not there.
fn looks(files: &[PathBuf]) -> Option<Vec<Look>> {
    let look = |path: &PathBuf| {
        let file = path.metadata().ok()?;
        let changed = (file.ctime(), file.ctime_nsec());
        Some(Look { place: (file.dev(), file.ino()), changed, len: file.len() })
    };
    files.iter().map(look).collect()
}
