//! The key exchange against servers that are not what they should be.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chappe_client::{ConnectError, LinkError};
use chappe_proto::handshake::client::HandshakeError;
use chappe_proto::transport::Transport;
use serde_json::Value;

use crate::server::{Accept, Gen, Hooks, Seen, Server};

/// Rule: KEY-07, KEY-10, KEY-19, KEY-26, KEY-27, CRY-14, TRN-01, TRN-13: over every transport a key is made by RSA_PAD and used at once, on the same connection, with
/// the first salt.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_and_used_over_every_transport() {
    let server = Server::start(Hooks::default()).await;
    for transport in Transport::ALL {
        let before = server.links();
        let client = server.client().transport(transport).connect().await.unwrap();
        let call = Bytes::from_static(b"\x01\x02\x03\x04\x05\x06\x07\x08");
        assert_eq!(client.invoke_raw(call.clone()).await.unwrap(), call, "{transport}");
        assert_eq!(server.links(), before + 1, "{transport}");
        client.close().await;
    }
    let nonces = nonces(&server);
    assert_eq!(nonces.len(), Transport::ALL.len());
    assert!(nonces.iter().enumerate().all(|(at, nonce)| !nonces[..at].contains(nonce)));
    let mut keys = Vec::new();
    for seen in server.seen() {
        let Seen::Message { key, salt, .. } = seen else { continue };
        if !keys.contains(&key) {
            keys.push(key);
            assert_eq!(salt, server.state().keys[&key].1.value);
        }
    }
    assert_eq!(keys.len(), Transport::ALL.len());
}

/// Rule: KEY-11: the data centre goes into the inner data as it was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn the_data_centre_is_named_in_the_exchange() {
    let server = Server::start(Hooks::default()).await;
    for dc in [2, 10_002, -4] {
        server.client().dc(dc).connect().await.unwrap();
        assert_eq!(server.count(|seen| *seen == Seen::ReqDh { dc }), 1, "{dc}");
    }
}

/// Rule: KEY-05: random bytes after the objects of the exchange are ignored.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_after_an_object_are_ignored() {
    let server = Server::start(Hooks { tail: 104, ..Hooks::default() }).await;
    server.client().connect().await.unwrap();
    assert_eq!(server.links(), 1);
}

/// Rule: KEY-09, KEY-24, SEC-07: a wrong nonce in resPQ.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_nonce_in_res_pq_ends_the_run() {
    let hooks = once(|on| Hooks {
        res_pq: Box::new(move |answer| flip(on(), &mut answer.nonce)),
        ..Hooks::default()
    });
    check_abort(hooks, Stage::ResPq).await;
}

/// Rule: KEY-17, SEC-07: wrong nonces around and inside the sealed answer.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_nonces_in_dh_params_end_the_run() {
    let outer_nonce = once(|on| Hooks {
        dh_ok: Box::new(move |answer| flip(on(), &mut answer.nonce)),
        ..Hooks::default()
    });
    let outer_server_nonce = once(|on| Hooks {
        dh_ok: Box::new(move |answer| flip(on(), &mut answer.server_nonce)),
        ..Hooks::default()
    });
    let inner_nonce = once(|on| Hooks {
        inner: Box::new(move |inner| flip(on(), &mut inner.nonce)),
        ..Hooks::default()
    });
    let inner_server_nonce = once(|on| Hooks {
        inner: Box::new(move |inner| flip(on(), &mut inner.server_nonce)),
        ..Hooks::default()
    });
    for hooks in [outer_nonce, outer_server_nonce, inner_nonce, inner_server_nonce] {
        check_abort(hooks, Stage::DhParams).await;
    }
}

/// Rule: KEY-17, SEC-06, CRY-01, CRY-02: a sealed answer that was changed, is not made of whole
/// blocks, or has more padding than 15 bytes.
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_answer_that_does_not_open_ends_the_run() {
    let changes: [fn(&mut Vec<u8>); 3] = [
        |sealed| sealed[0] ^= 1,
        |sealed| sealed.extend([0; 16]),
        |sealed| {
            sealed.pop();
        },
    ];
    for change in changes {
        let hooks = once(|on| Hooks {
            sealed: Box::new(move |sealed| {
                if on() {
                    change(sealed);
                }
            }),
            ..Hooks::default()
        });
        check_abort(hooks, Stage::DhParams).await;
    }
}

/// Rule: CRY-15, CRY-16, SEC-01, SEC-02, SEC-05: primes that are not safe, and generators that
/// are not good for a prime even though the prime is known.
#[tokio::test(flavor = "multi_thread")]
async fn unsafe_groups_end_the_run() {
    for case in dh()["bad_primes"].as_array().unwrap() {
        let prime = hex::decode(case["p"].as_str().unwrap()).unwrap();
        let hooks = once(|on| Hooks {
            inner: Box::new(move |inner| {
                if on() {
                    inner.dh_prime = prime.clone().into();
                }
            }),
            ..Hooks::default()
        });
        check_abort(hooks, Stage::DhParams).await;
    }
    for generator in [-1, 0, 1, 2, 5, 6, 8] {
        let hooks = once(|on| Hooks {
            inner: Box::new(move |inner| {
                if on() {
                    inner.g = generator;
                }
            }),
            ..Hooks::default()
        });
        check_abort(hooks, Stage::DhParams).await;
    }
}

/// Rule: CRY-17, SEC-03, SEC-04: every `g_a` of the vectors that is out of range.
#[tokio::test(flavor = "multi_thread")]
async fn public_values_out_of_range_end_the_run() {
    for case in dh()["g_a_range"].as_array().unwrap() {
        if case["recommended_ok"] == true {
            continue;
        }
        let value = hex::decode(case["value"].as_str().unwrap()).unwrap();
        let hooks = once(|on| Hooks {
            inner: Box::new(move |inner| {
                if on() {
                    inner.g_a = value.clone().into();
                }
            }),
            ..Hooks::default()
        });
        check_abort(hooks, Stage::DhParams).await;
    }
}

/// Rule: CRY-20, SEC-15: a `pq` that is no product of two different odd primes is not answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_pq_ends_the_run() {
    let bad: [&[u8]; 7] = [
        &[],
        &[0],
        &[1],
        // Prime, square, even, nine bytes.
        &1_000_000_007_u64.to_be_bytes(),
        &(1_000_003_u64 * 1_000_003).to_be_bytes(),
        &(2 * 1_000_000_007_u64).to_be_bytes(),
        &[1, 0, 0, 0, 0, 0, 0, 0, 1],
    ];
    for pq in bad {
        let pq = Bytes::copy_from_slice(pq);
        let hooks = once(|on| Hooks {
            res_pq: Box::new(move |answer| {
                if on() {
                    answer.pq = pq.clone();
                }
            }),
            ..Hooks::default()
        });
        check_abort(hooks, Stage::ResPq).await;
    }
}

/// Rule: CRY-09, SEC-12: a server without a key that we trust gets nothing secret, and the
/// caller is told at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_trusted_key_is_refused_at_once() {
    let hooks = Hooks {
        res_pq: Box::new(|answer| answer.server_public_key_fingerprints = vec![1, 2]),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    let error = server.client().connect().await.unwrap_err();
    let expected = HandshakeError::NoTrustedKey(vec![1, 2]);
    assert!(
        matches!(&error, ConnectError::Misconfigured(LinkError::Exchange(e)) if *e == expected),
        "{error}"
    );
    assert_eq!(server.count(|seen| matches!(seen, Seen::ReqDh { .. })), 0);
}

/// Rule: KEY-11, SEC-60: a server of another data centre is an error with a clear text.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_data_centre_is_told_at_once() {
    let hooks = Hooks { accept: Box::new(|_| Accept::Error(444)), ..Hooks::default() };
    let server = Server::start(hooks).await;
    let error = server.client().dc(10_003).connect().await.unwrap_err();
    assert!(error.to_string().contains("does not serve data centre 10003"), "{error}");
    assert_eq!(server.links(), 1);
}

/// Rule: KEY-23, SEC-09: retries bring a new exponent each and name the key before; then the key
/// is good.
#[tokio::test(flavor = "multi_thread")]
async fn retries_are_followed() {
    let hooks = Hooks {
        dh_gen: Box::new(|attempt| if *attempt < 5 { Gen::Retry(2) } else { Gen::Ok(1) }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    server.client().connect().await.unwrap();
    let ids: Vec<_> = server
        .seen()
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::SetDh { retry_id, expected } => Some((retry_id, expected)),
            _ => None,
        })
        .collect();
    assert_eq!(ids.len(), 6);
    assert_eq!(ids[0].0, 0);
    assert!(ids.iter().all(|(retry_id, expected)| retry_id == expected));
    assert!(ids.iter().enumerate().all(|(at, id)| !ids[..at].contains(id)));
    assert_eq!(server.links(), 1);
}

/// Rule: KEY-23: more than five retries, or a failure that the server proves, begin again.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_retries_and_failures_begin_again() {
    let mut runs = 0;
    let hooks = Hooks {
        dh_gen: Box::new(move |attempt| {
            runs += u32::from(*attempt == 0);
            if runs == 1 { Gen::Retry(2) } else { Gen::Ok(1) }
        }),
        ..Hooks::default()
    };
    check_abort(hooks, Stage::DhGen).await;
    let hooks = once(|on| Hooks {
        dh_gen: Box::new(move |_| if on() { Gen::Fail(3) } else { Gen::Ok(1) }),
        ..Hooks::default()
    });
    check_abort(hooks, Stage::DhGen).await;
}

/// Rule: KEY-23, SEC-09: each outcome needs the hash of its own number.
#[tokio::test(flavor = "multi_thread")]
async fn outcomes_with_the_wrong_proof_end_the_run() {
    let forged: [fn() -> Gen; 7] = [
        || Gen::Ok(2),
        || Gen::Ok(3),
        || Gen::Retry(1),
        || Gen::Retry(3),
        || Gen::Fail(1),
        || Gen::Ok(0),
        || Gen::Other,
    ];
    for forged in forged {
        let hooks = once(|on| Hooks {
            dh_gen: Box::new(move |_| if on() { forged() } else { Gen::Ok(1) }),
            ..Hooks::default()
        });
        check_abort(hooks, Stage::DhGen).await;
    }
}

/// Rule: KEY-23, KEY-24, SEC-07: wrong nonces in the outcome.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_nonces_in_the_outcome_end_the_run() {
    let nonce = once(|on| Hooks {
        dh_gen_nonces: Box::new(move |nonces| flip(on(), &mut nonces.0)),
        ..Hooks::default()
    });
    let server_nonce = once(|on| Hooks {
        dh_gen_nonces: Box::new(move |nonces| flip(on(), &mut nonces.1)),
        ..Hooks::default()
    });
    for hooks in [nonce, server_nonce] {
        check_abort(hooks, Stage::DhGen).await;
    }
}

/// Rule: KEY-18: the obsolete failure, genuine or forged, leads to a new run.
#[tokio::test(flavor = "multi_thread")]
async fn the_obsolete_failure_begins_again() {
    for is_genuine in [true, false] {
        let hooks = once(|on| Hooks {
            dh_fail: Box::new(move |_| on().then_some(is_genuine)),
            ..Hooks::default()
        });
        check_abort(hooks, Stage::DhParams).await;
    }
}

/// An exchange answered by -404 begins again.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_the_server_forgot_begins_again() {
    let hooks = Hooks {
        accept: Box::new(|link| if *link == 0 { Accept::Error(404) } else { Accept::Serve }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    server.client().connect().await.unwrap();
    let nonces = nonces(&server);
    assert_eq!(server.links(), 2);
    // The first request was answered by the error before the server looked at it.
    assert_eq!(nonces.len(), 1);
}

/// Rule: KEY-28: a request whose connection was lost is repeated on the next one, in the
/// same run.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_an_answer_is_repeated_on_the_next_connection() {
    let hooks = Hooks {
        accept: Box::new(|link| if *link < 2 { Accept::CutWhenAsked } else { Accept::Serve }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    server.client().connect().await.unwrap();
    let nonces = nonces(&server);
    assert_eq!(nonces.len(), 3);
    assert!(nonces.iter().all(|nonce| *nonce == nonces[0]));
}

/// Rule: KEY-33: without resPQ a run ends after 60 % of its time, and another begins under a new
/// nonce.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_answers_ends_in_time() {
    let hooks = Hooks {
        accept: Box::new(|link| if *link == 0 { Accept::Silent } else { Accept::Serve }),
        ..Hooks::default()
    };
    let server = Server::start(hooks).await;
    let begun = Instant::now();
    let client = server.client().exchange_timeout(Duration::from_secs(20));
    let connecting = tokio::spawn(client.connect());
    server.until(|state| state.seen.contains(&Seen::Closed(0))).await;
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(11_900), "{waited:?}");
    connecting.await.unwrap().unwrap();
    assert_eq!(server.links(), 2);
}

/// Up to where a run may come before it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    ResPq,
    DhParams,
    DhGen,
}

/// The first run fails at `stage` and sends nothing more; the second, on a connection of its own
/// and under a new nonce, makes the key (KEY-24).
async fn check_abort(hooks: Hooks, stage: Stage) {
    let server = Server::start(hooks).await;
    let client = server.client().connect().await.unwrap();
    client.close().await;
    let seen = server.seen();
    let second = seen.iter().position(|seen| *seen == Seen::Connected(1)).unwrap();
    let first = &seen[..second];
    let sent_req_dh = first.iter().any(|seen| matches!(seen, Seen::ReqDh { .. }));
    let sent_set_dh = first.iter().any(|seen| matches!(seen, Seen::SetDh { .. }));
    let sent_messages = first.iter().any(|seen| matches!(seen, Seen::Message { .. }));
    assert_eq!(sent_req_dh, stage != Stage::ResPq);
    assert_eq!(sent_set_dh, stage == Stage::DhGen);
    assert!(!sent_messages);
    let nonces = nonces(&server);
    assert_eq!(nonces.len(), 2);
    assert_ne!(nonces[0], nonces[1]);
    assert_eq!(server.links(), 2);
}

/// Hooks that do wrong the first time they are asked, and right from then on.
fn once(hooks: impl FnOnce(Box<dyn Fn() -> bool + Send>) -> Hooks) -> Hooks {
    let is_first = AtomicBool::new(true);
    hooks(Box::new(move || is_first.swap(false, Ordering::Relaxed)))
}

fn flip(on: bool, nonce: &mut [u8; 16]) {
    nonce[3] ^= u8::from(on);
}

fn nonces(server: &Server) -> Vec<[u8; 16]> {
    let nonce = |seen| match seen {
        Seen::ReqPq { nonce, .. } => Some(nonce),
        _ => None,
    };
    server.seen().into_iter().filter_map(nonce).collect()
}

fn dh() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/spec/vectors/dh.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
