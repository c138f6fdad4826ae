//! mtprotoproxy's `config.py`.

use anyhow::{Context, Result, bail};
use toml::Value;
use toml::value::{Date, Datetime};

use super::found::{Found, Site, User, with_port};
use super::python::{self, Literal};
use super::secret;

/// The names of a file, from which everything that is understood is taken away.
struct Rest(Vec<(String, Literal)>);

/// What mtprotoproxy takes where nothing is said.
const PORT: i64 = 3256;
const DOMAIN: &str = "www.google.com";

pub(super) fn read(text: &str) -> Result<Found> {
    let module = python::read(text);
    let (mut rest, mut found) = (Rest(module.names), Found::default());
    users(&mut rest, &mut found)?;
    let has_tls = modes(&mut rest, &mut found);
    sites(&mut rest, &mut found, has_tls);
    listen(&mut rest, &mut found);
    upstream(&mut rest, &mut found);
    for (name, _) in rest.0 {
        // Others are of no meaning to mtprotoproxy either.
        if name
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit())
        {
            found.leave(&name, "");
        }
    }
    for line in module.others {
        found.notes.push(format!("line {line} gives no name a plain value and was left out"));
    }
    Ok(found)
}

fn users(rest: &mut Rest, found: &mut Found) -> Result<()> {
    let Some(Literal::Dict(users)) = rest.take("USERS") else {
        bail!("USERS is missing: these are no settings of mtprotoproxy");
    };
    for (name, value) in users {
        let (Some(name), Some(text)) = (name.text(), value.text()) else {
            bail!("USERS has what is no text");
        };
        let secret = secret(name, text)?;
        found.users.insert(name.to_owned(), User { secret, ..User::default() });
    }
    for (name, value) in rest.dict("USER_MAX_TCP_CONNS", found) {
        if let Some(user) = known(found, &name, "USER_MAX_TCP_CONNS") {
            user.connections_max = value.int();
        }
    }
    for (name, value) in rest.dict("USER_DATA_QUOTA", found) {
        if let Some(user) = known(found, &name, "USER_DATA_QUOTA") {
            user.quota = value.int();
        }
    }
    for (name, value) in rest.dict("USER_EXPIRATIONS", found) {
        let text = value.text().unwrap_or_default();
        let day = day(text).with_context(|| {
            format!("USER_EXPIRATIONS: `{text}` of `{name}` is no day/month/year")
        })?;
        if let Some(user) = known(found, &name, "USER_EXPIRATIONS") {
            user.expires = Some(day);
        }
    }
    Ok(())
}

/// The user that an entry of such a table is about.
fn known<'a>(found: &'a mut Found, name: &str, key: &str) -> Option<&'a mut User> {
    found.known(name, &format!("{key}[\"{name}\"]"))
}

/// `31/12/2030`.
fn day(text: &str) -> Option<Datetime> {
    let mut parts = text.split('/');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let date =
        Date { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
    // Which days there are the parser knows.
    let day: Datetime = date.to_string().parse().ok()?;
    parts.next().is_none().then_some(day)
}

/// Whether fake TLS is switched on.
fn modes(rest: &mut Rest, found: &mut Found) -> bool {
    let (has_modes, modes) = match rest.take("MODES") {
        Some(Literal::Dict(modes)) => (true, modes),
        _ => (false, Vec::new()),
    };
    let is_on = |name: &str| {
        let mode = modes.iter().find(|(key, _)| key.text() == Some(name));
        mode.map_or(!has_modes, |(_, on)| on.is_true())
    };
    let (mut plain, mut padded, mut tls) = (is_on("classic"), is_on("secure"), is_on("tls"));
    if let Some(only) = rest.take("SECURE_ONLY") {
        plain = !only.is_true();
    }
    if rest.take("TLS_ONLY").is_some_and(|only| only.is_true()) {
        (plain, padded) = (false, false);
    }
    tls |= !(plain || padded);
    let all = [(plain, "plain"), (padded, "padded"), (tls, "tls")];
    let on = all.into_iter().filter(|(on, _)| *on).map(|(_, name)| Value::from(name));
    found.set("modes", on.collect::<Vec<_>>());
    tls
}

fn sites(rest: &mut Rest, found: &mut Found, has_tls: bool) {
    let name = rest.text("TLS_DOMAIN");
    let (host, port) = (rest.text("MASK_HOST"), rest.int("MASK_PORT"));
    if rest.take("MASK").is_some_and(|on| !on.is_true()) {
        found.leave("MASK", ": where a site is named strangers see it");
    }
    if name.is_some() || has_tls {
        let name = name.unwrap_or_else(|| DOMAIN.to_owned()).to_ascii_lowercase();
        let at = (host.is_some() || port.is_some())
            .then(|| with_port(host.as_deref().unwrap_or(&name), port.unwrap_or(443)));
        found.sites.push(Site { name, at, proxy_protocol: None });
    }
}

fn listen(rest: &mut Rest, found: &mut Found) {
    let port = rest.int("PORT").unwrap_or(PORT);
    let hosts = [("LISTEN_ADDR_IPV4", "0.0.0.0"), ("LISTEN_ADDR_IPV6", "::")];
    let mut listen: Vec<Value> = Vec::new();
    for (name, default) in hosts {
        let host = match rest.take(name) {
            None => Some(default.to_owned()),
            Some(value) => value.text().filter(|host| !host.is_empty()).map(str::to_owned),
        };
        listen.extend(host.map(|host| Value::from(with_port(&host, port))));
    }
    if let Some(path) = rest.text("LISTEN_UNIX_SOCK") {
        listen.push(format!("unix:{path}").into());
    }
    found.set("listen", listen);
    if let Some(host) = rest.text("MY_DOMAIN") {
        found.set("public", with_port(&host, port));
    }
    if let Some(port) = rest.int("METRICS_PORT") {
        found.set("metrics", with_port("127.0.0.1", port));
        found.notes.push("`METRICS_PORT`: metrics are served on 127.0.0.1 alone".into());
    }
    if rest.take("PROXY_PROTOCOL").is_some_and(|on| on.is_true()) {
        let why = ": name the networks of the balancers as `access.proxy-protocol`";
        found.leave("PROXY_PROTOCOL", why);
    }
}

fn upstream(rest: &mut Rest, found: &mut Found) {
    if rest.take("PREFER_IPV6").is_some_and(|on| on.is_true()) {
        found.set("direct.family", "prefer-v6");
    }
    if rest.take("FAST_MODE").is_some_and(|on| !on.is_true()) {
        found.set("direct.fast", false);
    }
    let (host, port) = (rest.text("SOCKS5_HOST"), rest.int("SOCKS5_PORT"));
    let (user, password) = (rest.text("SOCKS5_USER"), rest.text("SOCKS5_PASS"));
    if let (Some(host), Some(port)) = (host, port) {
        let who = match (user, password) {
            (Some(user), Some(password)) => format!("{user}:{password}@"),
            _ => String::new(),
        };
        found.set("direct.proxy", format!("socks5://{who}{}", with_port(&host, port)));
    }
    let is_middle = rest.take("USE_MIDDLE_PROXY").is_none_or(|on| on.is_true());
    let tag = rest.text("AD_TAG");
    if let Some(tag) = tag.and_then(|tag| found.ad_tag("AD_TAG", tag, is_middle)) {
        found.set("middle.ad-tag", tag);
    }
}

impl Rest {
    fn take(&mut self, name: &str) -> Option<Literal> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.take(name)?.text().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn int(&mut self, name: &str) -> Option<i64> {
        self.take(name)?.int()
    }

    /// What a name has for each user; a note where it has something else.
    fn dict(&mut self, name: &str, found: &mut Found) -> Vec<(String, Literal)> {
        match self.take(name) {
            None => Vec::new(),
            Some(Literal::Dict(entries)) => {
                let entries = entries.into_iter();
                entries.filter_map(|(key, value)| Some((key.text()?.to_owned(), value))).collect()
            }
            Some(_) => {
                found.leave(name, ": it is no dictionary");
                Vec::new()
            }
        }
    }
}
