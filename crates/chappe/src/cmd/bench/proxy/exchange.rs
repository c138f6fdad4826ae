//! Both directions at once, over small buffers and with pauses at either end: whether a proxy that
//! finds both its sockets full still brings the last byte of each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chappe_crypto::Rng;
use tokio::time::sleep;

use super::fault::{Fault, SILENCE_MAX};
use super::line::{Hearer, Speaker};
use super::wish::Bulk;

/// Buffers of sockets at the ends, so that the proxy finds no room soon.
pub(super) const BUFFER: u32 = 4 << 10;
/// Bytes of a segment: the system has room for some twenty of them in the proxy, and those of
/// loopback are so long that it would have room for everything.
pub(super) const SEGMENT: u32 = 536;
/// Longest piece said at once, and heard at once.
const SAID_MAX: u32 = 20_000;
const HEARD_MAX: u32 = 8 << 10;
/// One piece of so many is followed by a pause, and how long that is.
const PAUSES: u32 = 16;
const PAUSE_MAX_MS: u32 = 40;

/// Says so many bytes and hears as many, neither end after the other. Nobody ends the stream, for
/// that would push its last bytes.
pub(super) async fn run(
    amount: u64,
    speaker: &mut Speaker,
    hearer: &mut Hearer,
    rng: &mut Rng,
) -> Result<(), Fault> {
    pass(amount, speaker, hearer, rng, &AtomicU64::new(0)).await
}

/// The same, for as long as anything moves.
pub(super) async fn run_watched(
    amount: u64,
    speaker: &mut Speaker,
    hearer: &mut Hearer,
    rng: &mut Rng,
) -> Result<(), Fault> {
    let moved = AtomicU64::new(0);
    tokio::select! {
        passed = pass(amount, speaker, hearer, rng, &moved) => passed,
        () = silence(&moved) => Err(Fault::Silent),
    }
}

async fn pass(
    amount: u64,
    speaker: &mut Speaker,
    hearer: &mut Hearer,
    rng: &mut Rng,
    moved: &AtomicU64,
) -> Result<(), Fault> {
    let pace = rng.fork();
    tokio::try_join!(say(amount, speaker, pace, moved), hear(amount, hearer, rng, moved))?;
    Ok(())
}

async fn say(
    amount: u64,
    speaker: &mut Speaker,
    mut pace: Rng,
    moved: &AtomicU64,
) -> Result<(), Fault> {
    let (mut bulk, mut left) = (Bulk::new(), amount);
    while left > 0 {
        let len = (1 + u64::from(pace.below(SAID_MAX))).min(left);
        let bytes = bulk.next(len as usize);
        speaker.say(bytes).await?;
        left -= bytes.len() as u64;
        moved.fetch_add(1, Ordering::Relaxed);
        pause(&mut pace).await;
    }
    Ok(())
}

async fn hear(
    amount: u64,
    hearer: &mut Hearer,
    pace: &mut Rng,
    moved: &AtomicU64,
) -> Result<(), Fault> {
    let (mut expected, mut left) = (Bulk::new(), amount);
    let mut bytes = vec![0; HEARD_MAX as usize];
    while left > 0 {
        let room = (1 + u64::from(pace.below(HEARD_MAX))).min(left) as usize;
        match hearer.hear(&mut bytes[..room]).await? {
            0 => return Err(Fault::Closed),
            len if !expected.is_next(&bytes[..len]) => return Err(Fault::Changed),
            len => left -= len as u64,
        }
        moved.fetch_add(1, Ordering::Relaxed);
        pause(pace).await;
    }
    Ok(())
}

async fn pause(pace: &mut Rng) {
    if pace.below(PAUSES) == 0 {
        sleep(Duration::from_millis(pace.below(PAUSE_MAX_MS).into())).await;
    }
}

/// Ready when nothing has moved for long.
async fn silence(moved: &AtomicU64) {
    loop {
        let before = moved.load(Ordering::Relaxed);
        sleep(SILENCE_MAX).await;
        if moved.load(Ordering::Relaxed) == before {
            return;
        }
    }
}
