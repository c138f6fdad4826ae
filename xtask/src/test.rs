//! `cargo xtask test`: everything that must hold before a change lands, from nothing but cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// One step: what it shows, and the command.
struct Step {
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
}

const STEPS: &[Step] = &[
    Step { name: "format", program: "cargo", args: &["fmt", "--all", "--check"] },
    Step { name: "house rules", program: "cargo", args: &["xtask", "tidy"] },
    Step {
        name: "lints",
        program: "cargo",
        args: &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    },
    Step { name: TESTS, program: "cargo", args: &["test", "--workspace", "--locked"] },
    // Not optimised: to build everything once more would take longer than it saves.
    Step {
        name: "simulation",
        program: "cargo",
        args: &["run", "--package", "chappe-sim", "--locked", "--", "--seeds", "10000"],
    },
    Step {
        name: "fuzz targets",
        program: "cargo",
        args: &[
            "run",
            "--quiet",
            "--package",
            "chappe-fuzz",
            "--locked",
            "--",
            "--seconds",
            "5",
            "--seed",
            "2",
        ],
    },
    Step {
        name: "tests with every feature of the schema tools",
        program: "cargo",
        args: &["test", "--package", "chappe-tl", "--all-features", "--locked"],
    },
    Step {
        name: "arithmetic without C",
        program: "cargo",
        args: &["test", "--package", "chappe-crypto", "--no-default-features", "--locked"],
    },
    Step {
        name: "documentation",
        program: "cargo",
        args: &["doc", "--workspace", "--no-deps", "--locked"],
    },
    Step {
        name: "the binary",
        program: "cargo",
        args: &["build", "--package", "chappe", "--package", "interop-client", "--locked"],
    },
    Step { name: "interoperation", program: INTEROP, args: &[] },
];

const TESTS: &str = "tests";
const INTEROP: &str = "interop/run";

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
    let steps: Vec<&Step> = STEPS.iter().filter(|step| wanted(step)).collect();
    if steps.is_empty() {
        let names: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        bail!("no step is called so; the steps are: {}", names.join(", "));
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
        let program = if step.program.contains('/') {
            root().join(step.program)
        } else {
            PathBuf::from(step.program)
        };
        let status = Command::new(&program)
            .args(step.args)
            .current_dir(root())
            .env("RUSTDOCFLAGS", "-D warnings")
            .status()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if !status.success() {
            let left = steps.len() - done.len() - 1;
            bail!(
                "step `{}` failed ({status}): {} {}\n{} steps passed before it, {left} were not run",
                step.name,
                step.program,
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
