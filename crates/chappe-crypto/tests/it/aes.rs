//! The three AES modes.

use chappe_crypto::cbc::{self, Decrypt, Encrypt};
use chappe_crypto::ige::LengthError;
use chappe_crypto::{Ctr, Rng, ige, md5};
use proptest::prelude::*;

use crate::vectors::{array, bytes, list, load, text};

/// Every vector of `aes_ige.json`, both ways.
#[test]
fn ige_gives_the_published_bytes() {
    for case in list(&load("aes_ige"), "cases") {
        let (key, iv) = (array(case, "key"), array(case, "iv"));
        let mut buf = bytes(case, "plaintext");
        ige::encrypt(&mut buf, &key, &iv).unwrap();
        assert_eq!(buf, bytes(case, "ciphertext"), "{}", text(case, "name"));
        ige::decrypt(&mut buf, &key, &iv).unwrap();
        assert_eq!(buf, bytes(case, "plaintext"), "{}", text(case, "name"));
    }
}

/// CRY-01: a length that is not one or more whole blocks is refused and the bytes stay as they are.
#[test]
fn lengths_that_are_not_whole_blocks_are_refused() {
    for len in [0, 1, 15, 17, 31, 33, 1023] {
        let mut buf = vec![7; len];
        assert_eq!(ige::encrypt(&mut buf, &[1; 32], &[2; 32]), Err(LengthError(len)));
        assert_eq!(ige::decrypt(&mut buf, &[1; 32], &[2; 32]), Err(LengthError(len)));
        assert_eq!(cbc::encrypt(&mut buf, &[1; 32], &[2; 16]), Err(LengthError(len)));
        assert_eq!(cbc::decrypt(&mut buf, &[1; 32], &[2; 16]), Err(LengthError(len)));
        assert_eq!(buf, vec![7; len]);
    }
    for len in [16, 32, 1024] {
        assert_eq!(ige::encrypt(&mut vec![7; len], &[1; 32], &[2; 32]), Ok(()));
    }
}

/// NIST SP 800-38A, F.5.5: the published counter-mode example.
#[test]
fn ctr_gives_the_published_bytes() {
    let mut buf = nist_plaintext();
    let iv = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
    Ctr::new(&nist_key(), &unhex(iv).try_into().unwrap()).apply(&mut buf);
    let expected = "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
                    2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6";
    assert_eq!(buf, unhex(expected));
}

/// NIST SP 800-38A, F.2.5: the published chaining example, both ways.
#[test]
fn cbc_gives_the_published_bytes() {
    let mut buf = nist_plaintext();
    let iv = unhex("000102030405060708090a0b0c0d0e0f").try_into().unwrap();
    cbc::encrypt(&mut buf, &nist_key(), &iv).unwrap();
    let expected = "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d\
                    39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b";
    assert_eq!(buf, unhex(expected));
    cbc::decrypt(&mut buf, &nist_key(), &iv).unwrap();
    assert_eq!(buf, nist_plaintext());
}

/// The chains of `middle_proxy.json`: frames of one link, one after the other, in each direction.
#[test]
fn cbc_chains_carry_over_the_frames_of_a_link() {
    let vectors = load("middle_proxy");
    for (dir, side) in [("c2s", "client"), ("s2c", "server")] {
        let key = array(&vectors, &format!("{side}_write_key"));
        let iv = array(&vectors, &format!("{side}_write_iv"));
        let (mut encrypt, mut decrypt) = (Encrypt::new(&key, &iv), Decrypt::new(&key, &iv));
        for frame in list(&vectors, "encrypted_frames") {
            if text(frame, "dir") != dir {
                continue;
            }
            let mut buf = bytes(frame, "padded");
            encrypt.apply(&mut buf).unwrap();
            assert_eq!(buf, bytes(frame, "wire"));
            decrypt.apply(&mut buf).unwrap();
            assert_eq!(buf, bytes(frame, "padded"));
        }
    }
    assert_eq!(format!("{:?}", Encrypt::new(&[7; 32], &[7; 16])), "Encrypt");
    assert_eq!(format!("{:?}", Decrypt::new(&[7; 32], &[7; 16])), "Decrypt");
}

/// RFC 1321, A.5, over pieces.
#[test]
fn md5_gives_the_published_bytes() {
    let expected = "f96b697d7cb7938d525a2f31aaf161d0";
    assert_eq!(md5(&[b"message", b" ", b"digest"])[..], unhex(expected));
}

/// The counter is one number of 128 bits: it carries through all bytes and wraps to zero.
#[test]
fn ctr_counter_carries_and_wraps() {
    let key = [9; 32];
    let mut run = [0; 48];
    Ctr::new(&key, &[0xff; 16]).apply(&mut run);
    let mut from_zero = [0; 32];
    Ctr::new(&key, &[0; 16]).apply(&mut from_zero);
    assert_eq!(run[16..], from_zero);
    let mut rested = [0; 48];
    let mut ctr = Ctr::new(&key, &[0xff; 16]);
    for piece in rested.chunks_mut(20) {
        ctr.apply(piece);
        ctr.rest();
    }
    assert_eq!(rested, run);
}

proptest! {
    /// A chain does not depend on how its blocks are cut into calls, and a call that is refused
    /// changes nothing.
    #[test]
    fn cbc_carries_its_state_over_calls(
        seed: [u8; 32],
        cuts in prop::collection::vec(1usize..40, 1..12),
    ) {
        let mut rng = Rng::from_seed(seed);
        let (key, iv) = (rng.bytes(), rng.bytes());
        let mut plain = vec![0; cuts.iter().sum::<usize>() * 16];
        rng.fill(&mut plain);
        let mut whole = plain.clone();
        cbc::encrypt(&mut whole, &key, &iv).unwrap();

        let (mut encrypt, mut decrypt) = (Encrypt::new(&key, &iv), Decrypt::new(&key, &iv));
        let mut at = 0;
        for cut in cuts {
            let piece = at..at + 16 * cut;
            at = piece.end;
            let mut buf = plain[piece.clone()].to_vec();
            encrypt.apply(&mut buf).unwrap();
            prop_assert_eq!(&buf, &whole[piece.clone()]);
            prop_assert_eq!(encrypt.apply(&mut buf[1..]), Err(LengthError(buf.len() - 1)));
            prop_assert_eq!(decrypt.apply(&mut buf[1..]), Err(LengthError(buf.len() - 1)));
            decrypt.apply(&mut buf).unwrap();
            prop_assert_eq!(&buf, &plain[piece]);
        }
    }

    /// The stream does not depend on how its bytes are cut into calls, nor on rests between them.
    #[test]
    fn ctr_carries_its_state_over_calls(
        seed: [u8; 32],
        cuts in prop::collection::vec((0usize..700, any::<bool>()), 0..12),
    ) {
        let mut rng = Rng::from_seed(seed);
        let (key, iv) = (rng.bytes(), rng.bytes());
        let total: usize = cuts.iter().map(|(cut, _)| cut).sum();
        let mut whole = vec![0; total];
        rng.fill(&mut whole);
        let mut pieces = whole.clone();

        Ctr::new(&key, &iv).apply(&mut whole);
        let mut ctr = Ctr::new(&key, &iv);
        let mut rest = &mut pieces[..];
        for (cut, rests) in cuts {
            let (piece, tail) = rest.split_at_mut(cut);
            ctr.apply(piece);
            rest = tail;
            if rests {
                ctr.rest();
            }
        }
        prop_assert_eq!(whole, pieces);
    }

    /// Decryption is the reverse of encryption at any length.
    #[test]
    fn block_modes_reverse(seed: [u8; 32], blocks in 1usize..70) {
        let mut rng = Rng::from_seed(seed);
        let (key, iv, cbc_iv) = (rng.bytes(), rng.bytes(), rng.bytes());
        let mut plain = vec![0; blocks * 16];
        rng.fill(&mut plain);
        let mut buf = plain.clone();
        ige::encrypt(&mut buf, &key, &iv).unwrap();
        prop_assert_ne!(&buf, &plain);
        ige::decrypt(&mut buf, &key, &iv).unwrap();
        prop_assert_eq!(&buf, &plain);
        cbc::encrypt(&mut buf, &key, &cbc_iv).unwrap();
        prop_assert_ne!(&buf, &plain);
        cbc::decrypt(&mut buf, &key, &cbc_iv).unwrap();
        prop_assert_eq!(&buf, &plain);
    }
}

fn nist_key() -> [u8; 32] {
    let key = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
    unhex(key).try_into().unwrap()
}

fn nist_plaintext() -> Vec<u8> {
    unhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
         30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
    )
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}
