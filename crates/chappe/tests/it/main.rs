//! The binary as its users meet it: processes, files, signals, exit statuses.

// A test fails by panicking, its helpers as well.
#![allow(clippy::unwrap_used)]

mod accounts;
mod bench;
mod bench_proxy;
mod call;
mod deploy;
mod durability;
mod handover;
mod import;
mod keys;
mod logs;
mod metrics;
mod middle;
mod middle_lists;
mod proxy;
mod proxy_api;
mod proxy_check;
mod reach;
mod recovery;
mod serve;
mod site;
mod tl;
mod udp;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A command of the binary under test.
fn chappe(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chappe"));
    command.args(args);
    command
}

/// Runs a command to its end.
fn run(args: &[&str]) -> Output {
    chappe(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running `chappe serve` with a data directory of its own; killed when dropped.
struct Server {
    child: Child,
    ready: Value,
    data: PathBuf,
    _dir: TempDir,
}

impl Server {
    fn start(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self::start_in(dir, data, args)
    }

    fn start_in(dir: TempDir, data: PathBuf, args: &[&str]) -> Self {
        let mut child = chappe(&["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("no ready line but {line:?}: {error}"));
        Self { child, ready, data, _dir: dir }
    }

    fn address(&self) -> &str {
        self.ready["listen"][0].as_str().unwrap()
    }

    fn public_key(&self) -> &Path {
        Path::new(self.ready["public_key"].as_str().unwrap())
    }

    /// Runs `chappe call` against this server.
    fn call(&self, args: &[&str]) -> Output {
        chappe(&["call", "--server", self.address(), "--key"])
            .arg(self.public_key())
            .args(args)
            .output()
            .unwrap()
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Waits for the process to end; its exit status.
    fn wait(&mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(30) {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
