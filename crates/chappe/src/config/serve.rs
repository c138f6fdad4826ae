//! Settings of `chappe serve`: defaults, then the file, then the flags.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::cli::ServeArgs;
use crate::cmd::files;
use crate::config::accounts::{SignUp, TestNumbers};
use crate::config::limits::Limits;

/// What `chappe serve` runs with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ServeConfig {
    pub(crate) data: PathBuf,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) dc: i32,
    pub(crate) advertise: Option<SocketAddr>,
    pub(crate) strict_dc: bool,
    pub(crate) old_clients: bool,
    pub(crate) mtproto1: bool,
    pub(crate) pfs_only: bool,
    pub(crate) test_numbers: TestNumbers,
    pub(crate) sign_up: SignUp,
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) log: String,
    pub(crate) limits: Limits,
}

/// The file, in which every key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    data: Option<PathBuf>,
    listen: Option<Vec<SocketAddr>>,
    dc: Option<i32>,
    advertise: Option<SocketAddr>,
    strict_dc: Option<bool>,
    no_old_clients: Option<bool>,
    no_mtproto1: Option<bool>,
    pfs_only: Option<bool>,
    test_numbers: Option<TestNumbers>,
    sign_up: Option<SignUp>,
    metrics: Option<SocketAddr>,
    log: Option<String>,
    #[serde(default)]
    limits: Limits,
}

/// Where a server listens that was told nothing.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4430);

impl ServeConfig {
    pub(crate) fn load(args: ServeArgs) -> Result<Self> {
        let file = args.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let listen = if args.listen.is_empty() { file.listen } else { Some(args.listen) };
        let listen = listen.unwrap_or_else(|| vec![LISTEN]);
        // Whoever knows the pattern is whoever they like among these: not where strangers come.
        let is_private = listen.iter().all(|address| address.ip().is_loopback());
        let test_numbers = if is_private { TestNumbers::Own } else { TestNumbers::Off };
        let config = Self {
            data: args.data.or(file.data).unwrap_or_else(|| "chappe-data".into()),
            listen,
            dc: args.dc.or(file.dc).unwrap_or(2),
            advertise: args.advertise.or(file.advertise),
            strict_dc: args.strict_dc || file.strict_dc.unwrap_or(false),
            old_clients: !(args.no_old_clients || file.no_old_clients.unwrap_or(false)),
            mtproto1: !(args.no_mtproto1 || file.no_mtproto1.unwrap_or(false)),
            pfs_only: args.pfs_only || file.pfs_only.unwrap_or(false),
            test_numbers: args.test_numbers.or(file.test_numbers).unwrap_or(test_numbers),
            sign_up: args.sign_up.or(file.sign_up).unwrap_or(SignUp::Automatic),
            metrics: args.metrics.or(file.metrics),
            log: args.log.or(file.log).unwrap_or_else(|| "info".into()),
            limits: file.limits,
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        if self.listen.is_empty() {
            bail!("listen: name at least one address, such as 127.0.0.1:4430");
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
            listen: Vec::new(),
            dc: Some(4),
            advertise: None,
            strict_dc: false,
            no_old_clients: false,
            no_mtproto1: false,
            pfs_only: false,
            test_numbers: None,
            sign_up: None,
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
        assert!(config.strict_dc && config.old_clients && !config.mtproto1 && config.pfs_only);
        assert_eq!(config.data, PathBuf::from("chappe-data"));
    }

    /// Rule:   numbers with a known code are for this machine alone, unless somebody asks for them.
    /// Source: ACC-02.
    #[test]
    fn test_numbers_are_off_where_strangers_come() {
        for (listen, expected) in [
            ("[\"127.0.0.1:0\", \"[::1]:0\"]", TestNumbers::Own),
            ("[\"127.0.0.1:0\", \"0.0.0.0:0\"]", TestNumbers::Off),
            ("[\"0.0.0.0:0\"]\ntest-numbers = \"any\"", TestNumbers::Any),
        ] {
            let config = load(&format!("listen = {listen}")).unwrap();
            assert_eq!(config.test_numbers, expected, "{listen}");
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
