//! `chappe bench telegram`: everybody signs in, one rate after the other is held, and what came of
//! it is told.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chappe_client::Target;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, sleep_until};

use super::args::TelegramArgs;
use super::child::Child;
use super::database::Watched;
use super::ledger::{Book, Ledger};
use super::pace::Pace;
use super::plan::Plan;
use super::progress::Progress;
use super::report::{Cpu, Report, SignIn, Step};
use super::sign_in::Door;
use super::users::Users;
use super::{open_files, process};
use crate::cmd::files::read_public_key;
use crate::config::database::DatabaseConfig;
use crate::exit::Exit;

pub(super) fn run(args: TelegramArgs) -> Result<Exit> {
    if args.groups > 0.0 && args.users < 2 {
        bail!("groups: a group takes two users");
    }
    let connections = u64::from(args.users) + 1;
    open_files::allow(connections)?;
    crate::cmd::start_logging(&args.log)?;
    let child = match args.server {
        Some(_) => None,
        None => Some(Child::start(args.database.as_ref(), (args.dc, connections), &args.log)?),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            report = Bench::new(&args, child.as_ref())?.run() => report,
            _ = terminate.recv() => bail!("stopped"),
            _ = interrupt.recv() => bail!("stopped"),
        }
    })?;
    // Ten thousand clients are not ended in order; their server is to be gone first.
    let logged = child.as_ref().map(Child::log).unwrap_or_default();
    drop(child);
    if !logged.is_empty() {
        eprint!("the server logged:\n{}", head(&logged));
    }
    let text = match args.json {
        true => format!("{:#}\n", report.json()),
        false => report.table(),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(if report.is_clean() { Exit::Done } else { Exit::No })
}

/// The first lines of a log.
fn head(log: &str) -> String {
    let mut text: String = log.lines().take(LINES_MAX).map(|line| format!("  {line}\n")).collect();
    let more = log.lines().count().saturating_sub(LINES_MAX);
    if more > 0 {
        text.push_str(&format!("  and {more} lines more\n"));
    }
    text
}

/// Lines of a server's log that are shown.
const LINES_MAX: usize = 10;
/// Time between two looks whether everything has arrived.
const LOOK: Duration = Duration::from_millis(20);
/// Time in which a server that has nothing to do comes to rest.
const REST: Duration = Duration::from_secs(1);

/// A bench under way.
struct Bench<'a> {
    args: &'a TelegramArgs,
    door: Door,
    /// Process of the server.
    pid: Option<u32>,
    database: Option<DatabaseConfig>,
    plan: Plan,
    book: Arc<Book>,
}

impl<'a> Bench<'a> {
    fn new(args: &'a TelegramArgs, child: Option<&Child>) -> Result<Self> {
        let (target, key, pid) = match (child, &args.server, &args.key) {
            (Some(child), ..) => {
                (child.address.parse::<Target>()?, child.public_key.clone(), Some(child.pid()))
            }
            (None, Some(server), Some(key)) => (server.clone(), key.clone(), args.pid),
            _ => bail!("say which server, and which key it has"),
        };
        let database = match (&args.database, child) {
            (Some(url), _) => Some(DatabaseConfig::of(Some(url), "".as_ref())?),
            (None, Some(child)) => Some(DatabaseConfig::Sqlite(child.database())),
            (None, None) => None,
        };
        let group_size = args.group_size as usize;
        let mut run = chappe_net::entropy::rng()?;
        Ok(Self {
            door: Door { target, key: read_public_key(&key)?, dc: args.dc, pfs: args.pfs },
            pid,
            database,
            plan: Plan::new(args.users as usize, args.groups, group_size, args.seed),
            book: Arc::new(Book::new(run.u64())),
            args,
        })
    }

    async fn run(mut self) -> Result<Report> {
        let args = self.args;
        let database = match &self.database {
            Some(config) => Some(Watched::open(config).await.context("the database")?),
            None => None,
        };
        let (users, sign_in) = self.sign_in().await?;
        users.listen(&self.book);
        let before = bytes_of(database.as_ref()).await?;
        let mut steps = Vec::new();
        if args.warm_up > 0 {
            let lasted = Duration::from_secs(args.warm_up);
            let step = self.hold(&users, database.as_ref(), args.rate[0], lasted).await;
            steps.push((true, step));
        }
        for rate in &args.rate {
            let lasted = Duration::from_secs(args.duration);
            steps.push((false, self.hold(&users, database.as_ref(), *rate, lasted).await));
        }
        let after = bytes_of(database.as_ref()).await?;
        // Only here, for what came late came all the same.
        let finish = |(is_warm_up, (step, ledger)): (bool, (Step, Arc<Ledger>))| {
            let outcome = ledger.outcome();
            self.book.faults_of("messages.sendMessage: no answer in time", outcome.unanswered);
            Step { is_warm_up, outcome, ..step }
        };
        let steps = steps.into_iter().map(finish).collect();
        Ok(Report {
            engine: database.as_ref().map(Watched::engine),
            users: self.plan.partners.len(),
            devices: users.devices(),
            groups: args.groups,
            group_size: args.group_size,
            size: args.size,
            seed: args.seed,
            pfs: args.pfs,
            sign_in,
            steps,
            faults: self.book.faults(),
            database_bytes: before.zip(after),
        })
    }

    /// Lets everybody in, and finds out what that costs.
    async fn sign_in(&self) -> Result<(Users, SignIn)> {
        let at_once = self.args.at_once as usize;
        let memory = || self.pid.and_then(process::memory);
        let (memory_before, cpu_before) = (memory(), self.cpu(None));
        let begun = Instant::now();
        let progress = Progress::new("signed in", self.plan.partners.len());
        let mut users =
            Users::enter(&self.door, &self.plan, at_once, &|done| progress.tell(done)).await?;
        let took = begun.elapsed();
        let server_cpu = self.cpu(None).since(cpu_before).server;
        let progress = Progress::new("acquainted", self.plan.partners.len());
        users.acquaint(&self.door, &self.plan, at_once, &|done| progress.tell(done)).await?;
        sleep(REST).await;
        let sign_in = SignIn { took, server_cpu, memory: memory_before.zip(memory()) };
        Ok((users, sign_in))
    }

    /// Holds a rate, and waits until everything has arrived, or for as long as is allowed.
    async fn hold(
        &mut self,
        users: &Users,
        database: Option<&Watched>,
        rate: f64,
        lasted: Duration,
    ) -> (Step, Arc<Ledger>) {
        eprintln!("{rate} messages a second for {} s", lasted.as_secs());
        let cpu_before = self.cpu(database);
        let (number, ledger) = self.book.open();
        for due in Pace::new(rate, lasted) {
            sleep_until((ledger.begun() + due).into()).await;
            let writing = self.plan.next();
            let message = ledger.sent(due, writing.hearers);
            let text = self.book.text(number, message, self.args.size as usize);
            users.write(writing, &text, (message, &ledger), &self.book);
        }
        sleep_until((ledger.begun() + lasted).into()).await;
        let deadline = Instant::now() + Duration::from_secs(self.args.wait);
        while !ledger.is_settled() && Instant::now() < deadline {
            sleep(LOOK).await;
        }
        let cpu = self.cpu(database).since(cpu_before);
        let memory = self.pid.and_then(process::memory);
        (Step { rate, lasted, cpu, memory, ..Step::default() }, ledger)
    }

    fn cpu(&self, database: Option<&Watched>) -> Cpu {
        Cpu {
            server: self.pid.and_then(process::cpu),
            database: database.and_then(Watched::cpu),
            load: process::cpu(std::process::id()),
        }
    }
}

async fn bytes_of(database: Option<&Watched>) -> Result<Option<u64>> {
    match database {
        Some(database) => Ok(Some(database.bytes().await?)),
        None => Ok(None),
    }
}
