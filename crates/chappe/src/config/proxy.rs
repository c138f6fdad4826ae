//! Settings of `chappe proxy`: defaults, then the file, then the flags.
//!
//! | file | holds |
//! | --- | --- |
//! | `tables` | the tables of how a proxy behaves |
//! | `place` | what is said of a file that is wrong |

mod place;
mod tables;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chappe_crypto::sha256;
use chappe_net::connect::Endpoint;
use chappe_net::proxy_protocol::Version;
use chappe_proto::middle::messages::AdTag;
use chappe_proto::transport::{EndpointSecret, Framing};
use chappe_proxy::{
    Centres, ConfigError, Domain, Modes, ProxyConfig, Quota, SiteAddress, UnknownDomain, UserConfig,
};
use serde::Deserialize;

use self::place::place;
use self::tables::{Access, Connections, Direct, Hello, Relay, Strangers};
pub(super) use self::tables::{set, set_time};
use crate::cli::ProxyArgs;
use crate::cmd::files;
use crate::config::api::{Api, ApiSettings};
use crate::config::clock::ClockSource;
use crate::config::expiry;
use crate::config::listen::{ListenAddress, Text};
use crate::config::lists::Lists;
use crate::config::upstream::{Middle, MiddlePlan, Surroundings};

/// What `chappe proxy` runs with.
#[derive(Clone, Debug)]
pub(crate) struct ProxySettings {
    pub(crate) listen: Vec<ListenAddress>,
    /// Whether somebody wrote that, or it is where a proxy listens that was told nothing.
    pub(crate) is_listen_written: bool,
    /// What links name.
    pub(crate) public: Option<Endpoint>,
    pub(crate) metrics: Option<SocketAddr>,
    /// Where the interface for operators is, and who may use it.
    pub(crate) api: Option<ApiSettings>,
    /// Web sites whose clocks are believed, beside those that the proxy seems to be.
    pub(crate) clocks: Vec<ClockSource>,
    pub(crate) log: String,
    pub(crate) drain_max: Duration,
    /// How long connections go on when another process has taken over.
    pub(crate) handed_over_max: Duration,
    pub(crate) proxy: ProxyConfig,
    /// By which middle servers; those of `proxy` are these, as soon as they are known.
    pub(crate) middle: Option<MiddlePlan>,
    /// What is read again when it changes.
    pub(crate) files: Vec<PathBuf>,
    /// Tells the text of the file that they were read from, from others.
    pub(crate) tag: String,
}

/// The file, in which every key may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct File {
    listen: Option<Vec<Text<ListenAddress>>>,
    public: Option<Text<Endpoint>>,
    modes: Option<Vec<Text<Mode>>>,
    metrics: Option<SocketAddr>,
    api: Option<Api>,
    clocks: Vec<Text<ClockSource>>,
    log: Option<String>,
    state: Option<PathBuf>,
    drain_max: Option<f64>,
    handed_over_max: Option<f64>,
    close_removed: Option<bool>,
    unknown_domain: Option<Unknown>,
    user: BTreeMap<String, User>,
    domain: Vec<Site>,
    dc: BTreeMap<String, Vec<Text<Endpoint>>>,
    only_named_dc: bool,
    direct: Direct,
    middle: Middle,
    relay: Relay,
    strangers: Strangers,
    access: Access,
    hello: Hello,
    connections: Connections,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct User {
    secret: Text<EndpointSecret>,
    enabled: Option<bool>,
    expires: Option<toml::value::Datetime>,
    connections_max: Option<usize>,
    addresses_max: Option<usize>,
    rate_up: Option<u64>,
    rate_down: Option<u64>,
    quota: Option<u64>,
    monthly_quota: Option<u64>,
    domain: Option<String>,
    ad_tag: Option<Text<AdTag>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Site {
    name: String,
    at: Option<String>,
    proxy_protocol: Option<u8>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Unknown {
    Mask,
    Drop,
    Alert,
}

/// A form in which users may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Plain,
    Padded,
    Tls,
}

/// No form has this name.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no mode: plain, padded or tls")]
pub(crate) struct NoMode(String);

impl std::str::FromStr for Mode {
    type Err = NoMode;

    fn from_str(name: &str) -> Result<Self, NoMode> {
        match name {
            "plain" => Ok(Self::Plain),
            "padded" | "dd" | "secure" => Ok(Self::Padded),
            "tls" | "ee" => Ok(Self::Tls),
            _ => Err(NoMode(name.to_owned())),
        }
    }
}

/// `NAME=VALUE` of a flag.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    pub(crate) name: String,
    pub(crate) value: T,
}

impl<T: std::str::FromStr<Err: std::fmt::Display>> std::str::FromStr for Named<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
        let value = value.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(Self { name: name.to_owned(), value })
    }
}

impl ProxySettings {
    pub(crate) fn load(args: &ProxyArgs) -> Result<Self> {
        Self::from_text(args, args.config.as_deref().map(files::read).transpose()?.as_deref())
    }

    /// With this text for what is in the file.
    pub(crate) fn from_text(args: &ProxyArgs, text: Option<&str>) -> Result<Self> {
        let file = text.map(|text| {
            toml::from_str::<File>(text).map_err(|error| place(text, &error)).with_context(|| {
                let path = args.config.as_deref().unwrap_or(Path::new(""));
                format!("{} is no valid configuration", path.display())
            })
        });
        let file = file.transpose()?.unwrap_or_default();
        let mut listen = either(&args.listen, file.listen);
        let is_listen_written = !listen.is_empty();
        if !is_listen_written {
            listen.push(ListenAddress::Tcp(LISTEN));
        }
        let mut proxy = ProxyConfig::default();
        let modes = either(&args.modes, file.modes);
        if !modes.is_empty() {
            let has = |mode| modes.contains(&mode);
            proxy.modes =
                Modes { plain: has(Mode::Plain), padded: has(Mode::Padded), tls: has(Mode::Tls) };
        }
        proxy.domains = file.domain.into_iter().map(site).collect::<Result<_>>()?;
        for domain in &args.domain {
            proxy.domains.push(domain_flag(domain)?);
        }
        // Who names no site wants none: the default of the modes is not to be an error.
        if modes.is_empty() && proxy.domains.is_empty() {
            proxy.modes.tls = false;
        }
        for (name, entry) in file.user {
            proxy.users.push(user(name, entry)?);
        }
        for Named { name, value } in &args.user {
            proxy.users.push(UserConfig::new(name.clone(), value.secret.clone()));
        }
        if file.only_named_dc || !args.dc.is_empty() {
            proxy.centres = Centres::none();
        }
        for (dc, addresses) in file.dc {
            let addresses = addresses.into_iter().map(|Text(address)| address).collect();
            proxy.centres.set(centre(&dc)?, addresses);
        }
        let mut named: BTreeMap<i32, Vec<Endpoint>> = BTreeMap::new();
        for Named { name, value } in &args.dc {
            named.entry(centre(name)?).or_default().push(value.clone());
        }
        for (dc, addresses) in named {
            proxy.centres.set(dc, addresses);
        }
        proxy.state = args.state.clone().or(file.state);
        set(&mut proxy.close_removed, file.close_removed);
        if let Some(unknown) = file.unknown_domain {
            proxy.unknown_domain = match unknown {
                Unknown::Mask => UnknownDomain::Mask,
                Unknown::Drop => UnknownDomain::Drop,
                Unknown::Alert => UnknownDomain::Alert,
            };
        }
        let public = args.public.clone().or(file.public.map(|Text(public)| public));
        let place = public.as_ref().and_then(|at| Some(SocketAddr::new(at.ip()?, at.port())));
        proxy.public = place;
        let mut files = Vec::from_iter(args.config.clone());
        file.direct.apply(&mut proxy, args.upstream_proxy.as_ref())?;
        let mut middle = file.middle;
        middle.secret = args.middle_secret.clone().map(Text).or(middle.secret);
        middle.servers = args.middle_servers.clone().map(Text).or(middle.servers);
        middle.ad_tag = args.ad_tag.map(Text).or(middle.ad_tag);
        let middle = middle.load(&Surroundings {
            has_tags: proxy.users.iter().any(|user| user.ad_tag.is_some()),
            is_telegram: !file.only_named_dc && args.dc.is_empty(),
            family: proxy.direct.family,
            public: public.as_ref(),
        })?;
        if let Some(middle) = &middle {
            // Before anything is fetched for it.
            if proxy.direct.proxy.is_some() {
                return Err(ConfigError::MiddleByProxy)
                    .context("direct.proxy, beside an ad-tag or [middle]");
            }
            files.extend(middle.files.iter().cloned());
        }
        let api = match file.api {
            Some(api) => {
                let (api, read) = api.load()?;
                files.extend(read);
                Some(api)
            }
            None => None,
        };
        file.relay.apply(&mut proxy)?;
        file.strangers.apply(&mut proxy)?;
        file.access.apply(&mut proxy)?;
        file.hello.apply(&mut proxy)?;
        file.connections.apply(&mut proxy);
        let mut drain_max = Duration::from_secs(10);
        set_time(&mut drain_max, "drain-max", file.drain_max)?;
        let mut handed_over_max = Duration::from_secs(3600);
        set_time(&mut handed_over_max, "handed-over-max", file.handed_over_max)?;
        let mut settings = Self {
            listen,
            is_listen_written,
            public,
            metrics: args.metrics.or(file.metrics),
            api,
            clocks: file.clocks.into_iter().map(|Text(source)| source).collect(),
            log: args.log.clone().or(file.log).unwrap_or_else(|| "info".into()),
            drain_max,
            handed_over_max,
            proxy,
            middle,
            files,
            tag: tag(text.unwrap_or_default()),
        };
        settings.fill(&Lists::default())?;
        Ok(settings)
    }

    /// Completes them with what was fetched; whether that is all that was to be.
    ///
    /// # Errors
    ///
    /// They are of no use with it.
    pub(crate) fn fill(&mut self, lists: &Lists) -> Result<bool> {
        let middle = self.middle.as_ref().map(|plan| plan.config(lists)).transpose()?.flatten();
        self.proxy.middle = middle.map(Arc::new);
        self.proxy.check()?;
        Ok(self.middle.is_none() || self.proxy.middle.is_some())
    }

    /// Whether nobody can be served as long as something was not fetched.
    pub(crate) fn lacks_servers(&self) -> bool {
        let plan = self.middle.as_ref().filter(|_| self.proxy.middle.is_none());
        plan.is_some_and(|plan| !plan.direct_instead)
    }

    /// Whether `new` has a user come in by the secret that he came by, if he is to come in at all.
    pub(crate) fn serves_as(&self, new: &Self, name: &str) -> bool {
        let secret = |settings: &Self| {
            let user = settings.proxy.users.iter().find(|user| user.name == name && user.enabled);
            user.map(|user| user.secret.fingerprint())
        };
        secret(self).is_none_or(|before| secret(new) == Some(before))
    }

    /// What is different in `new` and takes a restart.
    pub(crate) fn fixed(&self, new: &Self) -> Vec<&'static str> {
        let hello = |settings: &Self| {
            let hello = &settings.proxy.hello;
            (hello.digests_kept, hello.headers_kept)
        };
        let api = |settings: &Self| settings.api.as_ref().map(|api| api.listen.clone());
        let changes = [
            ("listen", self.listen != new.listen),
            ("metrics", self.metrics != new.metrics),
            ("api.listen", api(self) != api(new)),
            ("log", self.log != new.log),
            ("state", self.proxy.state != new.proxy.state),
            ("drain-max", self.drain_max != new.drain_max),
            ("handed-over-max", self.handed_over_max != new.handed_over_max),
            ("hello.digests-kept, hello.headers-kept", hello(self) != hello(new)),
        ];
        changes.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
    }
}

/// Where a proxy listens that was told nothing.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 443);

fn user(name: String, entry: User) -> Result<UserConfig> {
    let of = |what: &str| format!("user.{name}: {what}");
    let EndpointSecret { secret, transport, domain } = entry.secret.0;
    if domain.is_some() || transport.framing() == Framing::Padded {
        bail!(of("write the 16 bytes of the secret alone, without dd, ee or a domain"));
    }
    let quota = match (entry.quota, entry.monthly_quota) {
        (None, None) => None,
        (Some(bytes), None) => Some(Quota::once(bytes)),
        (None, Some(bytes)) => Some(Quota::each_month(bytes)),
        (Some(_), Some(_)) => bail!(of("name one of quota and monthly-quota")),
    };
    let expires = entry.expires.as_ref().map(expiry::unix).transpose();
    let expires = expires.with_context(|| of("expires"))?;
    let mut user = UserConfig::new(name, secret);
    set(&mut user.enabled, entry.enabled);
    user.expires = expires;
    user.connections_max = entry.connections_max;
    user.addresses_max = entry.addresses_max;
    user.rate_up = entry.rate_up;
    user.rate_down = entry.rate_down;
    user.quota = quota;
    user.ad_tag = entry.ad_tag.map(|Text(tag)| tag);
    user.domain = entry.domain.map(|domain| domain.to_ascii_lowercase());
    Ok(user)
}

fn site(site: Site) -> Result<Domain> {
    let mut domain = Domain::new(site.name.to_ascii_lowercase());
    domain.at = site.at.as_deref().map(site_address).transpose()?;
    domain.proxy_protocol = match site.proxy_protocol {
        None => None,
        Some(1) => Some(Version::V1),
        Some(2) => Some(Version::V2),
        Some(other) => bail!("domain: the PROXY protocol has versions 1 and 2, not {other}"),
    };
    Ok(domain)
}

/// `NAME` or `NAME=HOST:PORT`.
fn domain_flag(text: &str) -> Result<Domain> {
    let (name, at) = match text.split_once('=') {
        Some((name, at)) => (name, Some(site_address(at)?)),
        None => (text, None),
    };
    let mut domain = Domain::new(name.to_ascii_lowercase());
    domain.at = at;
    Ok(domain)
}

fn site_address(text: &str) -> Result<SiteAddress> {
    match text.strip_prefix("unix:") {
        Some(path) => Ok(SiteAddress::Unix(path.into())),
        None => {
            let endpoint = text.parse().with_context(|| format!("domain: `{text}`"))?;
            Ok(SiteAddress::Tcp(endpoint))
        }
    }
}

/// The number of a data centre, as a client would ask for it.
fn centre(text: &str) -> Result<i32> {
    let dc = text.parse::<i16>().ok().filter(|dc| *dc != 0);
    dc.map(i32::from).with_context(|| format!("dc: `{text}` is no number of a data centre"))
}

/// Tells one text from another.
pub(crate) fn tag(text: &str) -> String {
    sha256(&[text.as_bytes()])[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the flags say, or else the file.
fn either<T: Clone>(args: &[T], file: Option<Vec<Text<T>>>) -> Vec<T> {
    match file {
        Some(file) if args.is_empty() => file.into_iter().map(|Text(value)| value).collect(),
        _ => args.to_vec(),
    }
}
