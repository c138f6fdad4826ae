//! telemt's TOML.

use anyhow::{Context, Result, bail};
use toml::value::Datetime;
use toml::{Table, Value};

use super::found::{Found, Site, User, with_port};
use super::secret;

/// The tables of a file, from which everything that is understood is taken away.
struct Rest(Table);

pub(super) fn read(table: Table) -> Result<Found> {
    let (mut rest, mut found) = (Rest(table), Found::default());
    users(&mut rest, &mut found)?;
    modes(&mut rest, &mut found)?;
    sites(&mut rest, &mut found)?;
    listen(&mut rest, &mut found)?;
    upstream(&mut rest, &mut found)?;
    tags(&mut rest, &mut found)?;
    for path in rest.paths() {
        found.leave(&path, "");
    }
    Ok(found)
}

fn users(rest: &mut Rest, found: &mut Found) -> Result<()> {
    let secrets = rest.table("access.users")?;
    if secrets.is_empty() {
        bail!("there is no [access.users]: these are no settings of telemt");
    }
    for (name, value) in secrets {
        let text = value.as_str().with_context(|| format!("the secret of `{name}` is no text"))?;
        let secret = secret(&name, text)?;
        found.users.insert(name, User { secret, ..User::default() });
    }
    for (name, value) in rest.table("access.user_enabled")? {
        if let Some(user) = known(found, &name, "user_enabled") {
            user.is_disabled = value.as_bool() == Some(false);
        }
    }
    for (name, value) in rest.table("access.user_expirations")? {
        let moment = moment(&value).with_context(|| format!("user_expirations.{name}"))?;
        if let Some(user) = known(found, &name, "user_expirations") {
            user.expires = Some(moment);
        }
    }
    for (name, value) in rest.table("access.user_data_quota")? {
        if let Some(user) = known(found, &name, "user_data_quota") {
            user.quota = value.as_integer();
        }
    }
    for (name, value) in rest.table("access.user_rate_limits")? {
        // Bits there, bytes here; 0 is no limit.
        let rate = |key| value.get(key).and_then(Value::as_integer).filter(|bits| *bits > 0);
        let (up, down) = (rate("up_bps"), rate("down_bps"));
        if let Some(user) = known(found, &name, "user_rate_limits") {
            user.rate_up = up.map(|bits| (bits / 8).max(1));
            user.rate_down = down.map(|bits| (bits / 8).max(1));
        }
    }
    let connections = rest.table("access.user_max_tcp_conns")?;
    let connections_each = rest.positive("access.user_max_tcp_conns_global_each");
    let addresses = rest.table("access.user_max_unique_ips")?;
    let addresses_each = rest.positive("access.user_max_unique_ips_global_each");
    let of = |table: &Table, name: &str, each: Option<i64>| {
        let own = table.get(name).and_then(Value::as_integer).filter(|max| *max > 0);
        own.or(each)
    };
    for (name, user) in &mut found.users {
        user.connections_max = of(&connections, name, connections_each);
        user.addresses_max = of(&addresses, name, addresses_each);
    }
    for (table, key) in [(connections, "user_max_tcp_conns"), (addresses, "user_max_unique_ips")] {
        for name in table.keys() {
            known(found, name, key);
        }
    }
    Ok(())
}

/// The user that an entry of such a table is about.
fn known<'a>(found: &'a mut Found, name: &str, key: &str) -> Option<&'a mut User> {
    found.known(name, &format!("access.{key}.{name}"))
}

fn moment(value: &Value) -> Result<Datetime> {
    match value {
        Value::Datetime(moment) => Ok(*moment),
        Value::String(text) => text.parse().with_context(|| format!("`{text}` is no moment")),
        other => bail!("`{other}` is no moment"),
    }
}

fn modes(rest: &mut Rest, found: &mut Found) -> Result<()> {
    let modes = rest.table("general.modes")?;
    let is_on = |name: &str, default| modes.get(name).and_then(Value::as_bool).unwrap_or(default);
    let all = [("classic", "plain", false), ("secure", "padded", false), ("tls", "tls", true)];
    let on = all.into_iter().filter(|(theirs, _, default)| is_on(theirs, *default));
    let on: Vec<Value> = on.map(|(_, ours, _)| ours.into()).collect();
    found.set("modes", on);
    for (theirs, ours, wanted) in
        [("prefer_ipv6", "direct.family", true), ("fast_mode", "direct.fast", false)]
    {
        if rest.take(&format!("general.{theirs}")).and_then(|value| value.as_bool()) == Some(wanted)
        {
            let value = if wanted { Value::from("prefer-v6") } else { Value::from(false) };
            found.set(ours, value);
        }
    }
    Ok(())
}

fn sites(rest: &mut Rest, found: &mut Found) -> Result<()> {
    let mut names: Vec<String> = rest.text("censorship.tls_domain").into_iter().collect();
    names.extend(texts(rest.take("censorship.tls_domains")));
    let host = rest.text("censorship.mask_host");
    let port = rest.take("censorship.mask_port").and_then(|port| port.as_integer());
    let socket = rest.text("censorship.mask_unix_sock");
    let own = rest.table("censorship.exclusive_mask")?;
    let own = |name: &str| own.iter().find(|(of, _)| of.eq_ignore_ascii_case(name))?.1.as_str();
    let version = rest.positive("censorship.mask_proxy_protocol");
    if names.is_empty() {
        let why = ": its own default is not carried over, and mode `tls` needs a [[domain]]";
        found.leave("censorship.tls_domain", why);
    }
    for name in names {
        let shared = match (&socket, &host, port) {
            (Some(path), _, _) => Some(format!("unix:{path}")),
            (None, Some(host), port) => Some(with_port(host, port.unwrap_or(443))),
            (None, None, Some(port)) if port != 443 => Some(with_port(&name, port)),
            _ => None,
        };
        let at = own(&name).map(str::to_owned).or(shared);
        let site = Site { name: name.to_ascii_lowercase(), at, proxy_protocol: version };
        if !found.sites.iter().any(|known| known.name == site.name) {
            found.sites.push(site);
        }
    }
    if rest.take("censorship.mask").and_then(|on| on.as_bool()) == Some(false) {
        found.leave("censorship.mask", ": where a site is named strangers see it");
    }
    match rest.text("censorship.unknown_sni_action").as_deref() {
        Some("mask") => {}
        // What it does that was told nothing.
        None | Some("drop") => found.set("unknown-domain", "drop"),
        Some("reject_handshake") => found.set("unknown-domain", "alert"),
        Some(other) => {
            let why = format!(": `{other}` is not possible, and they see the first site");
            found.leave("censorship.unknown_sni_action", &why);
        }
    }
    Ok(())
}

fn listen(rest: &mut Rest, found: &mut Found) -> Result<()> {
    let port = rest.positive("server.port").unwrap_or(443);
    let mut listen: Vec<Value> = Vec::new();
    let own = [rest.text("server.listen_addr_ipv4"), rest.text("server.listen_addr_ipv6")];
    match rest.take("server.listeners") {
        Some(Value::Array(listeners)) if !listeners.is_empty() => {
            for listener in listeners {
                let Value::Table(mut listener) = listener else {
                    bail!("server.listeners is no list of tables");
                };
                let ip = listener.remove("ip");
                let ip = ip.as_ref().and_then(Value::as_str);
                let ip = ip.context("server.listeners: `ip` is missing")?;
                let port =
                    listener.remove("port").and_then(|port| port.as_integer()).unwrap_or(port);
                listen.push(with_port(ip, port).into());
                for key in listener.keys() {
                    found.leave(&format!("server.listeners.{key}"), "");
                }
            }
        }
        _ => {
            let [v4, v6] = own;
            let all = [v4.unwrap_or("0.0.0.0".into()), v6.unwrap_or("::".into())];
            let all = all.iter().filter(|host| !host.is_empty());
            listen.extend(all.map(|host| Value::from(with_port(host, port))));
        }
    }
    if let Some(path) = rest.text("server.listen_unix_sock") {
        if rest.take("server.listen_tcp").and_then(|on| on.as_bool()) != Some(true) {
            listen.clear();
        }
        listen.push(format!("unix:{path}").into());
    }
    found.set("listen", listen);
    if let Some(host) = rest.text("general.links.public_host") {
        let port = rest.positive("general.links.public_port").unwrap_or(port);
        found.set("public", with_port(&host, port));
    }
    if let Some(at) = rest.text("server.metrics_listen") {
        rest.take("server.metrics_port");
        found.set("metrics", at);
    } else if let Some(port) = rest.positive("server.metrics_port") {
        found.set("metrics", with_port("127.0.0.1", port));
        found.notes.push("`server.metrics_port`: metrics are served on 127.0.0.1 alone".into());
    }
    let trusted = texts(rest.take("server.proxy_protocol_trusted_cidrs"));
    if rest.take("server.proxy_protocol").and_then(|on| on.as_bool()) == Some(true) {
        if trusted.is_empty() {
            let why = ": name the networks of the balancers as `access.proxy-protocol`";
            found.leave("server.proxy_protocol", why);
        } else {
            found.set("access.proxy-protocol", trusted);
        }
    }
    Ok(())
}

fn upstream(rest: &mut Rest, found: &mut Found) -> Result<()> {
    let Some(Value::Array(upstreams)) = rest.take("upstreams") else { return Ok(()) };
    let is_on = |upstream: &&Value| upstream.get("enabled").and_then(Value::as_bool) != Some(false);
    let on: Vec<&Value> = upstreams.iter().filter(is_on).collect();
    let text = |key| on.first()?.get(key)?.as_str();
    match (&on[..], text("type")) {
        ([_], Some("direct")) => {}
        ([_], Some("socks5")) => {
            let address = text("address").context("upstreams: `address` is missing")?;
            let who = match (text("username"), text("password")) {
                (Some(user), Some(password)) => format!("{user}:{password}@"),
                _ => String::new(),
            };
            found.set("direct.proxy", format!("socks5://{who}{address}"));
        }
        ([], _) => {}
        _ => {
            found.leave("upstreams", ": one proxy, SOCKS5 or HTTP, can be named as `direct.proxy`")
        }
    }
    Ok(())
}

/// For whom connections advertise, once it is known whether they can.
fn tags(rest: &mut Rest, found: &mut Found) -> Result<()> {
    let is_middle =
        rest.take("general.use_middle_proxy").is_none_or(|on| on.as_bool() == Some(true));
    let tag = rest.text("general.ad_tag");
    if let Some(tag) = tag.and_then(|tag| found.ad_tag("general.ad_tag", tag, is_middle)) {
        found.set("middle.ad-tag", tag);
    }
    for (name, value) in rest.table("access.user_ad_tags")? {
        if known(found, &name, "user_ad_tags").is_none() {
            continue;
        }
        let (what, tag) = (format!("access.user_ad_tags.{name}"), value.as_str());
        let tag = found.ad_tag(&what, tag.unwrap_or_default().to_owned(), is_middle);
        if let Some(user) = found.users.get_mut(&name) {
            user.ad_tag = tag;
        }
    }
    Ok(())
}

fn texts(value: Option<Value>) -> Vec<String> {
    let list = match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

impl Rest {
    /// Takes what stands at a path.
    fn take(&mut self, path: &str) -> Option<Value> {
        let (folders, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut table = &mut self.0;
        for folder in folders.split('.').filter(|folder| !folder.is_empty()) {
            table = table.get_mut(folder)?.as_table_mut()?;
        }
        table.remove(key)
    }

    fn table(&mut self, path: &str) -> Result<Table> {
        match self.take(path) {
            None => Ok(Table::new()),
            Some(Value::Table(table)) => Ok(table),
            Some(_) => bail!("{path} is no table"),
        }
    }

    fn text(&mut self, path: &str) -> Option<String> {
        match self.take(path)? {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A number above 0, which stands for none.
    fn positive(&mut self, path: &str) -> Option<i64> {
        self.take(path)?.as_integer().filter(|number| *number > 0)
    }

    /// What is left.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        walk(&self.0, "", &mut paths);
        paths
    }
}

fn walk(table: &Table, within: &str, paths: &mut Vec<String>) {
    for (key, value) in table {
        let path = format!("{within}{key}");
        match value {
            Value::Table(inner) => walk(inner, &format!("{path}."), paths),
            _ => paths.push(path),
        }
    }
}
