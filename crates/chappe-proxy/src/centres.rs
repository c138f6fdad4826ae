//! Where the data centres are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use chappe_net::connect::Endpoint;

use crate::config::Family;

/// Addresses of data centres, by the number that a client asks for: negative for media alone,
/// above 10 000 for the test network.
#[derive(Clone, Debug)]
pub struct Centres(BTreeMap<i32, Vec<Endpoint>>);

impl Centres {
    /// None.
    pub fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Telegram's own, as everybody knows them (15-proxy §4).
    pub fn telegram() -> Self {
        let mut centres = Self::none();
        for (dc, v4, v6) in PRODUCTION {
            let addresses = v4.iter().copied().map(IpAddr::V4).chain([IpAddr::V6(v6)]);
            centres.set(dc, addresses.map(|ip| at(ip, 443)).collect());
        }
        for (dc, v4) in TEST {
            centres.set(dc, [443, 80].map(|port| at(v4.into(), port)).to_vec());
        }
        centres
    }

    /// Says where one is, whatever was said before.
    pub fn set(&mut self, dc: i32, addresses: Vec<Endpoint>) {
        self.0.insert(dc, addresses);
    }

    /// Where the one is that a client asks for: those for media alone are looked for at their own
    /// address, then at that of the whole. `None` where it is not known.
    pub fn find(&self, dc: i16) -> Option<&[Endpoint]> {
        // Wider than what the client wrote: none of its numbers has no opposite (OBF-15).
        let dc = i32::from(dc);
        let found = self.0.get(&dc).or_else(|| self.0.get(&dc.abs()));
        found.filter(|addresses| !addresses.is_empty()).map(Vec::as_slice)
    }

    /// The numbers, in their order.
    pub fn numbers(&self) -> impl Iterator<Item = i32> {
        self.0.keys().copied()
    }
}

impl Default for Centres {
    fn default() -> Self {
        Self::telegram()
    }
}

impl Family {
    /// The addresses to try, in their order. Names count as of either family.
    pub(crate) fn order(self, addresses: &[Endpoint]) -> Vec<Endpoint> {
        let is_v6 = |address: &Endpoint| address.ip().map(|ip| ip.is_ipv6());
        let fits = |address: &&Endpoint| match self {
            Self::PreferV4 | Self::PreferV6 => true,
            Self::OnlyV4 => is_v6(address) != Some(true),
            Self::OnlyV6 => is_v6(address) != Some(false),
        };
        let mut ordered: Vec<Endpoint> = addresses.iter().filter(fits).cloned().collect();
        let last = self == Self::PreferV4;
        ordered.sort_by_key(|address| is_v6(address).unwrap_or(!last) == last);
        ordered
    }
}

fn at(ip: IpAddr, port: u16) -> Endpoint {
    SocketAddr::new(ip, port).into()
}

const PRODUCTION: [(i32, &[Ipv4Addr], Ipv6Addr); 6] = [
    (1, &[Ipv4Addr::new(149, 154, 175, 50)], v6([0x2001, 0xb28, 0xf23d, 0xf001, 0, 0, 0, 0xa])),
    (
        2,
        &[Ipv4Addr::new(149, 154, 167, 51), Ipv4Addr::new(95, 161, 76, 100)],
        v6([0x2001, 0x67c, 0x4e8, 0xf002, 0, 0, 0, 0xa]),
    ),
    (3, &[Ipv4Addr::new(149, 154, 175, 100)], v6([0x2001, 0xb28, 0xf23d, 0xf003, 0, 0, 0, 0xa])),
    (4, &[Ipv4Addr::new(149, 154, 167, 91)], v6([0x2001, 0x67c, 0x4e8, 0xf004, 0, 0, 0, 0xa])),
    (5, &[Ipv4Addr::new(149, 154, 171, 5)], v6([0x2001, 0xb28, 0xf23f, 0xf005, 0, 0, 0, 0xa])),
    (
        203,
        &[Ipv4Addr::new(91, 105, 192, 100)],
        v6([0x2a0a, 0xf280, 0x203, 0xa, 0x5000, 0, 0, 0x100]),
    ),
];
const TEST: [(i32, Ipv4Addr); 3] = [
    (10_001, Ipv4Addr::new(149, 154, 175, 10)),
    (10_002, Ipv4Addr::new(149, 154, 167, 40)),
    (10_003, Ipv4Addr::new(149, 154, 175, 117)),
];

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8]) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, d, e, f, g, h)
}
