//! Two-step verification, both sides.

use chappe_crypto::Rng;
use chappe_crypto::dh::{Exponent, Group};
use chappe_crypto::srp::{Algorithm, Challenge, SrpError};
use serde_json::Value;

use crate::vectors::{array, bytes, list, load, text};

/// Every vector of `srp.json`: verifier, B, A and M1, and the server accepts.
/// CRY-27: the password goes in as the UTF-8 text it is (one vector is not ASCII), and only A and M1
/// come out.
#[test]
fn published_checks_are_reproduced() {
    for case in list(&load("srp"), "cases") {
        let (algorithm, password) = (algorithm(case), password(case));
        let verifier = algorithm.verifier(&password);
        assert_eq!(verifier, array(case, "v"), "{}", text(case, "name"));

        let exponent = Exponent::from_bytes(array(case, "b"));
        let challenge = Challenge::with(algorithm.clone(), &verifier, exponent);
        assert_eq!(*challenge.b(), array(case, "srp_B"));

        let exponent = Exponent::from_bytes(array(case, "a"));
        let proof = algorithm.prove_with(&password, challenge.b(), &exponent).unwrap().unwrap();
        assert_eq!(proof.a, array(case, "A"));
        assert_eq!(proof.m1, array(case, "M1"));
        assert_eq!(challenge.verify(&proof.a, &proof.m1), Ok(()));
    }
}

/// CRY-25: a wrong proof, and one for another challenge, are refused.
/// CRY-24: a challenge is used up by its answer (`verify` takes it by value).
/// SEC-52: the comparison sees every part of the proof.
#[test]
fn only_the_right_proof_is_accepted() {
    let case = &load("srp")["cases"][0];
    let (algorithm, mut rng) = (algorithm(case), Rng::from_seed([81; 32]));
    let verifier = array(case, "v");
    let mut challenge = || Challenge::new(algorithm.clone(), &verifier, &mut rng);
    let (good, other, wrong, cut) = (challenge(), challenge(), challenge(), challenge());
    assert_ne!(good.b(), other.b());

    let prove = |password: &str, challenge: &Challenge| {
        algorithm.prove(password, challenge.b(), &mut Rng::from_seed([82; 32])).unwrap()
    };
    let proof = prove(&password(case), &good);
    assert_eq!(other.verify(&proof.a, &proof.m1), Err(SrpError::Password));
    assert_eq!(good.verify(&proof.a, &proof.m1), Ok(()));
    let proof = prove("not the password", &wrong);
    assert_eq!(wrong.verify(&proof.a, &proof.m1), Err(SrpError::Password));
    let proof = prove(&password(case), &cut);
    assert_eq!(cut.verify(&proof.a, &proof.m1[..31]), Err(SrpError::Password));
}

/// CRY-23, SEC-51: a client refuses B outside 1 to p − 1 or shorter than 248 bytes.
#[test]
fn client_refuses_b_out_of_range() {
    let algorithm = algorithm(&load("srp")["cases"][0]);
    let p = Group::known().prime();
    let refused = |b: &[u8]| algorithm.prove("x", b, &mut Rng::from_seed([83; 32])).unwrap_err();
    for b in [&[][..], &[0; 256], &[1; 247], &[1; 257], &p, &[0xff; 256]] {
        assert_eq!(refused(b), SrpError::B);
    }
    assert!(algorithm.prove("x", &[1; 248], &mut Rng::from_seed([83; 32])).is_ok());
}

/// CRY-24, SEC-52: a server refuses A from which the secret would follow: 0, 1, p − 1, p, and what is
/// longer than p.
#[test]
fn server_refuses_a_out_of_range() {
    let case = &load("srp")["cases"][0];
    let (algorithm, mut rng) = (algorithm(case), Rng::from_seed([84; 32]));
    let p = Group::known().prime();
    let (mut minus_one, mut twice) = (p, vec![1]);
    minus_one[255] -= 1;
    let mut carry = 0;
    for byte in p.iter().rev() {
        let sum = u16::from(*byte) * 2 + carry;
        twice.insert(1, sum as u8);
        carry = sum >> 8;
    }
    for a in [&[][..], &[0; 256], &[1], &minus_one, &p, &twice, &[0xff; 256]] {
        let challenge = Challenge::new(algorithm.clone(), &array(case, "v"), &mut rng);
        assert_eq!(challenge.verify(a, &[0; 32]), Err(SrpError::A));
    }
    let challenge = Challenge::new(algorithm, &array(case, "v"), &mut rng);
    assert_eq!(challenge.verify(&[2], &[0; 32]), Err(SrpError::Password));
}

/// CRY-26: a new password has a first salt that begins with the server's and ends with 32 bytes of
/// our own.
#[test]
fn new_password_has_a_salt_of_ours() {
    let algorithm = algorithm(&load("srp")["cases"][0]);
    let new = algorithm.for_new_password(&mut Rng::from_seed([85; 32]));
    let other = algorithm.for_new_password(&mut Rng::from_seed([86; 32]));
    let len = algorithm.salt1().len();
    assert_eq!(new.salt1()[..len], *algorithm.salt1());
    assert_eq!(new.salt1().len(), len + 32);
    assert_ne!(new.salt1(), other.salt1());
    assert_ne!(new.verifier("x"), other.verifier("x"));
}

fn algorithm(case: &Value) -> Algorithm {
    let g = case["g"].as_u64().unwrap() as u32;
    // One vector uses a generator that a client must refuse.
    let group = Group::of_example(g);
    assert_eq!(group.prime(), array(case, "p"));
    Algorithm::new(group, bytes(case, "salt1"), bytes(case, "salt2"))
}

fn password(case: &Value) -> String {
    String::from_utf8(bytes(case, "password_utf8")).unwrap()
}
