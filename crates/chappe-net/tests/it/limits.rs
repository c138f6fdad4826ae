//! Bounds on connections.

use std::net::IpAddr;

use chappe_net::limits::{ConnectionLimits, Connections};

/// Rule:   a connection over the limit, in all or of one address, is refused, and counts again
///         once another is closed.
/// Source: SEC-47.
#[test]
fn connections_over_the_limit_are_refused() {
    let mut limits = ConnectionLimits::default();
    limits.total_max = 3;
    limits.per_address_max = 2;
    let connections = Connections::new(limits);
    let first = connections.admit(ip("10.0.0.1")).unwrap();
    let _second = connections.admit(ip("10.0.0.1")).unwrap();
    assert!(connections.admit(ip("10.0.0.1")).is_none());
    let _third = connections.admit(ip("10.0.0.2")).unwrap();
    assert!(connections.admit(ip("10.0.0.3")).is_none());
    drop(first);
    assert!(connections.admit(ip("10.0.0.1")).is_some());
    assert_eq!(connections.len(), 2);
}

/// A subscriber has a whole /64: the addresses in it count as one.
#[test]
fn addresses_of_one_subscriber_count_together() {
    let mut limits = ConnectionLimits::default();
    limits.per_address_max = 1;
    let connections = Connections::new(limits);
    let _first = connections.admit(ip("2001:db8::1")).unwrap();
    assert!(connections.admit(ip("2001:db8::ffff:2")).is_none());
    assert!(connections.admit(ip("2001:db8:0:1::1")).is_some());
    let _mapped = connections.admit(ip("::ffff:10.0.0.1")).unwrap();
    assert!(connections.admit(ip("10.0.0.1")).is_none());
    assert!(connections.admit(ip("::ffff:10.0.0.2")).is_some());
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}
