//! The fuzz targets over their corpora, and over inputs of a fixed seed: short, and the same in
//! every run. Longer runs are those of `fuzz/README.md`.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::path::Path;

use chappe_fuzz::inputs::{CORPORA, Inputs, corpus};
use chappe_fuzz::{TARGETS, target};

/// What was once found stays mended.
#[test]
fn corpora_pass() {
    for target in TARGETS {
        for (path, input) in corpus(target.name).unwrap() {
            println!("{}", path.display());
            (target.run)(&input);
        }
    }
}

/// Rules: SEC-24, SEC-46, TL-33 to TL-35: no input of the decoders makes them panic or spend
///        memory that it does not stand for; both decoders agree.
#[test]
fn decoders_take_anything() {
    check("tl_decode", 3000);
    check("tl_schema", 3000);
}

/// Rules: SEC-22, SEC-24, MSG-R05, MSG-R06, V1-04, V1-05: envelopes.
#[test]
fn envelopes_take_anything() {
    check("envelope", 3000);
}

/// Rules: TRN-16, TRN-38, SEC-24: links.
#[test]
fn links_take_anything() {
    check("detect", 1000);
}

/// Rules: HTP-06, HTP-09, HTP-10, MSG-34, TRN-38: links whose packets come in requests.
#[test]
fn requests_take_anything() {
    check("requests", 1000);
}

/// Rules: UDP-02, UDP-03, UDP-04, UDP-06, UDP-08: both ends of datagrams, and what is between them.
#[test]
fn datagrams_take_anything() {
    check("datagrams", 1000);
}

/// Rules: MPX-05, MPX-08, MPX-13, MPX-19: both ends of a link between proxies, and the line.
#[test]
fn middle_links_take_anything() {
    check("middle", 1000);
}

/// Rules: SEC-01 to SEC-09, SEC-16, KEY-22: a tampered exchange never ends well, an honest one
///        always does, and whoever gets a key has one that was stored.
#[test]
fn exchanges_take_anything() {
    check("handshake_client", 60);
    check("handshake_server", 60);
}

/// Rules: MSG-09, MSG-37, MSG-39, SEC-27, SEC-57: a server runs a call once and answers it once,
///        whatever comes in whatever order.
#[test]
fn server_sessions_take_anything() {
    check("session_server", 1000);
}

/// Rules: MSG-09, MSG-31, SEC-30, SES-15, SVC-25: a client gives each call one outcome; a message
///        that it refuses leaves no trace.
#[test]
fn client_sessions_take_anything() {
    check("session_client", 300);
}

/// The corpora are for people to download as well.
#[test]
fn corpora_stay_small() {
    let mut total = 0;
    for folder in std::fs::read_dir(CORPORA).unwrap() {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        assert!(target(&name).is_some(), "{} belongs to no target", folder.display());
        total += size(&folder);
    }
    assert!(total < 200 << 10, "{total} bytes");
}

fn size(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

fn check(name: &str, runs: usize) {
    let target = target(name).unwrap();
    let known = corpus(name).unwrap().into_iter().map(|(_, input)| input).collect();
    let mut inputs = Inputs::new(known, target.len_max, 1);
    for run in 0..runs {
        let input = inputs.next_input();
        let outcome = std::panic::catch_unwind(|| (target.run)(&input));
        assert!(outcome.is_ok(), "{name}, run {run}: {input:?}");
    }
}
