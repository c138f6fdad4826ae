//! A proxy under test: a process of its own, ours or of any command line, with whatever it writes in
//! a temporary folder.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::centre::Centre;
use super::door::Key;
use super::middle::{Files, Middle};
use crate::cmd::bench::process::Family;
use crate::cmd::files;
use crate::config::proxy::Mode;

/// Which proxy.
#[derive(Clone, Debug)]
pub(super) enum Candidate {
    /// This program, straight to the data centre.
    Own,
    /// This program, by links to a middle server.
    OwnByMiddle,
    /// Another.
    Other(Other),
}

/// A name, and a command line for the shell, with placeholders.
#[derive(Clone, Debug)]
pub(super) struct Other {
    name: String,
    line: String,
}

/// One that runs; it ends with all its processes when this is dropped.
pub(super) struct Subject {
    pub(super) address: SocketAddr,
    process: Child,
    folder: TempDir,
}

/// Longest wait until it accepts connections.
const START_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(50);
/// Lines of what it said that are shown.
const LINES_MAX: usize = 10;

impl FromStr for Other {
    type Err = String;

    /// `NAME=LINE`, where the name has neither blanks nor slashes; else the first word is the name.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !name.is_empty() && name.chars().all(is_fit)
        };
        let (name, line) = match text.split_once('=') {
            Some((name, line)) if is_name(name) => (name, line),
            _ => {
                let word = text.split_whitespace().next().unwrap_or_default();
                (word.rsplit('/').next().unwrap_or_default(), text)
            }
        };
        if line.trim().is_empty() {
            return Err("write NAME=COMMAND".to_owned());
        }
        Ok(Self { name: name.to_owned(), line: line.to_owned() })
    }
}

impl Candidate {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Own => "chappe",
            Self::OwnByMiddle => "chappe-middle",
            Self::Other(other) => &other.name,
        }
    }

    /// Starts it, for clients that come by `key` and are led to `centre`, or to `middle`.
    pub(super) fn start(&self, key: &Key, centre: &Centre, middle: &Middle) -> Result<Subject> {
        let started = self.try_start(key, centre, middle);
        started.with_context(|| format!("{} does not start", self.name()))
    }

    fn try_start(&self, key: &Key, centre: &Centre, middle: &Middle) -> Result<Subject> {
        let folder = tempfile::Builder::new().prefix("chappe-bench-").tempdir()?;
        // Free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let places = Places::new(key, address, centre.address, &middle.files, folder.path());
        let mut command = match self {
            Self::Own | Self::OwnByMiddle => {
                let config = folder.path().join("proxy.toml");
                let by_middle = matches!(self, Self::OwnByMiddle).then_some(BY_MIDDLE);
                let text = [OWN, by_middle.unwrap_or_default()].concat();
                files::write_new(&config, 0o600, &places.fill(&text))?;
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["proxy", "run", "--config"]).arg(config);
                command
            }
            Self::Other(other) => {
                let mut command = Command::new("sh");
                command.arg("-c").arg(places.fill_line(&other.line)?);
                command
            }
        };
        let log = File::create(folder.path().join(LOG))?;
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // To be ended with all that it starts.
            .process_group(0)
            .spawn()?;
        let mut subject = Subject { address, process, folder };
        subject.wait()?;
        Ok(subject)
    }
}

impl Subject {
    /// Waits until it accepts connections.
    fn wait(&mut self) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("{status}\n{}", self.said());
            }
            if begun.elapsed() > START_MAX {
                bail!("nobody accepts connections at {}\n{}", self.address, self.said());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(super) fn family(&self) -> Family {
        Family(self.process.id())
    }

    /// The last lines of what it said.
    pub(super) fn said(&self) -> String {
        let log = fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
        last.iter().map(|line| format!("  {line}\n")).collect()
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Nothing of it is kept, so nothing has to be ended in order.
        if let Some(group) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.process.wait();
    }
}

/// What placeholders stand for.
struct Places<'a> {
    folder: &'a Path,
    values: [(&'static str, String); 8],
}

impl<'a> Places<'a> {
    fn new(
        key: &Key,
        address: SocketAddr,
        centre: SocketAddr,
        middle: &Files,
        folder: &'a Path,
    ) -> Self {
        let secret = key.secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let values = [
            ("{port}", address.port().to_string()),
            ("{secret}", secret),
            ("{dc_port}", centre.port().to_string()),
            ("{domain}", key.domain.to_string()),
            ("{mode}", name_of(key.mode).to_owned()),
            ("{folder}", folder.display().to_string()),
            ("{middle_secret}", middle.secret.display().to_string()),
            ("{middle_servers}", middle.servers.display().to_string()),
        ];
        Self { folder, values }
    }

    fn fill(&self, text: &str) -> String {
        let filled = text.to_owned();
        self.values.iter().fold(filled, |text, (name, value)| text.replace(name, value))
    }

    /// A command line, which may name files with placeholders of their own.
    fn fill_line(&self, line: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once(FILE) {
            let (path, after) = after.split_once('}').context("{file: has no end")?;
            let path = Path::new(path);
            let text = files::read(path)?;
            let name =
                path.file_name().with_context(|| format!("{} is no file", path.display()))?;
            let copy = self.folder.join(name);
            fs::write(&copy, self.fill(&text))?;
            filled.push_str(&self.fill(before));
            filled.push_str(&copy.display().to_string());
            rest = after;
        }
        filled.push_str(&self.fill(rest));
        Ok(filled)
    }
}

/// What a form is called among those who run proxies.
pub(super) fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Plain => "plain",
        Mode::Padded => "dd",
        Mode::Tls => "ee",
    }
}

/// Begins the placeholder of a file.
const FILE: &str = "{file:";
/// What a proxy says, in its folder.
const LOG: &str = "log";

/// Settings of ours: all forms, and no limit that the load would meet. The site is never shown to
/// anybody.
const OWN: &str = r#"listen = ["127.0.0.1:{port}"]
log = "warn"
modes = ["plain", "padded", "tls"]
only-named-dc = true
[user.bench]
secret = "{secret}"
[[domain]]
name = "{domain}"
at = "127.0.0.1:{dc_port}"
[dc]
2 = ["127.0.0.1:{dc_port}"]
[access]
per-address-per-second = 1000000
[connections]
per-address-max = 100000
[strangers]
measure = false
"#;
/// What leads them to a middle server.
const BY_MIDDLE: &str = r#"[middle]
secret = "{middle_secret}"
servers = "{middle_servers}"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_lines_and_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let written = tempfile::NamedTempFile::new().unwrap();
        fs::write(written.path(), "port = {port}\nusers = {\"a\": \"{secret}\"}\n").unwrap();
        let key = Key { mode: Mode::Tls, secret: [0x1f; 16], domain: "a.example".into() };
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let middle = Files { secret: "/a/secret".into(), servers: "/a/servers".into() };
        let places = Places::new(&key, at(1), at(2), &middle, folder.path());
        let line = format!(
            "run {{mode}} {{dc_port}} {{file:{}}} {{domain}} {{middle_secret}}",
            written.path().display()
        );
        let copy = folder.path().join(written.path().file_name().unwrap());
        assert_eq!(
            places.fill_line(&line).unwrap(),
            format!("run ee 2 {} a.example /a/secret", copy.display())
        );
        let secret = "1f".repeat(16);
        let text = format!("port = 1\nusers = {{\"a\": \"{secret}\"}}\n");
        assert_eq!(fs::read_to_string(copy).unwrap(), text);
        assert!(places.fill_line("{file:/nowhere/at/all}").is_err());
    }

    #[test]
    fn commands_have_names() {
        let check = |text: &str, name: &str, line: &str| {
            let other: Other = text.parse().unwrap();
            assert_eq!((other.name.as_str(), other.line.as_str()), (name, line));
        };
        check("mine=./proxy --port={port}", "mine", "./proxy --port={port}");
        check("/opt/bin/proxy --port={port}", "proxy", "/opt/bin/proxy --port={port}");
        check("x.y=z", "x.y", "z");
        assert!("a=".parse::<Other>().is_err() && "".parse::<Other>().is_err());
    }
}
