//! The middle servers of `chappe proxy`, as flags and the file have them.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use chappe_net::connect::Endpoint;
use chappe_proto::middle::config::MiddleServers;
use chappe_proto::middle::messages::AdTag;
use chappe_proxy::MiddleConfig;
use serde::Deserialize;

use super::listen::Text;
use super::middle::read_secret;
use super::proxy::{set, set_time};
use crate::cmd::files;

/// The table `[middle]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Middle {
    pub(super) secret: Option<PathBuf>,
    pub(super) servers: Option<PathBuf>,
    pub(super) ad_tag: Option<Text<AdTag>>,
    seen_as: Option<Vec<IpAddr>>,
    direct_instead: Option<bool>,
    links_min: Option<usize>,
    links_max: Option<usize>,
    client_max_bytes: Option<usize>,
    connect_wait_max: Option<f64>,
    link_wait_max: Option<f64>,
}

impl Middle {
    /// The files that are read, and what is in them: nothing where neither is named.
    pub(super) fn load(
        self,
        public: Option<&Endpoint>,
    ) -> Result<Option<(MiddleConfig, [PathBuf; 2])>> {
        let (secret, servers) = match (self.secret, self.servers) {
            (Some(secret), Some(servers)) => (secret, servers),
            (None, None) => match self.ad_tag {
                Some(_) => bail!("middle.ad-tag: only middle servers know what it is for"),
                None => return Ok(None),
            },
            _ => bail!("middle: name both files, `secret` and `servers`"),
        };
        let listed = read_servers(&servers)?;
        let mut middle = MiddleConfig::new(read_secret(&secret)?, &listed)
            .with_context(|| format!("{} lists what is no server", servers.display()))?;
        let min = self.links_min.unwrap_or(*listed.links.start());
        middle.links = min..=self.links_max.unwrap_or(min.max(*listed.links.end()));
        middle.ad_tag = self.ad_tag.map(|Text(tag)| tag);
        middle.public = public.and_then(|at| Some(SocketAddr::new(at.ip()?, at.port())));
        set(&mut middle.seen_as, self.seen_as);
        set(&mut middle.direct_instead, self.direct_instead);
        set(&mut middle.client_max_bytes, self.client_max_bytes);
        let (connect, link) = (self.connect_wait_max, self.link_wait_max);
        set_time(&mut middle.connect_wait_max, "middle.connect-wait-max", connect)?;
        set_time(&mut middle.link_wait_max, "middle.link-wait-max", link)?;
        Ok(Some((middle, [secret, servers])))
    }
}

fn read_servers(path: &Path) -> Result<MiddleServers> {
    let text = files::read(path)?;
    MiddleServers::parse(&text).with_context(|| format!("{} is of no use", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, servers: &str) -> Result<Option<(MiddleConfig, [PathBuf; 2])>> {
        let dir = tempfile::tempdir()?;
        let path = |name: &str, content: &[u8]| {
            std::fs::write(dir.path().join(name), content).unwrap();
            dir.path().join(name)
        };
        let (secret, servers) = (path("secret", &[7; 128]), path("servers", servers.as_bytes()));
        let text = text
            .replace("SECRET", &format!("{:?}", secret.display().to_string()))
            .replace("SERVERS", &format!("{:?}", servers.display().to_string()));
        let public = "203.0.113.1:443".parse()?;
        toml::from_str::<Middle>(&text)?.load(Some(&public))
    }

    #[test]
    fn servers_and_wishes_are_read() {
        let list = "default 2;\nproxy_for 2 [2001:db8::1]:8888;\nmin_connections 2;";
        let text = "secret = SECRET\nservers = SERVERS\nad-tag = \"000102030405060708090a0b0c0d0e0f\"\n\
                    seen-as = [\"198.51.100.7\"]\ndirect-instead = true\nlink-wait-max = 3.5";
        let (config, files) = load(text, list).unwrap().unwrap();
        assert_eq!(config.links, 2..=8);
        assert_eq!(config.ad_tag.map(|AdTag(tag)| tag[15]), Some(15));
        assert_eq!(config.public, Some("203.0.113.1:443".parse().unwrap()));
        assert_eq!(config.seen_as, ["198.51.100.7".parse::<IpAddr>().unwrap()]);
        assert!(config.direct_instead && config.link_wait_max.as_millis() == 3500);
        assert!(files[0].ends_with("secret") && files[1].ends_with("servers"));

        let few = format!("{text}\nlinks-min = 1\nlinks-max = 1");
        assert_eq!(load(&few, list).unwrap().unwrap().0.links, 1..=1);
        assert!(load("", "").unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for (text, servers, name) in [
            ("secret = SECRET", "", "both files"),
            ("ad-tag = \"000102030405060708090a0b0c0d0e0f\"", "", "ad-tag"),
            ("secret = SECRET\nservers = SERVERS", "proxy_for 2 a:1;\nproxy_for 2;", "line 2"),
            ("secret = SERVERS\nservers = SERVERS", "proxy_for 2 a:1;", "16 bytes"),
            ("ad-tag = \"0001\"", "", "32 hexadecimal digits"),
            ("secret = SECRET\nservers = SERVERS\nlinks = 3", "", "links"),
        ] {
            let error = format!("{:#}", load(text, servers).unwrap_err());
            assert!(error.contains(name), "{error}");
        }
    }
}
