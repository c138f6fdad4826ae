//! What is published for proxies of middle servers, where it is fetched: at the first start, and
//! then as often as the settings say, by the process in charge alone.
//!
//! | file | holds |
//! | --- | --- |
//! | `fetch` | fetching one of them |
//! | `store` | what was fetched last, in memory and in the state folder |

mod fetch;
mod store;

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Error, Result, anyhow};
use chappe_proxy::{Charge, Fetched, Handle, Seldom};
use futures_util::future::join_all;
use tokio::time::sleep;
use tracing::{info, warn};

pub(super) use self::fetch::{NotFetched, fetch};
pub(crate) use self::store::Store;
use super::live::Live;
use crate::config::lists::{Lists, Role};
use crate::config::proxy::ProxySettings;
use crate::config::upstream::{Fetch, MiddlePlan};
use crate::web::WebAddress;

/// Waits after failures in a row: the first, and the longest.
const WAIT_MIN: Duration = Duration::from_secs(10);
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// One of the addresses, and what came from it.
type Answer<'a> = (Role, &'a WebAddress, Result<Vec<u8>, NotFetched>);

/// Completes settings with what is kept; what is not is fetched.
///
/// # Errors
///
/// It cannot be, and clients are not to be served without it.
pub(super) async fn complete(settings: &mut ProxySettings, store: &Store) -> Result<()> {
    let mut lists = Lists::clone(&store.lists());
    if settings.fill(&lists)? {
        return Ok(());
    }
    let Some(plan) = settings.middle.clone() else { return Ok(()) };
    let Some(fetch) = &plan.fetch else { return Ok(()) };
    for (role, address, content) in fetch_all(fetch).await {
        match content {
            Ok(content) => drop(lists.put(role, address, now(), content)),
            Err(error) if plan.direct_instead => {
                warn!(%address, %error, "clients are served straight from their data centres");
            }
            Err(error) => return Err(advise(role, address, &error)),
        }
    }
    settings.fill(&lists)?;
    store.put(lists);
    Ok(())
}

fn advise(role: Role, address: &WebAddress, error: &NotFetched) -> Error {
    let name = role.name();
    anyhow!(
        "cannot fetch {address}: {error}; nothing is known of middle servers without it: open the \
         way there, name a `middle.fetch-proxy`, or a file as `middle.{name}`, or serve clients \
         straight meanwhile by `middle.direct-instead = true`"
    )
}

/// Fetches what the settings in use say, whenever it is time to, as soon as this process is in
/// charge; what is new is put in use.
pub(super) async fn keep(live: Arc<Live>) {
    live.handle().reached(Charge::Held).await;
    let mut changes = live.changes();
    let (seldom, begun) = (Seldom::default(), Instant::now());
    let mut failures = Failures::default();
    // What was fetched for the start is not written yet: until now the folder was another's.
    live.save_fetched().await;
    loop {
        let in_use = Arc::clone(&changes.borrow_and_update());
        let plan = in_use.settings.middle.as_ref();
        let fetch = plan.and_then(|plan| {
            let fetch = plan.fetch.as_ref()?;
            failures.are_of(fetch);
            Some((fetch, age(live.handle(), plan, &live.fetched())))
        });
        let due = async {
            match fetch {
                Some((fetch, age)) => sleep(failures.wait(fetch, age, Instant::now())).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            changed = changes.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        }
        if let Some((fetch, _)) = fetch {
            let is_well = renew(&live, fetch, |kind| seldom.admit(kind, begun.elapsed())).await;
            failures.count(is_well, Instant::now());
        }
    }
}

/// Fetches once, and puts in use what is new; whether all of it was to be had. `admit` bounds the log.
async fn renew(live: &Arc<Live>, how: &Fetch, admit: impl Fn(&'static str) -> Option<u64>) -> bool {
    let answers = fetch_all(how).await;
    let mut lists = Lists::clone(&live.fetched());
    let mut is_well = true;
    for (role, address, content) in answers {
        let outcome = match content {
            Ok(content) => match lists.put(role, address, now(), content) {
                true => {
                    info!(%address, "fetched something new");
                    Fetched::Changed
                }
                false => Fetched::Same,
            },
            Err(error) => {
                is_well = false;
                if let Some(left_out) = admit("fetch") {
                    warn!(%address, %error, left_out, "not fetched; what is known stays in use");
                }
                error.outcome()
            }
        };
        live.handle().middle_fetched(outcome);
    }
    live.put_fetched(lists).await && is_well
}

async fn fetch_all(how: &Fetch) -> Vec<Answer<'_>> {
    let each = how
        .addresses
        .iter()
        .map(|(role, address)| async move { (*role, address, fetch(how, *role, address).await) });
    join_all(each).await
}

/// How old the older of the two is; `None` where one is not known, or a clock was wrong.
fn age(handle: &Handle, plan: &MiddlePlan, lists: &Lists) -> Option<Duration> {
    let fetched = plan.fetched(lists);
    handle.middle_is_of(fetched.unwrap_or_default());
    now().checked_sub(fetched?).map(Duration::from_secs)
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Times in a row that something was not to be had.
#[derive(Default)]
struct Failures {
    of: Vec<(Role, WebAddress)>,
    count: u32,
    last: Option<Instant>,
}

impl Failures {
    /// Others say nothing of other addresses.
    fn are_of(&mut self, fetch: &Fetch) {
        if self.of != fetch.addresses {
            *self = Self { of: fetch.addresses.clone(), ..Self::default() };
        }
    }

    fn count(&mut self, is_well: bool, now: Instant) {
        self.count = if is_well { 0 } else { self.count.saturating_add(1) };
        self.last = Some(now);
    }

    /// Time until the next fetching of what is so old.
    fn wait(&self, fetch: &Fetch, age: Option<Duration>, now: Instant) -> Duration {
        match (self.count, self.last) {
            (0, _) | (_, None) => {
                age.map_or(Duration::ZERO, |age| fetch.interval.saturating_sub(age))
            }
            (count, Some(last)) => {
                let wait = WAIT_MIN.saturating_mul(1 << (count - 1).min(16));
                let wait = wait.min(WAIT_MAX).min(fetch.interval);
                wait.saturating_sub(now.saturating_duration_since(last))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chappe_net::connect::Authorities;

    use super::*;

    /// Rule:   what is known is fetched again after the interval, what is not at once; after a
    ///         failure sooner, and later with each, up to an hour.
    /// Source: 15-proxy.md, section 8.
    #[test]
    fn failures_put_the_next_fetching_off() {
        let day = Duration::from_secs(86_400);
        let fetch = |address: &str, interval| Fetch {
            addresses: vec![(Role::Secret, address.parse().unwrap())],
            authorities: Authorities::public(),
            proxy: None,
            interval,
        };
        let here = fetch("https://a.example/", day);
        let (begun, mut failures) = (Instant::now(), Failures::default());
        failures.are_of(&here);
        let wait = |failures: &Failures, fetch: &Fetch, age| failures.wait(fetch, age, begun);
        assert_eq!(wait(&failures, &here, None), Duration::ZERO);
        assert_eq!(wait(&failures, &here, Some(day / 4)), day * 3 / 4);
        assert_eq!(wait(&failures, &here, Some(day * 2)), Duration::ZERO);
        let mut waits = Vec::new();
        for _ in 0..40 {
            failures.count(false, begun);
            waits.push(wait(&failures, &here, None).as_secs());
        }
        assert_eq!((&waits[..4], waits[39]), (&[10, 20, 40, 80][..], 3600));
        // Other settings in between put nothing off.
        let later = begun + Duration::from_secs(3000);
        assert_eq!(failures.wait(&here, None, later).as_secs(), 600);
        let often = fetch("https://a.example/", Duration::from_secs(2));
        assert_eq!(wait(&failures, &often, None).as_secs(), 2);
        failures.are_of(&fetch("https://b.example/", day));
        assert_eq!(wait(&failures, &here, None), Duration::ZERO);
        failures.count(false, begun);
        failures.count(true, begun);
        assert_eq!(wait(&failures, &here, Some(Duration::ZERO)), day);
    }
}
