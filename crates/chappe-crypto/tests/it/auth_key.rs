//! Auth keys: identifiers, what a server keeps, what shows.

use chappe_crypto::dh::Exponent;
use chappe_crypto::msg_key::AesKeys;
use chappe_crypto::{AuthKey, AuthKeyId, Ctr, Direction, equal};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::vectors::{array, bytes, list, load};

/// CRY-04: identifiers are hashes of all 256 bytes, leading zeros included (the vectors hold a key
/// that begins with a zero byte).
#[test]
fn identifiers_cover_the_padded_key() {
    let vectors = load("kdf");
    let cases = list(&vectors, "auth_key_ids");
    assert!(cases.iter().any(|case| bytes(case, "auth_key")[0] == 0));
    for case in cases {
        let key = AuthKey::new(array(case, "auth_key"));
        assert_eq!(key.id().to_le_bytes(), array(case, "auth_key_id_le"));
        assert_eq!(Some(key.id().0), case["auth_key_id_u64"].as_u64());
        assert_eq!(AuthKeyId::from_le_bytes(array(case, "auth_key_id_le")), key.id());
        assert_eq!(key.aux_hash(), array(case, "aux_hash"));
    }
}

/// CRY-05, SEC-19: the server's form of a key has lost the last 64 bytes and kept its identifiers.
#[test]
fn server_form_lacks_the_client_part() {
    let mut key = AuthKey::new([0xab; 256]);
    let (id, aux_hash) = (key.id(), key.aux_hash());
    assert!(key.full().is_some());
    key.forget_client_part();
    assert_eq!(key.full(), None);
    assert_eq!((key.id(), key.aux_hash(), key.stored()), (id, aux_hash, &[0xab; 192]));

    let loaded = AuthKey::from_stored(id, aux_hash, key.stored());
    assert_eq!(loaded, key);
    assert_eq!(loaded.full(), None);
    assert_eq!(loaded.id(), id);
}

/// CRY-06: a client's key keeps all bytes; the last 64 are its own.
#[test]
fn client_form_keeps_all_bytes() {
    let bytes = std::array::from_fn(|i| i as u8);
    assert_eq!(AuthKey::from(bytes).full(), Some(&bytes));
}

/// CRY-03, SEC-20: secrets are wiped on drop, and wiping leaves no byte of a key.
#[test]
fn secrets_are_wiped() {
    fn wiped_on_drop<T: ZeroizeOnDrop>() {}
    wiped_on_drop::<AuthKey>();
    wiped_on_drop::<AesKeys>();
    wiped_on_drop::<Ctr>();
    wiped_on_drop::<Exponent>();

    let mut key = AuthKey::new([0xee; 256]);
    key.zeroize();
    assert_eq!((key.stored(), key.full()), (&[0; 192], None));
    let mut keys = AesKeys::v2(&AuthKey::new([0xee; 256]), &[1; 16], Direction::ClientToServer);
    keys.zeroize();
    assert_eq!((keys.key, keys.iv), ([0; 32], [0; 32]));
}

/// SEC-53: a key prints its identifier and nothing else.
#[test]
fn debug_shows_the_identifier_only() {
    let key = AuthKey::new([0xcd; 256]);
    assert_eq!(format!("{key:?}"), format!("AuthKey({:016x})", key.id().0));
    assert_eq!(
        format!("{0} {0:?}", AuthKeyId(0x1f)),
        "000000000000001f AuthKeyId(000000000000001f)"
    );
    assert_eq!(format!("{:?}", Ctr::new(&[1; 32], &[2; 16])), "Ctr");
}

/// CRY-03: keys are equal if all their bytes are, and what a server has left of a key is not the
/// whole key, even where that ended in zeros.
#[test]
fn equality_sees_every_byte_and_what_is_missing() {
    let mut bytes = [7; 256];
    bytes[192..].fill(0);
    let key = AuthKey::new(bytes);
    assert_eq!(key, AuthKey::new(bytes));
    bytes[255] = 1;
    assert_ne!(key, AuthKey::new(bytes));
    let mut shortened = key.clone();
    shortened.forget_client_part();
    assert_ne!(key, shortened);
}

/// CRY-03, SEC-23: the one comparison for secrets, both outcomes and unequal lengths.
#[test]
fn comparison_sees_every_byte() {
    let key = [5; 32];
    assert!(equal(&key, &[5; 32]));
    for at in 0..32 {
        let mut other = key;
        other[at] ^= 0x80;
        assert!(!equal(&key, &other));
    }
    assert!(!equal(&key, &key[..31]));
    assert!(equal(&[], &[]));
}
