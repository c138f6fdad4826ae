//! The server in a process of its own, so that what the system tells of it is of nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chappe_net::tls::Certificate;
use chappe_server::ServerConfig;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::{TcpListener, UdpSocket};

use crate::server::server;

/// Says to this very program that it is the server, of how many keys and on how many threads.
const SERVER: &str = "CHAPPE_BENCH_SERVER";

/// The server's process; it ends when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where all but datagrams are served, and where those are.
    pub(crate) address: SocketAddr,
    pub(crate) datagrams: SocketAddr,
    /// What it shows in TLS, DER.
    pub(crate) certificate: Vec<u8>,
}

/// Serves until the process ends, if this is a server's; otherwise returns.
pub(crate) fn serve() {
    let Some(wanted) = std::env::var(SERVER).ok() else { return };
    // It ends with whoever started it, also where a tracer stands between the two.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let (keys, threads) = wanted.split_once(' ').expect("two numbers");
    let (keys, threads) = (keys.parse().expect("a number"), threads.parse().expect("a number"));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(threads).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut config = ServerConfig::default();
        config.connections.per_address_max = usize::MAX;
        config.connections.total_max = usize::MAX;
        config.link.first_packet_wait_max = Duration::from_secs(600);
        config.http.body_wait_max = Duration::from_secs(600);
        config.keys_unused_max = 0;
        let identity = generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let CertifiedKey { cert, signing_key } = identity;
        let certificate =
            Certificate::from_pem(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let builder = server(keys, config).await.certificate(certificate.expect("it fits its key"));
        println!("{}", listener.local_addr().expect("bound"));
        println!("{}", socket.local_addr().expect("bound"));
        println!("{}", BASE64.encode(cert.der()));
        std::io::stdout().flush().expect("the parent reads");
        let server = builder.build().expect("all parts are there");
        server
            .serve(listener)
            .experimental_udp(socket)
            .await
            .expect("it serves until it is killed");
    });
}

/// Of whom its certificate is.
pub(crate) const NAME: &str = "localhost";

impl Process {
    /// Starts this program as a server of so many keys on so many threads; `tracer`, a program and
    /// its arguments, watches it.
    pub(crate) fn start(keys: usize, threads: usize, tracer: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a file");
        let mut command = match tracer {
            [tracer, arguments @ ..] => {
                let mut command = Command::new(tracer);
                command.args(arguments).arg(program);
                command
            }
            [] => Command::new(program),
        };
        let mut child = command
            .env(SERVER, format!("{keys} {threads}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let address = line(&mut stdout).parse().expect("an address");
        let datagrams = line(&mut stdout).parse().expect("an address");
        let certificate = BASE64.decode(line(&mut stdout)).expect("a certificate");
        Self { child, address, datagrams, certificate }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

fn line(stdout: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    stdout.read_line(&mut line).expect("the server says where it is");
    line.trim().to_owned()
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Its output is complete then.
        let _ = self.child.wait();
    }
}
