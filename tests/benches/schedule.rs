//! What the scheduler costs a frame, at 1 to 128 cameras of which all wait: `cargo bench --bench schedule`. Prints the times of one look with its batch
//! (`pick` and `done`), and of a frame of it; judges nothing.
#![allow(missing_docs, reason = "a program that prints what it measured")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use peregrine::config::{self, Priority};
use peregrine::schedule::{Pick, Policy, Waiting, Wish};

fn policy(cameras: u64, batch: usize) -> Policy {
    let settings = config::Schedule { max_batch: batch, target_p95: Duration::from_secs(60), ..Default::default() };
    let mut policy = Policy::new(settings);
    for lane in 0..cameras {
        let priority = [Priority::High, Priority::Medium, Priority::Low][lane as usize % 3];
        policy.camera(lane, Wish { rate_hz: None, priority, max_age: Some(Duration::from_secs(1)) });
    }
    policy
}

fn turns(c: &mut Criterion) {
    let mut group = c.benchmark_group("turn");
    for cameras in [1_u64, 16, 128] {
        for batch in [1, 8] {
            let mut policy = policy(cameras, batch);
            let mut now = Duration::ZERO;
            let mut waiting: Vec<Waiting> = (0..cameras).map(|lane| Waiting { lane, captured: now }).collect();
            group.throughput(Throughput::Elements(batch.min(cameras as usize) as u64));
            group.bench_function(BenchmarkId::new(format!("batch_{batch}"), cameras), |b| {
                b.iter(|| {
                    now += Duration::from_millis(10);
                    waiting.iter_mut().for_each(|w| w.captured = now);
                    let Pick::Take(lanes) = policy.pick(black_box(&waiting), now) else { return };
                    let late = vec![Duration::from_millis(12); lanes.len()];
                    policy.done(&lanes, Duration::from_millis(8), &late, now);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, turns);
criterion_main!(benches);
