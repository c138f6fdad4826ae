//! The middle servers of `chappe proxy`, as flags and the file have them.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chappe_net::connect::{Authorities, Endpoint, Proxy};
use chappe_proto::middle::config::MiddleServers;
use chappe_proto::middle::keys::ProxySecret;
use chappe_proto::middle::messages::AdTag;
use chappe_proxy::{Family, MiddleConfig};
use serde::Deserialize;

use super::listen::Text;
use super::lists::{Lists, Role};
use super::middle::read_secret;
use super::proxy::{set, set_time};
use crate::cmd::files;
use crate::web::{NoWebAddress, WebAddress};

/// The table `[middle]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct Middle {
    pub(super) secret: Option<Text<Source>>,
    pub(super) servers: Option<Text<Source>>,
    pub(super) ad_tag: Option<Text<AdTag>>,
    only_tagged: Option<bool>,
    ca: Option<PathBuf>,
    fetch_proxy: Option<Text<Proxy>>,
    fetch_interval: Option<f64>,
    seen_as: Option<Vec<IpAddr>>,
    direct_instead: Option<bool>,
    links_min: Option<usize>,
    links_max: Option<usize>,
    client_max_bytes: Option<usize>,
    connect_wait_max: Option<f64>,
    link_wait_max: Option<f64>,
}

/// Where one of the two files is that are published for proxies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    File(PathBuf),
    Web(WebAddress),
}

/// No place of a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSource {
    #[error(transparent)]
    Address(#[from] NoWebAddress),
    /// Whoever is between could say by whom clients are served.
    #[error("from another machine it is fetched by https:// alone")]
    Plain,
}

/// What else says that there are middle servers, and which.
pub(super) struct Surroundings<'a> {
    /// Whether a user has an ad tag of his own.
    pub(super) has_tags: bool,
    /// Whether the data centres are Telegram's.
    pub(super) is_telegram: bool,
    pub(super) family: Family,
    pub(super) public: Option<&'a Endpoint>,
}

/// By which middle servers data centres are reached, as far as the settings alone say so.
#[derive(Clone, Debug)]
pub(crate) struct MiddlePlan {
    secret: Wanted<Arc<ProxySecret>>,
    servers: Wanted<Arc<MiddleServers>>,
    /// What is to be fetched, and how; `None` where both are files.
    pub(crate) fetch: Option<Fetch>,
    /// The files that were read.
    pub(super) files: Vec<PathBuf>,
    /// Whether clients are served straight from their data centre meanwhile.
    pub(crate) direct_instead: bool,
    ad_tag: Option<AdTag>,
    only_tagged: bool,
    public: Option<SocketAddr>,
    seen_as: Option<Vec<IpAddr>>,
    links_min: Option<usize>,
    links_max: Option<usize>,
    client_max_bytes: Option<usize>,
    connect_wait_max: Option<Duration>,
    link_wait_max: Option<Duration>,
}

/// What is at hand, or where it is.
#[derive(Clone, Debug)]
enum Wanted<T> {
    Read(T),
    At(WebAddress),
}

/// What is fetched, and how.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) addresses: Vec<(Role, WebAddress)>,
    pub(crate) authorities: Authorities,
    pub(crate) proxy: Option<Proxy>,
    /// Time from one fetching to the next.
    pub(crate) interval: Duration,
}

/// What Telegram publishes.
const SECRET: &str = "https://core.telegram.org/getProxySecret";
const SERVERS: &str = "https://core.telegram.org/getProxyConfig";
const SERVERS_V6: &str = "https://core.telegram.org/getProxyConfigV6";
/// As often as Telegram wants.
const INTERVAL: f64 = 86_400.0;

impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        if !text.contains("://") {
            return Ok(Self::File(text.into()));
        }
        let address: WebAddress = text.parse()?;
        if address.is_private() { Ok(Self::Web(address)) } else { Err(NoSource::Plain) }
    }
}

impl Middle {
    /// Reads the files that are named: nothing where there are to be no middle servers.
    pub(super) fn load(self, around: &Surroundings) -> Result<Option<MiddlePlan>> {
        let is_for_tags_alone = self.secret.is_none() && self.servers.is_none();
        let only_tagged = match (self.only_tagged, &self.ad_tag) {
            (Some(true), Some(_)) => bail!(
                "middle: with an `ad-tag` for all of them nobody is left whom `only-tagged` would \
                 send straight"
            ),
            (Some(only_tagged), _) => only_tagged,
            // Nobody else has a reason to go there.
            (None, ad_tag) => is_for_tags_alone && ad_tag.is_none(),
        };
        let (secret, servers) = match (self.secret, self.servers) {
            (Some(Text(secret)), Some(Text(servers))) => (secret, servers),
            (None, None) if self.ad_tag.is_none() && !around.has_tags => return Ok(None),
            (None, None) if !around.is_telegram => {
                bail!(
                    "ad-tag: of data centres of your own, name `middle.secret` and \
                       `middle.servers`, too, for only middle servers know what it is for"
                )
            }
            (None, None) => (published(SECRET)?, published(list_of(around.family))?),
            _ => bail!(
                "middle: name both, `secret` and `servers`, or neither of them and an `ad-tag`"
            ),
        };
        let mut files = Vec::new();
        let mut addresses = Vec::new();
        let secret = match secret {
            Source::File(path) => {
                Wanted::Read(read(path, &mut files, |path| read_secret(path).map(Arc::new))?)
            }
            Source::Web(address) => Wanted::at(address, Role::Secret, &mut addresses),
        };
        let servers = match servers {
            Source::File(path) => Wanted::Read(read(path, &mut files, read_servers)?),
            Source::Web(address) => Wanted::at(address, Role::Servers, &mut addresses),
        };
        let fetch = if addresses.is_empty() {
            if self.ca.is_some() || self.fetch_proxy.is_some() || self.fetch_interval.is_some() {
                bail!(
                    "middle: nothing is fetched, so ca, fetch-proxy and fetch-interval say nothing"
                );
            }
            None
        } else {
            let authorities = match self.ca {
                Some(path) => read(path, &mut files, read_authorities)?,
                None => Authorities::public(),
            };
            let proxy = self.fetch_proxy.map(|Text(proxy)| proxy);
            let written = Some(self.fetch_interval.unwrap_or(INTERVAL));
            let interval = time("middle.fetch-interval", written)?;
            let interval = interval.filter(|interval| *interval >= Duration::from_secs(1));
            let interval = interval.context("middle.fetch-interval: less than a second")?;
            Some(Fetch { addresses, authorities, proxy, interval })
        };
        Ok(Some(MiddlePlan {
            secret,
            servers,
            fetch,
            files,
            // Who wants nothing but an advertisement wants no client to be closed for it.
            direct_instead: self.direct_instead.unwrap_or(is_for_tags_alone),
            ad_tag: self.ad_tag.map(|Text(tag)| tag),
            only_tagged,
            public: around.public.and_then(|at| Some(SocketAddr::new(at.ip()?, at.port()))),
            seen_as: self.seen_as,
            links_min: self.links_min,
            links_max: self.links_max,
            client_max_bytes: self.client_max_bytes,
            connect_wait_max: time("middle.connect-wait-max", self.connect_wait_max)?,
            link_wait_max: time("middle.link-wait-max", self.link_wait_max)?,
        }))
    }
}

impl<T> Wanted<T> {
    fn at(address: WebAddress, role: Role, addresses: &mut Vec<(Role, WebAddress)>) -> Self {
        addresses.push((role, address.clone()));
        Self::At(address)
    }
}

impl MiddlePlan {
    /// The middle servers, with what was fetched; `None` as long as something of it was not.
    ///
    /// # Errors
    ///
    /// What is kept is of no use.
    pub(super) fn config(&self, lists: &Lists) -> Result<Option<MiddleConfig>> {
        let secret = match &self.secret {
            Wanted::Read(secret) => Some(Arc::clone(secret)),
            Wanted::At(address) => lists.secret(address)?,
        };
        let servers = match &self.servers {
            Wanted::Read(servers) => Some(Arc::clone(servers)),
            Wanted::At(address) => lists.servers(address)?,
        };
        let (Some(secret), Some(servers)) = (secret, servers) else { return Ok(None) };
        let mut middle = MiddleConfig::new(secret, &servers)
            .context("the list of middle servers names what is no server")?;
        let (advised, max) = (&servers.links, self.links_max);
        // The list may not ask for more than there may be, whatever it says tomorrow.
        let min =
            self.links_min.unwrap_or(max.map_or(*advised.start(), |max| max.min(*advised.start())));
        middle.links = min..=max.unwrap_or(min.max(*advised.end()));
        middle.ad_tag = self.ad_tag;
        middle.only_tagged = self.only_tagged;
        middle.public = self.public;
        middle.direct_instead = self.direct_instead;
        set(&mut middle.seen_as, self.seen_as.clone());
        set(&mut middle.client_max_bytes, self.client_max_bytes);
        set(&mut middle.connect_wait_max, self.connect_wait_max);
        set(&mut middle.link_wait_max, self.link_wait_max);
        Ok(Some(middle))
    }

    /// When the older of what is fetched was, in seconds since 1970; `None` where one never was.
    pub(crate) fn fetched(&self, lists: &Lists) -> Option<u64> {
        let addresses = self.fetch.iter().flat_map(|fetch| &fetch.addresses);
        let times = addresses.map(|(role, address)| lists.fetched(*role, address));
        times.collect::<Option<Vec<_>>>()?.into_iter().min()
    }
}

/// The list of the servers that are reached as data centres are.
fn list_of(family: Family) -> &'static str {
    match family {
        Family::OnlyV6 => SERVERS_V6,
        Family::OnlyV4 | Family::PreferV4 | Family::PreferV6 => SERVERS,
    }
}

fn published(address: &str) -> Result<Source> {
    Ok(address.parse()?)
}

fn read<T>(
    path: PathBuf,
    files: &mut Vec<PathBuf>,
    read: impl FnOnce(&Path) -> Result<T>,
) -> Result<T> {
    let content = read(&path)?;
    files.push(path);
    Ok(content)
}

fn read_servers(path: &Path) -> Result<Arc<MiddleServers>> {
    let servers = MiddleServers::parse(&files::read(path)?);
    servers.map(Arc::new).with_context(|| format!("{} is of no use", path.display()))
}

fn read_authorities(path: &Path) -> Result<Authorities> {
    let authorities = Authorities::from_pem(files::read(path)?.as_bytes());
    authorities.with_context(|| format!("middle.ca, {}", path.display()))
}

fn time(name: &str, written: Option<f64>) -> Result<Option<Duration>> {
    let mut time = Duration::ZERO;
    set_time(&mut time, name, written)?;
    Ok(written.map(|_| time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, servers: &str) -> Result<Option<(MiddleConfig, Vec<PathBuf>)>> {
        let dir = tempfile::tempdir()?;
        let path = |name: &str, content: &[u8]| {
            std::fs::write(dir.path().join(name), content).unwrap();
            dir.path().join(name)
        };
        let (secret, servers) = (path("secret", &[7; 128]), path("servers", servers.as_bytes()));
        let text = text
            .replace("SECRET", &format!("{:?}", secret.display().to_string()))
            .replace("SERVERS", &format!("{:?}", servers.display().to_string()));
        let Some(plan) = plan(&text, |_| {})? else { return Ok(None) };
        let config = plan.config(&Lists::default())?.expect("both are files");
        assert!(plan.fetch.is_none());
        Ok(Some((config, plan.files)))
    }

    fn plan(text: &str, change: impl FnOnce(&mut Surroundings)) -> Result<Option<MiddlePlan>> {
        let public = "203.0.113.1:443".parse()?;
        let mut around = Surroundings {
            has_tags: false,
            is_telegram: true,
            family: Family::default(),
            public: Some(&public),
        };
        change(&mut around);
        toml::from_str::<Middle>(text)?.load(&around)
    }

    fn addresses(plan: &MiddlePlan) -> Vec<String> {
        let fetch = plan.fetch.as_ref().unwrap();
        fetch.addresses.iter().map(|(_, address)| address.to_string()).collect()
    }

    const TAG: &str = "ad-tag = \"000102030405060708090a0b0c0d0e0f\"\n";

    /// Rule:   for an ad tag alone, of all or of one user, the two files are those that Telegram
    ///         publishes, by IPv6 where nothing else is to be used, nobody is closed for want of a link
    ///         unless that is wished for, and by tags of users nobody goes there but they.
    /// Source: 15-proxy.md, section 8.
    #[test]
    fn tag_alone_is_enough() {
        for family in [Family::PreferV4, Family::PreferV6, Family::OnlyV4, Family::OnlyV6] {
            for (text, has_tags) in [(TAG, false), ("", true)] {
                let plan = plan(text, |around| {
                    around.has_tags = has_tags;
                    around.family = family;
                });
                let plan = plan.unwrap().unwrap();
                let servers = if family == Family::OnlyV6 { SERVERS_V6 } else { SERVERS };
                assert_eq!(addresses(&plan), [SECRET, servers]);
                assert!(plan.direct_instead && plan.only_tagged == has_tags);
                assert_eq!(plan.fetch.unwrap().interval, Duration::from_secs(86_400));
            }
        }
        let strict = plan(&format!("{TAG}direct-instead = false"), |_| {}).unwrap().unwrap();
        assert!(!strict.direct_instead);
        let all = plan("only-tagged = false", |around| around.has_tags = true).unwrap().unwrap();
        assert!(!all.only_tagged);
        let own = plan(TAG, |around| around.is_telegram = false).unwrap_err().to_string();
        assert!(own.contains("middle.servers"), "{own}");
        assert!(plan("links-min = 3", |around| around.is_telegram = false).unwrap().is_none());
    }

    /// Rule:   either may be a file or an address; what was fetched from that address makes settings
    ///         of it, however many links the list advises.
    /// Source: 15-proxy.md, section 8.
    #[test]
    fn addresses_stand_for_files() {
        let text = "secret = \"https://example.org/secret?key=word\"\n\
                    servers = \"http://127.0.0.1:81/servers\"\n\
                    fetch-proxy = \"socks5://127.0.0.1:1080\"\nfetch-interval = 60\nlinks-max = 2";
        let plan = plan(text, |_| {}).unwrap().unwrap();
        assert_eq!(addresses(&plan), ["https://example.org/secret", "http://127.0.0.1:81/servers"]);
        assert!(!plan.direct_instead && !plan.only_tagged);
        assert!(!format!("{plan:?}").contains("word"));
        let fetch = plan.fetch.as_ref().unwrap();
        assert!(fetch.proxy.is_some() && fetch.interval == Duration::from_secs(60));
        let mut lists = Lists::default();
        let (secret, servers) = (&fetch.addresses[0].1, &fetch.addresses[1].1);
        lists.put(Role::Secret, secret, 7, vec![7; 128]);
        assert_eq!((plan.config(&lists).unwrap(), plan.fetched(&lists)), (None, None));
        let list = b"proxy_for 2 192.0.2.1:8888;\nmin_connections 4;";
        lists.put(Role::Servers, servers, 5, list.to_vec());
        let config = plan.config(&lists).unwrap().unwrap();
        assert_eq!((config.links, plan.fetched(&lists)), (2..=2, Some(5)));
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
            ("secret = SECRET", "", "name both"),
            ("secret = SECRET\nservers = \"http://example.org/\"", "", "https://"),
            ("secret = SECRET\nservers = \"ftp://example.org/\"", "", "address of the web"),
            ("secret = SECRET\nservers = SERVERS\nca = SECRET", "proxy_for 2 a:1;", "fetched"),
            ("secret = SECRET\nservers = \"https://a/\"\nca = SERVERS", "x", "middle.ca"),
            ("secret = SECRET\nservers = \"https://a/\"\nfetch-interval = 0.5", "", "second"),
            ("secret = SECRET\nservers = SERVERS", "proxy_for 2 a:1;\nproxy_for 2;", "line 2"),
            ("secret = SERVERS\nservers = SERVERS", "proxy_for 2 a:1;", "16 bytes"),
            ("ad-tag = \"0001\"", "", "32 hexadecimal digits"),
            (
                "ad-tag = \"000102030405060708090a0b0c0d0e0f\"\nonly-tagged = true",
                "",
                "only-tagged",
            ),
            ("secret = SECRET\nservers = SERVERS\nlinks = 3", "", "links"),
        ] {
            let error = format!("{:#}", load(text, servers).unwrap_err());
            assert!(error.contains(name), "{error}");
        }
    }
}
