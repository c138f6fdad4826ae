//! `chappe bench proxy`: clients and a data centre of the bench's own around a proxy that is a
//! process apart, so that what it takes is told without what they take.
//!
//! | file | holds |
//! | --- | --- |
//! | `subject` | the proxy: how it is started, and ended |
//! | `centre`, `middle` | the data centre; the same behind links to a middle server |
//! | `door` | how clients come |
//! | `line` | the stream behind that, at either end |
//! | `wish` | what a connection is for, and the bytes that go over it |
//! | `exchange` | both directions over full sockets |
//! | `measures` | what is measured |
//! | `report` | what is told of it |

pub(crate) mod args;
mod centre;
mod door;
mod exchange;
mod fault;
mod line;
mod measures;
mod middle;
mod report;
mod subject;
mod wish;

use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use chappe_crypto::Rng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use self::args::{Measure, ProxyBenchArgs};
use self::centre::Centre;
use self::door::{Door, Key};
use self::exchange::SEGMENT;
use self::fault::Fault;
use self::measures::Bench;
use self::middle::Middle;
use self::report::{Found, Report, Row};
use self::subject::{Candidate, Subject, name_of};
use super::open_files;
use crate::config::proxy::Mode;
use crate::exit::Exit;

pub(super) fn run(args: &ProxyBenchArgs) -> Result<Exit> {
    // Both ends of each connection are here.
    let connections = 2 * args.idle.max(args.stalls).max(args.at_once.into());
    open_files::allow(connections)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            report = measure(args) => report,
            _ = terminate.recv() => bail!("stopped"),
            _ = interrupt.recv() => bail!("stopped"),
        }
    })?;
    let text = match args.json {
        true => format!("{:#}\n", report.json()),
        false => report.table(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if report.is_clean() { Exit::Done } else { Exit::No })
}

/// Connections whose packets go round.
const GOING_ROUND: u32 = 50;
/// Longest wait until a proxy that accepts connections also serves them.
const READY_MAX: Duration = Duration::from_secs(20);
const READY_LOOK: Duration = Duration::from_millis(200);

/// Measures all proxies, form by form; each thing of one after the other, so that what the machine
/// does beside meets all of them alike.
async fn measure(args: &ProxyBenchArgs) -> Result<Report> {
    let mut rng = chappe_net::entropy::rng()?;
    let (centre, middle) = (Centre::start()?, Middle::start(&mut rng)?);
    let own = (!args.without_own).then_some(Candidate::Own);
    let by_middle = args.middle.then_some(Candidate::OwnByMiddle);
    let others = args.command.iter().cloned().map(Candidate::Other);
    let candidates: Vec<Candidate> = own.into_iter().chain(by_middle).chain(others).collect();
    let mut report = Report { load_average: load_average(), ..Report::default() };
    if wants(args, Measure::RoundTrips) {
        let door = Door { address: centre.address, key: None };
        let bench = Arc::new(Bench::new(door, None, pace(args)));
        report.direct = Some(bench.round_trips(GOING_ROUND, args.rate, lasted(args)).await?);
    }
    for mode in &args.modes {
        report
            .rows
            .extend(measure_mode(args, *mode, &candidates, (&centre, &middle), &mut rng).await?);
    }
    Ok(report)
}

/// One proxy that runs.
struct Run<'a> {
    candidate: &'a Candidate,
    subject: Subject,
    bench: Arc<Bench>,
    found: Found,
}

async fn measure_mode(
    args: &ProxyBenchArgs,
    mode: Mode,
    candidates: &[Candidate],
    (centre, middle): (&Centre, &Middle),
    rng: &mut Rng,
) -> Result<Vec<Row>> {
    let key = Key { mode, secret: rng.bytes(), domain: args.domain.as_str().into() };
    let (mut runs, mut rows) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let subject = candidate.start(&key, centre, middle)?;
        let door = Door { address: subject.address, key: Some(key.clone()) };
        match prove(&door, rng).await {
            Ok(()) => {
                let family = Some(subject.family());
                let bench = Arc::new(Bench::new(door, family, pace(args)));
                runs.push(Run { candidate, subject, bench, found: Found::default() });
            }
            Err(fault) => {
                let name = name_of(mode);
                eprint!(
                    "{} serves nobody in {name}; it said:\n{}",
                    candidate.name(),
                    subject.said()
                );
                let faults = [(format!("serves nobody: {fault}"), 1)].into();
                let found = Found { faults, ..Found::default() };
                rows.push(Row { proxy: candidate.name().to_owned(), mode, found });
            }
        }
    }
    for measure in MEASURES.into_iter().filter(|measure| wants(args, *measure)) {
        for run in &mut runs {
            eprintln!("{} {}: {measure:?}", run.candidate.name(), name_of(mode));
            run.take(measure, args, centre).await?;
        }
    }
    for Run { candidate, subject, bench, mut found } in runs {
        found.faults = bench.faults();
        let name = candidate.name();
        if !found.faults.is_empty() {
            eprint!("{name} {} last said:\n{}", name_of(mode), subject.said());
        }
        rows.push(Row { proxy: name.to_owned(), mode, found });
    }
    Ok(rows)
}

/// In the order in which they are taken: what is sensitive to what came before comes first.
const MEASURES: [Measure; 6] = [
    Measure::Idle,
    Measure::Handshakes,
    Measure::RoundTrips,
    Measure::Bulk,
    Measure::Stalls,
    Measure::Soak,
];

impl Run<'_> {
    async fn take(
        &mut self,
        measure: Measure,
        args: &ProxyBenchArgs,
        centre: &Centre,
    ) -> Result<()> {
        let (bench, found) = (&self.bench, &mut self.found);
        match measure {
            Measure::Idle => found.idle = Some(bench.idle(args.idle).await?),
            Measure::Handshakes => {
                found.handshakes = Some(bench.handshakes(args.handshakes).await?)
            }
            Measure::RoundTrips => {
                let spread = bench.round_trips(GOING_ROUND, args.rate, lasted(args)).await?;
                found.round_trips = Some(spread);
            }
            Measure::Bulk => {
                let (bytes, connections) = (args.bulk << 20, args.bulk_connections);
                found.up = Some(bench.bulk(true, bytes, connections).await?);
                found.down = Some(bench.bulk(false, bytes, connections).await?);
            }
            Measure::Stalls => {
                centre.set_segment(SEGMENT)?;
                found.stalls = Some(bench.stalls(args.stalls, args.stall_bytes << 10).await?);
                centre.set_segment(0)?;
            }
            Measure::Soak => found.soak = Some(bench.soak(args.soak).await?),
        }
        Ok(())
    }
}

/// Waits until somebody is served; some proxies accept connections earlier.
async fn prove(door: &Door, rng: &mut Rng) -> Result<(), Fault> {
    let begun = Instant::now();
    loop {
        match door.greet(rng).await {
            Ok(_) => return Ok(()),
            Err(fault) if begun.elapsed() > READY_MAX => return Err(fault),
            Err(_) => sleep(READY_LOOK).await,
        }
    }
}

fn wants(args: &ProxyBenchArgs, measure: Measure) -> bool {
    args.only.is_empty() || args.only.contains(&measure)
}

fn pace(args: &ProxyBenchArgs) -> (usize, Duration) {
    (args.at_once as usize, args.rest)
}

fn lasted(args: &ProxyBenchArgs) -> Duration {
    Duration::from_secs(args.duration)
}

/// Of the last minute, where the system tells.
fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}
