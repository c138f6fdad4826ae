//! RSA keys, their text forms and the two wrappings.

use std::sync::LazyLock;

use chappe_crypto::Rng;
use chappe_crypto::rsa::{
    DecryptError, KeyError, PemError, PrivateKey, PublicKey, Scheme, TooLong, first_known,
};
use pkcs1::der::{Decode, SecretDocument};
use pkcs1::{LineEnding, RsaPrivateKeyRef};
use serde_json::Value;

use crate::vectors::{array, bytes, list, load, text};

/// Every key of `rsa.json`: fingerprint, and back from both text forms.
#[test]
fn fingerprints_are_the_published_ones() {
    for case in list(&load("rsa"), "public_keys") {
        let key = PublicKey::new(&bytes(case, "n"), &bytes(case, "e")).unwrap();
        assert_eq!(Some(key.fingerprint()), case["fingerprint_i64"].as_i64());
        assert_eq!(key.modulus().to_vec(), bytes(case, "n"));
        assert_eq!(format!("{key:?}"), format!("PublicKey({})", text(case, "fingerprint_u64")));
        assert_eq!(PublicKey::from_pem(&key.to_pem()), Ok(key.clone()));
        assert_eq!(PublicKey::from_pem(&key.to_spki_pem()), Ok(key));
    }
}

/// SEC-12: the fingerprint covers the exponent, whatever its length: it is a string of TL there, of
/// one byte of length, its bytes, and zeros up to a multiple of four.
#[test]
fn fingerprint_covers_exponents_of_any_length() {
    let n = TEST_KEY.public().modulus();
    for (exponent, fingerprint) in [
        (3, 6_241_858_758_473_478_789),
        (0x101, -7_284_110_872_635_814_885),
        (0x1_0001, -301_246_634_119_612_605),
        (0x100_0001, 3_285_549_019_750_914_682),
        (0x1_0000_0001, 6_445_418_859_796_878_062),
        (0x100_0000_0000_0001_u64, -5_782_441_649_015_277_744),
    ] {
        let key = PublicKey::new(&n, &exponent.to_be_bytes()).unwrap();
        assert_eq!(key.fingerprint(), fingerprint, "{exponent:#x}");
    }
}

/// Keys are equal if modulus and exponent are.
#[test]
fn keys_differ_by_modulus_and_exponent() {
    let n = TEST_KEY.public().modulus();
    let mut other = n;
    other[200] ^= 1;
    let key = |n: &[u8], e: u8| PublicKey::new(n, &[e]).unwrap();
    assert_eq!(key(&n, 3), key(&n, 3));
    assert_ne!(key(&n, 3), key(&n, 5));
    assert_ne!(key(&n, 3), key(&other, 3));
}

/// CRY-10, SEC-13: every RSA_PAD vector, among them those whose first temporary key gives a number
/// too large, after which the same padding is used with the next key.
#[test]
fn padded_encryption_gives_the_published_bytes() {
    let vectors = load("rsa");
    for case in list(&vectors, "rsa_pad") {
        let padding = bytes(case, "random_padding");
        let temp_keys = list(case, "temp_keys");
        let used = case["temp_key_index_used"].as_u64().unwrap() as usize;
        let mut draws = 0;
        let encrypted =
            public_key(&vectors, case).encrypt_padded_with(&bytes(case, "data"), |out| {
                match draws {
                    0 => out.copy_from_slice(&padding),
                    n => out
                        .copy_from_slice(&hex::decode(temp_keys[n - 1].as_str().unwrap()).unwrap()),
                }
                draws += 1;
            });
        assert_eq!(encrypted.unwrap(), array(case, "encrypted_data"), "{}", text(case, "name"));
        assert_eq!(draws, used + 2, "{}", text(case, "name"));
        if case["modulus"] != "production" {
            let decrypted = TEST_KEY.decrypt(&bytes(case, "encrypted_data"), &mut rng()).unwrap();
            assert_eq!(decrypted.scheme, Scheme::Padded);
            assert_eq!(*decrypted.data, [bytes(case, "data"), padding].concat());
        }
    }
}

/// CRY-13: the older form, both ways, and told from RSA_PAD by its hash.
#[test]
fn older_encryption_gives_the_published_bytes() {
    let vectors = load("rsa");
    for case in list(&vectors, "rsa_old") {
        let key = public_key(&vectors, case);
        let encrypted = key.encrypt_older_with(&bytes(case, "data"), |out| {
            out.copy_from_slice(&bytes(case, "random_padding"));
        });
        assert_eq!(encrypted.unwrap(), array(case, "encrypted_data"));
        let decrypted = TEST_KEY.decrypt(&bytes(case, "encrypted_data"), &mut rng()).unwrap();
        assert_eq!((decrypted.scheme, &*decrypted.data), (Scheme::Older, &bytes(case, "data")));
    }
}

/// CRY-13: whatever random bytes come, each form is recognised as itself, also RSA_PAD numbers whose
/// first byte is zero (one in 256).
#[test]
fn each_form_is_recognised() {
    let mut rng = rng();
    for len in (0..=144).step_by(4) {
        let data = vec![len as u8; len];
        let encrypted = TEST_KEY.public().encrypt_padded(&data, &mut rng).unwrap();
        let decrypted = TEST_KEY.decrypt(&encrypted, &mut rng).unwrap();
        assert_eq!((decrypted.scheme, &decrypted.data[..len]), (Scheme::Padded, &data[..]));
        assert_eq!(decrypted.data.len(), 192);
    }
    for len in (0..=232).step_by(4) {
        let data = vec![len as u8; len];
        let encrypted = TEST_KEY.public().encrypt_older(&data, &mut rng).unwrap();
        let decrypted = TEST_KEY.decrypt(&encrypted, &mut rng).unwrap();
        assert_eq!((decrypted.scheme, &*decrypted.data), (Scheme::Older, &data));
    }
}

/// CRY-13: an RSA_PAD message that begins with a zero byte is still RSA_PAD.
#[test]
fn leading_zero_does_not_make_a_message_old() {
    let mut rng = rng();
    let mut temp_key_first_byte = 0;
    // The first byte of the wrapped number is that of the temporary key xored with a hash: some
    // first byte makes it zero.
    for _ in 0..=255 {
        let mut draws = 0;
        let encrypted = TEST_KEY.public().encrypt_padded_with(&[9; 100], |out| {
            out.fill(draws);
            if draws > 0 {
                out[0] = temp_key_first_byte;
                out[1] = draws;
            }
            draws += 1;
        });
        temp_key_first_byte = temp_key_first_byte.wrapping_add(1);
        let decrypted = TEST_KEY.decrypt(&encrypted.unwrap(), &mut rng).unwrap();
        assert_eq!(decrypted.scheme, Scheme::Padded);
    }
}

/// CRY-11, CRY-12, SEC-14: short, long, too large and damaged messages all give the one error.
#[test]
fn every_bad_message_gives_the_same_error() {
    let mut rng = rng();
    let good = TEST_KEY.public().encrypt_padded(&[1; 100], &mut rng).unwrap();
    let older = TEST_KEY.public().encrypt_older(&[1; 100], &mut rng).unwrap();
    assert!(
        TEST_KEY.decrypt(&good, &mut rng).is_ok() && TEST_KEY.decrypt(&older, &mut rng).is_ok()
    );
    let flipped = |bytes: &[u8; 256]| {
        let mut bytes = *bytes;
        bytes[200] ^= 1;
        bytes.to_vec()
    };
    let mut n_plus_one = TEST_KEY.public().modulus();
    n_plus_one[255] += 1;
    let bad = [
        vec![],
        vec![7; 255],
        good[..255].to_vec(),
        [&[0][..], &good].concat(),
        flipped(&good),
        flipped(&older),
        TEST_KEY.public().modulus().to_vec(),
        n_plus_one.to_vec(),
        vec![0xff; 256],
        vec![0; 256],
        [vec![0; 255], vec![1]].concat(),
    ];
    for message in bad {
        assert_eq!(TEST_KEY.decrypt(&message, &mut rng).err(), Some(DecryptError));
    }
}

/// CRY-11, QRK-37: a good number may come without its leading zero, and is refused with another one or
/// with the modulus added.
#[test]
fn other_forms_of_a_good_number() {
    let mut rng = rng();
    let mut encrypt = || TEST_KEY.public().encrypt_padded(&[5; 100], &mut rng).unwrap();
    let with_zero = std::iter::repeat_with(&mut encrypt).find(|bytes| bytes[0] == 0).unwrap();
    let modulus = TEST_KEY.public().modulus();
    let small = |number: [u8; 256]| sum(&number, &modulus).map(|sum| (number, sum));
    let (number, above) = std::iter::repeat_with(&mut encrypt).find_map(small).unwrap();
    let mut decrypt = |bytes: &[u8]| TEST_KEY.decrypt(bytes, &mut rng).map(|found| found.scheme);
    assert_eq!(decrypt(&with_zero), Ok(Scheme::Padded));
    assert_eq!(decrypt(&with_zero[1..]), Ok(Scheme::Padded));
    assert_eq!(decrypt(&[&[0][..], &with_zero].concat()), Err(DecryptError));
    assert_eq!(decrypt(&number), Ok(Scheme::Padded));
    assert_eq!(decrypt(&above), Err(DecryptError));
}

/// CRY-12: blinding: the answer does not depend on the random numbers that go into it.
#[test]
fn blinding_does_not_change_the_answer() {
    let encrypted = TEST_KEY.public().encrypt_padded(&[3; 96], &mut rng()).unwrap();
    let first = TEST_KEY.decrypt(&encrypted, &mut Rng::from_seed([1; 32])).unwrap();
    let second = TEST_KEY.decrypt(&encrypted, &mut Rng::from_seed([2; 32])).unwrap();
    assert_eq!(first.data, second.data);
}

/// CRY-08: keys of other sizes and with unfit exponents are refused when they are loaded.
#[test]
fn only_odd_2048_bit_keys_are_accepted() {
    let n = TEST_KEY.public().modulus();
    let refused = |n: &[u8], e: &[u8]| PublicKey::new(n, e).unwrap_err();
    assert!(PublicKey::new(&n, &[3]).is_ok());
    assert!(PublicKey::new(&[&[0][..], &n].concat(), &[0, 1, 0, 1]).is_ok());
    assert_eq!(refused(&n[..255], &[3]), KeyError::Modulus);
    assert_eq!(refused(&[&[1][..], &n].concat(), &[3]), KeyError::Modulus);
    let (mut short, mut even) = (n, n);
    short[0] &= 0x7f;
    even[255] &= 0xfe;
    assert_eq!(refused(&short, &[3]), KeyError::Modulus);
    assert_eq!(refused(&even, &[3]), KeyError::Modulus);
    assert_eq!(refused(&[], &[3]), KeyError::Modulus);
    for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[1; 9]] {
        assert_eq!(refused(&n, e), KeyError::Exponent);
    }
}

/// CRY-09, SEC-12: the server's order decides among the keys we know; without one of them there is
/// no key.
#[test]
fn first_known_fingerprint_is_chosen() {
    let vectors = load("rsa");
    let keys: Vec<PublicKey> = list(&vectors, "public_keys")
        .iter()
        .map(|case| PublicKey::new(&bytes(case, "n"), &bytes(case, "e")).unwrap())
        .collect();
    let (first, second) = (keys[0].fingerprint(), keys[1].fingerprint());
    assert_eq!(first_known(&[7, second, first], &keys), Some(&keys[1]));
    assert_eq!(first_known(&[first, second], &keys), Some(&keys[0]));
    assert_eq!(first_known(&[7, 8], &keys), None);
    assert_eq!(first_known(&[second], &keys[..1]), None);
    assert_eq!(first_known(&[], &keys), None);
}

/// RSA_PAD carries 144 bytes, the older form 235.
#[test]
fn too_long_messages_are_refused() {
    let (key, mut rng) = (TEST_KEY.public(), rng());
    assert!(key.encrypt_padded(&[0; 144], &mut rng).is_ok());
    let refused = Err(TooLong { max: 144, got: 145 });
    assert_eq!(key.encrypt_padded(&[0; 145], &mut rng), refused);
    assert!(key.encrypt_older(&[0; 235], &mut rng).is_ok());
    let refused = Err(TooLong { max: 235, got: 236 });
    assert_eq!(key.encrypt_older(&[0; 236], &mut rng), refused);
}

/// QRK-33: no key is generated whose fingerprint has a leading zero; the first that follows from this
/// seed has one.
#[test]
fn generated_keys_are_found_by_every_client() {
    let key = PrivateKey::generate(&mut Rng::from_seed([19; 32]));
    let fingerprint = format!("{:016x}", key.public().fingerprint());
    assert!(!fingerprint.starts_with('0') && fingerprint != "0485a63988b56199", "{fingerprint}");
}

/// A generated key has 2048 bits, works, follows from its seed and survives both text forms.
#[test]
fn generated_keys_work() {
    let key = PrivateKey::generate(&mut Rng::from_seed([72; 32]));
    assert!(key.public().modulus()[0] >= 0x80);
    assert_eq!(key.public().exponent(), 65537);
    let again = PrivateKey::generate(&mut Rng::from_seed([72; 32]));
    assert_eq!(key.public(), again.public());

    let encrypted = key.public().encrypt_padded(&[8; 64], &mut rng()).unwrap();
    for text in [key.to_pem(), key.to_pkcs8_pem()] {
        let loaded = PrivateKey::from_pem(&text).unwrap();
        assert_eq!(loaded.public(), key.public());
        assert_eq!(loaded.to_pem(), key.to_pem());
        assert_eq!(loaded.decrypt(&encrypted, &mut rng()).unwrap().data[..64], [8; 64]);
    }
    assert!(key.to_pem().starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
    assert!(key.to_pkcs8_pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert!(key.public().to_pem().starts_with("-----BEGIN RSA PUBLIC KEY-----\n"));
    assert!(key.public().to_spki_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
}

/// The private text holds the published exponent, on which other programs rely.
#[test]
fn private_text_holds_the_published_numbers() {
    let published = &load("rsa")["test_key"];
    let (_, document) = SecretDocument::from_pem(&TEST_KEY.to_pem()).unwrap();
    let key = RsaPrivateKeyRef::from_der(document.as_bytes()).unwrap();
    assert_eq!(key.modulus.as_bytes(), bytes(published, "n"));
    assert_eq!(key.public_exponent.as_bytes(), [1, 0, 1]);
    assert_eq!(key.private_exponent.as_bytes(), bytes(published, "d"));
    assert_eq!(key.prime1.as_bytes(), bytes(published, "p"));
    assert_eq!(key.prime2.as_bytes(), bytes(published, "q"));
    assert_eq!(TEST_KEY.public().modulus().to_vec(), bytes(published, "n"));
}

/// SEC-53: a private key prints its fingerprint and nothing else.
#[test]
fn debug_shows_the_fingerprint_only() {
    let fingerprint = text(&load("rsa")["test_key"], "fingerprint_u64").to_owned();
    assert_eq!(format!("{:?}", *TEST_KEY), format!("PrivateKey({fingerprint})"));
}

/// Numbers that do not form a key are refused before they are used.
#[test]
fn private_numbers_must_fit_together() {
    let published = &load("rsa")["test_key"];
    let (p, q) = (bytes(published, "p"), bytes(published, "q"));
    let refused = |e: &[u8], p: &[u8], q: &[u8]| PrivateKey::from_primes(e, p, q).unwrap_err();
    assert!(PrivateKey::from_primes(&[1, 0, 1], &q, &p).is_ok());
    assert_eq!(refused(&[1, 0, 1], &p, &p), KeyError::Private);
    assert_eq!(refused(&[1, 0, 1], &p, &[3]), KeyError::Modulus);
    assert_eq!(refused(&[1, 0, 1], &p, &[&[1][..], &q].concat()), KeyError::Private);
    assert_eq!(refused(&[2], &p, &q), KeyError::Exponent);
    // Composite numbers of the right size, with which decryption would not undo encryption.
    let mut composite = p.clone();
    composite[127] ^= 4;
    assert_eq!(refused(&[1, 0, 1], &composite, &q), KeyError::Private);
}

/// Text that is no key, or a key of another kind, is refused with a reason.
#[test]
fn other_texts_are_refused() {
    let public = TEST_KEY.public().to_pem();
    assert_eq!(PublicKey::from_pem(""), Err(PemError::Syntax));
    assert_eq!(PublicKey::from_pem("not a key"), Err(PemError::Syntax));
    assert_eq!(PublicKey::from_pem(&public[..200]), Err(PemError::Syntax));
    let other = PemError::Label("RSA PUBLIC KEY".into());
    assert_eq!(PrivateKey::from_pem(&public).unwrap_err(), other);
    let other = PemError::Label("RSA PRIVATE KEY".into());
    assert_eq!(PublicKey::from_pem(&TEST_KEY.to_pem()), Err(other));
    assert!(PublicKey::from_pem(&format!("\n{public}\n\n")).is_ok());
    assert!(PublicKey::from_pem(&public.replace('\n', "\r\n")).is_ok());
    // A short key, made by another program.
    let short = "-----BEGIN RSA PUBLIC KEY-----\n\
                 MAYCAQ8CAQM=\n\
                 -----END RSA PUBLIC KEY-----\n";
    assert_eq!(PublicKey::from_pem(short), Err(PemError::Key(KeyError::Modulus)));
}

/// A text that says its key is for another algorithm is refused, though an RSA key is inside.
#[test]
fn keys_of_other_algorithms_are_refused() {
    // 1.2.840.113549.1.1.1 is plain RSA; the same numbers with another last one are not.
    const RSA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    let altered = |text: &str, label: &'static str| {
        let (_, document) = SecretDocument::from_pem(text).unwrap();
        let mut der = document.as_bytes().to_vec();
        let at = der.windows(RSA.len()).position(|window| window == RSA).unwrap();
        der[at + RSA.len() - 1] = 10;
        let document = SecretDocument::try_from(der).unwrap();
        document.to_pem(label, LineEnding::LF).unwrap()
    };
    let public = altered(&TEST_KEY.public().to_spki_pem(), "PUBLIC KEY");
    assert_eq!(PublicKey::from_pem(&public), Err(PemError::Syntax));
    let private = altered(&TEST_KEY.to_pkcs8_pem(), "PRIVATE KEY");
    assert_eq!(PrivateKey::from_pem(&private).unwrap_err(), PemError::Syntax);
}

fn public_key(vectors: &Value, case: &Value) -> PublicKey {
    if case["modulus"] == "production" {
        let keys = list(vectors, "public_keys");
        let key = keys.iter().find(|key| text(key, "name").starts_with("production")).unwrap();
        PublicKey::new(&bytes(key, "n"), &bytes(key, "e")).unwrap()
    } else {
        TEST_KEY.public().clone()
    }
}

/// The sum of two big-endian numbers, if it has no more bytes than they.
fn sum(a: &[u8; 256], b: &[u8; 256]) -> Option<[u8; 256]> {
    let (mut out, mut carry) = ([0; 256], 0);
    for at in (0..256).rev() {
        let digit = u16::from(a[at]) + u16::from(b[at]) + carry;
        (out[at], carry) = (digit as u8, digit >> 8);
    }
    (carry == 0).then_some(out)
}

fn rng() -> Rng {
    Rng::from_seed([71; 32])
}

/// The private key of the vectors, by way of its text.
static TEST_KEY: LazyLock<PrivateKey> = LazyLock::new(|| {
    let vectors = load("rsa");
    let number = |field| bytes(&vectors["test_key"], field);
    PrivateKey::from_primes(&[1, 0, 1], &number("p"), &number("q")).unwrap()
});
