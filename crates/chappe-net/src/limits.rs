//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bounds on connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// Connections in all. Default: 100 000. An idle one costs about 4 KiB and a descriptor.
    pub total_max: usize,
    /// Connections of one IPv4 address, or of one IPv6 /64, which is what one stranger has at
    /// least. Default: 1000; many people may share one address.
    pub per_address_max: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { total_max: 100_000, per_address_max: 1000 }
    }
}

/// Counts open connections. Clones count together.
#[derive(Clone, Debug)]
pub struct Connections {
    open: Arc<Mutex<Open>>,
}

#[derive(Debug)]
struct Open {
    limits: ConnectionLimits,
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One counted connection; it counts until dropped.
#[derive(Debug)]
pub struct Permit {
    open: Arc<Mutex<Open>>,
    /// Absent until it is known on whose behalf the connection is.
    address: Option<IpAddr>,
}

impl Connections {
    /// None is open.
    pub fn new(limits: ConnectionLimits) -> Self {
        let open = Open { limits, total: 0, by_address: HashMap::new() };
        Self { open: Arc::new(Mutex::new(open)) }
    }

    /// Bounds those that come from now on; whoever is here stays.
    pub fn set_limits(&self, limits: ConnectionLimits) {
        lock(&self.open).limits = limits;
    }

    /// Counts a connection from `address`; `None` where that would be one too many.
    pub fn admit(&self, address: IpAddr) -> Option<Permit> {
        let mut permit = self.admit_unknown()?;
        self.attribute(&mut permit, address).then_some(permit)
    }

    /// Counts a connection of somebody who will say on whose behalf it is; `None` where that would
    /// be one too many in all.
    pub fn admit_unknown(&self) -> Option<Permit> {
        let mut open = lock(&self.open);
        if open.total >= open.limits.total_max {
            return None;
        }
        open.total += 1;
        Some(Permit { open: Arc::clone(&self.open), address: None })
    }

    /// Counts the connection as one from `address`; `false` where that would be one too many.
    pub fn attribute(&self, permit: &mut Permit, address: IpAddr) -> bool {
        let address = block(address);
        let mut open = lock(&self.open);
        let of_address = open.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= open.limits.per_address_max {
            return false;
        }
        open.by_address.insert(address, of_address + 1);
        if let Some(before) = permit.address.replace(address) {
            open.leave(before);
        }
        true
    }

    /// Connections counted.
    pub fn len(&self) -> usize {
        lock(&self.open).total
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        open.total -= 1;
        if let Some(address) = self.address {
            open.leave(address);
        }
    }
}

impl Open {
    fn leave(&mut self, address: IpAddr) {
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

/// The block of addresses that one subscriber has at least: limits by address go by it. IPv4 in the
/// form of IPv6 is IPv4.
pub fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

/// The counts stay true whatever panicked elsewhere while they were held.
fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
