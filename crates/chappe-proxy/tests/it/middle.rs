//! Clients through middle servers.

use std::time::Duration;

use chappe_proto::middle::link::LinkEnd;
use chappe_proto::middle::messages::AdTag;
use chappe_proto::transport::{Framing, SERVER_LIMIT};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::client::{ABRIDGED, Client, INTERMEDIATE, PADDED};
use crate::middle_world::{CLOSE, FAIL, FLOOD, Middle, SILENCE, TOKEN};
use crate::world::{ALICE, BOB, Centre, Running, SITE, tls_config, until};

/// Rules: MPX-08, MPX-09, MPX-17, PRX-14: packets of every framing, in fake TLS and without, go to the
///        middle server and come back, each client with its own; who it is goes with them.
#[tokio::test]
async fn packets_pass_in_every_form() {
    let middle = Middle::start().await;
    let mut config = tls_config(middle.address, middle.address);
    config.modes = chappe_proxy::Modes { plain: true, padded: true, tls: true };
    config.middle = middle.config().middle;
    let proxy = Running::start(config).await;
    let mut clients = Vec::new();
    for framing in FORMS {
        clients.push(Speaker::bare(&proxy, ALICE, framing, 2).await);
    }
    clients.push(Speaker::over(Client::tls(proxy.address, SITE, BOB, -2).await, Framing::Padded));
    for round in 0..100 {
        for (at, client) in clients.iter_mut().enumerate() {
            let packet = packet(8 + at as u8, 56 + 4 * round);
            client.send(&packet, false).await;
            assert_eq!(client.receive().await, packet);
        }
    }
    let framings: Vec<Framing> =
        middle.heard(|heard| heard.origins.iter().map(|(.., origin)| origin.framing).collect());
    assert_eq!(framings, clients.iter().map(|client| client.framing).collect::<Vec<_>>());
    for (at, client) in clients.iter().enumerate() {
        let origin = middle.heard(|heard| heard.origins[at].2);
        assert_eq!(origin.client, client.client.stream.local_addr().unwrap());
        assert_eq!((origin.proxy, origin.ad_tag), (proxy.address, None));
    }
    let statistics = proxy.handle.statistics();
    assert!(statistics.iter().all(|user| user.bytes_up > 5600 && user.bytes_down > 5600));
}

/// Rules: MPX-05, MPX-09: the largest packet passes; what came in pieces leaves whole.
#[tokio::test]
async fn large_packets_pass() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config()).await;
    for framing in [Framing::Intermediate, Framing::Padded] {
        let mut client = Speaker::bare(&proxy, ALICE, framing, 2).await;
        let packet = packet(9, SERVER_LIMIT);
        client.send(&packet, false).await;
        assert!(client.receive().await == packet);
    }
    // Anything longer is no packet of a client.
    let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    client.client.send(&(SERVER_LIMIT as u32 + 16).to_le_bytes()).await;
    assert!(client.client.is_closed().await);
}

/// Rule: MPX-12: a quick acknowledgement has the form of the client's framing.
#[tokio::test]
async fn quick_acknowledgements_pass() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config()).await;
    for framing in FORMS {
        let mut client = Speaker::bare(&proxy, ALICE, framing, 2).await;
        client.send(&packet(SILENCE, 64), true).await;
        match framing {
            Framing::Abridged => assert_eq!(client.exactly(4).await, TOKEN.to_be_bytes()),
            Framing::Intermediate => assert_eq!(client.exactly(4).await, TOKEN.to_le_bytes()),
            _ => {
                let frame = client.frame().await;
                assert_eq!(frame[..8], [&[0xff; 4], &TOKEN.to_le_bytes()[..]].concat());
            }
        }
    }
}

/// Rule: MPX-11: a transport error is a frame of four bytes, and the client may go on.
#[tokio::test]
async fn transport_errors_pass() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config()).await;
    for framing in FORMS {
        let mut client = Speaker::bare(&proxy, ALICE, framing, 2).await;
        client.send(&packet(FAIL, 64), false).await;
        assert_eq!(client.frame().await, (-404_i32).to_le_bytes());
        client.send(&packet(8, 64), false).await;
        assert_eq!(client.receive().await, packet(8, 64));
    }
}

/// Rule: MPX-13: when the middle server drops a client it gets what came before, and is closed; when
///       the client leaves the middle server hears of it.
#[tokio::test]
async fn closes_pass() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config()).await;
    let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    client.send(&packet(CLOSE, 5000), false).await;
    assert_eq!(client.receive().await, packet(CLOSE, 5000));
    assert!(client.client.is_closed().await);

    let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    client.send(&packet(8, 64), false).await;
    client.receive().await;
    let id = middle.heard(|heard| heard.origins[1].1);
    assert!(middle.heard(|heard| heard.left.is_empty()));
    drop(client);
    until("the client has left", || middle.heard(|heard| heard.left == [id])).await;
}

/// Rules: MPX-09, MPX-13: what a client said before it left is passed on, all of it.
#[tokio::test]
async fn last_words_pass() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config()).await;
    for at in 1..=20 {
        let mut client = Speaker::bare(&proxy, ALICE, Framing::Abridged, 2).await;
        for _ in 0..10 {
            client.send(&packet(SILENCE, 64), false).await;
        }
        drop(client);
        until("all has come", || middle.heard(|heard| heard.packets.len() == 10 * at)).await;
        until("it has left", || middle.heard(|heard| heard.left.len() == at)).await;
    }
}

/// Rule: MPX-10: what no client would send goes no further, and the client may go on.
#[tokio::test]
async fn implausible_packets_are_left_out() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config()).await;
    let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    for refused in [vec![5; 52], vec![0; 40], packet(8, 24)] {
        client.send(&refused, false).await;
    }
    client.send(&packet(8, 64), false).await;
    assert_eq!(client.receive().await, packet(8, 64));
    assert_eq!(middle.heard(|heard| heard.packets.len()), 1);
}

/// Rule: MPX-07: as many links as are set are kept to a server, clients are spread over them, and
///       links that are lost are made anew.
#[tokio::test]
async fn links_are_kept() {
    let middle = Middle::start().await;
    let config = middle.config_with(|config| config.links = 3..=4);
    let proxy = Running::start(config).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
        client.send(&packet(8, 64), false).await;
        client.receive().await;
        clients.push(client);
    }
    let mut used =
        middle.heard(|heard| heard.origins.iter().map(|(link, ..)| *link).collect::<Vec<_>>());
    used.sort_unstable();
    used.dedup();
    assert_eq!((used.len(), middle.heard(|heard| heard.greeted)), (3, 3));
    middle.cut();
    until("all links are back", || middle.heard(|heard| heard.greeted == 6)).await;
    // Rule MPX-14: their clients are gone with the old ones, and may come anew.
    for client in &mut clients {
        assert!(client.client.is_closed().await);
    }
    let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    client.send(&packet(8, 64), false).await;
    client.receive().await;
}

/// Rule: MPX-14: where there is no link the client is closed, or served straight from the data centre
///       if that is wanted.
#[tokio::test]
async fn without_a_link_there_is_no_client() {
    let middle = Middle::start().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let centre = Centre::start().await;
    for direct in [false, true] {
        let mut config = middle.config();
        let list = format!("proxy_for 2 {};", silent.local_addr().unwrap());
        let servers = chappe_proto::middle::config::MiddleServers::parse(&list).unwrap();
        let secret = crate::middle_world::secret();
        let mut to_nobody = chappe_proxy::MiddleConfig::new(secret, &servers).unwrap();
        to_nobody.link_wait_max = Duration::from_millis(300);
        to_nobody.direct_instead = direct;
        config.middle = Some(to_nobody.into());
        config.centres.set(2, vec![centre.address.into()]);
        let proxy = Running::start(config).await;
        let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
        if direct {
            client.client.check().await;
        } else {
            assert!(client.client.is_closed().await);
            // Nor is there one to an unknown data centre, without a default.
            let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 4).await;
            assert!(client.client.is_closed().await);
        }
    }
}

/// Rule:   where middle servers are for those who advertise alone, nobody else's connection comes near
///         them; their tags go with their packets.
/// Source: 15-proxy.md, section 8.
#[tokio::test]
async fn only_the_tagged_go_by_middle_servers() {
    let middle = Middle::start().await;
    let centre = Centre::start().await;
    let mut config = middle.config_with(|config| config.only_tagged = true);
    config.centres.set(2, vec![centre.address.into()]);
    let tag = AdTag([7; 16]);
    config.users[1].ad_tag = Some(tag);
    let proxy = Running::start(config.clone()).await;
    Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await.client.check().await;
    assert!(middle.heard(|heard| heard.origins.is_empty() && heard.greeted == 0));
    let mut bob = Speaker::bare(&proxy, BOB, Framing::Intermediate, 2).await;
    bob.send(&packet(8, 64), false).await;
    assert_eq!(bob.receive().await, packet(8, 64));
    assert_eq!(middle.heard(|heard| heard.origins[0].2.ad_tag), Some(tag));
    // Who has one from now on goes by them, and who has none any more goes straight.
    config.users[0].ad_tag = config.users[1].ad_tag.take();
    proxy.handle.reload(config).unwrap();
    Speaker::bare(&proxy, BOB, Framing::Intermediate, 2).await.client.check().await;
    let mut alice = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    alice.send(&packet(8, 64), false).await;
    assert_eq!(alice.receive().await, packet(8, 64));
}

/// Rule: MPX-15: a client that takes too little is closed, the middle server hears of it, and others on
///       the link wait for nothing.
#[tokio::test]
async fn slow_client_does_not_stall_the_link() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config_with(|config| config.links = 1..=1)).await;
    let mut other = Speaker::bare(&proxy, BOB, Framing::Intermediate, 2).await;
    let mut slow = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    // More than the sockets between and the proxy hold.
    for _ in 0..8 {
        slow.send(&packet(FLOOD, 64), false).await;
    }
    for _ in 0..20 {
        other.send(&packet(8, 64), false).await;
        assert_eq!(other.receive().await, packet(8, 64));
    }
    until("the slow one is closed", || middle.heard(|heard| heard.left.len() == 1)).await;
    while !slow.client.read().await.unwrap_or_default().is_empty() {}
}

/// Rules: MPX-15, PRX-33: what waits for a slow client counts among all that waits, and has it closed
///        when that is too much, though it may have more by itself.
#[tokio::test]
async fn what_waits_for_clients_is_bounded_in_all() {
    let middle = Middle::start().await;
    let mut config = middle.config_with(|config| config.client_max_bytes = 1 << 30);
    config.relay.held_max_bytes = 8 << 20;
    let proxy = Running::start(config).await;
    let mut slow = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    let mut other = Speaker::bare(&proxy, BOB, Framing::Intermediate, 2).await;
    for _ in 0..4 {
        slow.send(&packet(FLOOD, 64), false).await;
    }
    until("the slow one is closed", || proxy.handle.totals().ended_total["evicted"] == 1).await;
    until("nothing waits", || proxy.handle.totals().held_bytes == 0).await;
    other.send(&packet(8, 64), false).await;
    assert_eq!(other.receive().await, packet(8, 64));
}

/// Rules: MPX-13, PRX-33: those who leave while their link moves nothing have no more of them taken up
///        by it; afterwards it goes on, and the middle server hears of each who has left.
#[tokio::test(flavor = "multi_thread")]
async fn leavers_do_not_fill_a_link_that_stalls() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config_with(|config| config.links = 1..=1)).await;
    let mut first = Speaker::bare(&proxy, BOB, Framing::Intermediate, 2).await;
    let mut leavers = Vec::new();
    for _ in 0..LEAVERS {
        leavers.push(Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await);
    }
    for client in leavers.iter_mut().chain([&mut first]) {
        client.send(&packet(8, 64), false).await;
        client.receive().await;
    }
    middle.heard.lock().unwrap().stalls = true;
    for client in &mut leavers {
        client.send(&packet(SILENCE, 400_000), false).await;
    }
    let up = || proxy.handle.statistics()[0].bytes_up;
    until("they were heard", || up() >= LEAVERS as u64 * 400_000).await;
    drop(leavers);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let waiting = proxy.handle.statistics()[0].connections;
    middle.heard.lock().unwrap().stalls = false;
    // Those whose words had no room are still here.
    assert!(waiting >= LEAVERS / 4, "{waiting}");
    until("all have left", || proxy.handle.statistics()[0].connections == 0).await;
    let places = || middle.heard(|heard| (heard.origins.len() - 1, heard.left.len()));
    until("it hears of all", || places() == (LEAVERS, LEAVERS)).await;
    first.send(&packet(8, 64), false).await;
    first.receive().await;
}

/// Twice as many as a link and the sockets behind it have room for.
const LEAVERS: usize = 160;

/// Rules: PRX-37: who greets while the settings of the links change comes by the new ones, and has
///        nobody's links made anew.
#[tokio::test]
async fn links_are_those_of_the_settings_in_use() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config()).await;
    let (header, outbound, inbound) = crate::client::header(ALICE, INTERMEDIATE, 2);
    let mut early = tokio::net::TcpStream::connect(proxy.address).await.unwrap();
    early.write_all(&header[..30]).await.unwrap();
    until("it is accepted", || proxy.handle.totals().connections == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let changed = middle.config_with(|config| config.ad_tag = Some(AdTag([3; 16])));
    proxy.handle.reload(changed).unwrap();
    let mut new = Speaker::bare(&proxy, BOB, Framing::Intermediate, 2).await;
    new.send(&packet(8, 64), false).await;
    new.receive().await;
    until("two links", || middle.heard(|heard| heard.greeted == 2)).await;
    early.write_all(&header[30..]).await.unwrap();
    let client = Client { stream: early, outbound, inbound, records: None };
    let mut early = Speaker::over(client, Framing::Intermediate);
    early.send(&packet(8, 64), false).await;
    early.receive().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(middle.heard(|heard| heard.greeted), 2);
}

/// Rule: MPX-01: a proxy whose address is translated greets nobody by its own, and by the one it is
///       seen at whoever sees it there.
#[tokio::test]
async fn translated_address_is_set() {
    let middle = Middle::start().await;
    let seen_as = |ip: &str| {
        let seen_as = vec!["2001:db8::5".parse().unwrap(), ip.parse().unwrap()];
        middle.config_with(|config| {
            config.seen_as = seen_as;
            config.link_wait_max = Duration::from_millis(500);
        })
    };
    let proxy = Running::start(seen_as("198.51.100.5")).await;
    let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    assert!(client.client.is_closed().await);
    let is_frame = |end: &LinkEnd| matches!(end, LinkEnd::Frame(_));
    assert!(middle.heard(|heard| heard.greeted == 0 && heard.ends.iter().all(is_frame)));
    assert!(middle.heard(|heard| !heard.ends.is_empty()));
    drop(proxy);

    let proxy = Running::start(seen_as("127.0.0.1")).await;
    let mut client = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    client.send(&packet(8, 64), false).await;
    client.receive().await;
}

/// Rules: MPX-18, MPX-20: each user may advertise for somebody else, and otherwise for whom all do; what
///        others see of the proxy is set.
#[tokio::test]
async fn users_advertise_for_whom_they_like() {
    let middle = Middle::start().await;
    let mut config = middle.config_with(|config| {
        config.ad_tag = Some(AdTag([1; 16]));
        config.public = Some("192.0.2.44:443".parse().unwrap());
    });
    config.users[1].ad_tag = Some(AdTag([2; 16]));
    let proxy = Running::start(config).await;
    for (secret, tag) in [(ALICE, 1), (BOB, 2)] {
        let mut client = Speaker::bare(&proxy, secret, Framing::Intermediate, 2).await;
        client.send(&packet(8, 64), false).await;
        client.receive().await;
        let origin = middle.heard(|heard| heard.origins.last().unwrap().2);
        assert_eq!(origin.ad_tag, Some(AdTag([tag; 16])));
        assert_eq!(origin.proxy, "192.0.2.44:443".parse().unwrap());
    }
}

/// Rule: PRX-37: with other settings links are made anew, and the old ones stay as long as they have
///       clients.
#[tokio::test]
async fn reload_changes_links_and_drops_no_client() {
    let middle = Middle::start().await;
    let proxy = Running::start(middle.config()).await;
    let mut old = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    old.send(&packet(8, 64), false).await;
    old.receive().await;
    until("two links", || middle.heard(|heard| heard.greeted == 2)).await;

    // The same settings, read anew: nothing changes.
    proxy.handle.reload(middle.config()).unwrap();
    let mut same = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    same.send(&packet(8, 64), false).await;
    same.receive().await;
    assert_eq!(middle.heard(|heard| heard.greeted), 2);

    let changed = middle.config_with(|config| config.ad_tag = Some(AdTag([3; 16])));
    proxy.handle.reload(changed).unwrap();
    let mut new = Speaker::bare(&proxy, ALICE, Framing::Intermediate, 2).await;
    for client in [&mut new, &mut old, &mut same] {
        client.send(&packet(8, 64), false).await;
        assert_eq!(client.receive().await, packet(8, 64));
    }
    until("four links", || middle.heard(|heard| heard.greeted == 4)).await;
    drop((old, same));
    until("the old links are gone", || middle.heard(|heard| heard.open == 2)).await;
    new.send(&packet(8, 64), false).await;
    new.receive().await;
}

const FORMS: [Framing; 3] = [Framing::Abridged, Framing::Intermediate, Framing::Padded];

/// An encrypted packet, as far as anybody can tell, whose ninth byte is `what`.
fn packet(what: u8, len: usize) -> Vec<u8> {
    let mut packet = vec![5; len];
    packet[8] = what;
    packet
}

/// A client that speaks in packets.
struct Speaker {
    client: Client,
    framing: Framing,
    /// What came and was not asked for yet.
    rest: Vec<u8>,
}

impl Speaker {
    async fn bare(proxy: &Running, secret: [u8; 16], framing: Framing, dc: i16) -> Self {
        let tag = match framing {
            Framing::Abridged => ABRIDGED,
            Framing::Padded => PADDED,
            _ => INTERMEDIATE,
        };
        Self::over(Client::bare(proxy.address, secret, tag, dc).await, framing)
    }

    fn over(client: Client, framing: Framing) -> Self {
        Self { client, framing, rest: Vec::new() }
    }

    async fn send(&mut self, packet: &[u8], quick_ack: bool) {
        let bit = if quick_ack { 1 << 31 } else { 0 };
        let words = packet.len() / 4;
        let flag = if quick_ack { 0x80 } else { 0 };
        let frame = match self.framing {
            Framing::Abridged if words < 127 => [&[words as u8 | flag], packet].concat(),
            Framing::Abridged => [&[0x7f | flag], &words.to_le_bytes()[..3], packet].concat(),
            // Cut to whole words by the proxy: three bytes leave no trace.
            Framing::Padded => {
                let len = packet.len() as u32 + 3;
                [&(len | bit).to_le_bytes()[..], packet, &[1, 2, 3]].concat()
            }
            _ => [&(packet.len() as u32 | bit).to_le_bytes()[..], packet].concat(),
        };
        self.client.send(&frame).await;
    }

    /// The packet of the next frame, without padding.
    async fn receive(&mut self) -> Vec<u8> {
        let mut frame = self.frame().await;
        frame.truncate(frame.len() & !3);
        frame
    }

    async fn frame(&mut self) -> Vec<u8> {
        let len = match self.framing {
            Framing::Abridged => match self.exactly(1).await[0] {
                0x7f => {
                    let words = self.exactly(3).await;
                    4 * u32::from_le_bytes([words[0], words[1], words[2], 0])
                }
                words => 4 * u32::from(words),
            },
            _ => u32::from_le_bytes(self.exactly(4).await.try_into().unwrap()),
        };
        self.exactly(len as usize).await
    }

    async fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.rest.len() < len {
            let missing = len - self.rest.len();
            let came = self.client.receive(missing).await;
            self.rest.extend(came);
        }
        let rest = self.rest.split_off(len);
        std::mem::replace(&mut self.rest, rest)
    }
}
