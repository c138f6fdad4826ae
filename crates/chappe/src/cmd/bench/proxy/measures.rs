//! What is measured of one proxy in one form, one thing after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::centre::{pour, sink};
use super::door::{Door, hear_receipt, turn};
use super::exchange;
use super::fault::{Fault, in_time};
use super::line::{Hearer, Speaker};
use super::wish::{BULK_PACKET, Wish};
use crate::cmd::bench::process::Family;
use crate::cmd::bench::progress::Progress;
use crate::cmd::bench::spread::Spread;

/// Something to measure by, and what went wrong meanwhile.
pub(super) struct Bench {
    door: Door,
    /// Processes of the proxy; none where there is no proxy.
    family: Option<Family>,
    /// How many come at once.
    at_once: usize,
    /// The same as [`REST`] where memory is to be given back.
    rest: Duration,
    faults: Mutex<BTreeMap<String, u64>>,
}

/// Connections that came and went.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Handshakes {
    pub(super) count: u64,
    pub(super) took: Duration,
    pub(super) cpu: Option<Duration>,
}

/// Bytes one way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Passed {
    pub(super) bytes: u64,
    pub(super) took: Duration,
    pub(super) cpu: Option<Duration>,
}

/// Connections that wait, and the memory of the proxy without them and with them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Idle {
    pub(super) connections: u64,
    pub(super) memory: Option<(u64, u64)>,
}

/// Connections both of whose ends are slow.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stalls {
    pub(super) connections: u64,
    pub(super) stalled: u64,
    pub(super) took: Duration,
}

/// Many connections that came and went, and the memory of the proxy before, at most, and after.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Soak {
    pub(super) count: u64,
    pub(super) memory: Option<(u64, u64, u64)>,
}

/// Time in which a proxy that has nothing more to do has done the rest.
const REST: Duration = Duration::from_millis(500);
/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_millis(200);
/// Share of the handshakes, one of so many, that are made before anything counts.
const WARM_UP: u64 = 10;
/// Bytes that a client asks for at once: 256 KiB nearly.
const PART: u64 = 4 * BULK_PACKET as u64;

impl Bench {
    pub(super) fn new(
        door: Door,
        family: Option<Family>,
        (at_once, rest): (usize, Duration),
    ) -> Self {
        Self { door, family, at_once, rest, faults: Mutex::default() }
    }

    pub(super) fn faults(&self) -> BTreeMap<String, u64> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fault(&self, during: &str, fault: &Fault) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *faults.entry(format!("{during}: {fault}")).or_default() += 1;
    }

    fn cpu(&self) -> Option<Duration> {
        self.family.as_ref().and_then(Family::cpu)
    }

    fn memory(&self) -> Option<u64> {
        self.family.as_ref().and_then(Family::memory)
    }

    fn cpu_since(&self, before: Option<Duration>) -> Option<Duration> {
        Some(self.cpu()?.saturating_sub(before?))
    }

    /// Connections that each have one packet come back and end, several at a time; how many of them
    /// did.
    async fn come_and_go(
        self: &Arc<Self>,
        what: &'static str,
        count: u64,
        progress: Option<Progress>,
    ) -> Result<u64> {
        let next = Arc::new(AtomicU64::new(0));
        let done = Arc::new(AtomicUsize::new(0));
        let progress = Arc::new(progress);
        let mut rng = chappe_net::entropy::rng()?;
        let mut tasks = JoinSet::new();
        for _ in 0..self.at_once {
            let (bench, mut rng) = (Arc::clone(self), rng.fork());
            let (next, done, progress) =
                (Arc::clone(&next), Arc::clone(&done), Arc::clone(&progress));
            tasks.spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    match bench.door.greet(&mut rng).await {
                        Ok(_) => {
                            let done = 1 + done.fetch_add(1, Ordering::Relaxed);
                            if let Some(progress) = &*progress {
                                progress.tell(done);
                            }
                        }
                        Err(fault) => bench.fault(what, &fault),
                    }
                }
            });
        }
        while tasks.join_next().await.transpose()?.is_some() {}
        Ok(done.load(Ordering::Relaxed) as u64)
    }

    pub(super) async fn handshakes(self: &Arc<Self>, count: u64) -> Result<Handshakes> {
        self.come_and_go("handshakes", count.div_ceil(WARM_UP), None).await?;
        sleep(REST).await;
        let (begun, cpu) = (Instant::now(), self.cpu());
        let count = self.come_and_go("handshakes", count, None).await?;
        let took = begun.elapsed();
        // What follows the last word of a connection counts as well.
        sleep(REST).await;
        Ok(Handshakes { count, took, cpu: self.cpu_since(cpu) })
    }

    /// Packets that come back, `rate` a second over so many connections.
    pub(super) async fn round_trips(
        self: &Arc<Self>,
        connections: u32,
        rate: u32,
        lasted: Duration,
    ) -> Result<Spread> {
        let pause = Duration::from_secs(1) * connections / rate;
        let mut rng = chappe_net::entropy::rng()?;
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            let (bench, mut rng) = (Arc::clone(self), rng.fork());
            tasks.spawn(async move {
                let mut times = Vec::new();
                let turns = async {
                    let (mut speaker, mut hearer) = bench.door.greet(&mut rng).await?;
                    sleep(pause * number / connections).await;
                    let mut ticks = interval(pause);
                    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    let begun = Instant::now();
                    while begun.elapsed() < lasted {
                        ticks.tick().await;
                        let sent = Instant::now();
                        turn(&mut speaker, &mut hearer).await?;
                        times.push(sent.elapsed());
                    }
                    Ok::<_, Fault>(())
                };
                if let Err(fault) = turns.await {
                    bench.fault("round trips", &fault);
                }
                times
            });
        }
        let mut all = Vec::new();
        while let Some(times) = tasks.join_next().await.transpose()? {
            all.extend(times);
        }
        Ok(Spread::of(all))
    }

    /// Bytes up or down, over so many connections.
    pub(super) async fn bulk(
        self: &Arc<Self>,
        up: bool,
        bytes: u64,
        connections: u64,
    ) -> Result<Passed> {
        let each = bytes.div_ceil(connections).next_multiple_of(BULK_PACKET as u64);
        let mut rng = chappe_net::entropy::rng()?;
        let mut tasks = JoinSet::new();
        let (begun, cpu) = (Instant::now(), self.cpu());
        for _ in 0..connections {
            let (bench, mut rng) = (Arc::clone(self), rng.fork());
            tasks.spawn(async move {
                let passing = async {
                    let wish = if up { Wish::Sink(each) } else { Wish::Pour(each.min(PART)) };
                    let (mut speaker, mut hearer) = bench.door.enter(wish, &mut rng).await?;
                    if up {
                        pour(&mut speaker, each).await?;
                        hear_receipt(&mut hearer).await
                    } else {
                        sink_parts(&mut speaker, &mut hearer, each).await
                    }
                };
                match passing.await {
                    Ok(()) => each,
                    Err(fault) => {
                        bench.fault(if up { "bytes up" } else { "bytes down" }, &fault);
                        0
                    }
                }
            });
        }
        let mut bytes = 0;
        while let Some(passed) = tasks.join_next().await.transpose()? {
            bytes += passed;
        }
        let took = begun.elapsed();
        sleep(REST).await;
        Ok(Passed { bytes, took, cpu: self.cpu_since(cpu) })
    }

    /// Connections that have each had a packet come back, and say nothing more.
    pub(super) async fn idle(self: &Arc<Self>, connections: u64) -> Result<Idle> {
        // Threads and their buffers are not what connections take.
        self.come_and_go("idle connections", WARM_UP * self.at_once as u64, None).await?;
        sleep(self.rest).await;
        let before = self.memory();
        let next = Arc::new(AtomicU64::new(0));
        let mut rng = chappe_net::entropy::rng()?;
        let mut tasks = JoinSet::new();
        for _ in 0..self.at_once {
            let (bench, next, mut rng) = (Arc::clone(self), Arc::clone(&next), rng.fork());
            tasks.spawn(async move {
                let mut open = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < connections {
                    match bench.door.greet(&mut rng).await {
                        Ok(halves) => open.push(halves),
                        Err(fault) => bench.fault("idle connections", &fault),
                    }
                }
                open
            });
        }
        let mut open = Vec::new();
        while let Some(some) = tasks.join_next().await.transpose()? {
            open.extend(some);
        }
        sleep(self.rest).await;
        let memory = before.zip(self.memory());
        Ok(Idle { connections: open.len() as u64, memory })
    }

    pub(super) async fn stalls(self: &Arc<Self>, connections: u64, bytes: u64) -> Result<Stalls> {
        let bytes = bytes.next_multiple_of(BULK_PACKET as u64);
        let mut rng = chappe_net::entropy::rng()?;
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (bench, mut rng) = (Arc::clone(self), rng.fork());
            tasks.spawn(async move {
                let exchanging = async {
                    let wish = Wish::Exchange(bytes);
                    let (mut speaker, mut hearer) = bench.door.enter(wish, &mut rng).await?;
                    exchange::run_watched(bytes, &mut speaker, &mut hearer, &mut rng).await?;
                    hear_receipt(&mut hearer).await
                };
                let outcome = exchanging.await;
                if let Err(fault) = &outcome {
                    bench.fault("stalls", fault);
                }
                u64::from(outcome.is_err())
            });
        }
        let mut stalled = 0;
        while let Some(one) = tasks.join_next().await.transpose()? {
            stalled += one;
        }
        Ok(Stalls { connections, stalled, took: begun.elapsed() })
    }

    pub(super) async fn soak(self: &Arc<Self>, count: u64) -> Result<Soak> {
        self.come_and_go("soak", WARM_UP * self.at_once as u64, None).await?;
        sleep(self.rest).await;
        let before = self.memory();
        let progress = Progress::new("connections came and went", count as usize);
        let most = AtomicU64::new(0);
        let looking = async {
            loop {
                most.fetch_max(self.memory().unwrap_or(0), Ordering::Relaxed);
                sleep(LOOK).await;
            }
        };
        let count = tokio::select! {
            count = self.come_and_go("soak", count, Some(progress)) => count?,
            never = looking => never,
        };
        sleep(self.rest).await;
        let most = most.into_inner();
        let memory = before.zip(self.memory()).map(|(before, after)| (before, most, after));
        Ok(Soak { count, memory })
    }
}

/// Hears so many bytes, the first part of which was asked for: as parts of a file, of which another is
/// always on its way.
async fn sink_parts(speaker: &mut Speaker, hearer: &mut Hearer, amount: u64) -> Result<(), Fault> {
    let mut left = amount;
    while left > 0 {
        let part = left.min(PART);
        left -= part;
        if left > 0 {
            in_time(speaker.say(&Wish::Pour(left.min(PART)).packet())).await?;
        }
        sink(hearer, part).await?;
    }
    Ok(())
}
