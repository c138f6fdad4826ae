//! Which way to take to the server next, and to which of its addresses: what failed comes later,
//! what has worked comes first.

use std::sync::Arc;

use chappe_net::connect::Endpoint;
use chappe_proto::transport::{Framing, Secret, Transport};

use crate::address::Address;
use crate::way::Way;

/// The ways to a server and its addresses, with what is known of them.
#[derive(Debug)]
pub(crate) struct Routes {
    ways: Vec<Way>,
    addresses: Vec<Known>,
    transport: Transport,
    disguise: Option<Disguise>,
    through_proxy: bool,
    /// The way taken now.
    current: usize,
    /// The way that worked last, or the first: a round through all of them begins here.
    home: usize,
    /// The current one has worked.
    is_proven: bool,
    /// Times in a row that the current one was blocked.
    blocked: u32,
}

#[derive(Debug)]
struct Known {
    address: Address,
    serves: Serves,
    /// Times in a row that it was of no use.
    failures: u32,
    /// It has said that it does not serve our data centre (444).
    is_unusable: bool,
}

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    Everything,
    Streams,
    Web,
}

/// The addresses of a server.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) main: Vec<Address>,
    /// Where WebSocket and HTTP are served, if elsewhere.
    pub(crate) web: Vec<Address>,
}

/// How to get a link.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) way: Way,
    /// Where to, best first.
    pub(crate) stops: Vec<Stop>,
    /// Nobody knows yet whether the way is free, and there are others.
    pub(crate) is_doubtful: bool,
}

/// One place to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) endpoint: Endpoint,
    pub(crate) transport: Transport,
    pub(crate) disguise: Option<Disguise>,
    /// Place of the address that it belongs to.
    pub(crate) address: usize,
}

/// What an endpoint with a secret wants to see.
#[derive(Clone, Debug)]
pub(crate) struct Disguise {
    /// Goes into the keys of the obfuscation.
    pub(crate) secret: Secret,
    /// The host name to ask for in fake TLS, where there is to be any.
    pub(crate) domain: Option<Arc<str>>,
}

impl From<Secret> for Disguise {
    fn from(secret: Secret) -> Self {
        Self { secret, domain: None }
    }
}

/// Times in a row that a way which has worked may be blocked before others are tried.
const PROVEN_BLOCKED_MAX: u32 = 2;

impl Routes {
    /// Routes by any of `ways`, the first of which is the best; `None` if no address can be
    /// reached by any of them.
    pub(crate) fn new(
        ways: Vec<Way>,
        Addresses { main, web }: Addresses,
        transport: Transport,
        disguise: Option<Disguise>,
        through_proxy: bool,
    ) -> Option<Self> {
        let serves = if web.is_empty() { Serves::Everything } else { Serves::Streams };
        let main = main.into_iter().map(|address| (address, serves));
        let all = main.chain(web.into_iter().map(|address| (address, Serves::Web)));
        let known = |(address, serves)| Known { address, serves, failures: 0, is_unusable: false };
        let mut routes = Self {
            ways,
            addresses: all.map(known).collect(),
            transport,
            disguise,
            through_proxy,
            current: 0,
            home: 0,
            is_proven: false,
            blocked: 0,
        };
        let possible = |way: &Way| !routes.stops(*way).is_empty();
        routes.ways = routes.ways.iter().copied().filter(possible).collect();
        (!routes.ways.is_empty()).then_some(routes)
    }

    /// The route to try now.
    pub(crate) fn next(&self) -> Route {
        let way = self.ways[self.current];
        let is_doubtful = !self.is_proven && self.ways.len() > 1;
        Route { way, stops: self.stops(way), is_doubtful }
    }

    /// A link by this way to this address brought a message that is the server's.
    pub(crate) fn worked(&mut self, way: Way, address: usize) {
        if let Some(known) = self.addresses.get_mut(address) {
            known.failures = 0;
        }
        if let Some(at) = self.ways.iter().position(|other| *other == way) {
            (self.current, self.home) = (at, at);
            (self.is_proven, self.blocked) = (true, 0);
        }
    }

    /// No byte came from the server by this way. Whether another is to be tried at once: each is,
    /// before any pause, until the round is through.
    pub(crate) fn blocked(&mut self, way: Way) -> bool {
        if self.ways[self.current] != way {
            // Another link has found that out before.
            return true;
        }
        self.blocked += 1;
        if self.ways.len() == 1 || self.is_proven && self.blocked < PROVEN_BLOCKED_MAX {
            return false;
        }
        self.current = (self.current + 1) % self.ways.len();
        (self.is_proven, self.blocked) = (false, 0);
        self.current != self.home
    }

    /// The address was of no use: others come before it (SES-13).
    pub(crate) fn failed(&mut self, address: usize) {
        if let Some(known) = self.addresses.get_mut(address) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// The address does not serve our data centre. Whether any is left that may; ways on which
    /// there is none are not taken any more.
    pub(crate) fn unusable(&mut self, address: usize) -> bool {
        if let Some(known) = self.addresses.get_mut(address) {
            known.is_unusable = true;
        }
        let leads_somewhere = |way: &Way| !self.stops(*way).is_empty();
        let left: Vec<Way> = self.ways.iter().copied().filter(leads_somewhere).collect();
        if left.is_empty() {
            return false;
        }
        let place = |at: usize| left.iter().position(|way| *way == self.ways[at]);
        let (current, home) = (place(self.current), place(self.home).unwrap_or(0));
        if current.is_none() {
            (self.is_proven, self.blocked) = (false, 0);
        }
        (self.current, self.home) = (current.unwrap_or(home), home);
        self.ways = left;
        true
    }

    /// Where to connect for this way, what failed last.
    fn stops(&self, way: Way) -> Vec<Stop> {
        let is_open = |(_, known): &(usize, &Known)| !known.is_unusable && known.takes(way);
        let mut open: Vec<(usize, &Known)> =
            self.addresses.iter().enumerate().filter(is_open).collect();
        open.sort_by_key(|(_, known)| {
            (self.through_proxy && !known.address.is_static, known.failures)
        });
        open.into_iter().flat_map(|(at, known)| self.stops_at(way, at, &known.address)).collect()
    }

    fn stops_at(&self, way: Way, at: usize, address: &Address) -> Vec<Stop> {
        let (transport, disguise) = self.transport(way, address);
        let stop = |port| Stop {
            endpoint: address.endpoint.with_port(port),
            transport,
            disguise: disguise.clone(),
            address: at,
        };
        address.ports(way).into_iter().map(stop).collect()
    }

    /// What is spoken by this way at an address, and in which disguise.
    fn transport(&self, way: Way, address: &Address) -> (Transport, Option<Disguise>) {
        // Neither the header inside a WebSocket nor HTTP has room for a secret.
        if way.is_web() {
            return (obfuscated(self.transport), None);
        }
        if let Some(endpoint) = &address.secret {
            let (secret, domain) = (endpoint.secret.clone(), endpoint.domain.clone());
            return (endpoint.transport, Some(Disguise { secret, domain }));
        }
        let is_hidden = way == Way::Obfuscated || address.tcpo_only || self.disguise.is_some();
        let transport = if is_hidden { obfuscated(self.transport) } else { self.transport };
        (transport, self.disguise.clone())
    }
}

impl Known {
    fn takes(&self, way: Way) -> bool {
        let is_for_it = match self.serves {
            Serves::Everything => true,
            Serves::Streams => !way.is_web(),
            Serves::Web => way.is_web(),
        };
        is_for_it && self.address.takes(way)
    }
}

/// The same framing behind obfuscation, or the nearest that can be.
fn obfuscated(transport: Transport) -> Transport {
    Transport::obfuscated(transport.framing()).unwrap_or(INTERMEDIATE)
}

const INTERMEDIATE: Transport = match Transport::obfuscated(Framing::Intermediate) {
    Some(transport) => transport,
    None => panic!("the framing has a tag"),
};

#[cfg(test)]
mod tests {
    use chappe_proto::transport::EndpointSecret;

    use super::*;

    const DC: &str = "149.154.167.51:443";

    /// Rule: TRN-39: `this_port_only` is tried at its port alone, others at 443, 80 and 5222 as
    /// well, in this order; the port that was named comes first.
    #[test]
    fn ports_are_those_that_the_address_allows() {
        let only: Address = DC.parse().unwrap();
        let any = |text: &str| text.parse::<Address>().unwrap().this_port_only(false);
        assert_eq!(stops(&routes(vec![only])), [DC]);
        let expected = ["149.154.167.51:443", "149.154.167.51:80", "149.154.167.51:5222"];
        assert_eq!(stops(&routes(vec![any(DC)])), expected);
        let expected = ["[::1]:5222", "[::1]:443", "[::1]:80"];
        assert_eq!(stops(&routes(vec![any("[::1]:5222")])), expected);
        assert_eq!(stops(&routes(vec![any("h:4430")])), ["h:4430", "h:443", "h:80", "h:5222"]);
    }

    /// Rule: TRN-39: through a proxy `static` addresses come before others, and only there; what
    /// has failed comes last of its kind.
    #[test]
    fn static_addresses_come_first_through_proxies() {
        let addresses = || -> Vec<Address> {
            let all = ["a:1", "b:1", "c:1"].map(|text| text.parse::<Address>().unwrap());
            let [a, b, c] = all;
            vec![a, b.is_static(true), c.is_static(true)]
        };
        let transport = Transport::plain(Framing::Abridged);
        let through =
            |proxy| Routes::new(vec![Way::Tcp], main(addresses()), transport, None, proxy).unwrap();
        assert_eq!(stops(&through(false)), ["a:1", "b:1", "c:1"]);
        let mut routes = through(true);
        assert_eq!(stops(&routes), ["b:1", "c:1", "a:1"]);
        routes.failed(routes.next().stops[0].address);
        assert_eq!(stops(&routes), ["c:1", "b:1", "a:1"]);
    }

    /// Rules: TRN-39, OBF-16: `tcpo_only` is spoken to behind obfuscation only, whatever the
    /// transport; a secret says itself which transport, and goes with its address alone.
    #[test]
    fn obfuscation_is_spoken_where_it_is_wanted() {
        let secret = "dd000102030405060708090a0b0c0d0e0f".parse().unwrap();
        let addresses: Vec<Address> = vec![
            "a:1".parse().unwrap(),
            "b:1".parse::<Address>().unwrap().tcpo_only(true),
            "c:1".parse::<Address>().unwrap().secret(secret),
        ];
        for (framing, hidden) in [
            (Framing::Abridged, "obfuscated-abridged"),
            (Framing::Padded, "obfuscated-padded"),
            (Framing::Full, "obfuscated-intermediate"),
        ] {
            let transport = Transport::plain(framing);
            let routes =
                Routes::new(vec![Way::Tcp], main(addresses.clone()), transport, None, false)
                    .unwrap();
            let spoken = routes.next().stops;
            let spoken: Vec<(String, bool)> = spoken
                .into_iter()
                .map(|stop| (stop.transport.to_string(), stop.disguise.is_some()))
                .collect();
            let expected = [
                (framing.to_string(), false),
                (hidden.to_owned(), false),
                ("obfuscated-padded".to_owned(), true),
            ];
            assert_eq!(spoken, expected);
        }
        // A secret of all addresses hides everything.
        let transport = Transport::plain(Framing::Abridged);
        let secret = Some(Secret::from([7; 16]).into());
        let routes =
            Routes::new(vec![Way::Tcp], main(addresses), transport, secret, false).unwrap();
        assert!(routes.next().stops.iter().all(|stop| stop.transport.is_obfuscated()));
    }

    /// Rule: SES-13: an address that failed comes after those that did not, until it works again;
    /// one that does not serve the data centre is not tried any more (444).
    #[test]
    fn addresses_that_failed_come_last() {
        let mut routes = routes(["a:1", "b:1", "c:1"].map(|text| text.parse().unwrap()).into());
        routes.failed(0);
        assert_eq!(stops(&routes), ["b:1", "c:1", "a:1"]);
        routes.failed(1);
        routes.failed(1);
        assert_eq!(stops(&routes), ["c:1", "a:1", "b:1"]);
        routes.worked(Way::Tcp, 1);
        assert_eq!(stops(&routes), ["b:1", "c:1", "a:1"]);
        assert!(routes.unusable(2));
        assert_eq!(stops(&routes), ["b:1", "a:1"]);
        assert!(routes.unusable(0));
        assert!(!routes.unusable(1));
    }

    /// A blocked way is left for the next at once; after all of them there is a pause. What worked
    /// is where rounds begin, and is left only when it fails twice.
    #[test]
    fn blocked_ways_are_left_and_free_ones_remembered() {
        let addresses = vec!["a:1".parse().unwrap()];
        let transport = Transport::plain(Framing::Abridged);
        let ways = vec![Way::Tcp, Way::Obfuscated];
        let mut routes = Routes::new(ways, main(addresses), transport, None, false).unwrap();
        assert!(routes.next().is_doubtful);
        assert!(routes.blocked(Way::Tcp));
        assert_eq!(routes.next().way, Way::Obfuscated);
        // Another link that began before.
        assert!(routes.blocked(Way::Tcp));
        assert_eq!(routes.next().way, Way::Obfuscated);
        assert!(!routes.blocked(Way::Obfuscated));
        assert_eq!(routes.next().way, Way::Tcp);

        routes.blocked(Way::Tcp);
        routes.worked(Way::Obfuscated, 0);
        assert!(!routes.next().is_doubtful);
        assert!(!routes.blocked(Way::Obfuscated));
        assert_eq!(routes.next().way, Way::Obfuscated);
        assert!(routes.blocked(Way::Obfuscated));
        assert_eq!(routes.next().way, Way::Tcp);
        // The round ends where it began.
        assert!(!routes.blocked(Way::Tcp));
        assert_eq!(routes.next().way, Way::Obfuscated);

        let alone = vec![Way::Tcp];
        let addresses = vec!["a:1".parse().unwrap()];
        let mut alone = Routes::new(alone, main(addresses), transport, None, false).unwrap();
        assert!(!alone.next().is_doubtful);
        assert!(!alone.blocked(Way::Tcp));
        assert_eq!(alone.next().way, Way::Tcp);
        assert!(Routes::new(vec![Way::Tcp], main(Vec::new()), transport, None, false).is_none());
    }

    /// Rule: TRN-39: WebSocket and HTTP go to their own ports where the address allows others, and
    /// not at all to an address that takes obfuscated TCP only, or has a secret.
    #[test]
    fn web_ways_go_where_they_are_served() {
        let transport = Transport::plain(Framing::Full);
        let any = |text: &str| text.parse::<Address>().unwrap().this_port_only(false);
        let secret: EndpointSecret = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
        let addresses = || {
            vec![
                "a:4430".parse().unwrap(),
                any("b:5222"),
                "c:1".parse::<Address>().unwrap().tcpo_only(true),
                "d:1".parse::<Address>().unwrap().secret(EndpointSecret::clone(&secret)),
            ]
        };
        let web = |way, addresses| Routes::new(vec![way], addresses, transport, None, false);
        for way in [Way::WebSocket, Way::Http] {
            assert_eq!(stops(&web(way, main(addresses())).unwrap()), ["a:4430", "b:80"]);
        }
        let addresses = main(addresses());
        let routes = web(Way::WebSocketTls, addresses).unwrap();
        assert_eq!(stops(&routes), ["a:4430", "b:443"]);
        let spoken = routes.next().stops;
        assert!(
            spoken.iter().all(|stop| stop.transport.is_obfuscated() && stop.disguise.is_none())
        );

        // Elsewhere: there and nowhere else.
        let main = vec!["a:1".parse().unwrap()];
        let addresses = Addresses { main, web: vec!["w:2".parse().unwrap()] };
        let ways = vec![Way::Tcp, Way::Https];
        let mut routes = Routes::new(ways, addresses, transport, None, false).unwrap();
        assert_eq!(stops(&routes), ["a:1"]);
        routes.blocked(Way::Tcp);
        assert_eq!(stops(&routes), ["w:2"]);
    }

    /// A way on which every address is of the wrong data centre is left for good; where that is so
    /// on all of them, what is reached in other ways alone is no hope.
    #[test]
    fn ways_without_addresses_are_left() {
        let transport = Transport::plain(Framing::Abridged);
        let routes = |ways| {
            let main = vec!["a:1".parse().unwrap()];
            let addresses = Addresses { main, web: vec!["w:2".parse().unwrap()] };
            Routes::new(ways, addresses, transport, None, false).unwrap()
        };
        let mut first = routes(vec![Way::Tcp, Way::Obfuscated, Way::Https]);
        first.worked(Way::Tcp, 0);
        assert!(first.unusable(0));
        assert_eq!((first.next().way, stops(&first)), (Way::Https, vec!["w:2".to_owned()]));
        assert!(!first.blocked(Way::Https));
        assert!(!first.unusable(1));

        let mut last = routes(vec![Way::Tcp, Way::Obfuscated, Way::Https]);
        last.worked(Way::Https, 1);
        assert!(last.unusable(0));
        assert_eq!((last.next().way, last.next().is_doubtful), (Way::Https, false));

        assert!(!routes(vec![Way::Tcp, Way::Obfuscated]).unusable(0));
    }

    fn main(main: Vec<Address>) -> Addresses {
        Addresses { main, web: Vec::new() }
    }

    fn routes(addresses: Vec<Address>) -> Routes {
        let transport = Transport::plain(Framing::Abridged);
        Routes::new(vec![Way::Tcp], main(addresses), transport, None, false).unwrap()
    }

    fn stops(routes: &Routes) -> Vec<String> {
        routes.next().stops.iter().map(|stop| stop.endpoint.to_string()).collect()
    }
}
