//! Where a successor asks.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::link::{Event, Link, first, put_all};
use super::wire::{self, FORM, Label, Note, SOCKETS_MAX};
use super::{CONTROL, Ledger, LinkId, Socket, TO_PREDECESSOR};
use crate::shared::Shared;

/// Takes those who ask to take over, one at a time.
#[derive(Debug)]
pub(crate) struct Desk {
    listener: UnixListener,
    /// Where it is found, and where it was made.
    path: PathBuf,
    beside: PathBuf,
    sockets: Arc<Vec<Socket>>,
    /// Who asks at the moment.
    candidate: JoinSet<io::Result<Link>>,
    last: LinkId,
}

/// Wait for one who connected to say what he wants, and to take what he is offered.
const ASK_MAX: Duration = Duration::from_secs(10);
/// Wait for one who is about to take over when this process is told to stop.
const LAST_MAX: Duration = Duration::from_secs(3);
/// Wait before another try when there are no descriptors.
const EXHAUSTED_WAIT: Duration = Duration::from_millis(100);

impl Desk {
    /// Makes it, found by nobody yet. `sockets` are offered.
    pub(crate) fn open(folder: &Path, sockets: Vec<Socket>) -> io::Result<Self> {
        if sockets.len() > SOCKETS_MAX {
            return Err(io::Error::other("too many sockets are listened at"));
        }
        let path = folder.join(CONTROL);
        let beside = path.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&beside)?;
        // Nobody has found it yet, and the folder may be open to others.
        fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
        let (sockets, candidate) = (Arc::new(sockets), JoinSet::new());
        Ok(Self { listener, path, beside, sockets, candidate, last: TO_PREDECESSOR })
    }

    /// From here on it is found, and no other is: whoever asks always finds somebody.
    pub(crate) fn show(&self) {
        if let Err(error) = fs::rename(&self.beside, &self.path) {
            warn!(%error, "no other process will be able to take over");
        }
    }

    /// Nobody shall find it any more.
    pub(crate) fn remove(self) {
        // Whoever removed it before us did no harm.
        let _ = fs::remove_file(&self.path);
    }

    /// Serves those who ask until one has taken over. May be dropped and called again.
    pub(crate) async fn successor(&mut self, shared: &Arc<Shared>) -> Link {
        loop {
            tokio::select! {
                Some(over) = self.candidate.join_next() => match over {
                    Ok(Ok(link)) => return link,
                    Ok(Err(error)) => {
                        warn!(%error, "another process wanted to take over and did not");
                    }
                    Err(error) => warn!(%error, "a hand-over broke off"),
                },
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) if self.candidate.is_empty() => {
                        self.last += 1;
                        let (sockets, shared) = (Arc::clone(&self.sockets), Arc::clone(shared));
                        self.candidate.spawn(court(stream, self.last, sockets, shared));
                    }
                    // It hears of it by the end of its connection.
                    Ok(_) => warn!("two processes want to take over at once; the first one may"),
                    Err(error) => {
                        warn!(%error, "cannot accept who wants to take over; trying again");
                        sleep(EXHAUSTED_WAIT).await;
                    }
                },
            }
        }
    }

    /// Who takes over still, if somebody asked: then it is waited for what becomes of that, but not
    /// for long. Whoever is slower keeps the state from there on, and this process writes no more.
    pub(crate) async fn last_successor(&mut self, shared: &Shared) -> Option<Link> {
        match timeout(LAST_MAX, self.candidate.join_next()).await {
            Ok(over) => over?.ok()?.ok(),
            Err(_) => {
                warn!("another process that wanted to take over has not come so far");
                if let Some(keeper) = &shared.keeper {
                    keeper.leave().await;
                }
                None
            }
        }
    }
}

/// Offers everything, and serves the link until the other end accepts connections.
async fn court(
    mut stream: UnixStream,
    id: LinkId,
    sockets: Arc<Vec<Socket>>,
    shared: Arc<Shared>,
) -> io::Result<Link> {
    let mut outbound = BytesMut::new();
    match timeout(ASK_MAX, first(&mut stream)).await?? {
        Note::Ask { form: FORM } => {}
        Note::Ask { form } => {
            let why = format!("it speaks form {FORM} of the hand-over, not {form}; stop it first");
            wire::put_note(&mut outbound, &Note::Refused { why: why.clone() });
            send(&mut stream, &[], &outbound).await?;
            return Err(io::Error::other(why));
        }
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    info!("another process takes over");
    let news = shared.seen.listen();
    let now = shared.clock.now();
    let greetings = shared.seen.write(now.unix);
    let age_max = shared.policy().config.hello.age_max;
    let (mut ledger, report);
    {
        let register = shared.register();
        ledger = Ledger::from_here_on(id, &register);
        report = ledger.report(&register, now.unix);
    }
    let label = |socket: &Socket| Label { role: socket.role.clone(), asked: socket.asked.clone() };
    let offer = Note::Offer {
        sockets: sockets.iter().map(label).collect(),
        is_whole: shared.seen.is_whole() || now.mono > age_max,
        report,
        greetings: greetings.len(),
    };
    wire::put_note(&mut outbound, &offer);
    put_all(&mut outbound, &greetings);
    let sent = send(&mut stream, &sockets, &outbound).await;
    if let Err(error) = sent {
        ledger.close(&shared.register());
        return Err(error);
    }
    let mut link = Link::new(stream, BytesMut::new(), ledger, news);
    loop {
        match link.next(&shared).await {
            Event::Commit => break,
            Event::Lost => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
    if let Some(keeper) = &shared.keeper {
        keeper.leave().await;
    }
    link.say(&Note::Yours);
    Ok(link)
}

async fn send(stream: &mut UnixStream, sockets: &[Socket], bytes: &[u8]) -> io::Result<()> {
    let sending = async {
        let sockets: Vec<_> = sockets.iter().map(|socket| socket.socket.as_fd()).collect();
        let carry = || wire::send_sockets(&*stream, &sockets);
        stream.async_io(Interest::WRITABLE, carry).await?;
        stream.write_all(bytes).await
    };
    timeout(ASK_MAX, sending).await?
}
