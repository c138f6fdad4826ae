//! Who does too much of what costs something, or guesses: `FLOOD_WAIT_X`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chappe_proto::rpc::RpcError;
use chappe_server::Caller;
use tracing::warn;

use crate::Service;
use crate::error::Failure;
use crate::phone::Phone;

/// What was done lately, and by whom. In memory: a restart forgives.
#[derive(Debug, Default)]
pub(crate) struct Floods(Mutex<HashMap<Deed, Count>>);

/// What is counted of whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    /// A code was sent to a number …
    CodeTo(String),
    /// … because somebody at this address wanted it.
    CodeFor(Source),
    /// A code, a password or a token was wrong that came from there.
    WrongFrom(Source),
    /// A code of this number was wrong.
    WrongOf(String),
}

/// Who connects: an address, or the network that one household has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source(IpAddr);

#[derive(Clone, Copy, Debug)]
struct Count {
    begun: Duration,
    times: u32,
}

/// How long something is held against whoever did it.
const WINDOW: Duration = Duration::from_secs(3600);
/// Deeds remembered. Strangers can make us hold this much; once there are so many that are not
/// over, all are forgiven.
const DEEDS_MAX: usize = 100_000;

impl Source {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 => v4,
        })
    }
}

impl Floods {
    /// Counts a deed, unless it was done `max` times within the hour.
    pub(crate) fn count(&self, deed: Deed, max: u32, now: Duration) -> Result<(), Failure> {
        self.check(&deed, max, now)?;
        let mut deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if deeds.len() >= DEEDS_MAX && !deeds.contains_key(&deed) {
            deeds.retain(|_, count| count.begun + WINDOW > now);
            if deeds.len() >= DEEDS_MAX {
                warn!("too many sources of floods to remember: all are forgiven");
                deeds.clear();
            }
        }
        let count = deeds.entry(deed).or_insert(Count { begun: now, times: 0 });
        if count.begun + WINDOW <= now {
            *count = Count { begun: now, times: 0 };
        }
        count.times += 1;
        Ok(())
    }

    /// Whether a deed was done less than `max` times within the hour.
    pub(crate) fn check(&self, deed: &Deed, max: u32, now: Duration) -> Result<(), Failure> {
        let deeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match deeds.get(deed) {
            Some(count) if count.begun + WINDOW > now && count.times >= max => {
                let wait = (count.begun + WINDOW - now).as_secs().max(1);
                Err(Failure::Rpc(RpcError::new(420, format!("FLOOD_WAIT_{wait}"))))
            }
            _ => Ok(()),
        }
    }
}

impl Service {
    /// Whether whoever calls may guess once more: a code of this number, a password or a token.
    pub(crate) fn check_guesses(&self, caller: &Caller, of: Option<&Phone>) -> Result<(), Failure> {
        let (now, config) = (caller.now.mono, &self.config);
        let from = Deed::WrongFrom(Source::of(caller.peer.ip()));
        self.floods.check(&from, config.wrong_of_address_max, now)?;
        let Some(phone) = of else { return Ok(()) };
        let of = Deed::WrongOf(phone.digits().to_owned());
        self.floods.check(&of, config.wrong_of_number_max, now)
    }

    /// Notes that a guess was wrong.
    pub(crate) fn note_wrong(&self, caller: &Caller, of: Option<&Phone>) {
        let from = Deed::WrongFrom(Source::of(caller.peer.ip()));
        let of = of.map(|phone| Deed::WrongOf(phone.digits().to_owned()));
        for deed in std::iter::once(from).chain(of) {
            // Whether it was one too many is said to the next.
            let _ = self.floods.count(deed, u32::MAX, caller.now.mono);
        }
    }

    /// Counts a code that somebody wants for a number, unless there were too many.
    pub(crate) fn count_code(&self, caller: &Caller, phone: &Phone) -> Result<(), Failure> {
        let (now, config) = (caller.now.mono, &self.config);
        let from = Deed::CodeFor(Source::of(caller.peer.ip()));
        self.floods.count(from, config.codes_of_address_max, now)?;
        let to = Deed::CodeTo(phone.digits().to_owned());
        self.floods.count(to, config.codes_of_number_max, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule:   what was done too often waits for the end of the hour in which it was begun; one
    ///         household counts as one, others are not affected.
    /// Source: ACC-05, 20-telegram-api-service §2.1, `FLOOD_WAIT_X`.
    #[test]
    fn flood_lasts_until_its_hour_is_over() {
        let floods = Floods::default();
        let deed = |address: &str| Deed::CodeFor(Source::of(address.parse().unwrap()));
        let at = |seconds| Duration::from_secs(seconds);
        for second in [10, 20] {
            floods.count(deed("2001:db8::1"), 2, at(second)).unwrap();
        }
        let Err(Failure::Rpc(error)) = floods.count(deed("2001:db8::2"), 2, at(3000)) else {
            panic!("a third")
        };
        assert_eq!((error.code, error.message.as_str()), (420, "FLOOD_WAIT_610"));
        floods.count(deed("2001:db8:0:1::1"), 2, at(3000)).unwrap();
        floods.count(deed("192.0.2.1"), 1, at(3000)).unwrap();
        assert!(floods.check(&deed("::ffff:192.0.2.1"), 1, at(3001)).is_err());
        floods.count(deed("2001:db8::2"), 2, at(3610)).unwrap();
    }
}
