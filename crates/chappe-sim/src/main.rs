//! Runs worlds from the command line: `--help` says how.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chappe_sim::model::Broken;
use chappe_sim::{examine, run_seed};

const USAGE: &str = "\
usage: chappe-sim [options]

  --seeds N    run this many seeds (default 10000)
  --from S     begin with this seed (default 0)
  --seed S     run this seed alone
  --trace      print everything that happens; with --seed
  --jobs J     seeds at once (default: one for each core)
  --keep-going do not stop at the first failure; says how many there were

exit status: 0 all invariants held, 1 one was broken, 2 wrong usage";

struct Options {
    from: u64,
    seeds: u64,
    trace: bool,
    jobs: usize,
    keeps_going: bool,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(fault) => {
            eprintln!("error: {fault}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if options.trace {
        let (hash, failure) = examine(options.from, true);
        println!("hash {hash:016x}");
        return report(options.from, failure.as_ref());
    }
    run_all(&options)
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options =
        Options { from: 0, seeds: 10_000, trace: false, jobs: cores, keeps_going: false };
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().ok_or(format!("{arg} wants a number"))?;
            value.replace('_', "").parse::<u64>().map_err(|_| format!("{value} is no number"))
        };
        match arg.as_str() {
            "--seeds" => options.seeds = number()?,
            "--from" => options.from = number()?,
            "--seed" => (options.from, options.seeds) = (number()?, 1),
            "--jobs" => options.jobs = number()?.clamp(1, 1024) as usize,
            "--trace" => options.trace = true,
            "--keep-going" => options.keeps_going = true,
            "--help" | "-h" => return Ok(None),
            _ => return Err(format!("unknown option {arg}")),
        }
    }
    if options.trace && options.seeds != 1 {
        return Err("--trace wants --seed".into());
    }
    Ok(Some(options))
}

/// Every seed from the first one on, on as many threads as wanted. A world itself has no threads.
fn run_all(options: &Options) -> ExitCode {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let failures: Mutex<Vec<(u64, Broken)>> = Mutex::default();
    let has_failed = || failures.lock().is_ok_and(|failures| !failures.is_empty());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while options.keeps_going || !has_failed() {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= options.seeds {
                        break;
                    }
                    let seed = options.from.wrapping_add(number);
                    if let Some(failure) = run_seed(seed) {
                        failures.lock().expect("no thread panics").push((seed, failure));
                    }
                    if (number + 1).is_multiple_of(50_000) {
                        let spent = begun.elapsed().as_secs_f64();
                        eprintln!("{} seeds in {spent:.1} s", number + 1);
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no thread panics");
    failures.sort_by_key(|(seed, _)| *seed);
    let ran = next.into_inner().min(options.seeds);
    let spent = begun.elapsed().as_secs_f64();
    println!("{ran} seeds from {} in {spent:.1} s, {} failures", options.from, failures.len());
    for (seed, failure) in failures.iter().skip(1).take(20) {
        println!("seed {seed}: {failure}");
    }
    match failures.first() {
        Some((seed, failure)) => report(*seed, Some(failure)),
        None => ExitCode::SUCCESS,
    }
}

fn report(seed: u64, failure: Option<&Broken>) -> ExitCode {
    let Some(failure) = failure else { return ExitCode::SUCCESS };
    println!("seed {seed} breaks an invariant: {failure}");
    println!("replay it with: cargo run -p chappe-sim --release -- --seed {seed} --trace");
    ExitCode::FAILURE
}
