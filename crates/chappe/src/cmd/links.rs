//! `chappe proxy links`: what users need to come.

use std::fmt::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use chappe_net::connect::Endpoint;
use chappe_proto::transport::{EndpointSecret, Framing, Secret, Transport};
use chappe_proxy::{ProxyConfig, UserConfig};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use crate::config::listen::ListenAddress;
use crate::config::proxy::ProxySettings;
use crate::exit::Exit;

pub(super) fn print(
    settings: &ProxySettings,
    only: Option<&str>,
    qr: bool,
    hex: bool,
) -> Result<Exit> {
    let public = public(settings)?;
    let users = settings.proxy.users.iter();
    let users: Vec<_> = users.filter(|user| only.is_none_or(|name| user.name == name)).collect();
    if users.is_empty() {
        bail!("there is no user `{}`", only.unwrap_or_default());
    }
    let mut text = String::new();
    for user in users {
        writeln!(text, "{}", user.name)?;
        for link in of(&settings.proxy, user) {
            let (tg, web) = link.urls(&public, hex);
            let form = match &link.domain {
                Some(domain) => format!("{}, as {domain}", link.mode),
                None => link.mode.to_owned(),
            };
            writeln!(text, "  {form}\n    {tg}\n    {web}")?;
            if qr {
                let code = QrCode::new(&web).context("the link is too long for a QR code")?;
                writeln!(text, "{}", code.render::<Dense1x2>().build())?;
            }
        }
    }
    print!("{text}");
    Ok(Exit::Done)
}

/// Where clients find the proxy.
pub(crate) fn public(settings: &ProxySettings) -> Result<Endpoint> {
    if let Some(public) = &settings.public {
        return Ok(public.clone());
    }
    let address = settings.listen.iter().find_map(|address| match address {
        ListenAddress::Tcp(address) if !address.ip().is_unspecified() && address.port() != 0 => {
            Some(Endpoint::from(*address))
        }
        _ => None,
    });
    address.context("say where clients find the proxy: --public HOST:PORT, or `public` in the file")
}

/// How a user may come.
pub(crate) struct Link {
    /// `plain`, `padded` or `tls`.
    pub(crate) mode: &'static str,
    /// The site that the proxy then seems to be.
    pub(crate) domain: Option<String>,
    pub(crate) secret: EndpointSecret,
}

impl Link {
    /// The link for clients and the one for browsers.
    pub(crate) fn urls(&self, public: &Endpoint, hex: bool) -> (String, String) {
        let secret = if hex { self.secret.reveal_hex() } else { self.secret.reveal() };
        let query = query(public, &secret);
        (format!("tg://proxy?{query}"), format!("https://t.me/proxy?{query}"))
    }
}

/// The links of a user in each form that is switched on.
pub(crate) fn of(proxy: &ProxyConfig, user: &UserConfig) -> Vec<Link> {
    let modes = proxy.modes;
    let link = |mode, framing, domain: Option<&str>| {
        let secret = endpoint(&user.secret, framing, domain.map(Arc::from));
        Link { mode, domain: domain.map(str::to_owned), secret }
    };
    let mut links = Vec::new();
    if modes.plain {
        links.push(link("plain", Framing::Intermediate, None));
    }
    if modes.padded {
        links.push(link("padded", Framing::Padded, None));
    }
    if modes.tls {
        let is_his = |name: &str| user.domain.as_deref().is_none_or(|own| own == name);
        let his = proxy.domains.iter().filter(|domain| is_his(&domain.name));
        links.extend(his.map(|domain| link("tls", Framing::Padded, Some(&domain.name))));
    }
    links
}

fn endpoint(secret: &Secret, framing: Framing, domain: Option<Arc<str>>) -> EndpointSecret {
    let transport = Transport::obfuscated(framing).expect("both framings have a tag");
    EndpointSecret { secret: secret.clone(), transport, domain }
}

/// The parameters of a link. What hosts and secrets consist of needs no escape, but for the colons
/// of an IPv6 address.
fn query(public: &Endpoint, secret: &str) -> String {
    let host = public.host().replace(':', "%3A");
    format!("server={host}&port={}&secret={secret}", public.port())
}
