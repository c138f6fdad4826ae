//! The secret that proxies and middle servers share, and the keys of one link.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use chappe_crypto::cbc::{Decrypt, Encrypt};
use chappe_crypto::{equal, md5, sha1};
use zeroize::Zeroizing;

/// What every proxy and every middle server of an installation knows: the content of the file
/// `proxy-secret`.
///
/// Wiped on drop, never printed.
#[derive(Clone)]
pub struct ProxySecret(Zeroizing<Vec<u8>>);

/// A file that is no `proxy-secret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxySecretError {
    /// Too few bytes or too many.
    #[error("proxy secret of {0} bytes, expected 32 to 256")]
    Length(usize),
    /// The first four bytes name the secret, and 0 is no name.
    #[error("proxy secret begins with four zero bytes, by which nobody can choose it")]
    Nameless,
}

impl ProxySecret {
    /// The secret in a file of that content.
    ///
    /// # Errors
    ///
    /// It cannot be one.
    pub fn parse(content: &[u8]) -> Result<Self, ProxySecretError> {
        if !(32..=256).contains(&content.len()) {
            return Err(ProxySecretError::Length(content.len()));
        }
        let secret = Self(content.to_vec().into());
        if secret.selector() == 0 { Err(ProxySecretError::Nameless) } else { Ok(secret) }
    }

    /// What the secret is called on the wire: its first four bytes.
    pub fn selector(&self) -> u32 {
        let first = self.0.first_chunk().expect("it has 32 bytes at least");
        u32::from_le_bytes(*first)
    }
}

impl PartialEq for ProxySecret {
    fn eq(&self, other: &Self) -> bool {
        equal(&self.0, &other.0)
    }
}

impl Eq for ProxySecret {}

impl fmt::Debug for ProxySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxySecret(..)")
    }
}

/// Where a link begins and ends, as its middle server sees it (MPX-01).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    proxy: SocketAddr,
    middle: SocketAddr,
}

/// A link cannot run from one family of addresses to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a link from {proxy} cannot end at {middle}: one is IPv4, the other IPv6")]
pub struct MixedFamilies {
    /// The end of the proxy.
    pub proxy: SocketAddr,
    /// The end of the middle server.
    pub middle: SocketAddr,
}

impl Path {
    /// From a proxy to a middle server. IPv4 in the form of IPv6 is IPv4.
    ///
    /// # Errors
    ///
    /// The addresses are not of one family.
    pub fn new(proxy: SocketAddr, middle: SocketAddr) -> Result<Self, MixedFamilies> {
        let one = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        let (proxy, middle) = (one(proxy), one(middle));
        if proxy.is_ipv4() != middle.is_ipv4() {
            return Err(MixedFamilies { proxy, middle });
        }
        Ok(Self { proxy, middle })
    }

    /// The end of the proxy.
    pub fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// The end of the middle server.
    pub fn middle(&self) -> SocketAddr {
        self.middle
    }
}

/// What both ends drew for one link.
#[derive(Clone, Copy, Debug)]
pub struct Nonces {
    /// By the proxy.
    pub proxy: [u8; 16],
    /// By the middle server.
    pub middle: [u8; 16],
    /// Unix seconds in the first frame of the proxy.
    pub proxy_time: u32,
}

/// The keys of one link, one for each direction.
///
/// Shape:  256 bits of key from MD5 and SHA-1, 128 bits of initialization vector from MD5, over
///         what both ends drew, their addresses and the secret.
/// Source: 15-proxy.md, 8.2.
pub struct Keys {
    to_middle: Key,
    to_proxy: Key,
}

struct Key {
    key: Zeroizing<[u8; 32]>,
    iv: [u8; 16],
}

impl Keys {
    /// The keys of the link that `path` and `nonces` belong to.
    pub fn derive(secret: &ProxySecret, path: &Path, nonces: &Nonces) -> Self {
        let key = |purpose| Key::derive(purpose, secret, path, nonces);
        Self { to_middle: key(b"CLIENT"), to_proxy: key(b"SERVER") }
    }

    /// The chains of the proxy's end.
    pub fn of_proxy(&self) -> (Encrypt, Decrypt) {
        (self.to_middle.encrypt(), self.to_proxy.decrypt())
    }

    /// The chains of the middle server's end.
    pub fn of_middle(&self) -> (Encrypt, Decrypt) {
        (self.to_proxy.encrypt(), self.to_middle.decrypt())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Key {
    fn derive(purpose: &[u8; 6], secret: &ProxySecret, path: &Path, nonces: &Nonces) -> Self {
        let Nonces { proxy, middle, proxy_time } = nonces;
        let (proxy_v4, proxy_v6) = numbers(path.proxy.ip());
        let (middle_v4, middle_v6) = numbers(path.middle.ip());
        let mut text = Zeroizing::new(Vec::with_capacity(TEXT_MAX));
        text.extend_from_slice(middle);
        text.extend_from_slice(proxy);
        text.extend_from_slice(&proxy_time.to_le_bytes());
        text.extend_from_slice(&middle_v4);
        text.extend_from_slice(&path.proxy.port().to_le_bytes());
        text.extend_from_slice(purpose);
        text.extend_from_slice(&proxy_v4);
        text.extend_from_slice(&path.middle.port().to_le_bytes());
        text.extend_from_slice(&secret.0);
        text.extend_from_slice(middle);
        if let (Some(proxy), Some(middle)) = (proxy_v6, middle_v6) {
            text.extend_from_slice(&proxy.octets());
            text.extend_from_slice(&middle.octets());
        }
        text.extend_from_slice(proxy);

        let mut key = Zeroizing::new([0; 32]);
        key[..12].copy_from_slice(&md5(&[&text[1..]])[..12]);
        key[12..].copy_from_slice(&sha1(&[&text]));
        Self { key, iv: md5(&[&text[2..]]) }
    }

    fn encrypt(&self) -> Encrypt {
        Encrypt::new(&self.key, &self.iv)
    }

    fn decrypt(&self) -> Decrypt {
        Decrypt::new(&self.key, &self.iv)
    }
}

/// Nonces and numbers, the longest secret, two addresses: the text never moves in memory.
const TEXT_MAX: usize = 4 * 16 + 22 + 256 + 2 * 16;

/// An address as the number of its IPv4 form, in reversed octets, 0 if it has none; and as IPv6.
fn numbers(address: IpAddr) -> ([u8; 4], Option<Ipv6Addr>) {
    match address {
        IpAddr::V4(address) => (number(address).to_le_bytes(), None),
        IpAddr::V6(address) => ([0; 4], Some(address)),
    }
}

/// An IPv4 address as a number.
pub(super) fn number(address: Ipv4Addr) -> u32 {
    address.to_bits()
}
