//! Repository chores. Each command is a module; `cargo xtask` lists them.

use std::process::ExitCode;

mod conformance;
mod documents;
mod layers;
mod planted;
mod sans_io;
mod schema;
mod test;
mod tidy;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.split_first() {
        Some((command, rest)) if command == "conformance" => conformance::run(rest),
        Some((command, rest)) if command == "durability" => test::durability(rest),
        Some((command, rest)) if command == "layers" => layers::run(rest),
        Some((command, rest)) if command == "schema" => schema::run(rest),
        Some((command, rest)) if command == "test" => test::run(rest),
        Some((command, _)) if command == "tidy" => tidy::run(),
        Some((command, rest)) if command == "planted" => planted::run(rest),
        Some((command, _)) if command != "help" => {
            Err(anyhow::anyhow!("unknown command `{command}`\n\n{USAGE}"))
        }
        _ => {
            println!("{USAGE}");
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
  conformance
            make docs/conformance.md: every rule, our tests of it, what other implementations do
  durability
            kill a server under load, and its database, 100 times each, or as often as is said, and
            look for what was lost
  layers    make the schemas of older layers from a folder of whole ones (docs/decisions/0019);
            --check verifies the committed ones
  schema    make the Telegram schema and the error table from published packages
            --check          compare with the committed files, write nothing
            --tl FILE        read this .tl file, not the one of the published crate
            --errors FILE    read this JSON error table, not the one of the published package
  test      run every check and test, and install what they need; with words, the steps so named
  planted   see whether the simulation finds each fault of crates/chappe-sim/planted/list.txt
            within 1,000 seeds; with names, those alone
  tidy      check the rules of the house: who imports whom, what the core must not name, where
            links lead, which rules have no test";
