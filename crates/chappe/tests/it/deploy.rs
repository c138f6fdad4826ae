//! What lies in `deploy/` is of use as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{chappe, stderr, stdout};

fn deploy(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy")).join(name)
}

/// The example is what a proxy runs with.
#[test]
fn the_example_is_accepted() {
    let config = deploy("proxy.toml");
    let links = chappe(&["proxy", "links", "--config"]).arg(&config).output().unwrap();
    assert!(stdout(&links).contains("server=proxy.example.net&port=443"), "{}", stderr(&links));
    let state = tempfile::tempdir().unwrap();
    let mut proxy = chappe(&["proxy", "run", "--listen", "127.0.0.1:0"])
        .args(["--metrics", "127.0.0.1:0", "--domain", "localhost=127.0.0.1:1", "--config"])
        .arg(&config)
        .arg("--state")
        .arg(state.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut lines = std::io::BufReader::new(proxy.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut lines, &mut ready).unwrap();
    proxy.kill().unwrap();
    proxy.wait().unwrap();
    assert!(ready.contains("\"event\":\"ready\""), "{ready}");
}

/// systemd finds nothing wrong with the units, where there is a systemd to ask.
#[test]
fn units_are_sound() {
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for name in ["chappe-proxy.service", "chappe-proxy.socket"] {
        let text = fs::read_to_string(deploy(name)).unwrap();
        let unit = folder.path().join(name);
        // The program is somewhere else here.
        fs::write(&unit, text.replace("/usr/local/bin/chappe", env!("CARGO_BIN_EXE_chappe")))
            .unwrap();
        units.push(unit);
    }
    let verify = Command::new("systemd-analyze").arg("verify").args(&units).output();
    let Ok(verify) = verify else { return };
    let said = stderr(&verify);
    assert!(verify.status.success() && !said.contains("chappe-proxy"), "{said}");
}
