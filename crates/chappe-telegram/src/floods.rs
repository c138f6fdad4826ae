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
    /// Somebody wanted the code of this test number.
    TestCode(String),
    /// An account asked who has a number.
    Lookup(i64),
}

/// Who connects: an address, or a network by its first so many bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source(IpAddr, u8);

/// A deed was done too often: the seconds until it may be done again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flood(u64);

#[derive(Clone, Copy, Debug)]
struct Count {
    begun: Duration,
    times: u32,
    max: u32,
}

/// How long something is held against whoever did it.
const WINDOW: Duration = Duration::from_secs(3600);
/// Deeds remembered. Strangers can make us hold this much.
const DEEDS_MAX: usize = 100_000;
/// Deeds forgotten at once where there are more. Finding them takes a look at all.
const FORGOTTEN: usize = DEEDS_MAX / 8;
/// How much more a network of 48 bits may do than a household in it: so much that 65,536 of those
/// are no way around the bounds.
const NETWORK_FACTOR: u32 = 16;

impl Source {
    /// The address itself, or the household that it is in.
    pub(crate) fn household_of(address: IpAddr) -> Self {
        Self::networks_of(address).0
    }

    /// Where an address counts, and how much more it may do there: by itself, or with IPv6 as the
    /// household of the first 64 bits and the network of the first 48.
    pub(crate) fn of(address: IpAddr) -> impl Iterator<Item = (Self, u32)> {
        let (near, far) = Self::networks_of(address);
        std::iter::once((near, 1)).chain(far.map(|far| (far, NETWORK_FACTOR)))
    }

    fn networks_of(address: IpAddr) -> (Self, Option<Self>) {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                let network = |d| Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into();
                (Self(network(d), 64), Some(Self(network(0), 48)))
            }
            v4 => (Self(v4, 32), None),
        }
    }
}

impl Count {
    /// Who goes first is the least loss to forget: far from its bound, or else soon over.
    fn weight(&self) -> (bool, u32, Duration) {
        (self.times >= self.max, self.times, self.begun)
    }

    /// Seconds for which a deed is refused that was done too often.
    fn wait(&self, max: u32, now: Duration) -> Option<u64> {
        let over = self.begun + WINDOW;
        (over > now && self.times >= max).then(|| (over - now).as_secs().max(1))
    }
}

impl Floods {
    /// Counts deeds so many times each, unless one of them would have been done more than its bound
    /// within the hour.
    pub(crate) fn count(
        &self,
        deeds: &[(Deed, u32)],
        times: u32,
        now: Duration,
    ) -> Result<(), Flood> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (deed, max) in deeds {
            // As if they were done one by one: the last of them is to be within the bound.
            let most = max.saturating_sub(times.saturating_sub(1));
            let wait = match counts.get(deed) {
                Some(count) => count.wait(most, now),
                None => (most == 0 && *max > 0).then(|| WINDOW.as_secs()),
            };
            if let Some(wait) = wait {
                return Err(Flood(wait));
            }
        }
        for (deed, max) in deeds {
            if counts.len() >= DEEDS_MAX && !counts.contains_key(deed) {
                make_room(&mut counts, now);
            }
            let fresh = Count { begun: now, times: 0, max: *max };
            let count = counts.entry(deed.clone()).or_insert(fresh);
            if count.begun + WINDOW <= now {
                *count = fresh;
            }
            count.times = count.times.saturating_add(times);
        }
        Ok(())
    }

    /// Whether each deed was done less often than its bound within the hour.
    pub(crate) fn check(&self, deeds: &[(Deed, u32)], now: Duration) -> Result<(), Flood> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |(deed, max): &(Deed, u32)| counts.get(deed)?.wait(*max, now);
        deeds.iter().find_map(wait).map_or(Ok(()), |wait| Err(Flood(wait)))
    }
}

/// Forgets what is over; where that is too little, what weighs least. Whoever is at a bound stays
/// there as long as there is anybody who is not: nobody gets new tries by the deeds of others.
fn make_room(counts: &mut HashMap<Deed, Count>, now: Duration) {
    counts.retain(|_, count| count.begun + WINDOW > now);
    if counts.len() < DEEDS_MAX {
        return;
    }
    warn!("too many sources of floods to remember all");
    let mut weights: Vec<_> = counts.values().map(Count::weight).collect();
    let (_, heaviest, _) = weights.select_nth_unstable(FORGOTTEN);
    let mut left = FORGOTTEN;
    counts.retain(|_, count| {
        let goes = left > 0 && count.weight() <= *heaviest;
        left -= usize::from(goes);
        !goes
    });
}

impl Flood {
    /// As an error whose name is this and the seconds.
    fn named(self, name: &str) -> Failure {
        Failure::Rpc(RpcError::new(420, format!("{name}{}", self.0)))
    }
}

impl From<Flood> for Failure {
    fn from(flood: Flood) -> Self {
        flood.named("FLOOD_WAIT_")
    }
}

impl Service {
    /// Whether whoever calls may guess once more: a code of this number, a password or a token.
    pub(crate) fn check_guesses(&self, caller: &Caller, of: Option<&Phone>) -> Result<(), Failure> {
        Ok(self.floods.check(&self.guesses(caller, of), caller.now.mono)?)
    }

    /// Notes that a guess was wrong.
    pub(crate) fn note_wrong(&self, caller: &Caller, of: Option<&Phone>) {
        for deed in self.guesses(caller, of) {
            // Whether it was one too many is said to the next.
            let _ = self.floods.count(&[deed], 1, caller.now.mono);
        }
    }

    fn guesses(&self, caller: &Caller, of: Option<&Phone>) -> Vec<(Deed, u32)> {
        let mut deeds = from(caller, Deed::WrongFrom, self.config.wrong_of_address_max);
        let of = of.map(|phone| Deed::WrongOf(phone.digits().to_owned()));
        deeds.extend(of.map(|of| (of, self.config.wrong_of_number_max)));
        deeds
    }

    /// Counts a code that somebody wants for a test number (ACC-01).
    pub(crate) fn count_test_code(&self, caller: &Caller, phone: &Phone) -> Result<(), Failure> {
        let deed = Deed::TestCode(phone.digits().to_owned());
        let counted = self.floods.count(&[(deed, self.config.test_codes_max)], 1, caller.now.mono);
        counted.map_err(|flood| flood.named("FLOOD_TEST_PHONE_WAIT_"))
    }

    /// Counts a code that somebody wants for a number, unless there were too many.
    pub(crate) fn count_code(&self, caller: &Caller, phone: &Phone) -> Result<(), Failure> {
        let mut deeds = from(caller, Deed::CodeFor, self.config.codes_of_address_max);
        let to = Deed::CodeTo(phone.digits().to_owned());
        deeds.push((to, self.config.codes_of_number_max));
        Ok(self.floods.count(&deeds, 1, caller.now.mono)?)
    }

    /// Counts numbers whose owners an account asks for, unless there were too many: the directory
    /// is not to be read from end to end.
    pub(crate) fn count_lookups(
        &self,
        caller: &Caller,
        me: i64,
        numbers: usize,
    ) -> Result<(), Failure> {
        let times = u32::try_from(numbers).unwrap_or(u32::MAX);
        let deed = (Deed::Lookup(me), self.config.lookups_max);
        Ok(self.floods.count(&[deed], times, caller.now.mono)?)
    }
}

/// What a caller does, wherever it counts, with the bounds of it.
fn from(caller: &Caller, deed: impl Fn(Source) -> Deed, max: u32) -> Vec<(Deed, u32)> {
    let sources = Source::of(caller.peer.ip());
    sources.map(|(source, factor)| (deed(source), max.saturating_mul(factor))).collect()
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
        let deed = |address: &str, max| {
            let (near, _) = Source::of(address.parse().unwrap()).next().unwrap();
            [(Deed::CodeFor(near), max)]
        };
        for second in [10, 20] {
            floods.count(&deed("2001:db8::1", 2), 1, at(second)).unwrap();
        }
        let third = floods.count(&deed("2001:db8::2", 2), 1, at(3000)).map_err(Failure::from);
        let Err(Failure::Rpc(error)) = third else { panic!("a third") };
        assert_eq!((error.code, error.message.as_str()), (420, "FLOOD_WAIT_610"));
        floods.count(&deed("2001:db8:0:1::1", 2), 1, at(3000)).unwrap();
        floods.count(&deed("192.0.2.1", 1), 1, at(3000)).unwrap();
        assert!(floods.check(&deed("::ffff:192.0.2.1", 1), at(3001)).is_err());
        floods.count(&deed("2001:db8::2", 2), 1, at(3610)).unwrap();
    }

    /// Rule:   what is done many times at once counts as that, and is done as a whole or not.
    /// Source: 20-telegram-api-service §2.1, `FLOOD_WAIT_X`.
    #[test]
    fn many_at_once_count_as_many() {
        let floods = Floods::default();
        let deed = [(Deed::WrongOf("1".to_owned()), 10)];
        floods.count(&deed, 7, at(0)).unwrap();
        assert!(floods.count(&deed, 4, at(1)).is_err());
        floods.count(&deed, 3, at(1)).unwrap();
        assert!(floods.count(&deed, 1, at(1)).is_err());
    }

    /// Rule:   who did too much stays refused, whatever others do to fill the memory of deeds; what
    ///         is forgotten is what was done least.
    /// Source: ACC-11, 20-telegram-api-service §2.1, `FLOOD_WAIT_X`.
    #[test]
    fn flood_of_deeds_forgives_nobody_at_a_bound() {
        let floods = Floods::default();
        let guess = |number: usize| [(Deed::WrongOf(number.to_string()), 3)];
        floods.count(&guess(0), 3, at(0)).unwrap();
        floods.count(&guess(1), 2, at(0)).unwrap();
        for number in 2..DEEDS_MAX + 1000 {
            floods.count(&guess(number), 1, at(1)).unwrap();
        }
        assert!(floods.0.lock().unwrap().len() <= DEEDS_MAX);
        assert!(floods.check(&guess(0), at(2)).is_err());
        floods.count(&guess(1), 1, at(2)).unwrap();
        assert!(floods.check(&guess(1), at(2)).is_err(), "two before it were not forgotten");
    }

    /// Rule:   the households of one network are not each a new one without end.
    /// Source: ACC-11, 20-telegram-api-service §2.1, `FLOOD_WAIT_X`.
    #[test]
    fn network_of_many_households_has_a_bound() {
        let floods = Floods::default();
        let deeds = |household: u16| {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, household, 0, 0, 0, 1);
            let sources = Source::of(address.into());
            sources.map(|(source, factor)| (Deed::CodeFor(source), 2 * factor)).collect::<Vec<_>>()
        };
        for household in 0..16 {
            floods.count(&deeds(household), 2, at(0)).unwrap();
        }
        assert!(floods.count(&deeds(16), 1, at(0)).is_err());
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }
}
