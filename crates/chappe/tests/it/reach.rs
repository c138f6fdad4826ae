//! `chappe call` reaches `chappe serve` in every way there is.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use rcgen::generate_simple_self_signed;

use crate::{Server, run, stderr, stdout};

const SECRET: &str = "000102030405060708090a0b0c0d0e0f";

/// Rules: HTP-08, HTP-23, WSK-03, WSK-08, HTP-31: our client and our server by WebSocket and HTTP,
/// inside TLS or not, with temporary keys and without; all on one port.
#[test]
fn every_way_brings_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let (server, chain) = with_tls(dir.path());
    let address = server.address();
    let nowhere = nobody();
    for target in [
        format!("ws://{address}"),
        format!("ws://{address}/apiws_premium"),
        format!("http://{address}"),
        format!("http://{address}/apiw1"),
        format!("wss://{address}"),
        format!("https://{address}/api"),
        format!("{nowhere},{address}"),
    ] {
        for more in [&[][..], &["--no-pfs"]] {
            let output = call(&server, &target, &[&["--ca", &chain], more].concat());
            assert!(output.status.success(), "{target}: {}", stderr(&output));
            assert!(stdout(&output).contains("\"config\""), "{target}");
        }
    }
    // Without the authority the certificate is a stranger's.
    let output = call(&server, &format!("wss://{address}"), &["--timeout", "2"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("certificate"), "{}", stderr(&output));
}

/// Rules: OBF-12, OBF-16, PRX-01: a server with a secret is reached with it, whichever way it is
/// written, and not without it.
#[test]
fn a_secret_opens_the_door() {
    let server = Server::start(&["--secret", SECRET, "--transports", "obfuscated-padded"]);
    let (host, port) = server.address().split_once(':').unwrap();
    let padded = format!("dd{SECRET}");
    let link = format!("tg://proxy?server={host}&port={port}&secret={padded}");
    let web = format!("https://t.me/proxy?server={host}&port={port}&secret={padded}");
    for target in [link, web] {
        let output = call(&server, &target, &[]);
        assert!(output.status.success(), "{target}: {}", stderr(&output));
    }
    assert!(call(&server, server.address(), &["--secret", &padded]).status.success());
    let without = ["--transport", "obfuscated-padded", "--timeout", "1"];
    assert_eq!(call(&server, server.address(), &without).status.code(), Some(3));
}

/// A proxy is passed through, and its refusal is the error.
#[test]
fn a_proxy_is_passed_through() {
    let server = Server::start(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            std::thread::spawn(move || lead(client));
        }
    });
    let output = call(&server, server.address(), &["--proxy", &proxy]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = call(&server, &nobody(), &["--proxy", &proxy, "--timeout", "1"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("HTTP proxy"), "{}", stderr(&output));
}

#[test]
fn what_is_no_server_is_a_fault_of_the_user() {
    let nameless = format!("tg://proxy?server=p&port=443&secret=ee{SECRET}");
    for (args, expected) in [
        (["--server", "host"], "HOST:PORT"),
        (["--server", "ftp://host"], "URL"),
        (["--server", &nameless], "secret of 17 bytes"),
        (["--secret", "zz!!"], "hexadecimal"),
        (["--proxy", "ftp://p:1"], "socks5"),
    ] {
        let output = run(&["call", args[0], args[1], "help.getConfig"]);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(expected), "{args:?}: {}", stderr(&output));
    }
}

fn call(server: &Server, target: &str, more: &[&str]) -> std::process::Output {
    let key = server.public_key().to_str().unwrap();
    let args = [&["call", "--server", target, "--key", key, "help.getConfig"], more].concat();
    run(&args)
}

/// A server with a certificate for its address, and the file of that.
fn with_tls(dir: &Path) -> (Server, String) {
    let identity = generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (dir.join("chain.pem"), dir.join("key.pem"));
    std::fs::write(&chain, identity.cert.pem()).unwrap();
    std::fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    let (chain, key) = (chain.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned());
    (Server::start(&["--tls-cert", &chain, "--tls-key", &key]), chain)
}

/// Where nobody listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// An HTTP proxy for one connection.
fn lead(mut client: TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read_exact(&mut byte).is_err() {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap();
    let Ok(mut server) = TcpStream::connect(target) else {
        let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
        return;
    };
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    let (mut upstream, mut answers) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut upstream, &mut answers));
    let _ = std::io::copy(&mut client, &mut server);
    let _ = server.shutdown(std::net::Shutdown::Both);
}
