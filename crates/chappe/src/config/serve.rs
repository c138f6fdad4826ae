//! Settings of `chappe serve`: defaults, then the file, then the flags.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chappe_proto::transport::{EndpointSecret, Transport};
use ipnet::IpNet;
use serde::Deserialize;

use crate::cli::{PlaceArgs, ServeArgs};
use crate::cmd::files;
use crate::codes::CodeSender;
use crate::config::accounts::{SignUp, TestNumbers};
use crate::config::blobs::BlobsConfig;
use crate::config::database::{DatabaseConfig, DatabaseUrl};
use crate::config::limits::Limits;
use crate::config::listen::{ListenAddress, Text};
use crate::config::middle::MiddleConfig;

/// What `chappe serve` runs with.
#[derive(Clone, Debug)]
pub(crate) struct ServeConfig {
    pub(crate) data: PathBuf,
    pub(crate) database: DatabaseConfig,
    pub(crate) listen: Vec<ListenAddress>,
    /// Certificates and key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// Empty for all.
    pub(crate) transports: Vec<Transport>,
    pub(crate) http: bool,
    pub(crate) websocket: bool,
    pub(crate) secrets: Vec<EndpointSecret>,
    pub(crate) websocket_origins: Vec<String>,
    pub(crate) websocket_without_subprotocol: bool,
    pub(crate) cors_everywhere: bool,
    pub(crate) private_network: bool,
    pub(crate) proxy_protocol: Vec<IpNet>,
    pub(crate) forwarded_from: Vec<IpNet>,
    pub(crate) dc: i32,
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) strict_dc: bool,
    pub(crate) old_clients: bool,
    pub(crate) mtproto1: bool,
    pub(crate) pfs_only: bool,
    pub(crate) experimental_udp: bool,
    /// Where proxies bring their clients, if they may.
    pub(crate) middle: Option<MiddleConfig>,
    pub(crate) test_numbers: TestNumbers,
    pub(crate) sign_up: SignUp,
    pub(crate) code_sender: CodeSender,
    pub(crate) blobs: BlobsConfig,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) log: String,
    pub(crate) limits: Limits,
}

/// The file, in which every key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    data: Option<PathBuf>,
    database: Option<DatabaseUrl>,
    listen: Option<Vec<Text<ListenAddress>>>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    transports: Option<Vec<Text<Transport>>>,
    no_http: Option<bool>,
    no_websocket: Option<bool>,
    secret: Option<Vec<Text<EndpointSecret>>>,
    websocket_origins: Option<Vec<String>>,
    websocket_without_subprotocol: Option<bool>,
    cors_everywhere: Option<bool>,
    private_network: Option<bool>,
    proxy_protocol: Option<Vec<Text<IpNet>>>,
    forwarded_from: Option<Vec<Text<IpNet>>>,
    dc: Option<i32>,
    advertise: Option<SocketAddr>,
    strict_dc: Option<bool>,
    no_old_clients: Option<bool>,
    no_mtproto1: Option<bool>,
    pfs_only: Option<bool>,
    experimental_udp: Option<bool>,
    middle_listen: Option<Text<ListenAddress>>,
    middle_secret: Option<Vec<PathBuf>>,
    middle_address: Option<SocketAddr>,
    test_numbers: Option<TestNumbers>,
    sign_up: Option<SignUp>,
    code_sender: Option<Text<CodeSender>>,
    blobs: Option<String>,
    #[serde(default)]
    blobs_settings: BTreeMap<String, String>,
    metrics: Option<SocketAddr>,
    log: Option<String>,
    #[serde(default)]
    limits: Limits,
}

/// Where a server listens that was told nothing.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4430);

/// The data directory of a server that was told none.
const DATA: &str = "chappe-data";

/// The database of a server, for whoever works beside it.
pub(crate) fn database(args: PlaceArgs) -> Result<DatabaseConfig> {
    let file = args.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let data = args.data.or(file.data).unwrap_or_else(|| DATA.into());
    DatabaseConfig::of(args.database.or(file.database).as_ref(), &data)
}

impl ServeConfig {
    pub(crate) fn load(args: ServeArgs) -> Result<Self> {
        let file = args.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let mut listen = either(args.listen, file.listen);
        if listen.is_empty() {
            listen.push(ListenAddress::Tcp(LISTEN));
        }
        let tls = match (args.tls_cert.or(file.tls_cert), args.tls_key.or(file.tls_key)) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some((chain, key)),
            _ => bail!("tls-cert, tls-key: name both, the certificate and its key"),
        };
        let proxy_protocol = either(args.proxy_protocol, file.proxy_protocol);
        let forwarded_from = either(args.forwarded_from, file.forwarded_from);
        let middle = MiddleConfig::of(
            args.middle_listen.or(file.middle_listen.map(|Text(address)| address)),
            match args.middle_secret {
                secrets if secrets.is_empty() => file.middle_secret.unwrap_or_default(),
                secrets => secrets,
            },
            args.middle_address.or(file.middle_address),
        )?;
        // Whoever knows the pattern is whoever they like among these: not where strangers come,
        // themselves or by a proxy.
        let is_local = |address: &ListenAddress| matches!(address, ListenAddress::Tcp(address) if address.ip().is_loopback());
        let is_private = listen.iter().all(is_local);
        let is_private = is_private && proxy_protocol.is_empty() && forwarded_from.is_empty();
        let is_private = is_private && middle.is_none();
        let test_numbers = if is_private { TestNumbers::Own } else { TestNumbers::Off };
        let data = args.data.or(file.data).unwrap_or_else(|| DATA.into());
        let database = args.database.or(file.database);
        let config = Self {
            database: DatabaseConfig::of(database.as_ref(), &data)?,
            data,
            listen,
            tls,
            transports: either(args.transports, file.transports),
            http: !(args.no_http || file.no_http.unwrap_or(false)),
            websocket: !(args.no_websocket || file.no_websocket.unwrap_or(false)),
            secrets: either(args.secret, file.secret),
            websocket_origins: file.websocket_origins.unwrap_or_default(),
            websocket_without_subprotocol: file.websocket_without_subprotocol.unwrap_or(false),
            cors_everywhere: file.cors_everywhere.unwrap_or(false),
            private_network: file.private_network.unwrap_or(false),
            proxy_protocol,
            forwarded_from,
            dc: args.dc.or(file.dc).unwrap_or(2),
            advertise: args.advertise.or(file.advertise),
            strict_dc: args.strict_dc || file.strict_dc.unwrap_or(false),
            old_clients: !(args.no_old_clients || file.no_old_clients.unwrap_or(false)),
            mtproto1: !(args.no_mtproto1 || file.no_mtproto1.unwrap_or(false)),
            pfs_only: args.pfs_only || file.pfs_only.unwrap_or(false),
            experimental_udp: args.experimental_udp || file.experimental_udp.unwrap_or(false),
            middle,
            test_numbers: args.test_numbers.or(file.test_numbers).unwrap_or(test_numbers),
            sign_up: args.sign_up.or(file.sign_up).unwrap_or(SignUp::Automatic),
            code_sender: args
                .code_sender
                .or(file.code_sender.map(|Text(sender)| sender))
                .unwrap_or_default(),
            blobs: BlobsConfig { place: args.blobs.or(file.blobs), settings: file.blobs_settings },
            metrics: args.metrics.or(file.metrics),
            log: args.log.or(file.log).unwrap_or_else(|| "info".into()),
            limits: file.limits,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if self.secrets.iter().any(|endpoint| endpoint.domain.is_some()) {
            bail!("secret: fake TLS (ee) is for `chappe proxy`; name the 16 bytes alone");
        }
        if !(1..10_000).contains(&self.dc) {
            bail!("dc: {} is no data centre; they are numbered from 1 to 9999", self.dc);
        }
        if let Some(address) =
            self.advertise.filter(|at| at.ip().is_unspecified() || at.port() == 0)
        {
            bail!("advertise: clients cannot connect to {address}; name a real address and port");
        }
        Ok(())
    }
}

/// What the flags say, or else the file.
fn either<T>(args: Vec<T>, file: Option<Vec<Text<T>>>) -> Vec<T> {
    match file {
        Some(file) if args.is_empty() => file.into_iter().map(|Text(value)| value).collect(),
        _ => args,
    }
}

/// Reads the file; an error shows the line and names the key.
fn read_file(path: &Path) -> Result<File> {
    let text = files::read(path)?;
    toml::from_str(&text).with_context(|| format!("{} is no valid configuration", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<ServeConfig> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("chappe.toml");
        std::fs::write(&path, text)?;
        ServeConfig::load(ServeArgs {
            config: Some(path),
            data: None,
            database: None,
            listen: Vec::new(),
            tls_cert: None,
            tls_key: None,
            transports: Vec::new(),
            no_http: false,
            no_websocket: true,
            secret: Vec::new(),
            proxy_protocol: Vec::new(),
            forwarded_from: Vec::new(),
            dc: Some(4),
            advertise: None,
            strict_dc: false,
            no_old_clients: false,
            no_mtproto1: false,
            pfs_only: false,
            experimental_udp: false,
            middle_listen: None,
            middle_secret: Vec::new(),
            middle_address: None,
            test_numbers: None,
            sign_up: None,
            code_sender: None,
            blobs: None,
            metrics: None,
            log: None,
        })
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let config = load(
            "dc = 3\nlisten = [\"127.0.0.1:0\"]\nstrict-dc = true\nno-mtproto1 = true\npfs-only = true",
        )
        .unwrap();
        assert_eq!(config.dc, 4);
        assert_eq!(config.listen, ["127.0.0.1:0".parse().unwrap()]);
        assert!(config.http && !config.websocket && config.transports.is_empty());
        assert!(config.strict_dc && config.old_clients && !config.mtproto1 && config.pfs_only);
        assert!(!config.cors_everywhere && !config.private_network);
        assert_eq!(config.data, PathBuf::from("chappe-data"));
        assert!(format!("{:?}", config.database).contains("chappe-data/chappe.db"));
        let elsewhere = load("database = \"postgres://me:s3cret@db/chappe\"").unwrap();
        let shown = format!("{elsewhere:?}");
        assert!(shown.contains("chappe at db:5432") && !shown.contains("s3cret"), "{shown}");
    }

    /// Rule:   numbers with a known code are for this machine alone, unless somebody asks for them.
    /// Source: ACC-02.
    #[test]
    fn test_numbers_are_off_where_strangers_come() {
        for (listen, expected) in [
            ("[\"127.0.0.1:0\", \"[::1]:0\"]", TestNumbers::Own),
            ("[\"127.0.0.1:0\", \"0.0.0.0:0\"]", TestNumbers::Off),
            ("[\"127.0.0.1:0\"]\nforwarded-from = [\"127.0.0.0/8\"]", TestNumbers::Off),
            (
                "[\"127.0.0.1:0\"]\nmiddle-listen = \"127.0.0.1:0\"\nmiddle-secret = [\"a\"]",
                TestNumbers::Off,
            ),
            ("[\"unix:/run/chappe.sock\"]", TestNumbers::Off),
            ("[\"0.0.0.0:0\"]\ntest-numbers = \"any\"", TestNumbers::Any),
        ] {
            let config = load(&format!("listen = {listen}")).unwrap();
            assert_eq!(config.test_numbers, expected, "{listen}");
        }
    }

    #[test]
    fn what_is_accepted_and_from_whom_is_read_from_the_file() {
        let config = load(
            "listen = [\"[::]:443\", \"unix:/run/chappe.sock\"]\nno-http = true\n\
             transports = [\"obfuscated-padded\"]\nsecret = [\"00112233445566778899aabbccddeeff\"]\n\
             proxy-protocol = [\"10.0.0.0/8\", \"::1/128\"]\nforwarded-from = [\"127.0.0.0/8\"]\n\
             websocket-origins = [\"https://web.example.org\"]\ntls-cert = \"a\"\ntls-key = \"b\"\n\
             cors-everywhere = true\nprivate-network = true",
        )
        .unwrap();
        let names: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["[::]:443", "unix:/run/chappe.sock"]);
        assert_eq!(config.transports, ["obfuscated-padded".parse().unwrap()]);
        assert_eq!((config.secrets.len(), config.proxy_protocol.len()), (1, 2));
        assert_eq!(config.forwarded_from.len(), 1);
        assert_eq!(config.websocket_origins, ["https://web.example.org"]);
        assert!(!config.http && config.tls.is_some());
        assert!(config.cors_everywhere && config.private_network);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, name) in [
            ("listen = [\"here\"]", "here"),
            ("listen = [\"unix:\"]", "unix:"),
            ("transports = [\"obfuscated-full\"]", "obfuscated-full"),
            ("secret = [\"0011\"]", "secret of 2 bytes"),
            ("proxy-protocol = [\"10.0.0.0/33\"]", "proxy-protocol"),
            ("code-sender = \"mail\"", "mail"),
            ("middle-listen = \"127.0.0.1:0\"", "middle-secret"),
            ("middle-secret = [\"a\"]", "middle-listen"),
            ("middle-address = \"192.0.2.1:1\"", "middle-listen"),
            ("tls-cert = \"a\"", "tls-key"),
            ("tls-key = \"a\"", "tls-cert"),
        ] {
            let error = format!("{:#}", load(text).unwrap_err());
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = format!("{:#}", load("dc = 3\nlisten-on = 5").unwrap_err());
        assert!(error.contains("line 2") && error.contains("listen-on"), "{error}");
    }

    #[test]
    fn an_address_nobody_can_reach_is_refused() {
        let error = format!("{:#}", load("advertise = \"0.0.0.0:443\"").unwrap_err());
        assert!(error.contains("advertise"), "{error}");
    }
}
