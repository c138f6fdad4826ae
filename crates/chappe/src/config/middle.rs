//! Where `chappe serve` takes links of proxies.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chappe_net::listen::Listener;
use chappe_proto::middle::keys::ProxySecret;

use super::listen::{self, ListenAddress};

/// A place for proxies, and what they have to know.
#[derive(Clone, Debug)]
pub(crate) struct MiddleConfig {
    listen: ListenAddress,
    secrets: Vec<PathBuf>,
    /// What they dial, if that is another address.
    pub(crate) address: Option<SocketAddr>,
}

impl MiddleConfig {
    /// As flags or the file have it; `None` where proxies are not to come.
    pub(crate) fn of(
        listen: Option<ListenAddress>,
        secrets: Vec<PathBuf>,
        address: Option<SocketAddr>,
    ) -> Result<Option<Self>> {
        match listen {
            Some(_) if secrets.is_empty() => {
                bail!(
                    "middle-listen: proxies have to know a secret; name its file as middle-secret"
                )
            }
            Some(listen) => Ok(Some(Self { listen, secrets, address })),
            None if secrets.is_empty() && address.is_none() => Ok(None),
            None => bail!("middle-secret, middle-address: of no use without middle-listen"),
        }
    }

    /// Listens; the address, too, with the port that was free.
    pub(crate) fn bind(&self) -> Result<(Listener, ListenAddress)> {
        let bound = listen::bind_all(std::slice::from_ref(&self.listen))?;
        Ok(bound.into_iter().next().expect("one address was given"))
    }

    /// Reads the secrets.
    pub(crate) fn secrets(&self) -> Result<Vec<ProxySecret>> {
        self.secrets.iter().map(|path| read_secret(path)).collect()
    }
}

pub(super) fn read_secret(path: &Path) -> Result<ProxySecret> {
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ProxySecret::parse(&content).with_context(|| format!("{} is of no use", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   a secret of proxies has 32 to 256 bytes, and the file that has not is named.
    /// Source: 15-proxy.md, section 8.
    #[test]
    fn secrets_are_read_from_their_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let (good, short) = (path("good", &[7; 128]), path("short", &[7; 31]));
        let listen: ListenAddress = "127.0.0.1:0".parse().unwrap();
        let config = |secrets| MiddleConfig::of(Some(listen.clone()), secrets, None);
        let read = config(vec![good.clone()]).unwrap().unwrap().secrets().unwrap();
        assert_eq!(read.len(), 1);
        let error = config(vec![good, short]).unwrap().unwrap().secrets().unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("short is of no use") && error.contains("31 bytes"), "{error}");
        assert!(config(vec![dir.path().join("none")]).unwrap().unwrap().secrets().is_err());
    }
}
