//! What the core may not reach for: clocks, sockets, files, threads, the environment, chance.
//!
//! Time, bytes and seeds come into it as arguments. So the simulation is exact, and the core can be
//! compiled for WebAssembly, where the system behind `std` is absent.

use std::path::Path;

use anyhow::Result;

use crate::tidy::{code_of, sources};

/// The crates of the core.
const CORE: &[&str] = &["chappe-tl", "chappe-crypto", "chappe-proto", "chappe-updates"];

/// Runs in build scripts only.
const EXEMPT: &[&str] = &["chappe-tl/src/codegen"];

/// Paths that nothing of the core may name, and neither a module above one of them as a whole:
/// `use std::time` would let `time::Instant` pass.
const FORBIDDEN: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
    "getrandom",
    "rand",
    "socket2",
    "tokio",
];

/// Addresses are values like any other.
const ALLOWED: &[&str] =
    &["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr", "std::net::SocketAddr"];

/// Every place where the core reaches for one of them, one line each.
pub(crate) fn check(crates: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for name in CORE {
        for file in sources(&crates.join(name).join("src"))? {
            if EXEMPT.iter().any(|folder| file.starts_with(crates.join(folder))) {
                continue;
            }
            let text = std::fs::read_to_string(&file)?;
            let file = file.strip_prefix(crates).unwrap_or(&file).display();
            faults.extend(reached_for(&text).into_iter().map(|(line, path)| {
                format!("{file}:{line}: `{path}`: time, bytes and chance are arguments in the core")
            }));
        }
    }
    Ok(faults)
}

/// The forbidden paths that a source names outside of its tests, with their lines.
fn reached_for(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut statement = String::new();
    for (line, number) in code_of(text).zip(1..) {
        statement.push_str(line);
        // An import may go over several lines.
        let is_open = statement.trim_start().starts_with("use ")
            || statement.trim_start().starts_with("pub use ")
            || statement.trim_start().starts_with("pub(crate) use ");
        if is_open && !statement.contains(';') {
            continue;
        }
        found.extend(
            paths(&statement)
                .into_iter()
                .filter(|path| is_forbidden(path))
                .map(|path| (number, path)),
        );
        statement.clear();
    }
    found
}

fn is_forbidden(path: &str) -> bool {
    let is_within = |path: &str, outer: &str| {
        path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    // As a whole, by its name or a star.
    let module = path.strip_suffix("::*").unwrap_or(path);
    FORBIDDEN.iter().any(|forbidden| is_within(path, forbidden) || is_within(forbidden, module))
        && !ALLOWED.iter().any(|allowed| is_within(path, allowed))
}

/// The paths in a piece of code, those of braced imports spelled out.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    // What stands before each open brace, and the path being read.
    let mut outer: Vec<String> = Vec::new();
    let mut path = String::new();
    let mut rest = code;
    while let Some(next) = rest.chars().next() {
        let word =
            rest.len() - rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
        let taken = if word > 0 {
            path.push_str(&rest[..word]);
            word
        } else if rest.starts_with("::") {
            path.push_str("::");
            2
        } else if next == '*' && path.ends_with("::") {
            path.push('*');
            1
        } else if next == '{' && path.ends_with("::") {
            outer.push(std::mem::take(&mut path));
            1
        } else {
            if !path.is_empty() {
                found.push(outer.concat() + std::mem::take(&mut path).trim_start_matches("::"));
            }
            if next == '}' {
                outer.pop();
            }
            next.len_utf8()
        };
        rest = &rest[taken..];
    }
    if !path.is_empty() {
        found.push(outer.concat() + path.trim_start_matches("::"));
    }
    // `std::time::{self}` is the module.
    found.iter().map(|path| path.strip_suffix("::self").unwrap_or(path).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each thing that the core may not reach for is found, however it is written.
    #[test]
    fn clocks_sockets_files_threads_and_chance_are_found() {
        for code in [
            "let now = std::time::Instant::now();",
            "let now = ::std::time::SystemTime::now();",
            "use std::time::Instant;",
            "use std::time::{Duration, SystemTime};",
            "use std::time::UNIX_EPOCH;",
            "use std::time;",
            "use std::time::{self, Duration};",
            "use std::time::*;",
            "use std::{io, time::{Duration, Instant}};",
            "use std::{\n    io::Write,\n    net::{IpAddr, TcpStream},\n};",
            "std::net::UdpSocket::bind(address)?;",
            "use std::net;",
            "std::thread::spawn(work);",
            "pub(crate) use std::thread::JoinHandle;",
            "std::thread::sleep(wait);",
            "let text = std::fs::read(path)?;",
            "use std::fs::File;",
            "let home = std::env::var(\"HOME\");",
            "std::process::exit(1);",
            "use std::os::fd::AsFd;",
            "use tokio::time::sleep;",
            "tokio::spawn(work);",
            "getrandom::fill(&mut seed)?;",
            "let dice: u8 = rand::random();",
            "use std;",
            "use std::*;",
        ] {
            assert!(!reached_for(code).is_empty(), "not found: {code}");
        }
    }

    /// What has no system behind it passes, and so does what stands in comments and tests.
    #[test]
    fn values_comments_and_tests_pass() {
        for code in [
            "use std::time::Duration;",
            "use std::net::IpAddr;",
            "use std::net::{Ipv4Addr, SocketAddr};",
            "use std::{fmt, mem};",
            "use std::sync::Arc;",
            "let operand = random(brand::NAME);",
            "// std::thread::spawn is not for the core",
            "/// Unlike `std::time::Instant`, a plain number.",
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}",
        ] {
            assert_eq!(reached_for(code), [], "{code}");
        }
    }

    #[test]
    fn the_line_is_named() {
        assert_eq!(reached_for("\n\nuse std::fs;"), [(3, "std::fs".to_owned())]);
    }

    /// The crates named here exist, and an import that is not allowed makes the check fail.
    #[test]
    fn every_crate_of_the_core_is_checked() -> Result<()> {
        for name in CORE {
            let crates = tempfile::tempdir()?;
            for other in CORE {
                std::fs::create_dir_all(crates.path().join(other).join("src"))?;
            }
            assert_eq!(check(crates.path())?, [""; 0]);
            let file = crates.path().join(name).join("src/lib.rs");
            std::fs::write(file, "use std::thread;\n")?;
            assert_eq!(check(crates.path())?.len(), 1, "{name}");
        }
        check(&crate::test::root().join("crates")).map(|faults| assert_eq!(faults, [""; 0]))
    }
}
