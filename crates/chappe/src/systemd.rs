//! What systemd wants to hear, and the sockets that it opens for a service.

use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};

use anyhow::{Context, Result};
use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};

/// This process serves; if it took over from another one it is the main one from here on.
pub(crate) fn tell_ready() {
    tell(&format!("MAINPID={}\nREADY=1\nSTATUS=", std::process::id()));
}

/// Another process is being started to take over.
pub(crate) fn tell_reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
}

/// No other process took over: this one goes on as before.
pub(crate) fn tell_reload_failed(why: &str) {
    let why = why.replace('\n', " ");
    tell(&format!("READY=1\nSTATUS=No other process could take over: {why}"));
}

/// This process stops.
pub(crate) fn tell_stopping() {
    tell("STOPPING=1");
}

/// Says it, where somebody wants to hear it.
fn tell(lines: &str) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&place, lines) {
        tracing::warn!(%error, "systemd cannot be told how the service does");
    }
}

fn send(place: &OsStr, lines: &str) -> io::Result<()> {
    let address = match place.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(place)?,
    };
    UnixDatagram::unbound()?.send_to_addr(lines.as_bytes(), &address)?;
    Ok(())
}

/// The listening sockets that this process was started with. To be called once, and before there
/// are threads: it takes what says so out of the environment.
pub(crate) fn passed_sockets() -> Result<Vec<OwnedFd>> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for at in 0..passed.len() {
        let tcp =
            passed.take_tcp_listener(at).map(|tcp: Option<TcpListener>| tcp.map(OwnedFd::from));
        let socket = tcp.or_else(|_| {
            let unix: Option<UnixListener> = passed.take_unix_listener(at)?;
            Ok::<_, io::Error>(unix.map(OwnedFd::from))
        });
        sockets.extend(socket.context("what was passed with LISTEN_FDS cannot be listened at")?);
    }
    Ok(sockets)
}
