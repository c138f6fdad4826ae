//! What was found, and how it is written.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use chappe_proto::middle::messages::AdTag;
use toml::value::Datetime;
use toml::{Table, Value};

/// Settings of another proxy, in the words of ours.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Everything but users and sites.
    pub(super) settings: Table,
    pub(super) sites: Vec<Site>,
    pub(super) users: BTreeMap<String, User>,
    /// What was not carried over, or not quite.
    pub(super) notes: Vec<String>,
}

/// A site that the proxy seems to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) at: Option<String>,
    pub(super) proxy_protocol: Option<i64>,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct User {
    pub(super) secret: String,
    pub(super) is_disabled: bool,
    pub(super) expires: Option<Datetime>,
    pub(super) connections_max: Option<i64>,
    pub(super) addresses_max: Option<i64>,
    pub(super) rate_up: Option<i64>,
    pub(super) rate_down: Option<i64>,
    pub(super) quota: Option<i64>,
    pub(super) ad_tag: Option<String>,
}

impl Found {
    /// Notes that something was not carried over.
    pub(super) fn leave(&mut self, what: &str, why: &str) {
        self.notes.push(format!("`{what}` was not carried over{why}"));
    }

    /// The tag of a channel to advertise, if it can be: only by middle servers. A note where not.
    pub(super) fn ad_tag(&mut self, what: &str, tag: String, is_middle: bool) -> Option<String> {
        let direct = self.settings.get("direct");
        let why = if !is_middle {
            ": middle servers, which alone advertise, are switched off"
        } else if direct.is_some_and(|direct| direct.get("proxy").is_some()) {
            ": middle servers, which alone advertise, cannot be reached through `direct.proxy`"
        } else if tag.parse::<AdTag>().is_err() {
            ": it is not 32 hexadecimal digits"
        } else {
            return Some(tag);
        };
        self.leave(what, why);
        None
    }

    /// The user of that name; where there is none, a note that what stands at `place` was not carried
    /// over.
    pub(super) fn known(&mut self, name: &str, place: &str) -> Option<&mut User> {
        if !self.users.contains_key(name) {
            self.leave(place, ": there is no such user");
        }
        self.users.get_mut(name)
    }

    /// A setting of ours, by its path.
    pub(super) fn set(&mut self, path: &str, value: impl Into<Value>) {
        let mut table = &mut self.settings;
        let (folders, key) = match path.split_once('.') {
            Some((folder, key)) => (Some(folder), key),
            None => (None, path),
        };
        if let Some(folder) = folders {
            let entry = table.entry(folder).or_insert_with(|| Value::Table(Table::new()));
            table = entry.as_table_mut().expect("no setting is both a value and a table");
        }
        table.insert(key.to_owned(), value.into());
    }

    /// Users and sites of another file; its settings where there are none yet.
    pub(super) fn add(&mut self, other: Self) -> Result<()> {
        for (name, user) in other.users {
            match self.users.insert(name.clone(), user.clone()) {
                Some(known) if known != user => {
                    bail!("user `{name}` is another one in a file before; rename one of them")
                }
                _ => {}
            }
        }
        for site in other.sites {
            if !self.sites.iter().any(|known| known.name == site.name) {
                self.sites.push(site);
            }
        }
        if self.settings.is_empty() {
            self.settings = other.settings;
        }
        Ok(())
    }

    /// All of it, as a file of ours.
    pub(super) fn text(&self) -> Result<String> {
        let mut table = self.settings.clone();
        extend(&mut table, self.sites.iter(), self.users.iter());
        Ok(toml::to_string(&table)?)
    }

    /// Users and sites that `table` has not, as what is to stand behind it.
    pub(super) fn added_text(&self, table: &Table) -> Result<String> {
        let known = table.get("user").and_then(Value::as_table);
        let mut users = Vec::new();
        for (name, user) in &self.users {
            let Some(known) = known.and_then(|known| known.get(name)) else {
                users.push((name, user));
                continue;
            };
            let secret = known.get("secret").and_then(Value::as_str).unwrap_or_default();
            if !secret.eq_ignore_ascii_case(&user.secret) {
                bail!("user `{name}` is there with another secret; rename one of them");
            }
        }
        let listed = table.get("domain").and_then(Value::as_array);
        let is_listed = |site: &&Site| {
            let mut names = listed.into_iter().flatten().filter_map(|site| site.get("name"));
            names.any(|name| name.as_str() == Some(&site.name))
        };
        let mut added = Table::new();
        extend(&mut added, self.sites.iter().filter(|site| !is_listed(site)), users.into_iter());
        toml::to_string(&added).context("what was found cannot be written")
    }
}

fn extend<'a>(
    table: &mut Table,
    sites: impl Iterator<Item = &'a Site>,
    users: impl Iterator<Item = (&'a String, &'a User)>,
) {
    let sites: Vec<Value> = sites.map(|site| Value::Table(site.table())).collect();
    if !sites.is_empty() {
        table.insert("domain".to_owned(), Value::Array(sites));
    }
    let users: Table =
        users.map(|(name, user)| (name.clone(), Value::Table(user.table()))).collect();
    if !users.is_empty() {
        table.insert("user".to_owned(), Value::Table(users));
    }
}

impl Site {
    fn table(&self) -> Table {
        table([
            ("name", Some(self.name.clone().into())),
            ("at", self.at.clone().map(Value::from)),
            ("proxy-protocol", self.proxy_protocol.map(Value::from)),
        ])
    }
}

impl User {
    fn table(&self) -> Table {
        table([
            ("secret", Some(self.secret.clone().into())),
            ("enabled", self.is_disabled.then_some(false.into())),
            ("expires", self.expires.map(Value::from)),
            ("connections-max", self.connections_max.map(Value::from)),
            ("addresses-max", self.addresses_max.map(Value::from)),
            ("rate-up", self.rate_up.map(Value::from)),
            ("rate-down", self.rate_down.map(Value::from)),
            ("quota", self.quota.map(Value::from)),
            ("ad-tag", self.ad_tag.clone().map(Value::from)),
        ])
    }
}

fn table<const N: usize>(entries: [(&str, Option<Value>); N]) -> Table {
    let entries = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    entries.collect()
}

/// An address with a port, IPv6 in brackets.
pub(super) fn with_port(host: &str, port: i64) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
