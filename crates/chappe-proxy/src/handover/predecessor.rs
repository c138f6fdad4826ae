//! Asking the process that runs for everything.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use bytes::BytesMut;

use super::wire::{self, FORM, Frame, Note, Report};
use super::{CONTROL, Socket};

/// A process that runs and is about to be succeeded. It goes on, and loses nothing, if this is
/// dropped instead.
#[derive(Debug)]
pub struct Predecessor {
    pub(crate) stream: UnixStream,
    pub(crate) report: Report,
    pub(crate) greetings: Vec<u8>,
    /// Whether it knows all greetings from before its start.
    pub(crate) is_whole: bool,
    sockets: Vec<Socket>,
}

/// Why a process that runs cannot be succeeded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandoverError {
    /// It does not hand over.
    #[error("the proxy that runs does not hand over: {0}")]
    Refused(String),
    /// It does not answer, or not in words that are known.
    #[error("the proxy that runs does not hand over at {}: {error}", path.display())]
    Io {
        /// Where it was asked.
        path: PathBuf,
        /// What hinders.
        #[source]
        error: io::Error,
    },
}

/// Wait for each part of its answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

impl Predecessor {
    /// Asks the process that keeps its state in this folder; `None` where there is none.
    ///
    /// # Errors
    ///
    /// There is one, and it does not hand over.
    pub fn ask(state: &Path) -> Result<Option<Self>, HandoverError> {
        let path = state.join(CONTROL);
        let stream = match connect(&path) {
            Ok(stream) => stream,
            Err(error) if is_nobody(&error) => return Ok(None),
            Err(error) => return Err(HandoverError::Io { path, error }),
        };
        match hear(stream) {
            Ok(Ok(predecessor)) => Ok(Some(predecessor)),
            Ok(Err(why)) => Err(HandoverError::Refused(why)),
            Err(error) => Err(HandoverError::Io { path, error }),
        }
    }

    /// Whether somebody would answer there.
    pub(crate) fn is_there(state: &Path) -> bool {
        UnixStream::connect(state.join(CONTROL)).is_ok()
    }

    /// Takes a socket over that it listens at. Those that are not taken are closed when it ends.
    pub fn take(&mut self, role: &str, asked: &str) -> Option<OwnedFd> {
        let is_meant = |socket: &Socket| socket.role == role && socket.asked == asked;
        let at = self.sockets.iter().position(is_meant)?;
        Some(self.sockets.remove(at).socket)
    }

    /// Takes all of a role.
    pub fn take_all(&mut self, role: &str) -> Vec<Socket> {
        self.sockets.extract_if(.., |socket| socket.role == role).collect()
    }
}

/// Where nobody listens any more somebody ended without a word, or one process takes over from
/// another at this moment.
fn connect(path: &Path) -> io::Result<UnixStream> {
    for _ in 0..TRIES {
        match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => sleep(TRY_INTERVAL),
            connected => return connected,
        }
    }
    UnixStream::connect(path)
}

/// A hand-over takes some milliseconds.
const TRIES: u32 = 20;
const TRY_INTERVAL: Duration = Duration::from_millis(50);

fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | ConnectionRefused | NotADirectory)
}

/// What it offers, or why it does not.
fn hear(mut stream: UnixStream) -> io::Result<Result<Predecessor, String>> {
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let mut ask = BytesMut::new();
    wire::put_note(&mut ask, &Note::Ask { form: FORM });
    stream.write_all(&ask)?;
    let descriptors = wire::receive_sockets(&stream)?;
    let (labels, is_whole, report, len) = match read(&mut stream)? {
        Frame::Note(Note::Offer { sockets, is_whole, report, greetings }) => {
            (sockets, is_whole, report, greetings)
        }
        Frame::Note(Note::Refused { why }) => return Ok(Err(why)),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    if labels.len() != descriptors.len() {
        return Err(io::Error::other("sockets are missing; are too many files open?"));
    }
    let mut greetings = Vec::new();
    while greetings.len() < len {
        match read(&mut stream)? {
            Frame::Greetings(piece) => greetings.extend_from_slice(&piece),
            Frame::Note(_) => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    let sockets = labels.into_iter().zip(descriptors);
    let sockets = sockets
        .map(|(label, socket)| Socket { role: label.role, asked: label.asked, socket })
        .collect();
    Ok(Ok(Predecessor { stream, report, greetings, is_whole, sockets }))
}

/// Reads one frame and nothing behind it.
fn read(stream: &mut UnixStream) -> io::Result<Frame> {
    let mut frame = BytesMut::zeroed(wire::HEAD_LEN);
    stream.read_exact(&mut frame)?;
    let len = wire::content_len(&frame)?;
    frame.resize(wire::HEAD_LEN + len, 0);
    stream.read_exact(&mut frame[wire::HEAD_LEN..])?;
    wire::take(&mut frame)?.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
