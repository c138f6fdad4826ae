//! The two published key exchanges, step by step.

use chappe_crypto::dh::{Exponent, Group};
use chappe_crypto::exchange::{
    first_salt, new_nonce_hash, new_nonce_hash1, new_nonce_hash2, new_nonce_hash3, open_inner,
    seal_inner, tmp_aes,
};
use chappe_crypto::rsa::PublicKey;
use chappe_crypto::{AuthKey, Rng, ige};

use crate::vectors::{array, bytes, list, load, text};

/// `auth_key_sample.json`: temporary key, both encrypted messages, auth key, hashes and salt of both
/// published exchanges, bit for bit.
/// CRY-17: every public value in them is in range.
#[test]
fn published_exchanges_are_reproduced() {
    for sample in list(&load("auth_key_sample"), "samples") {
        let (new_nonce, server_nonce) = (array(sample, "new_nonce"), array(sample, "server_nonce"));
        let tmp = tmp_aes(&new_nonce, &server_nonce);
        assert_eq!(tmp.key, array(sample, "tmp_aes_key"));
        assert_eq!(tmp.iv, array(sample, "tmp_aes_iv"));

        let mut answer = bytes(sample, "encrypted_answer");
        let object = bytes(sample, "answer");
        let inner = open_inner(&mut answer, &tmp).unwrap();
        assert_eq!(inner.unchecked()[..object.len()], object);
        assert_eq!(inner.check(object.len()), Some(&object[..]));
        assert_eq!(answer, bytes(sample, "answer_with_hash"));

        let data = bytes(sample, "client_DH_inner_data");
        let hash = chappe_crypto::sha1(&[&data]);
        let mut sealed = [&hash[..], &data, &bytes(sample, "client_padding")].concat();
        ige::encrypt(&mut sealed, &tmp.key, &tmp.iv).unwrap();
        assert_eq!(sealed, bytes(sample, "client_encrypted_data"));
        assert_eq!(open_inner(&mut sealed, &tmp).unwrap().check(data.len()), Some(&data[..]));

        // The older example uses 2, which a client must refuse for this prime.
        let group = Group::of_example(sample["g"].as_u64().unwrap() as u32);
        assert_eq!(group.prime(), array(sample, "dh_prime"));
        let exponent = Exponent::from_bytes(array(sample, "b"));
        assert_eq!(group.power(&exponent), array(sample, "g_b"));
        assert!(group.check_public(&bytes(sample, "g_b")).is_ok());
        let key = group.shared(&exponent, &bytes(sample, "g_a")).unwrap();
        assert_eq!(key, AuthKey::new(array(sample, "auth_key")));
        assert_eq!(key.id().to_le_bytes(), array(sample, "auth_key_id_le"));
        let aux_hash = key.aux_hash();
        assert_eq!(aux_hash, array(sample, "auth_key_aux_hash"));

        assert_eq!(new_nonce_hash1(&new_nonce, &aux_hash), array(sample, "new_nonce_hash1"));
        assert_eq!(new_nonce_hash2(&new_nonce, &aux_hash), array(sample, "new_nonce_hash2"));
        assert_eq!(new_nonce_hash3(&new_nonce, &aux_hash), array(sample, "new_nonce_hash3"));
        assert_eq!(new_nonce_hash(&new_nonce), array(sample, "new_nonce_hash"));
        let salt = first_salt(&new_nonce, &server_nonce);
        assert_eq!(salt.to_le_bytes(), array(sample, "server_salt_le"));
    }
}

/// SEC-12: the fingerprint the client chose is the one of the production key.
#[test]
fn published_exchange_names_the_production_key() {
    let rsa = load("rsa");
    let keys = list(&rsa, "public_keys");
    let chosen = text(&load("auth_key_sample")["samples"][0], "chosen_fingerprint_u64").to_owned();
    let key = keys.iter().find(|key| text(key, "fingerprint_u64") == chosen).unwrap();
    let key = PublicKey::new(&bytes(key, "n"), &bytes(key, "e")).unwrap();
    assert_eq!(format!("{:016x}", key.fingerprint()), chosen);
}

/// SEC-06: the hash covers exactly the object, and at most 15 bytes follow it.
#[test]
fn inner_hash_covers_exactly_the_object() {
    let keys = tmp_aes(&[1; 32], &[2; 16]);
    let mut rng = Rng::from_seed([51; 32]);
    for len in 0..40 {
        let object = vec![len as u8; len];
        let sealed = seal_inner(&object, &keys, &mut rng);
        assert_eq!(sealed.len(), (20 + len).next_multiple_of(16));
        let opened = |change: &dyn Fn(&mut Vec<u8>), len| {
            let mut sealed = sealed.clone();
            ige::decrypt(&mut sealed, &keys.key, &keys.iv).unwrap();
            change(&mut sealed);
            ige::encrypt(&mut sealed, &keys.key, &keys.iv).unwrap();
            open_inner(&mut sealed, &keys).unwrap().check(len).map(<[u8]>::to_vec)
        };
        assert_eq!(opened(&|_| (), len), Some(object.clone()));
        assert_eq!(opened(&|_| (), len + 1), None);
        assert_eq!(opened(&|bytes| bytes[0] ^= 1, len), None);
        assert_eq!(opened(&|bytes| bytes.extend([0; 16]), len), None);
        if len > 0 {
            assert_eq!(opened(&|bytes| bytes[20] ^= 1, len), None);
            assert_eq!(opened(&|_| (), len - 1), None);
        }
    }
    assert!(open_inner(&mut [0; 17], &keys).is_err());
    assert!(open_inner(&mut [0; 16], &keys).is_err());
    assert!(open_inner(&mut [], &keys).is_err());
}
