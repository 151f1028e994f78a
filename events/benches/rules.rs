//! What the guards and the queue cost a decision: picking from a backlog, a token, a circuit.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::ToSpan;
use jiff::civil::date;
use regflow_events::{
    Ageing, AttemptKey, Bucket, Circuit, CircuitPolicy, Job, Line, Priority, RateLimit, Refill, RegistrationId,
    Timestamp, Verdict,
};

fn job(number: u32) -> Job {
    // spread like random, so that jobs do not arrive in the order in which they leave
    let spread = number.wrapping_mul(2_654_435_761);
    Job {
        id: RegistrationId::of_request("bench", &number.to_string()),
        class: Priority::ALL[spread as usize % 3],
        tenant: spread % 50,
        last_day: Some(date(2026, 1, 1).saturating_add(i64::from(spread % 90).days())),
        since: Timestamp(number.into()),
        order: number.into(),
    }
}

/// All come, then all go; the throughput is in jobs, so it would stay if picking cost the same at any length.
fn line(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("line, push and pop all of");
    group.sample_size(20);
    for backlog in [1_000, 10_000, 100_000] {
        let jobs: Vec<Job> = (0..backlog).map(job).collect();
        group.throughput(Throughput::Elements(backlog.into()));
        group.bench_function(BenchmarkId::from_parameter(backlog), |bencher| {
            bencher.iter(|| {
                let mut line = Line::new(Ageing::default());
                jobs.iter().for_each(|job| assert!(line.push(*job)));
                while let Some(id) = line.pop(Timestamp(0)) {
                    black_box(id);
                }
            });
        });
    }
    group.finish();
}

fn bucket(criterion: &mut Criterion) {
    for refill in [Refill::Interval, Refill::Smooth] {
        let mut bucket = Bucket::new(&[RateLimit { max: 1_000, per: Duration::from_millis(1), refill }]);
        let mut now = Timestamp(0);
        criterion.bench_function(&format!("bucket, ask and take, {refill:?} of 1,000"), |bencher| {
            bencher.iter(|| {
                now.0 += 1;
                if bucket.available(now, 3) > 0 {
                    bucket.take(now);
                }
                black_box(bucket.next_token(now, 3))
            });
        });
    }
}

fn circuit(criterion: &mut Criterion) {
    let policy = CircuitPolicy::default();
    let mut circuit = Circuit::default();
    let mut key = AttemptKey { registration: RegistrationId::of_request("bench", "1"), attempt: 0 };
    criterion.bench_function("circuit, one attempt", |bencher| {
        bencher.iter(|| {
            key.attempt = key.attempt.wrapping_add(1);
            let now = Timestamp(key.attempt.into());
            black_box(circuit.gate(now, &policy));
            circuit.on_started(key);
            circuit.on_ended(key, Verdict::Success, now, &policy);
            black_box(circuit.due(now, &policy))
        });
    });
}

criterion_group!(rules, line, bucket, circuit);
criterion_main!(rules);
