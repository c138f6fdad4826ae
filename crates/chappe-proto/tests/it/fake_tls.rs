//! Fake TLS, by the published vectors and against itself.

use chappe_crypto::Rng;
use chappe_proto::transport::Secret;
use chappe_proto::transport::fake_tls::{
    ClientHello, FlightError, Group, Heard, NotHello, RECORD_HEADER, RecordError, Records, Shape,
    asked_domain, flight, greeting, read_flight, record_header,
};
use serde_json::Value;

const TIME: u32 = 1_700_000_000;
const SHAPE: Shape =
    Shape { suite: None, group: Group::X25519, version_first: false, encrypted_len: 1500 };

/// Rules:  FTL-03, FTL-05, FTL-06, FTL-07, FTL-09: hellos of today's and of older clients are read,
///         and say their time to who holds the secret.
/// Source: `fake_tls.json`, `handshakes`.
#[test]
fn published_hellos_are_read() {
    for case in vectors()["handshakes"].as_array().unwrap() {
        let (hello, len) = hear(&bytes(&case["client_hello"])).unwrap();
        assert_eq!(len, bytes(&case["client_hello"]).len());
        assert_eq!(hello.domain(), case["domain"].as_str());
        assert_eq!(hello.random()[..], bytes(&case["client_random"]));
        assert_eq!(hello.time_by(&secret(&case["secret"])), Some(TIME));
        assert_eq!(hello.time_by(&Secret::from([7; 16])), None);
    }
}

/// Rules:  FTL-10, FTL-11: the published answers are verified, and nothing that differs in one bit.
/// Source: `fake_tls.json`, `handshakes`.
#[test]
fn published_flights_are_verified() {
    for case in vectors()["handshakes"].as_array().unwrap() {
        let (secret, answer) = (secret(&case["secret"]), bytes(&case["server_hello"]));
        let random: [u8; 32] = bytes(&case["client_random"]).try_into().unwrap();
        assert_eq!(read_flight(&answer, &secret, &random), Ok(Some(answer.len())));
        // What follows is none of it.
        let longer = [&answer[..], &[0x17, 3, 3, 0, 1, 9]].concat();
        assert_eq!(read_flight(&longer, &secret, &random), Ok(Some(answer.len())));
        for len in 0..answer.len() {
            assert_eq!(read_flight(&answer[..len], &secret, &random), Ok(None), "{len}");
        }
        for at in 0..answer.len() {
            let mut changed = answer.clone();
            changed[at] ^= 1;
            // A length that grew is waited for.
            let read = read_flight(&changed, &secret, &random);
            assert!(!matches!(read, Ok(Some(_))), "{at}");
        }
        assert_eq!(read_flight(&answer, &[7; 16].into(), &random), Err(FlightError::Digest));
    }
}

/// Rules: FTL-12: what a web site answers is told at its first wrong byte.
#[test]
fn other_answers_are_told_at_once() {
    let wrong: [&[u8]; 5] = [
        b"H",
        &[0x15, 3, 3, 0, 2, 2, 40],
        &[0x16, 3, 1],
        // No room for a random.
        &[0x16, 3, 3, 0, 20],
        &[&[0x16, 3, 3, 0, 38][..], &[0; 38], &[0x14, 3, 3, 0, 1, 1, 0x16]].concat(),
    ];
    for bytes in wrong {
        assert_eq!(read_flight(bytes, &[1; 16].into(), &[0; 32]), Err(FlightError::Records));
    }
}

/// Rules: FTL-01, FTL-03, FTL-10: a hello of ours is one that our proxy takes, whose answer ours
///        takes, whatever the shape that the site gives it.
#[test]
fn client_and_proxy_understand_each_other() {
    let secret = Secret::from([5; 16]);
    for seed in 0..40 {
        let mut rng = Rng::from_seed([seed; 32]);
        let keys = [rng.bytes(), rng.bytes()];
        let domain = if seed % 2 == 0 { "a.example" } else { "www.Example.org" };
        let (record, random) = greeting(domain, &secret, TIME + u32::from(seed), &keys, &mut rng);
        assert!((1700..2100).contains(&record.len()), "{}", record.len());
        let (hello, len) = hear(&record).unwrap();
        assert_eq!((len, hello.random()), (record.len(), &random));
        assert_eq!(hello.domain(), Some(&*domain.to_lowercase()));
        assert_eq!(hello.time_by(&secret), Some(TIME + u32::from(seed)));
        assert!(hello.has_mlkem());
        for group in [Group::X25519, Group::X25519MlKem768] {
            let shape = Shape {
                suite: (seed % 3 == 0).then_some(0x1302),
                group,
                version_first: seed % 2 == 0,
                encrypted_len: 64 + 163 * u16::from(seed),
            };
            let answer = flight(&hello, &secret, &shape, &[9; 32], &mut rng);
            assert_eq!(read_flight(&answer, &secret, &random), Ok(Some(answer.len())));
            let more = if group == Group::X25519 { 0 } else { 1088 };
            assert_eq!(answer.len(), 127 + more + 11 + usize::from(shape.encrypted_len));
            assert_eq!(answer[76..78], shape.suite.unwrap_or(0x1301).to_be_bytes());
            // The extensions in the site's order.
            assert_eq!(answer[81..83], if shape.version_first { [0, 0x2b] } else { [0, 0x33] });
        }
    }
}

/// Rules: FTL-10: to who brings no key of the site's group, the answer takes the other one.
#[test]
fn group_is_one_that_the_client_brings() {
    let old = &vectors()["handshakes"][2];
    let (hello, _) = hear(&bytes(&old["client_hello"])).unwrap();
    let shape = Shape { group: Group::X25519MlKem768, ..SHAPE };
    let mut rng = Rng::from_seed([1; 32]);
    let answer = flight(&hello, &secret(&old["secret"]), &shape, &[9; 32], &mut rng);
    assert!(!hello.has_mlkem());
    assert_eq!(answer.len(), 127 + 11 + 1500);
    assert_eq!(answer[85..89], [0, 0x1d, 0, 32]);
    assert_eq!(answer[89..121], [9; 32]);
}

/// Rules: FTL-10, FTL-09: a suite of the site's that the client does not offer is not answered with.
#[test]
fn suite_is_one_that_the_client_offers() {
    let old = &vectors()["handshakes"][2];
    let mut bytes = bytes(&old["client_hello"]);
    let at = bytes.windows(2).position(|two| two == [0x13, 2]).unwrap();
    bytes[at + 1] = 3;
    let (hello, _) = hear(&bytes).unwrap();
    for (preferred, chosen) in [(None, 1), (Some(0x1302), 1), (Some(0x1303), 3)] {
        let shape = Shape { suite: preferred, ..SHAPE };
        let mut rng = Rng::from_seed([1; 32]);
        let answer = flight(&hello, &[1; 16].into(), &shape, &[9; 32], &mut rng);
        assert_eq!(answer[76..78], [0x13, chosen]);
    }
}

/// Rules: PRX-22: the site that any hello asks for is found, of clients that are none of ours as well.
#[test]
fn asked_domain_is_found_in_any_hello() {
    for case in vectors()["handshakes"].as_array().unwrap() {
        let hello = bytes(&case["client_hello"]);
        assert_eq!(asked_domain(&hello).as_deref(), case["domain"].as_str());
        assert_eq!(asked_domain(&in_records(&hello[5..], 7)).as_deref(), case["domain"].as_str());
        for len in 0..hello.len() {
            // Half a hello names none, and harms nobody.
            let _ = asked_domain(&hello[..len]);
        }
        // Of TLS 1.2.
        let mut old = hello.clone();
        for suite in old[78..110].chunks_mut(2) {
            suite.copy_from_slice(&[0xc0, 0x2b]);
        }
        assert_eq!(asked_domain(&old).as_deref(), case["domain"].as_str());
        assert!(ClientHello::read(&old).is_err());
    }
    assert_eq!(asked_domain(b"GET / HTTP/1.1"), None);
}

/// Rules: FTL-03: a hello in pieces of TCP, and in up to ten records, is the same hello.
#[test]
fn hello_in_pieces_is_the_same_hello() {
    let whole = bytes(&vectors()["handshakes"][0]["client_hello"]);
    for len in 0..whole.len() {
        assert!(matches!(ClientHello::read(&whole[..len]), Ok(Heard::More)), "{len}");
    }
    let secret = secret(&vectors()["handshakes"][0]["secret"]);
    for pieces in [2, 3, 10] {
        let cut = in_records(&whole[5..], pieces);
        let (hello, len) = hear(&cut).unwrap();
        assert_eq!((len, hello.time_by(&secret)), (cut.len(), Some(TIME)), "{pieces}");
    }
    assert_eq!(hear(&in_records(&whole[5..], 11)).unwrap_err(), NotHello::Pieces);
    // A record of one byte at a time.
    let few: Vec<u8> = whole[5..9].iter().flat_map(|byte| [0x16, 3, 1, 0, 1, *byte]).collect();
    let rest = [&[0x16, 3, 1][..], &((whole.len() - 9) as u16).to_be_bytes(), &whole[9..]].concat();
    let (hello, _) = hear(&[few, rest].concat()).unwrap();
    assert_eq!(hello.time_by(&secret), Some(TIME));
}

/// Rules: FTL-04: where a hello ends is known, whatever comes behind it.
#[test]
fn bytes_behind_a_hello_are_not_of_it() {
    let whole = bytes(&vectors()["handshakes"][2]["client_hello"]);
    let longer = [&whole[..], &[0x14, 3, 3, 0, 1, 1]].concat();
    assert_eq!(hear(&longer).unwrap().1, whole.len());
}

/// Rules: FTL-03, FTL-09: what no client of ours sends is told at the first byte that shows it.
#[test]
fn other_hellos_are_refused() {
    let whole = bytes(&vectors()["handshakes"][2]["client_hello"]);
    let refused = |bytes: &[u8]| hear(bytes).map(|_| ()).unwrap_err();
    assert_eq!(refused(b"GET / HTTP"), NotHello::Record);
    assert_eq!(refused(&[0x16, 3, 4]), NotHello::Record);
    assert_eq!(refused(&[0x16, 3, 1, 0, 0]), NotHello::Length(0));
    assert_eq!(refused(&[0x16, 3, 1, 0x10, 1]), NotHello::Length(0x1001));
    assert_eq!(refused(&[0x16, 3, 1, 0, 4, 2, 0, 1, 0]), NotHello::Malformed);
    assert_eq!(refused(&[0x16, 3, 1, 0, 4, 1, 0, 0, 95]), NotHello::Length(99));
    assert_eq!(refused(&[0x16, 3, 1, 0, 4, 1, 0, 0x10, 0]), NotHello::Length(0x1004));
    let change = |at: usize, to: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    // Version, length of the session id, an odd length of the suites, one that is too long.
    assert_eq!(refused(&change(9, &[3, 1])), NotHello::Malformed);
    assert_eq!(refused(&change(43, &[33])), NotHello::Malformed);
    assert_eq!(refused(&change(76, &[0, 31])), NotHello::Malformed);
    assert_eq!(refused(&change(76, &[0xff, 0xff])), NotHello::Malformed);
    // A record that holds more than the message.
    let longer = [&change(3, &[2, 1])[..], &[0]].concat();
    assert_eq!(refused(&longer), NotHello::Malformed);
    // Suites of TLS 1.2 only.
    let suites: Vec<u8> = [0xc0, 0x2b].repeat(16);
    assert_eq!(refused(&change(78, &suites)), NotHello::Suite);
    let share = whole.windows(4).position(|four| four == [0, 0x1d, 0, 32]).unwrap();
    assert_eq!(refused(&change(share, &[0, 0x17])), NotHello::KeyShare);
}

/// Rules: FTL-07: only a host name that DNS could know counts as one.
#[test]
fn only_host_names_are_domains() {
    let whole = bytes(&vectors()["handshakes"][2]["client_hello"]);
    let name = b"www.example.org";
    let at = whole.windows(name.len()).position(|window| window == name).unwrap();
    let domain_of = |replaced: &[u8; 15]| {
        let mut bytes = whole.clone();
        bytes[at..at + 15].copy_from_slice(replaced);
        hear(&bytes).unwrap().0.domain().map(str::to_owned)
    };
    assert_eq!(domain_of(b"WWW.Example.ORG").as_deref(), Some("www.example.org"));
    for wrong in [
        b"www.example..or",
        b".ww.example.org",
        b"www.exam le.org",
        b"www.ex\xffmple.org",
        b"www/example.org",
    ] {
        assert_eq!(domain_of(wrong), None);
    }
}

/// Rules:  FTL-13, FTL-14, FTL-15, FTL-16: the stream behind the records, however they are cut.
/// Source: `fake_tls.json`, `session`.
#[test]
fn published_records_are_taken_apart() {
    let session = &vectors()["session"];
    let first = bytes(&session["client_first_bytes"]);
    let split = bytes(&session["same_bytes_split_in_two_records"]);
    let plain = unwrap_at_once(Records::of_client(), &first).unwrap();
    assert_eq!(plain, first[11..]);
    assert_eq!(unwrap_at_once(Records::of_client(), &split).unwrap(), plain);
    for step in 1..80 {
        let mut records = Records::of_client();
        let mut found = Vec::new();
        for piece in first.chunks(step) {
            let mut piece = piece.to_vec();
            let len = records.unwrap(&mut piece).unwrap();
            found.extend_from_slice(&piece[..len]);
        }
        assert_eq!(found, plain, "{step}");
    }
    let reply = bytes(&session["server_reply_wire"]);
    assert_eq!(unwrap_at_once(Records::of_proxy(), &reply).unwrap(), reply[5..]);
    assert_eq!(record_header(reply.len() - RECORD_HEADER), reply[..5]);
}

/// Rules: FTL-15, FTL-16, FTL-18: one change of cipher, before all data and from a client only; then
///        data, in records no longer than TLS allows.
#[test]
fn other_records_end_the_connection() {
    let change = [0x14, 3, 3, 0, 1, 1];
    let data = [0x17, 3, 3, 0, 1, 9];
    let of_client = |pieces: &[&[u8]]| unwrap_at_once(Records::of_client(), &pieces.concat());
    assert_eq!(of_client(&[&data]), Ok(vec![9]));
    assert_eq!(of_client(&[&change, &data, &data]), Ok(vec![9, 9]));
    // A record without content is one.
    assert_eq!(of_client(&[&change, &[0x17, 3, 3, 0, 0], &data]), Ok(vec![9]));
    assert_eq!(of_client(&[&change, &change]), Err(RecordError::Type));
    assert_eq!(of_client(&[&data, &change]), Err(RecordError::Type));
    assert_eq!(of_client(&[&[0x14, 3, 3, 0, 1, 2]]), Err(RecordError::Type));
    assert_eq!(of_client(&[&[0x15]]), Err(RecordError::Type));
    assert_eq!(of_client(&[&[0x17, 3, 1]]), Err(RecordError::Type));
    assert_eq!(unwrap_at_once(Records::of_proxy(), &change), Err(RecordError::Type));
    assert_eq!(of_client(&[&[0x17, 3, 3, 0x41, 0]]), Ok(vec![]));
    assert_eq!(of_client(&[&[0x17, 3, 3, 0x41, 1]]), Err(RecordError::Length(0x4101)));
}

fn unwrap_at_once(mut records: Records, bytes: &[u8]) -> Result<Vec<u8>, RecordError> {
    let mut bytes = bytes.to_vec();
    let len = records.unwrap(&mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

fn hear(bytes: &[u8]) -> Result<(ClientHello, usize), NotHello> {
    match ClientHello::read(bytes)? {
        Heard::Hello(hello, len) => Ok((*hello, len)),
        Heard::More => panic!("a hello that is not whole"),
    }
}

/// The message in so many records.
fn in_records(message: &[u8], pieces: usize) -> Vec<u8> {
    let size = message.len().div_ceil(pieces);
    let records = message
        .chunks(size)
        .map(|piece| [&[0x16, 3, 1][..], &(piece.len() as u16).to_be_bytes(), piece].concat());
    records.collect::<Vec<_>>().concat()
}

fn vectors() -> Value {
    const FILE: &str =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors/fake_tls.json");
    serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    hex::decode(hex.as_str().unwrap()).unwrap()
}

fn secret(hex: &Value) -> Secret {
    <[u8; 16]>::try_from(bytes(hex)).unwrap().into()
}
