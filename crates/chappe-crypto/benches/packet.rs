//! Whole packets of MTProto 2.0: one at a time and in batches, against grammers.

use std::hint::black_box;

use chappe_crypto::packet::{self, HEADER_LEN, OpenJob, SealJob};
use chappe_crypto::{AuthKey, Direction};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use grammers_crypto::DequeBuffer;

criterion_main!(benches);
criterion_group!(benches, seal, open);

/// Bytes of the encrypted part.
const SIZES: [usize; 4] = [128, 1024, 16 * 1024, 512 * 1024];
const BATCH: usize = 16;
const KEY: [u8; 256] = [1; 256];

fn seal(c: &mut Criterion) {
    let key = AuthKey::new(KEY);
    let their_key = grammers_crypto::AuthKey::from_bytes(KEY);
    let mut group = c.benchmark_group("seal");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut packet = vec![2; HEADER_LEN + size];
        group.bench_function(BenchmarkId::new("chappe", size), |b| {
            b.iter(|| packet::seal(&key, Direction::ClientToServer, black_box(&mut packet)));
        });
        // Their function adds 12 to 27 bytes of padding, so that the encrypted size is the same.
        let mut theirs = DequeBuffer::with_capacity(size, HEADER_LEN);
        let plaintext = vec![2; size - 16];
        group.bench_function(BenchmarkId::new("grammers", size), |b| {
            b.iter(|| {
                theirs.clear();
                plaintext.iter().for_each(|byte| theirs.push(*byte));
                grammers_crypto::encrypt_data_v2(black_box(&mut theirs), &their_key);
            });
        });
        group.throughput(Throughput::Bytes((BATCH * size) as u64));
        let mut packets = vec![vec![2; HEADER_LEN + size]; BATCH];
        group.bench_function(BenchmarkId::new("chappe-batch-16", size), |b| {
            b.iter(|| {
                let mut jobs: Vec<_> = packets
                    .iter_mut()
                    .map(|packet| SealJob::new(&key, Direction::ClientToServer, packet))
                    .collect();
                packet::seal_batch(black_box(&mut jobs));
            });
        });
    }
}

fn open(c: &mut Criterion) {
    let key = AuthKey::new(KEY);
    let their_key = grammers_crypto::AuthKey::from_bytes(KEY);
    let mut group = c.benchmark_group("open");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut sealed = vec![2; HEADER_LEN + size];
        packet::seal(&key, Direction::ServerToClient, &mut sealed);
        group.bench_function(BenchmarkId::new("chappe", size), |b| {
            b.iter_batched_ref(
                || sealed.clone(),
                |packet| packet::open(&key, Direction::ServerToClient, packet).is_ok(),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new("grammers", size), |b| {
            b.iter_batched_ref(
                || sealed.clone(),
                |packet| grammers_crypto::decrypt_data_v2(packet, &their_key).is_ok(),
                BatchSize::SmallInput,
            );
        });
        group.throughput(Throughput::Bytes((BATCH * size) as u64));
        group.bench_function(BenchmarkId::new("chappe-batch-16", size), |b| {
            b.iter_batched_ref(
                || vec![sealed.clone(); BATCH],
                |packets| {
                    let mut jobs: Vec<_> = packets
                        .iter_mut()
                        .map(|packet| OpenJob::new(&key, Direction::ServerToClient, packet))
                        .collect();
                    packet::open_batch(&mut jobs);
                    jobs.iter().all(|job| job.outcome.is_ok())
                },
                BatchSize::SmallInput,
            );
        });
    }
}
