//! Fake TLS: what an observer takes for TLS 1.3, between a client and a proxy that share a secret.
//!
//! Nothing here is encrypted by TLS. A client proves the secret in the random bytes of its
//! ClientHello, a proxy in those of its ServerHello, and the obfuscated stream then travels in
//! records that look like application data. All the rest is decoration (15-proxy §5).
//!
//! | file | holds |
//! | --- | --- |
//! | `hello` | the ClientHello as a proxy reads it |
//! | `greeting` | the ClientHello as a client makes it |
//! | `flight` | the answer: made by a proxy, verified by a client |
//! | `records` | the data phase |

mod flight;
mod greeting;
mod hello;
mod records;

pub use self::flight::{FlightError, Group, Shape, flight, read_flight};
pub use self::greeting::greeting;
pub use self::hello::{ClientHello, Heard, NotHello, asked_domain};
pub use self::records::{
    CHANGE_CIPHER_SPEC, RECORD_HEADER, RECORD_MAX, RecordError, Records, record_header,
};

/// Where the 32 random bytes stand in a hello, of either side, its record header included.
const RANDOM: std::ops::Range<usize> = 11..43;

/// Named groups of TLS that are told apart.
const X25519: u16 = 0x001d;
const X25519_MLKEM768: u16 = 0x11ec;

/// Extensions that are read or written.
const SERVER_NAME: u16 = 0x0000;
const KEY_SHARE: u16 = 0x0033;
const SUPPORTED_VERSIONS: u16 = 0x002b;
