//! An MTProto proxy: recognises its users, shows strangers a web site, relays the rest.
//!
//! ```text
//! accept ─▶ front: whose connection? ─┬─ a user's ──▶ upstream ──▶ relay ◀──▶ data centre
//!                                     └─ nobody's ──▶ mask ──────▶ relay ◀──▶ web site
//! ```
//!
//! The proxy holds no key of MTProto and could read nothing of what passes: it knows who comes, how
//! much he sends, and to which data centre.
//!
//! | file | holds |
//! | --- | --- |
//! | `config/`, `centres` | settings; where the data centres are |
//! | `policy` | the settings as connections see them, replaced as a whole by a reload |
//! | `server`, `accept`, `connection` | begin and stop; accept; recognise, hand on |
//! | `front`, `seen`, `keys` | whose connection, from its first bytes; greetings that came before, and their memory |
//! | `mask`, `site`, `measure` | what strangers see; how the sites answer, and how that is found out |
//! | `upstream/` | what an upstream is, and each of them |
//! | `relay`, `coding`, `memory` | bytes both ways with bounds; what is done to them; what waits |
//! | `users/`, `bucket`, `calendar`, `rates` | who is here, how fast, how much, how often |
//! | `seldom` | what strangers can have the log say |
//! | `state`, `handover/` | what outlives the process; another process takes over from a running one |
//! | `metrics`, `totals` | counters; what they say of the whole proxy |

mod accept;
mod bucket;
mod calendar;
mod centres;
mod coding;
mod config;
mod connection;
mod front;
mod handover;
mod keys;
mod mask;
mod measure;
mod memory;
mod metrics;
mod policy;
mod rates;
mod relay;
mod seen;
mod seldom;
mod server;
mod shared;
mod site;
mod state;
mod totals;
mod upstream;
mod users;

pub use centres::Centres;
pub use config::{
    AccessConfig, ConfigError, DirectConfig, Domain, Family, HelloConfig, MiddleConfig, Modes,
    ProxyConfig, Quota, RecordShape, RelayConfig, SiteAddress, StrangersConfig, TIME_MAX,
    UnknownDomain, UserConfig,
};
pub use handover::{Charge, HandoverError, Predecessor, Socket};
pub use mask::{NoSite, visit};
pub use measure::{Site, Unsuitable, measure};
pub use metrics::Fetched;
pub use seldom::Seldom;
pub use server::{Handle, Proxy, ProxyError, Serve};
pub use totals::Totals;
pub use upstream::try_link;
pub use users::UserStatistics;
