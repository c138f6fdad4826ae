//! Runs the fuzz targets without anything but stable Rust: the corpus, then mutations of it.
//!
//! ```text
//! chappe-fuzz [--seconds N] [--seed N] [TARGET]…   each target for N seconds (5)
//! chappe-fuzz TARGET FILE…                         these inputs alone
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs, panic};

use chappe_fuzz::inputs::{Inputs, corpus};
use chappe_fuzz::{TARGETS, Target, target};

/// A single input that takes longer counts as a hang.
const RUN_MAX: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut seconds = 5;
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let mut targets = Vec::new();
    let mut files = Vec::new();
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            let value = args.next().and_then(|value| value.parse().ok());
            value.ok_or_else(|| format!("{arg} needs a number"))
        };
        match arg.as_str() {
            "--seconds" => seconds = number()?,
            "--seed" => seed = number()?,
            name => match target(name) {
                Some(target) => targets.push(target),
                None if Path::new(name).is_file() => files.push(name.to_owned()),
                None => {
                    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                    return Err(format!("no target is called {name}: {}", names.join(", ")));
                }
            },
        }
    }
    if let ([target], false) = (&targets[..], files.is_empty()) {
        for file in files {
            println!("{} {file}", target.name);
            (target.run)(&fs::read(&file).map_err(|error| format!("{file}: {error}"))?);
        }
        return Ok(());
    }
    if targets.is_empty() {
        targets = TARGETS.to_vec();
    }
    println!("seed {seed}");
    targets.iter().try_for_each(|target| fuzz(*target, Duration::from_secs(seconds), seed))
}

fn fuzz(target: Target, time: Duration, seed: u64) -> Result<(), String> {
    let known = corpus(target.name).map_err(|error| format!("{}: {error}", target.name))?;
    let known: Vec<Vec<u8>> = known.into_iter().map(|(_, input)| input).collect();
    for input in &known {
        attempt(target, input)?;
    }
    let mut inputs = Inputs::new(known.clone(), target.len_max, seed);
    let begun = Instant::now();
    let mut runs = 0;
    while begun.elapsed() < time {
        attempt(target, &inputs.next_input())?;
        runs += 1;
    }
    println!(
        "{:>17}: {} of the corpus, {runs} new in {} s",
        target.name,
        known.len(),
        time.as_secs()
    );
    Ok(())
}

/// Runs one input; one that fails is written to a file.
fn attempt(target: Target, input: &[u8]) -> Result<(), String> {
    let begun = Instant::now();
    let outcome = panic::catch_unwind(|| (target.run)(input));
    let what = match outcome {
        Err(_) => "panicked",
        Ok(()) if begun.elapsed() > RUN_MAX => "took too long",
        Ok(()) => return Ok(()),
    };
    let file = env::temp_dir().join(format!("chappe-fuzz-{}-{}", target.name, std::process::id()));
    fs::write(&file, input).map_err(|error| error.to_string())?;
    Err(format!("{} {what}; the input is in {}", target.name, file.display()))
}
