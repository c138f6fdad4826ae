//! `cargo xtask test`: everything that must hold before a change lands, from nothing but cargo.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// One step: what it shows, and the command.
struct Step {
    name: &'static str,
    program: Program,
    args: &'static [&'static str],
}

/// What a step runs.
#[derive(PartialEq)]
enum Program {
    Cargo,
    /// A file of the repository.
    File(&'static str),
    /// A program of this workspace, as [`PROGRAMS`] leaves it.
    Own(&'static str),
}

const STEPS: &[Step] = &[
    cargo("format", &["fmt", "--all", "--check"]),
    cargo("house rules", &["xtask", "tidy"]),
    cargo("lints", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]),
    cargo(TESTS, &["test", "--workspace", "--locked"]),
    PROGRAMS,
    // Not optimised: to build everything once more would take longer than it saves.
    Step { name: "simulation", program: Program::Own("chappe-sim"), args: &["--seeds", "10000"] },
    Step {
        name: "fuzz targets",
        program: Program::Own("chappe-fuzz"),
        args: &["--seconds", "5", "--seed", "2"],
    },
    cargo(
        "tests with every feature of the schema tools",
        &["test", "--package", "chappe-tl", "--all-features", "--locked"],
    ),
    cargo(
        "arithmetic without C",
        &["test", "--package", "chappe-crypto", "--no-default-features", "--locked"],
    ),
    cargo("documentation", &["doc", "--workspace", "--no-deps", "--locked"]),
    cargo("nothing that only tests bring", &["check", "--workspace", "--locked"]),
    Step { name: "interoperation", program: INTEROP, args: &[] },
];

const TESTS: &str = "tests";
const INTEROP: Program = Program::File("interop/run");

/// As the tests have built them: any other choice of packages would have other features, and build
/// everything once more.
const PROGRAMS: Step = cargo("the programs", &["test", "--workspace", "--locked", "--no-run"]);

/// Tests at once: most of them wait most of the time.
const TEST_THREADS: &str = "6";

const fn cargo(name: &'static str, args: &'static [&'static str]) -> Step {
    Step { name, program: Program::Cargo, args }
}

/// A program that steps need besides cargo, how to see that it works, and its Debian packages.
type Needed = (&'static str, &'static [&'static str], &'static [&'static str]);

/// Needed by whatever is compiled.
const COMPILER: Needed = ("cc", &["--version"], &["gcc", "libc6-dev"]);

/// Needed by the tests of whatever keeps things: a server that they start themselves.
const POSTGRES: &[Needed] = &[
    ("sh", &["-c", "command -v initdb || ls /usr/lib/postgresql/*/bin/initdb"], &["postgresql"]),
    ("ps", &["--version"], &["procps"]),
];

/// Needed by other people's clients.
const CLIENTS: &[Needed] = &[
    // What `--help` does not show: Debian's Python has the module without its half that matters.
    ("python3", &["-c", "import venv, ensurepip"], &["python3", "python3-venv"]),
    ("node", &["--version"], &["nodejs"]),
    ("npm", &["--version"], &["npm"]),
    ("chromium", &["--version"], &["chromium"]),
    ("curl", &["--version"], &["curl"]),
    ("openssl", &["version"], &["openssl"]),
];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let wanted =
        |step: &Step| args.is_empty() || args.iter().any(|arg| step.name.contains(arg.as_str()));
    let mut steps: Vec<&Step> = STEPS.iter().filter(|step| wanted(step)).collect();
    if steps.is_empty() {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("no step is called so; the steps are: {}", names.join(", "));
    }
    let needs_programs = |step: &&Step| step.program != Program::Cargo;
    if steps.iter().any(needs_programs) && !steps.iter().any(|step| step.name == PROGRAMS.name) {
        steps.insert(0, &PROGRAMS);
    }
    let mut needed = vec![COMPILER];
    if steps.iter().any(|step| step.name == TESTS) {
        needed.extend(POSTGRES);
    }
    if steps.iter().any(|step| step.program == INTEROP) {
        needed.extend(CLIENTS);
    }
    install(&needed)?;
    let mut done = Vec::new();
    for step in &steps {
        println!("\n== {} ==", step.name);
        let begun = Instant::now();
        let program = match step.program {
            Program::Cargo => PathBuf::from("cargo"),
            Program::File(path) => root().join(path),
            Program::Own(name) => env::current_exe()?.with_file_name(name),
        };
        let status = Command::new(&program)
            .args(step.args)
            .current_dir(root())
            .env("RUSTDOCFLAGS", "-D warnings")
            .env("RUST_TEST_THREADS", TEST_THREADS)
            .status()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if !status.success() {
            let left = steps.len() - done.len() - 1;
            bail!(
                "step `{}` failed ({status}): {} {}\n{} steps passed before it, {left} were not run",
                step.name,
                program.display(),
                step.args.join(" "),
                done.len(),
            );
        }
        done.push((step.name, begun.elapsed()));
    }
    println!("\n== all steps passed ==");
    for (name, took) in done {
        println!("{:>6.1} s  {name}", took.as_secs_f64());
    }
    Ok(())
}

/// `cargo xtask durability`: the test of that name in its long form.
pub(crate) fn durability(args: &[String]) -> Result<()> {
    let rounds = args.first().map_or("100", String::as_str);
    install(&[&[COMPILER], POSTGRES].concat())?;
    let mut test = Command::new("cargo");
    test.args(["test", "--locked", "--package", "chappe", "--test", "it", "durability"]);
    test.args(["--", "--nocapture", "--test-threads", "1"]);
    let status = test.current_dir(root()).env("CHAPPE_TEST_KILLS", rounds).status()?;
    if !status.success() {
        bail!("something was lost, doubled or left out ({status})");
    }
    Ok(())
}

/// Installs what is missing, where that is possible, or says what to install.
fn install(needed: &[Needed]) -> Result<()> {
    let works = |(program, args): (&str, &[&str])| {
        Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
    };
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(program, args, _)| !works((program, args)))
        .flat_map(|(_, _, packages)| packages.iter().copied())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !is_root || !works(("apt-get", &["--version"])) {
        bail!("install these first: {}", missing.join(" "));
    }
    println!("installing {}", missing.join(" "));
    for args in
        [vec!["update"], [vec!["install", "--yes", "--no-install-recommends"], missing].concat()]
    {
        let mut install = Command::new("apt-get");
        let status = install.args(&args).env("DEBIAN_FRONTEND", "noninteractive").status()?;
        if !status.success() {
            bail!("apt-get {} failed", args.join(" "));
        }
    }
    Ok(())
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
