//! A server for the bench alone: a process beside this one, with everything in a temporary folder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::cmd::files::{DATABASE, write_new};
use crate::config::database::DatabaseUrl;

/// A `chappe serve`; it ends when this is dropped.
pub(super) struct Child {
    process: std::process::Child,
    /// HOST:PORT.
    pub(super) address: String,
    pub(super) public_key: PathBuf,
    folder: TempDir,
}

impl Child {
    /// Starts one that lets this many connections in from one address.
    pub(super) fn start(
        database: Option<&DatabaseUrl>,
        (dc, connections): (i32, u64),
        log: &str,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chappe-bench-").tempdir()?;
        let config = folder.path().join("chappe.toml");
        // Not by a flag: who may list processes sees those, and a database may have a password.
        let mut settings = toml::Table::new();
        settings.insert("data".into(), data(&folder).display().to_string().into());
        settings.insert("dc".into(), dc.into());
        settings.insert("log".into(), log.into());
        settings.insert("listen".into(), vec!["127.0.0.1:0"].into());
        if let Some(url) = database {
            settings.insert("database".into(), url.secret().into());
        }
        settings.insert("limits".into(), limits(connections)?.into());
        write_new(&config, 0o600, &toml::to_string(&settings)?)?;
        let log = File::create(folder.path().join("log"))?;
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("the server does not start")?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("the server has no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let ready: Option<Value> = serde_json::from_str(&line).ok();
        let said = |key: &str| Some(ready.as_ref()?.pointer(key)?.as_str()?.to_owned());
        let (Some(address), Some(key)) = (said("/listen/0"), said("/public_key")) else {
            let _ = process.kill();
            let _ = process.wait();
            bail!("the server does not start: {}", logged(&folder).trim());
        };
        Ok(Self { process, address, public_key: key.into(), folder })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its SQLite file, if it was given no other database.
    pub(super) fn database(&self) -> PathBuf {
        data(&self.folder).join(DATABASE)
    }

    /// What it logged.
    pub(super) fn log(&self) -> String {
        logged(&self.folder)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Nothing of it is kept, so nothing has to be ended in order.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Room for so many connections of one address, and for key exchanges that are begun again.
fn limits(connections: u64) -> Result<toml::Table> {
    let room = toml::Value::from(i64::try_from(4 * connections + 1000)?);
    let table = |keys: [&str; 2]| keys.map(|key| (key.to_owned(), room.clone()));
    let connections = toml::Table::from_iter(table(["total-max", "per-address-max"]));
    let handshake = toml::Table::from_iter(table(["exchanges-max", "exchanges-per-address-max"]));
    Ok(toml::Table::from_iter([
        ("connections".to_owned(), connections.into()),
        ("handshake".to_owned(), handshake.into()),
    ]))
}

fn data(folder: &TempDir) -> PathBuf {
    folder.path().join("data")
}

fn logged(folder: &TempDir) -> String {
    fs::read_to_string(Path::join(folder.path(), "log")).unwrap_or_default()
}
