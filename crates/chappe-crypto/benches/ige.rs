//! AES-256-IGE, one stream, key schedule included, and AES-256-CTR, against the crates that others
//! use.

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use chappe_crypto::{Ctr, ige};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

criterion_main!(benches);
criterion_group!(benches, encrypt, decrypt, ctr);

const SIZES: [usize; 4] = [128, 1024, 16 * 1024, 512 * 1024];
const KEY: [u8; 32] = [1; 32];
const IV: [u8; 32] = [2; 32];

fn encrypt(c: &mut Criterion) {
    let mut group = c.benchmark_group("ige-encrypt");
    for size in SIZES {
        let mut buf = vec![3; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("chappe", size), |b| {
            b.iter(|| ige::encrypt(black_box(&mut buf), black_box(&KEY), &IV));
        });
        group.bench_function(BenchmarkId::new("rustcrypto", size), |b| {
            b.iter(|| {
                let (blocks, _) = black_box(&mut buf[..]).as_chunks_mut::<16>();
                let mut mode = ::ige::Encryptor::<Aes256>::new(black_box(&KEY).into(), &IV.into());
                mode.encrypt_blocks(aes::Block::cast_slice_from_core_mut(blocks));
            });
        });
        group.bench_function(BenchmarkId::new("grammers", size), |b| {
            b.iter(|| grammers_crypto::aes::ige_encrypt(black_box(&mut buf), black_box(&KEY), &IV));
        });
    }
}

fn decrypt(c: &mut Criterion) {
    let mut group = c.benchmark_group("ige-decrypt");
    for size in SIZES {
        let mut buf = vec![3; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("chappe", size), |b| {
            b.iter(|| ige::decrypt(black_box(&mut buf), black_box(&KEY), &IV));
        });
        group.bench_function(BenchmarkId::new("rustcrypto", size), |b| {
            b.iter(|| {
                let (blocks, _) = black_box(&mut buf[..]).as_chunks_mut::<16>();
                let mut mode = ::ige::Decryptor::<Aes256>::new(black_box(&KEY).into(), &IV.into());
                mode.decrypt_blocks(aes::Block::cast_slice_from_core_mut(blocks));
            });
        });
        group.bench_function(BenchmarkId::new("grammers", size), |b| {
            b.iter(|| grammers_crypto::aes::ige_decrypt(black_box(&mut buf), black_box(&KEY), &IV));
        });
    }
}

fn ctr(c: &mut Criterion) {
    let mut group = c.benchmark_group("ctr");
    for size in SIZES {
        let mut buf = vec![3; size];
        group.throughput(Throughput::Bytes(size as u64));
        let mut ours = Ctr::new(&KEY, &[2; 16]);
        group.bench_function(BenchmarkId::new("chappe", size), |b| {
            b.iter(|| ours.apply(black_box(&mut buf)));
        });
        let mut theirs = grammers_crypto::ObfuscatedCipher::new(&[4; 64]);
        group.bench_function(BenchmarkId::new("grammers", size), |b| {
            b.iter(|| theirs.encrypt(black_box(&mut buf)));
        });
    }
}
