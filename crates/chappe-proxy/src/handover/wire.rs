//! What two processes say to each other: frames of a length, a kind and a content, and before the
//! first of the old one a byte with descriptors beside it.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize};

/// The form of what is said; processes of different forms do not hand over.
pub(super) const FORM: u32 = 3;
/// Most sockets handed over, which is what the system lets pass at once.
pub(super) const SOCKETS_MAX: usize = 253;
/// Longest content of a frame: reports of some hundred thousand users.
const FRAME_MAX: usize = 64 << 20;
/// Length and kind.
pub(super) const HEAD_LEN: usize = 5;

/// One thing said.
#[derive(Debug)]
pub(super) enum Frame {
    Note(Note),
    /// Greetings that were accepted, as [`Seen`](crate::seen::Seen) writes them.
    Greetings(Bytes),
}

/// What is said in JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Note {
    /// The new one asks.
    Ask { form: u32 },
    /// The old one does not hand over.
    Refused { why: String },
    /// The sockets, in the order of their descriptors, and what users passed.
    /// So many bytes of greetings follow.
    Offer { sockets: Vec<Label>, is_whole: bool, report: Report, greetings: usize },
    /// The new one accepts connections.
    Commit,
    /// The old one accepts none any more, and keeps no state.
    Yours,
    /// What users passed since the last report.
    Report(Report),
    /// The old one is to close its connections after so many milliseconds.
    Stop { wait_ms: u64 },
    /// The old one has none any more; this is the last that it says.
    Done,
    /// The new one has heard all.
    Bye,
}

/// What a socket is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Label {
    pub(super) role: String,
    pub(super) asked: String,
}

/// News of users, by name; of whom there are none is absent.
pub(crate) type Report = BTreeMap<String, Told>;

/// News of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Bytes more that count for his quota, and the month that they are of.
    pub(crate) quota: u64,
    pub(crate) month: u32,
    /// Bytes more from him and to him.
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// Times more that his connections were given up, as far as settings do not serve them.
    pub(crate) revoked: u64,
    /// His connections now, and where they come from.
    pub(crate) presence: Presence,
}

/// Connections in another process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Presence {
    pub(crate) connections: usize,
    pub(crate) addresses: BTreeMap<IpAddr, usize>,
}

const NOTE: u8 = 0;
const GREETINGS: u8 = 1;

/// Appends a note.
pub(super) fn put_note(out: &mut BytesMut, note: &Note) {
    let text = serde_json::to_vec(note).expect("texts and numbers are always written");
    put(out, NOTE, &text);
}

/// Appends greetings.
pub(super) fn put_greetings(out: &mut BytesMut, greetings: &[u8]) {
    put(out, GREETINGS, greetings);
}

fn put(out: &mut BytesMut, kind: u8, content: &[u8]) {
    out.put_u32(u32::try_from(content.len()).expect("nothing said is that long"));
    out.put_u8(kind);
    out.put_slice(content);
}

/// Takes a frame off, if one is whole.
///
/// # Errors
///
/// What came is none.
pub(super) fn take(input: &mut BytesMut) -> io::Result<Option<Frame>> {
    if input.len() < HEAD_LEN {
        return Ok(None);
    }
    let (len, kind) = (content_len(input)?, input[HEAD_LEN - 1]);
    if input.len() < HEAD_LEN + len {
        input.reserve(HEAD_LEN + len - input.len());
        return Ok(None);
    }
    input.advance(HEAD_LEN);
    let content = input.split_to(len).freeze();
    match kind {
        NOTE => Ok(Some(Frame::Note(serde_json::from_slice(&content)?))),
        GREETINGS => Ok(Some(Frame::Greetings(content))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Length of what stands behind a head.
pub(super) fn content_len(mut head: &[u8]) -> io::Result<usize> {
    let len = head.try_get_u32().map_err(|_| io::ErrorKind::UnexpectedEof)? as usize;
    if len > FRAME_MAX { Err(io::ErrorKind::InvalidData.into()) } else { Ok(len) }
}

/// The byte that descriptors go beside.
const CARRIER: [u8; 1] = [b'+'];

/// Sends descriptors, at most [`SOCKETS_MAX`].
pub(super) fn send_sockets(to: impl AsFd, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("too many sockets"));
    }
    rustix::net::sendmsg(to, &[IoSlice::new(&CARRIER)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives them.
pub(super) fn receive_sockets(from: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut carrier = [0];
    let mut into = [IoSliceMut::new(&mut carrier)];
    let message = rustix::net::recvmsg(from, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for received in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = received {
            sockets.extend(descriptors);
        }
    }
    if message.bytes == 0 || carrier != CARRIER {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(sockets)
}
