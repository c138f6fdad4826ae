//! The arithmetic of a key exchange: powers and RSA. `dh/power-crypto-bigint` is what `dh/power`
//! takes without the feature `aws-lc`.

use std::hint::black_box;

use chappe_crypto::Rng;
use chappe_crypto::dh::{Exponent, Group};
use chappe_crypto::rsa::PrivateKey;
use criterion::{Criterion, criterion_group, criterion_main};
use crypto_bigint::U2048;
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};

criterion_main!(benches);
criterion_group!(benches, diffie_hellman, rsa);

fn diffie_hellman(c: &mut Criterion) {
    let mut rng = Rng::from_seed([1; 32]);
    let group = Group::known();
    let exponent = Exponent::generate(&mut rng);
    let (_, peer) = group.key_pair(&mut rng);
    c.bench_function("dh/power", |b| b.iter(|| group.power(black_box(&exponent))));
    c.bench_function("dh/power-crypto-bigint", |b| {
        let modulus = U2048::from_be_slice(&group.prime()).to_odd().expect("the prime is odd");
        let params = FixedMontyParams::new(modulus);
        let exponent = U2048::from_be_slice(&rng.bytes::<256>());
        let base = FixedMontyForm::new(&U2048::from(3_u32), &params);
        b.iter(|| black_box(&base).pow(black_box(&exponent)).retrieve());
    });
    c.bench_function("dh/shared", |b| b.iter(|| group.shared(black_box(&exponent), &peer)));
    c.bench_function("dh/check-known", |b| {
        let prime = group.prime();
        b.iter(|| Group::check(black_box(&prime), 3, &mut rng).is_ok());
    });
}

fn rsa(c: &mut Criterion) {
    let mut rng = Rng::from_seed([2; 32]);
    let key = PrivateKey::generate(&mut rng);
    let encrypted = key.public().encrypt_padded(&[3; 100], &mut rng).expect("100 bytes fit");
    c.bench_function("rsa/decrypt", |b| {
        b.iter(|| key.decrypt(black_box(&encrypted), &mut rng).is_ok());
    });
    c.bench_function("rsa/encrypt", |b| {
        b.iter(|| key.public().encrypt_padded(black_box(&[3; 100]), &mut rng));
    });
    c.bench_function("rsa/generate", |b| b.iter(|| PrivateKey::generate(&mut rng)));
}
