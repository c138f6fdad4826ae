//! Auth keys protected by a password.

use chappe_crypto::Rng;
use chappe_crypto::stored_key::{ITERATIONS_MIN, OpenError, StoredKey};

use crate::vectors::{array, bytes, load};

/// CRY-28, SEC-42: `stored_key.json`, both ways.
#[test]
fn sealed_key_is_the_published_one() {
    let case = load("stored_key");
    let password = String::from_utf8(bytes(&case, "password_utf8")).unwrap();
    let iterations = case["iterations"].as_u64().unwrap() as u32;
    let auth_key = array(&case, "auth_key");
    let stored = StoredKey::seal_with(&auth_key, &password, iterations, array(&case, "salt"));
    assert_eq!(stored.ciphertext, array(&case, "ciphertext"));
    assert_eq!(stored.iterations, iterations);
    assert_eq!(stored.open(&password).unwrap().full(), Some(&auth_key));
}

/// CRY-28: every save has a salt of its own, and so another ciphertext.
#[test]
fn every_save_has_a_new_salt() {
    let mut rng = Rng::from_seed([91; 32]);
    let first = StoredKey::seal(&[1; 256], "password", 0, &mut rng);
    let second = StoredKey::seal(&[1; 256], "password", 0, &mut rng);
    assert_ne!(first.salt, second.salt);
    assert_ne!(first.ciphertext, second.ciphertext);
    assert_eq!(first.iterations, ITERATIONS_MIN);
    assert_eq!(format!("{first:?}"), "StoredKey { iterations: 100000, .. }");
}

/// CRY-29: a wrong password and every kind of damage give the one error.
#[test]
fn wrong_password_and_damage_look_alike() {
    let stored = StoredKey::seal(&[1; 256], "password", 0, &mut Rng::from_seed([92; 32]));
    assert!(stored.open("password").is_ok());
    assert_eq!(stored.open("Password"), Err(OpenError));
    assert_eq!(stored.open(""), Err(OpenError));
    let damaged = |damage: fn(&mut StoredKey)| {
        let mut stored = stored.clone();
        damage(&mut stored);
        stored.open("password")
    };
    assert_eq!(damaged(|stored| stored.ciphertext[0] ^= 1), Err(OpenError));
    assert_eq!(damaged(|stored| stored.ciphertext[287] ^= 1), Err(OpenError));
    assert_eq!(damaged(|stored| stored.salt[15] ^= 1), Err(OpenError));
    assert_eq!(damaged(|stored| stored.iterations += 1), Err(OpenError));
}
