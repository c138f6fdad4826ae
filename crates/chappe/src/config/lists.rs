//! What is published for proxies of middle servers, as it was fetched last: their secret, and the
//! list of them.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result};
use chappe_proto::middle::config::MiddleServers;
use chappe_proto::middle::keys::ProxySecret;
use serde::{Deserialize, Serialize};

use crate::web::WebAddress;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Secret,
    Servers,
}

/// Both, as far as they were fetched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lists {
    secret: Option<List>,
    servers: Option<List>,
}

/// One of them.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct List {
    /// Tells the address that it is from, from others.
    from: String,
    /// When, in seconds since 1970.
    fetched: u64,
    #[serde(with = "hex")]
    content: Vec<u8>,
}

impl Role {
    /// The setting that says where it is.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Servers => "servers",
        }
    }

    /// Most bytes that it may have.
    pub(crate) fn bytes_max(self) -> usize {
        match self {
            Self::Secret => 256,
            Self::Servers => 64 << 10,
        }
    }
}

impl Lists {
    /// The secret from this address.
    pub(crate) fn secret(&self, from: &WebAddress) -> Result<Option<Arc<ProxySecret>>> {
        let list = self.list(Role::Secret, from);
        list.map(|list| secret(&list.content).map(Arc::new)).transpose()
    }

    /// The list of servers from this address.
    pub(crate) fn servers(&self, from: &WebAddress) -> Result<Option<Arc<MiddleServers>>> {
        let list = self.list(Role::Servers, from);
        list.map(|list| servers(&list.content).map(Arc::new)).transpose()
    }

    /// When it was fetched from this address, in seconds since 1970.
    pub(crate) fn fetched(&self, role: Role, from: &WebAddress) -> Option<u64> {
        self.list(role, from).map(|list| list.fetched)
    }

    /// Whether what is kept is of use, however it came here.
    pub(crate) fn check(&self) -> Result<()> {
        let both = [(Role::Secret, &self.secret), (Role::Servers, &self.servers)];
        let mut kept = both.into_iter().filter_map(|(role, list)| Some((role, list.as_ref()?)));
        kept.try_for_each(|(role, list)| check(role, &list.content))
    }

    /// Keeps what came from an address, which [`check`] found to be of use; whether it is something
    /// else than was kept.
    pub(crate) fn put(
        &mut self,
        role: Role,
        from: &WebAddress,
        fetched: u64,
        content: Vec<u8>,
    ) -> bool {
        let before = self.list(role, from);
        let is_new = before.is_none_or(|before| before.content != content);
        let list = Some(List { from: from.tag(), fetched, content });
        match role {
            Role::Secret => self.secret = list,
            Role::Servers => self.servers = list,
        }
        is_new
    }

    fn list(&self, role: Role, from: &WebAddress) -> Option<&List> {
        let list = match role {
            Role::Secret => &self.secret,
            Role::Servers => &self.servers,
        };
        list.as_ref().filter(|list| list.from == from.tag())
    }
}

/// Whether that is what it should be.
pub(crate) fn check(role: Role, content: &[u8]) -> Result<()> {
    match role {
        Role::Secret => secret(content).map(drop),
        Role::Servers => servers(content).map(drop),
    }
}

fn secret(content: &[u8]) -> Result<ProxySecret> {
    Ok(ProxySecret::parse(content)?)
}

fn servers(content: &[u8]) -> Result<MiddleServers> {
    let text = std::str::from_utf8(content).context("it is no text")?;
    Ok(MiddleServers::parse(text)?)
}

/// Without what they hold.
impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({} bytes)", self.content.len())
    }
}

/// Bytes in hexadecimal digits.
mod hex {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(D::Error::custom("an odd number of digits"));
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes.ok_or_else(|| D::Error::custom("no hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   what was fetched is found again by the address that it is from, and shown nowhere.
    /// Source: 15-proxy.md, section 8.
    #[test]
    fn lists_are_known_by_their_address() {
        let (here, there): (WebAddress, WebAddress) =
            ("https://a.example/".parse().unwrap(), "https://b.example/".parse().unwrap());
        let mut lists = Lists::default();
        assert!(lists.put(Role::Secret, &here, 5, vec![0xab; 128]));
        assert!(!lists.put(Role::Secret, &here, 6, vec![0xab; 128]));
        assert!(lists.put(Role::Servers, &there, 7, b"proxy_for 2 a:1;".to_vec()));
        let text = serde_json::to_string(&lists).unwrap();
        assert!(!format!("{lists:?}").contains("171") && !format!("{lists:?}").contains("abab"));
        let read: Lists = serde_json::from_str(&text).unwrap();
        assert_eq!(read, lists);
        assert!(read.check().is_ok());
        let cut = text.replace(&"ab".repeat(128), &"ab".repeat(31));
        assert!(serde_json::from_str::<Lists>(&cut).unwrap().check().is_err());
        assert_eq!(read.fetched(Role::Secret, &here), Some(6));
        assert!(read.secret(&here).unwrap().is_some() && read.secret(&there).unwrap().is_none());
        assert!(read.servers(&there).unwrap().is_some() && read.servers(&here).unwrap().is_none());
        for damaged in ["aba", "zzab"].map(|to| text.replacen("abab", to, 1)) {
            assert!(serde_json::from_str::<Lists>(&damaged).is_err(), "{damaged}");
        }
    }

    /// Rule:   a secret has 32 to 256 bytes, a list at least one server.
    /// Source: 15-proxy.md, section 8.
    #[test]
    fn what_is_no_list_is_found_out() {
        for (role, content, is_one) in [
            (Role::Secret, &[7; 32][..], true),
            (Role::Secret, &[7; 31], false),
            (Role::Secret, b"", false),
            (Role::Servers, b"proxy_for 2 192.0.2.1:1;", true),
            (Role::Servers, b"", false),
            (Role::Servers, b"<html>", false),
            (Role::Servers, b"\xff", false),
        ] {
            assert_eq!(check(role, content).is_ok(), is_one, "{content:?}");
        }
    }
}
