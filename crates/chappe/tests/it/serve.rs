//! `chappe serve`: first start, ready line, restart, signals, bad settings.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
};

use crate::{Server, run, stderr, stdout};

#[test]
fn the_first_start_makes_everything_and_says_so() {
    let server = Server::start(&[]);
    assert_eq!(server.ready["event"], "ready");
    assert_eq!(server.ready["dc"], 2);
    assert!(server.address().starts_with("127.0.0.1:") && !server.address().ends_with(":0"));
    let private = server.data.join("server.pem");
    assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
    let public = fs::read_to_string(server.public_key()).unwrap();
    assert!(public.starts_with("-----BEGIN RSA PUBLIC KEY-----"), "{public}");
    let fingerprint = run(&["keys", "fingerprint", server.data.to_str().unwrap()]);
    assert_eq!(stdout(&fingerprint).trim(), server.ready["fingerprint"]);
}

#[test]
fn sigterm_ends_it_with_0_and_a_restart_keeps_key_and_sessions() {
    let mut server = Server::start(&[]);
    let session = server.data.join("client.session");
    let call = ["--session", session.to_str().unwrap(), "help.getNearestDc"];
    assert!(server.call(&call).status.success());
    let fingerprint = server.ready["fingerprint"].clone();
    server.signal("-TERM");
    assert_eq!(server.wait(), Some(0));

    let dir = tempfile::tempdir().unwrap();
    let data = server.data.clone();
    let again = Server::start_in(dir, data, &[]);
    assert_eq!(again.ready["fingerprint"], fingerprint);
    let before = fs::read(&session).unwrap();
    let answer = again.call(&call);
    assert!(answer.status.success(), "{}", stderr(&answer));
    // The same auth key as before: a new one would have rewritten most of the file.
    let after = fs::read(&session).unwrap();
    let kept = before.iter().zip(&after).filter(|(a, b)| a == b).count();
    assert!(kept > 256, "the auth key was not used again");
}

#[test]
fn a_second_server_does_not_begin_on_the_same_data() {
    let server = Server::start(&[]);
    let data = server.data.to_str().unwrap();
    let second = run(&["serve", "--listen", "127.0.0.1:0", "--data", data]);
    assert!(!second.status.success());
    assert!(
        stderr(&second).contains("another server process works with it"),
        "{}",
        stderr(&second)
    );
    // Commands that only look or make something do.
    assert!(run(&["user", "list", "--data", data]).status.success());
}

#[test]
fn settings_come_from_a_file_and_errors_name_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("chappe.toml");
    fs::write(&file, "dc = 4\nadvertise = \"192.0.2.1:443\"").unwrap();
    let server = Server::start(&["--config", file.to_str().unwrap()]);
    assert_eq!(server.ready["dc"], 4);
    let config = server.call(&["help.getConfig"]);
    let config: serde_json::Value = serde_json::from_str(&stdout(&config)).unwrap();
    assert_eq!(config["this_dc"], 4);
    assert_eq!(config["dc_options"][0]["ip_address"], "192.0.2.1");
    assert_eq!(config["dc_options"][0]["port"], 443);

    fs::write(&file, "dc = 4\nlisten = \"here\"").unwrap();
    let output = run(&["serve", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("line 2"), "{}", stderr(&output));

    let taken =
        run(&["serve", "--listen", server.address(), "--data", dir.path().to_str().unwrap()]);
    assert_eq!(taken.status.code(), Some(2));
    assert!(stderr(&taken).contains(server.address()), "{}", stderr(&taken));
}

#[test]
fn a_damaged_key_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("server.pem");
    fs::write(&key, "not a key").unwrap();
    let output = run(&["serve", "--listen", "127.0.0.1:0", "--data", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("server.pem"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&key).unwrap(), "not a key");
}

#[test]
fn a_socket_in_the_file_system_comes_and_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chappe.sock");
    let address = format!("unix:{}", path.display());
    let mut server = Server::start(&["--listen", &address]);
    assert_eq!(server.ready["listen"][1], address);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    let data = dir.path().join("data");
    let taken = run(&["serve", "--listen", &address, "--data", data.to_str().unwrap()]);
    assert_eq!(taken.status.code(), Some(2));
    assert!(stderr(&taken).contains(&address), "{}", stderr(&taken));
    server.signal("-TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(!path.exists());
}

#[test]
fn transports_can_be_switched_off() {
    let server = Server::start(&["--transports", "full,obfuscated-abridged", "--no-websocket"]);
    assert!(server.call(&["--transport", "full", "help.getNearestDc"]).status.success());
    let hidden = ["--transport", "obfuscated-abridged", "help.getNearestDc"];
    assert!(server.call(&hidden).status.success());
    let refused = server.call(&["--timeout", "1", "--transport", "abridged", "help.getNearestDc"]);
    assert!(!refused.status.success());
}

#[test]
fn the_certificate_is_read_again_at_sighup() {
    let dir = tempfile::tempdir().unwrap();
    let (chain, key) = (dir.path().join("chain.pem"), dir.path().join("key.pem"));
    let write = |identity: &Identity| {
        fs::write(&chain, identity.cert.pem()).unwrap();
        fs::write(&key, identity.signing_key.serialize_pem()).unwrap();
    };
    let (old, new) = (identity(), identity());
    write(&old);
    let files = ["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let server = Server::start(&files);
    assert_eq!(server.ready["tls"], true);
    assert_eq!(shown(&server), *old.cert.der());
    // Nothing comes of a key that does not fit, nor of a file that is gone.
    fs::write(&chain, new.cert.pem()).unwrap();
    server.signal("-HUP");
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(shown(&server), *old.cert.der());
    write(&new);
    server.signal("-HUP");
    let begun = Instant::now();
    while shown(&server) != *new.cert.der() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the new certificate is not in use");
    }
    assert!(server.call(&["help.getNearestDc"]).status.success());

    let data = dir.path().join("data");
    fs::write(&key, "not a key").unwrap();
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    args.extend(files);
    let output = run(&args);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("key.pem"), "{}", stderr(&output));
}

/// SIGHUP does not end a server that has nothing to read again.
#[test]
fn sighup_without_a_certificate_does_nothing() {
    let server = Server::start(&[]);
    assert_eq!(server.ready["tls"], false);
    server.signal("-HUP");
    assert!(server.call(&["help.getNearestDc"]).status.success());
}

type Identity = CertifiedKey<KeyPair>;

fn identity() -> Identity {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// The certificate that a server shows.
fn shown(server: &Server) -> CertificateDer<'static> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut stream).unwrap();
    }
    tls.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Believes every certificate, to look at it.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
