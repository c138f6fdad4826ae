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
        for (form, secret) in secrets(&settings.proxy, user) {
            let secret = if hex { secret.reveal_hex() } else { secret.reveal() };
            let query = query(&public, &secret);
            let link = format!("https://t.me/proxy?{query}");
            writeln!(text, "  {form}\n    tg://proxy?{query}\n    {link}")?;
            if qr {
                let code = QrCode::new(&link).context("the link is too long for a QR code")?;
                writeln!(text, "{}", code.render::<Dense1x2>().build())?;
            }
        }
    }
    print!("{text}");
    Ok(Exit::Done)
}

/// Where clients find the proxy.
fn public(settings: &ProxySettings) -> Result<Endpoint> {
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

/// The secret of a user in each form that is switched on, with what it is called.
fn secrets(proxy: &ProxyConfig, user: &UserConfig) -> Vec<(String, EndpointSecret)> {
    let modes = proxy.modes;
    let mut secrets = Vec::new();
    if modes.plain {
        secrets.push(("plain".to_owned(), endpoint(&user.secret, Framing::Intermediate, None)));
    }
    if modes.padded {
        secrets.push(("padded".to_owned(), endpoint(&user.secret, Framing::Padded, None)));
    }
    if modes.tls {
        let is_his = |name: &str| user.domain.as_deref().is_none_or(|own| own == name);
        for domain in proxy.domains.iter().filter(|domain| is_his(&domain.name)) {
            let name = domain.name.as_str();
            let secret = endpoint(&user.secret, Framing::Padded, Some(name.into()));
            secrets.push((format!("tls, as {name}"), secret));
        }
    }
    secrets
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
