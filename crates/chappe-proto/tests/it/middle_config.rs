//! The published list of middle servers.

use std::time::Duration;

use chappe_proto::middle::config::{Endpoint, MiddleServers, Problem};

/// Rule:   what is published is read: servers by data centre, the default for those that are not
///         listed, hints for the number of links.
/// Source: 15-proxy.md, section 8, "Config grammar".
#[test]
fn published_list_is_read() {
    let text = "# force_probability 10 10\n\
        default 2;\n\
        proxy_for 1 149.154.175.50:8888;\n\
        proxy_for -1 149.154.175.50:8888;\n\
        proxy_for 2 149.154.162.38:80;proxy_for 2 149.154.162.33:80; # two\n\
        proxy_for -2 [2001:b28:f23d:f001::d]:80;\n\
        min_connections 3;\tmax_connections 12 ;\r\n\
        timeout\n 500;\n\
        proxy middle.example.org : 443 ;";
    let servers = MiddleServers::parse(text).unwrap();
    let of = |dc| {
        let show = |Endpoint { host, port }: &Endpoint| format!("{host} {port}");
        servers.of(dc).iter().map(show).collect::<Vec<_>>()
    };
    assert_eq!(of(1), ["149.154.175.50 8888"]);
    assert_eq!(of(-1), ["149.154.175.50 8888"]);
    assert_eq!(of(2), ["149.154.162.38 80", "149.154.162.33 80"]);
    assert_eq!(of(-2), ["2001:b28:f23d:f001::d 80"]);
    assert_eq!(of(0), ["middle.example.org 443"]);
    assert_eq!(of(203), of(2));
    assert_eq!(servers.links, 3..=12);
    assert_eq!(servers.timeout, Duration::from_millis(500));
    let listed: Vec<i16> = servers.clusters().map(|(dc, _)| dc).collect();
    assert_eq!(listed, [-2, -1, 0, 1, 2]);

    let bare = MiddleServers::parse("proxy_for 1 a:1;").unwrap();
    assert!(bare.of(2).is_empty());
    assert_eq!((bare.links, bare.timeout), (4..=8, Duration::from_millis(300)));
}

/// Rule:   what cannot be meant is refused, with its line.
/// Source: 15-proxy.md, section 8, "Config grammar".
#[test]
fn list_that_is_wrong_is_refused_with_its_line() {
    let check = |text: &str, line: usize, part: &str| {
        let error = MiddleServers::parse(text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    check("", 1, "no server");
    check("# nothing\ndefault 2;\n", 3, "no server");
    check("<!DOCTYPE html>\n", 1, "`<!DOCTYPE` is no directive");
    check(
        "proxy_for 1 a:1;\nproxy_for 1 a:1\nproxy_for 1 a:2;",
        3,
        "`;` expected, not `proxy_for`",
    );
    check("proxy_for 1 a:1", 1, "`;` expected");
    check("\n\nproxy_for x a:1;", 3, "a data centre expected, not `x`");
    check("proxy_for 32768 a:1;", 1, "a data centre");
    check("default 70000;", 1, "a data centre");
    check("proxy_for 1 a;", 1, "`:` and a port");
    for port in ["0", "65536", "-1", "http"] {
        check(&format!("proxy_for 1 a:{port};"), 1, "a port from 1 to 65535");
    }
    for host in ["1.2.3", "1.2.3.4.5", "256.1.1.1", "[1.2.3.4]", "[::1", "a..b", "a/b", "é"] {
        check(&format!("\nproxy_for 1 {host}:1;"), 2, "a host expected");
    }
    check(
        "proxy_for 1 a:1; proxy_for 2 a:1;\nproxy_for 1 b:1;",
        2,
        "data centre 1 are not listed together",
    );
    check("min_connections 9;", 1, "max_connections");
    check("min_connections 0;", 1, "max_connections");
    check("max_connections 3;", 1, "1000");
    check("max_connections 1001;", 1, "1000");
    check("timeout 9;", 1, "milliseconds");
    check("timeout 30001;", 1, "milliseconds");
}

/// Rule: a list has a bound, in bytes and in servers.
#[test]
fn list_has_a_bound() {
    let many = "proxy_for 1 a:1;\n".repeat(4096);
    assert_eq!(MiddleServers::parse(&many).unwrap().of(1).len(), 4096);
    let error = MiddleServers::parse(&(many + "proxy_for 1 a:1;")).unwrap_err();
    assert_eq!((error.line, error.problem), (4097, Problem::Many(4096)));
    let error = MiddleServers::parse(&"#".repeat((1 << 20) + 1)).unwrap_err();
    assert_eq!(error.problem, Problem::Size((1 << 20) + 1));
}
