//! How a proxy comes by its listening sockets, and how another process comes by them.

use std::env;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use chappe_net::listen::Listener;
use chappe_proxy::{Charge, Handle, Predecessor, Socket};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::signal::unix::Signal;
use tokio::time::timeout;

use crate::config::listen::{self, ListenAddress};
use crate::config::proxy::ProxySettings;
use crate::{metrics, systemd};

/// The sockets of a proxy: opened by systemd, taken over, or opened here.
pub(super) struct Sockets {
    passed: Vec<OwnedFd>,
    predecessor: Option<Predecessor>,
    /// What a successor is offered.
    offered: Vec<Socket>,
}

/// What sockets are for: connections at an address of the settings, or at one that systemd opened;
/// the interface for operators, and the page of metrics.
const LISTEN: &str = "listen";
const PASSED: &str = "passed";
const API: &str = "api";
const METRICS: &str = "metrics";

impl Sockets {
    /// Asks the proxy that runs with this state folder, if there is one, for its own.
    pub(super) fn gather(passed: Vec<OwnedFd>, state: Option<&Path>) -> Result<Self> {
        let predecessor = state.map(Predecessor::ask).transpose()?.flatten();
        Ok(Self { passed, predecessor, offered: Vec::new() })
    }

    /// Where connections are accepted. Of the same address systemd's socket is used, then the one
    /// of the proxy that runs.
    pub(super) fn listeners(
        &mut self,
        settings: &ProxySettings,
    ) -> Result<Vec<(Listener, ListenAddress)>> {
        let mut passed = std::mem::take(&mut self.passed);
        if passed.is_empty()
            && let Some(predecessor) = &mut self.predecessor
        {
            let theirs = predecessor.take_all(PASSED);
            passed.extend(theirs.into_iter().map(|socket| socket.socket));
        }
        let mut all = Vec::new();
        for socket in passed {
            let listener = Listener::adopt(socket).context("a socket that systemd opened")?;
            let address = ListenAddress::of(&listener)?;
            self.offer(PASSED, &address.to_string(), &listener)?;
            all.push((listener, address));
        }
        let written = match !settings.is_listen_written && !all.is_empty() {
            true => &[],
            false => &settings.listen[..],
        };
        for address in written {
            if all.iter().any(|(_, known)| known == address) {
                continue;
            }
            all.push(self.listen(LISTEN, address, &settings.listen)?);
        }
        Ok(all)
    }

    /// Where operators ask.
    pub(super) fn api(&mut self, address: &ListenAddress) -> Result<(Listener, ListenAddress)> {
        self.listen(API, address, std::slice::from_ref(address)).context("api")
    }

    /// Where an address leads that is listened at now, beside others.
    fn listen(
        &mut self,
        role: &str,
        address: &ListenAddress,
        all: &[ListenAddress],
    ) -> Result<(Listener, ListenAddress)> {
        let asked = address.to_string();
        let (listener, address) = match self.take(role, &asked) {
            Some(socket) => {
                let listener = Listener::adopt(socket)?;
                let address = ListenAddress::of(&listener)?;
                (listener, address)
            }
            None => listen::bind(address, all)?,
        };
        self.offer(role, &asked, &listener)?;
        Ok((listener, address))
    }

    /// Where the page of metrics is asked for.
    pub(super) async fn metrics(&mut self, address: SocketAddr) -> Result<TcpListener> {
        let asked = address.to_string();
        let listener = match self.take(METRICS, &asked) {
            Some(socket) => TcpListener::from_std(socket.into())?,
            None => metrics::bind(address).await?,
        };
        self.offer(METRICS, &asked, &listener)?;
        Ok(listener)
    }

    /// The process to take over from, and what the next one is offered.
    pub(super) fn into_parts(self) -> (Option<Predecessor>, Vec<Socket>) {
        (self.predecessor, self.offered)
    }

    fn take(&mut self, role: &str, asked: &str) -> Option<OwnedFd> {
        self.predecessor.as_mut()?.take(role, asked)
    }

    fn offer(&mut self, role: &str, asked: &str, socket: &impl AsFd) -> Result<()> {
        let socket = socket.as_fd().try_clone_to_owned()?;
        self.offered.push(Socket { role: role.to_owned(), asked: asked.to_owned(), socket });
        Ok(())
    }
}

/// Does something until another process has taken over, whose business it is then.
pub(super) async fn while_in_charge(handle: Handle, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = handle.reached(Charge::HandedOver) => {}
    }
}

/// Tells systemd when this process accepts connections, and when it stops.
pub(super) async fn tell(handle: Handle) {
    handle.reached(Charge::Held).await;
    systemd::tell_ready();
}

/// Longest time that a process may take to take over.
const START_MAX: Duration = Duration::from_secs(30);

/// At each signal starts the program anew, as it lies where this one lay, with the same arguments,
/// to take over. One that does not come so far changes nothing.
pub(super) async fn restart_at(mut signal: Signal, program: PathBuf, handle: Handle) {
    while signal.recv().await.is_some() {
        tracing::info!(program = %program.display(), "starting anew");
        systemd::tell_reloading();
        match start(&program, &handle).await {
            Ok(()) => return,
            Err(error) => {
                let why = format!("{error:#}");
                tracing::error!(error = why, "no other process takes over; this one goes on");
                systemd::tell_reload_failed(&why);
            }
        }
    }
}

async fn start(program: &Path, handle: &Handle) -> Result<()> {
    let mut child = Command::new(program)
        .args(env::args_os().skip(1))
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let over = async {
        tokio::select! {
            () = handle.reached(Charge::HandedOver) => Ok(()),
            status = child.wait() => Err(anyhow!("it ended with {}", status?)),
        }
    };
    match timeout(START_MAX, over).await {
        Ok(over) => over,
        Err(_) => {
            child.kill().await?;
            Err(anyhow!("it did not take over in {} seconds", START_MAX.as_secs()))
        }
    }
}
