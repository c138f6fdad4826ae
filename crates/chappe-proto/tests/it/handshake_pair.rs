//! Both sides of the key exchange against each other, in memory.

use std::sync::Arc;

use bytes::Bytes;
use chappe_crypto::Rng;
use chappe_proto::handshake::client::{self, DhGen, Finished, HandshakeError, KeyRequest};
use chappe_proto::handshake::server::{DcPolicy, Stored};

use crate::handshake_ends::{Said, Server, identity};
use crate::transport_ends::rng;

/// Rules: KEY-22, KEY-25, KEY-26, SEC-59: both ends have the same key, salt and idea of its end, for
///        permanent and temporary keys of every form of data centre.
#[test]
fn both_ends_agree() {
    for (dc, expires_in) in [(2, None), (-2, Some(3600)), (10_002, None), (-10_005, Some(1))] {
        let mut server = Server::new(|_| ());
        let client = pair(&mut server, rng(1), dc, expires_in).unwrap();
        let (kept, at) = server.kept.pop().unwrap();
        assert_eq!(kept.key, client.key);
        assert_eq!((kept.first_salt, at), (client.first_salt, dc));
        assert_eq!(kept.expires_in, expires_in);
        assert_eq!(client.server_time, server.now.unix_seconds());
        let end = expires_in.map(|life| server.now.unix_seconds() + i64::from(life));
        assert_eq!(client.expires_at, end);
    }
}

/// Rules: KEY-07, KEY-08, KEY-10: no two runs share anything; the same seeds give the same run.
#[test]
fn runs_differ_by_their_seeds_alone() {
    let id = |seed| {
        let mut server = Server::new(|_| ());
        pair(&mut server, rng(seed), 2, None).unwrap().key.id()
    };
    assert_eq!(id(1), id(1));
    assert_ne!(id(1), id(2));
    // One server, several runs, among them one with the seed of another.
    let mut server = Server::new(|_| ());
    let first = pair(&mut server, rng(1), 2, None).unwrap();
    server.pass(600);
    let second = pair(&mut server, rng(1), 2, None).unwrap();
    assert_ne!(first.key.id(), second.key.id());
}

/// Rules: KEY-21, KEY-23, SEC-18: both ends go through up to five retries together, and give up
///        together at the sixth.
#[test]
fn collisions_are_overcome_five_times() {
    for collisions in 0..=6 {
        let mut server = Server::new(|_| ());
        server.verdicts.extend(vec![Stored::Collision; collisions]);
        let outcome = pair(&mut server, rng(1), 2, None);
        if collisions == 6 {
            assert_eq!(outcome.unwrap_err(), Stop::Client(HandshakeError::GaveUp));
            assert!(server.kept.is_empty());
        } else {
            assert_eq!(outcome.unwrap().key, server.kept[0].0.key);
        }
    }
}

/// Rules: KEY-14, KEY-22, SEC-60: a wrong data centre or a failing store is told to the client as
///        what it is.
#[test]
fn refusal_reaches_the_client() {
    let mut server =
        Server::new(|config| config.dc = DcPolicy::Only { dc: 2, test: false, media: true });
    assert_eq!(pair(&mut server, rng(1), 10_002, None).unwrap_err(), Stop::Error(-444));
    assert!(pair(&mut server, rng(2), -2, None).is_ok());
    server.verdicts.push_back(Stored::Failed);
    assert_eq!(pair(&mut server, rng(3), 2, None).unwrap_err(), Stop::Error(-404));
    assert!(pair(&mut server, rng(4), 2, None).is_ok(), "a new run begins");
}

/// Rule: CRY-04: a key that begins with a zero byte is 256 bytes on both ends like any other.
#[test]
fn key_with_a_leading_zero_is_the_same_on_both_ends() {
    let mut server = Server::new(|config| config.exchanges_per_link_max = usize::MAX);
    let mut random = rng(9);
    let client = loop {
        let client = pair(&mut server, random.fork(), 2, None).unwrap();
        if client.key.stored()[0] == 0 {
            break client;
        }
    };
    assert_eq!(server.kept.last().unwrap().0.key, client.key);
}

/// Why a run ended without a key.
#[derive(Debug, PartialEq)]
enum Stop {
    /// The server sent this transport error.
    Error(i32),
    /// The client refused what it heard.
    Client(HandshakeError),
}

impl From<HandshakeError> for Stop {
    fn from(error: HandshakeError) -> Self {
        Self::Client(error)
    }
}

/// Runs an exchange. Each message of the client is lost once and comes again on another link
/// (KEY-28).
fn pair(
    server: &mut Server,
    mut rng: Rng,
    dc: i32,
    expires_in: Option<i32>,
) -> Result<Finished, Stop> {
    let mut link = 0;
    let mut ask = |server: &mut Server, body: &[u8]| -> Result<Bytes, Stop> {
        link += 1;
        let lost = server.ask(link, body);
        match server.ask(link + 100, body) {
            Said::Body(body) => {
                assert_eq!(lost, Said::Body(body.clone()));
                Ok(body)
            }
            Said::Error(_) => match lost {
                Said::Error(code) => Err(Stop::Error(code)),
                Said::Body(_) => panic!("{lost:?}, but not for its repetition"),
            },
        }
    };
    let server_keys = Arc::new([identity().public().clone()]);
    let (state, body) = client::start(KeyRequest { dc, expires_in, server_keys }, &mut rng);
    let (state, body) = state.handle(&ask(server, &body)?, &mut rng)?;
    let now = server.now;
    let (mut state, mut body) = state.handle(now, &ask(server, &body)?, &mut rng)?;
    loop {
        match state.handle(&ask(server, &body)?, &mut rng)? {
            DhGen::Finished(finished) => return Ok(*finished),
            DhGen::Again(next, again) => (state, body) = (*next, again),
        }
    }
}
