//! Primes that need no test: the published one, and those that passed the test in this process.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crypto_bigint::{Odd, U2048};

use crate::modexp::Modulus;

type Prime = Arc<Modulus<{ U2048::LIMBS }>>;

/// The prime that Telegram's servers have always sent.
pub(super) fn published() -> Prime {
    PUBLISHED.clone()
}

/// The prime equal to `number`, if it is known to be good.
pub(super) fn find(number: &U2048) -> Option<Prime> {
    if PUBLISHED.value() == number {
        return Some(published());
    }
    lock().iter().find(|prime| prime.value() == number).cloned()
}

/// Remembers a prime that passed every test.
pub(super) fn remember(prime: Odd<U2048>) -> Prime {
    let prime = Arc::new(Modulus::new(prime));
    let mut tested = lock();
    if tested.len() == TESTED_MAX {
        tested.remove(0);
    }
    tested.push(prime.clone());
    prime
}

fn lock() -> std::sync::MutexGuard<'static, Vec<Prime>> {
    // The list is whole between any two statements that hold the lock.
    TESTED.lock().unwrap_or_else(PoisonError::into_inner)
}

static PUBLISHED: LazyLock<Prime> =
    LazyLock::new(|| Arc::new(Modulus::new(Odd::from_be_hex(PUBLISHED_HEX))));

static TESTED: Mutex<Vec<Prime>> = Mutex::new(Vec::new());

/// Most primes remembered. A client meets one or two in its life.
const TESTED_MAX: usize = 16;

const PUBLISHED_HEX: &str = "\
    C71CAEB9C6B1C9048E6C522F70F13F73980D40238E3E21C14934D037563D930F48198A0AA7C14058\
    229493D22530F4DBFA336F6E0AC925139543AED44CCE7C3720FD51F69458705AC68CD4FE6B6B13AB\
    DC9746512969328454F18FAF8C595F642477FE96BB2A941D5BCD1D4AC8CC49880708FA9B378E3C4F\
    3A9060BEE67CF9A4A4A695811051907E162753B56B0F6B410DBA74D8A84B2A14B3144E0EF1284754\
    FD17ED950D5965B4B9DD46582DB1178D169C6BC465B0D6FF9CA3928FEF5B9AE4E418FC15E83EBEA0\
    F87FA9FF5EED70050DED2849F47BF959D956850CE929851F0D8115F635B105EE2E4E15D04B2454BF\
    6F4FADF034B10403119CD8E3B92FCC5B";
