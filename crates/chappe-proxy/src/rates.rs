//! How often connections come from one address (PRX-34).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chappe_net::limits::block;

/// Remembers who came lately.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<IpAddr, Recent>>);

/// Connections of one address beyond what time has forgiven.
#[derive(Clone, Copy, Debug)]
struct Recent {
    count: f64,
    at: Duration,
}

/// Addresses remembered before those are forgotten whom time has forgiven.
const REMEMBERED: usize = 10_000;
/// Seconds' worth of connections that may come at once.
const BURST: f64 = 2.0;

impl Rates {
    /// Whether one more connection from there is not too many; `mono` is on the monotonic clock.
    pub(crate) fn admit(&self, address: IpAddr, per_second: u32, mono: Duration) -> bool {
        let rate = f64::from(per_second);
        let mut recents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if recents.len() >= REMEMBERED {
            recents.retain(|_, recent| recent.now(rate, mono) > 0.0);
        }
        let new = Recent { count: 0.0, at: mono };
        let recent = recents.entry(block(address)).or_insert(new);
        let count = recent.now(rate, mono);
        let is_admitted = count + 1.0 <= rate * BURST;
        *recent = Recent { count: if is_admitted { count + 1.0 } else { count }, at: mono };
        is_admitted
    }
}

impl Recent {
    fn now(&self, rate: f64, mono: Duration) -> f64 {
        (self.count - rate * mono.saturating_sub(self.at).as_secs_f64()).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules: PRX-34: each address, or block of IPv6, has a rate of its own.
    #[test]
    fn each_address_has_a_rate_of_its_own() {
        let rates = Rates::default();
        let admit =
            |address: &str, ms| rates.admit(address.parse().unwrap(), 2, Duration::from_millis(ms));
        assert!((0..4).all(|_| admit("192.0.2.1", 0)));
        assert!(!admit("192.0.2.1", 0) && admit("192.0.2.2", 0));
        assert!(!admit("192.0.2.1", 400) && admit("192.0.2.1", 500) && !admit("192.0.2.1", 500));
        assert!((0..4).all(|host| admit(&format!("2001:db8::{host}"), 0)));
        assert!(!admit("2001:db8::ffff", 0) && admit("2001:db8:0:1::", 0));
    }

    #[test]
    fn who_was_forgiven_is_forgotten() {
        let rates = Rates::default();
        for host in 0..3 * REMEMBERED as u32 {
            let mono = Duration::from_millis(host.into());
            assert!(rates.admit(IpAddr::from(host.to_be_bytes()), 2, mono));
        }
        assert!(rates.0.lock().unwrap().len() <= REMEMBERED);
    }
}
