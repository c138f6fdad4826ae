//! Factoring, over many puzzles because the time of one depends on luck, against grammers.

use std::hint::black_box;
use std::time::Instant;

use chappe_crypto::{Rng, pq};
use criterion::{Criterion, criterion_group, criterion_main};

criterion_main!(benches);
criterion_group!(benches, factor);

fn factor(c: &mut Criterion) {
    let mut rng = Rng::from_seed([1; 32]);
    let puzzles: Vec<u64> = (0..2000)
        .map(|_| pq::generate(&mut rng))
        .map(|(p, q)| u64::from(p) * u64::from(q))
        .collect();
    let mut times: Vec<_> = puzzles
        .iter()
        .map(|puzzle| {
            let start = Instant::now();
            assert!(pq::factor(black_box(*puzzle), &mut rng).is_ok());
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("pq: median {:?}, 95 % below {:?}", times[1000], times[1900]);

    let mut group = c.benchmark_group("pq");
    let mut next = puzzles.iter().cycle();
    group.bench_function("chappe", |b| {
        b.iter(|| pq::factor(black_box(*next.next().expect("a cycle never ends")), &mut rng));
    });
    group.bench_function("grammers", |b| {
        b.iter(|| grammers_crypto::factorize(*next.next().expect("a cycle never ends")));
    });
}
