//! The line: who comes next, how long anybody waits at the most, and that nobody is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::ToSpan;
use jiff::civil::{Date, date};
use proptest::prelude::*;
use regflow_events::{Ageing, Job, Line, Priority, RegistrationId, Timestamp, longest_wait};
use uuid::Uuid;

use Priority::{High, Low, Normal};

const SECOND: Duration = Duration::from_secs(1);

const fn id(number: u64) -> RegistrationId {
    RegistrationId(Uuid::from_u128(number as u128))
}

const fn at(seconds: u64) -> Timestamp {
    Timestamp(1_800_000_000_000_000 + seconds as i64 * 1_000_000)
}

/// A job of tenant 1 without a last day, which came in second `number`.
const fn job(number: u64, class: Priority) -> Job {
    Job { id: id(number), class, tenant: 1, last_day: None, since: at(number), order: number }
}

fn of(jobs: impl IntoIterator<Item = Job>) -> Line {
    let mut line = Line::new(Ageing::default());
    jobs.into_iter().for_each(|job| assert!(line.push(job)));
    line
}

/// All that are left, as they come out at one moment.
fn drained(line: &mut Line, now: Timestamp) -> Vec<u128> {
    std::iter::from_fn(|| line.pop(now)).map(|id| id.0.as_u128()).collect()
}

#[test]
fn the_best_class_goes_first() {
    let mut line = of([job(1, Low), job(2, Normal), job(3, High), job(4, Normal), job(5, High)]);
    assert_eq!(line.best_class(), Some(High));
    assert_eq!(drained(&mut line, at(6)), [3, 5, 2, 4, 1]);
    assert_eq!((line.best_class(), line.is_empty()), (None, true));
}

#[test]
fn inside_a_class_the_earliest_last_day_goes_first_and_none_goes_last() {
    let due = |number, day: Option<Date>| Job { last_day: day, ..job(number, Normal) };
    let (soon, later) = (Some(date(2026, 3, 1)), Some(date(2026, 4, 1)));
    let mut line = of([due(1, None), due(2, later), due(3, soon), due(4, None), due(5, soon)]);
    assert_eq!(drained(&mut line, at(6)), [3, 5, 2, 1, 4]);
}

#[test]
fn a_tenant_with_a_thousand_jobs_does_not_hold_up_one_with_ten() {
    let of_tenant = |tenant| move |number| Job { tenant, ..job(number, Normal) };
    let mut line = of((0..1_000).map(of_tenant(1)).chain((1_000..1_010).map(of_tenant(2))));
    let first: Vec<_> = std::iter::from_fn(|| line.pop(at(0))).take(20).collect();
    assert_eq!(first.iter().filter(|id| id.0.as_u128() >= 1_000).count(), 10);
}

#[test]
fn a_job_is_in_the_line_once() {
    let mut line = of([job(1, High)]);
    assert!(!line.push(job(1, Low)));
    assert_eq!(line.len(), 1);
    assert!(line.remove(id(1)) && !line.remove(id(1)) && !line.contains(id(1)));
    assert!(line.push(job(1, Low)));
    assert_eq!(line.ids().collect::<Vec<_>>(), [id(1)]);
}

#[test]
fn ids_with_the_same_end_are_told_apart() {
    let twin = RegistrationId(Uuid::from_u128((1 << 100) + 1));
    let mut line = of([job(1, High), Job { id: twin, ..job(2, High) }]);
    assert!(line.remove(twin));
    assert_eq!(drained(&mut line, at(0)), [1]);
}

#[test]
fn people_see_how_long_each_class_waits_and_how_many_are_ahead() {
    let mut line = of([job(1, Low), job(2, Normal), job(3, Low), job(4, High)]);
    assert_eq!([High, Normal, Low].map(|class| line.oldest(class)), [Some(at(4)), Some(at(2)), Some(at(1))]);
    assert_eq!([4, 2, 1, 3, 9].map(|number| line.ahead_of(id(number))), [Some(0), Some(1), Some(2), Some(3), None]);
    line.remove(id(1));
    assert_eq!((line.oldest(Low), line.ahead_of(id(3))), (Some(at(3)), Some(2)));
}

#[test]
fn the_longest_wait_is_as_stated() {
    let minutes = |count: u64| Duration::from_secs(60 * count);
    let wait = |class, nth| longest_wait(&Ageing::default(), class, nth, minutes(1));
    assert_eq!((wait(Low, 0), wait(Low, 9)), (minutes(15 + 8), minutes(15 + 80)));
    assert_eq!((wait(Normal, 0), wait(Normal, 9)), (minutes(5 + 5), minutes(5 + 50)));
    assert_eq!(wait(High, 0), Duration::MAX);
}

/// One turn a second, and each job's bound checked when it comes out.
struct Simulation {
    line: Line,
    ageing: Ageing,
    waiting: BTreeMap<RegistrationId, (Job, Duration)>,
    came: BTreeMap<Priority, u32>,
    out: BTreeMap<Priority, u32>,
}

impl Simulation {
    fn new(ageing: Ageing) -> Self {
        Self { line: Line::new(ageing), ageing, waiting: BTreeMap::new(), came: BTreeMap::new(), out: BTreeMap::new() }
    }

    /// The bound is stated at the moment at which it comes.
    fn comes(&mut self, job: Job) {
        let came = self.came.entry(job.class).or_default();
        let before = *came - self.out.get(&job.class).unwrap_or(&0);
        *came += 1;
        let bound = longest_wait(&self.ageing, job.class, before, SECOND);
        self.waiting.insert(job.id, (job, bound));
        assert!(self.line.push(job));
    }

    fn turn(&mut self, now: Timestamp) {
        let Some(id) = self.line.pop(now) else { return };
        let (job, bound) = self.waiting.remove(&id).unwrap();
        assert!(now.since(job.since) <= bound, "{job:?} waited {:?}, not {bound:?}", now.since(job.since));
        *self.out.entry(job.class).or_default() += 1;
    }

    fn nobody_is_late(&self, now: Timestamp) {
        for (job, bound) in self.waiting.values() {
            assert!(now.since(job.since) <= *bound, "{job:?} still waits");
        }
    }
}

#[test]
fn no_low_waits_longer_than_stated_under_hours_of_high_at_twice_the_capacity() {
    let mut simulation = Simulation::new(Ageing::default());
    let mut numbers = 0..;
    let hours = 3 * 3_600;
    for second in 0..hours {
        let trickle = (second % 10 == 0).then_some(Low);
        for class in [High, High].into_iter().chain(trickle) {
            let number = numbers.next().unwrap();
            simulation.comes(Job { since: at(second), tenant: number as u32 % 7, ..job(number, class) });
        }
        simulation.turn(at(second));
    }
    simulation.nobody_is_late(at(hours));
    assert!(simulation.out[&Low] > 900 && simulation.out[&High] > 8_000, "{:?}", simulation.out);
}

#[test]
fn with_all_classes_flooded_each_has_its_share() {
    let mut simulation = Simulation::new(Ageing::default());
    for second in 0..3_600 {
        for (nth, class) in [High, Normal, Low].into_iter().enumerate() {
            simulation.comes(Job { since: at(second), ..job(3 * second + nth as u64, class) });
        }
        simulation.turn(at(second));
    }
    simulation.nobody_is_late(at(3_600));
    let [high, normal, low] = [High, Normal, Low].map(|class| simulation.out[&class]);
    assert!(low >= 2_700 / 8 && normal >= 3_300 / 5 && high > 3_600 / 2, "{high} {normal} {low}");
}

/// The rule as it is told, by looking at everybody each time.
struct Reference {
    ageing: Ageing,
    jobs: Vec<Job>,
    /// Tenants of each class, the next first.
    tenants: BTreeMap<Priority, Vec<u32>>,
    turns: BTreeMap<Priority, u32>,
}

impl Reference {
    fn new(ageing: Ageing) -> Self {
        Self { ageing, jobs: Vec::new(), tenants: BTreeMap::new(), turns: BTreeMap::from([(Low, 0), (Normal, 0)]) }
    }

    fn push(&mut self, job: Job) -> bool {
        let new = self.jobs.iter().all(|other| other.id != job.id);
        if new {
            let tenants = self.tenants.entry(job.class).or_default();
            if !tenants.contains(&job.tenant) {
                tenants.push(job.tenant);
            }
            self.jobs.push(job);
        }
        new
    }

    fn remove(&mut self, id: RegistrationId) -> bool {
        let Some(index) = self.jobs.iter().position(|job| job.id == id) else { return false };
        let gone = self.jobs.remove(index);
        let last = !self.jobs.iter().any(|job| (job.class, job.tenant) == (gone.class, gone.tenant));
        self.tenants.get_mut(&gone.class).unwrap().retain(|tenant| !last || *tenant != gone.tenant);
        true
    }

    fn pop(&mut self, now: Timestamp) -> Option<RegistrationId> {
        let best = self.best()?;
        self.turns.values_mut().for_each(|turns| *turns += 1);
        let low = self.share(Low, self.ageing.low_after, self.ageing.low_every, now);
        let normal = || self.share(Normal, self.ageing.normal_after, self.ageing.normal_every, now);
        let shared = low.or_else(normal);
        shared.iter().for_each(|job| *self.turns.get_mut(&job.class).unwrap() = 0);
        let job = shared.unwrap_or(best);
        let tenants = self.tenants.get_mut(&job.class).unwrap();
        tenants.retain(|tenant| *tenant != job.tenant);
        tenants.push(job.tenant);
        self.remove(job.id);
        Some(job.id)
    }

    fn best(&self) -> Option<Job> {
        let class = self.jobs.iter().map(|job| job.class).min()?;
        let next = self.tenants[&class][0];
        let own = self.jobs.iter().filter(|job| (job.class, job.tenant) == (class, next));
        own.min_by_key(|job| (job.last_day.unwrap_or(Date::MAX), job.order)).copied()
    }

    fn share(&self, class: Priority, after: Duration, every: u32, now: Timestamp) -> Option<Job> {
        let oldest = self.jobs.iter().filter(|job| job.class == class).min_by_key(|job| (job.since, job.order))?;
        (self.turns[&class] >= every.max(3) && now.since(oldest.since) >= after).then_some(*oldest)
    }
}

#[derive(Debug, Clone)]
enum Happens {
    Push { number: u64, class: Priority, tenant: u32, day: Option<i64>, pause: u64 },
    Remove(u64),
    Pop,
}

fn happens() -> impl Strategy<Value = Happens> {
    let class = prop::sample::select(Priority::ALL);
    let push = (0_u64..200, class, 0_u32..4, prop::option::of(0_i64..5), 0_u64..3);
    prop_oneof![
        5 => push.prop_map(|(number, class, tenant, day, pause)| Happens::Push { number, class, tenant, day, pause }),
        1 => (0_u64..200).prop_map(Happens::Remove),
        4 => Just(Happens::Pop),
    ]
}

fn ageing() -> impl Strategy<Value = Ageing> {
    (0_u64..40, 1_u32..7, 0_u64..60, 1_u32..10).prop_map(|(normal_after, normal_every, low_after, low_every)| Ageing {
        normal_after: Duration::from_secs(normal_after),
        normal_every,
        low_after: Duration::from_secs(low_after),
        low_every,
    })
}

proptest! {
    #[test]
    fn the_line_does_what_the_rule_says(ageing in ageing(), all in prop::collection::vec(happens(), 1..300)) {
        let (mut line, mut rule) = (Line::new(ageing), Reference::new(ageing));
        let (mut now, mut order) = (0, 0);
        for one in all {
            now += 1;
            match one {
                Happens::Push { number, class, tenant, day, pause } => {
                    now += pause;
                    order += 1;
                    let last_day = day.map(|day| date(2026, 1, 1).saturating_add(day.days()));
                    let job = Job { id: id(number), class, tenant, last_day, since: at(now - pause), order };
                    prop_assert_eq!(line.push(job), rule.push(job));
                }
                Happens::Remove(number) => prop_assert_eq!(line.remove(id(number)), rule.remove(id(number))),
                Happens::Pop => prop_assert_eq!(line.pop(at(now)), rule.pop(at(now))),
            }
            prop_assert_eq!((line.len(), line.ids().count()), (rule.jobs.len(), rule.jobs.len()));
            for class in Priority::ALL {
                let oldest = rule.jobs.iter().filter(|job| job.class == *class).map(|job| job.since).min();
                prop_assert_eq!(line.oldest(*class), oldest);
            }
        }
    }

    #[test]
    fn everybody_comes_out_once_and_after_as_many_as_were_ahead(
        all in prop::collection::vec((prop::sample::select(Priority::ALL), 0_u32..5, prop::option::of(0_i64..5)), 1..80),
    ) {
        let jobs = all.iter().zip(0..).map(|((class, tenant, day), number)| {
            let last_day = day.map(|day| date(2026, 1, 1).saturating_add(day.days()));
            Job { tenant: *tenant, last_day, ..job(number, *class) }
        });
        let mut line = of(jobs);
        let ahead: Vec<_> = (0..all.len() as u64).map(|number| line.ahead_of(id(number)).unwrap()).collect();
        let out = drained(&mut line, at(0));
        let places = (0..all.len()).map(|number| out.iter().position(|id| *id == number as u128).unwrap());
        prop_assert_eq!(out.len(), all.len());
        prop_assert_eq!(places.collect::<Vec<_>>(), ahead);
    }

    #[test]
    fn no_low_and_no_normal_ever_waits_longer_than_stated(
        ageing in ageing(), arrivals in prop::collection::vec(prop::collection::vec(prop::sample::select(Priority::ALL), 0..4), 1..150),
    ) {
        let mut simulation = Simulation::new(ageing);
        let seconds = arrivals.len() as u64;
        for (second, classes) in (0..).zip(arrivals) {
            // a turn is just over when they come, so each waits for the next one in full
            simulation.turn(at(second));
            for (class, number) in classes.into_iter().zip(10 * second..) {
                simulation.comes(Job { since: at(second), tenant: number as u32 % 3, ..job(number, class) });
            }
        }
        (seconds..seconds + 600).for_each(|second| simulation.turn(at(second)));
        prop_assert!(simulation.waiting.is_empty());
    }
}

#[test]
fn who_is_next_can_be_seen_without_a_turn() {
    let ageing = Ageing { normal_after: 3 * SECOND, normal_every: 3, low_after: 5 * SECOND, low_every: 4 };
    let mut line = Line::new(ageing);
    for number in 0..60 {
        let class = [High, Normal, Low][number as usize % 3];
        line.push(Job { tenant: number as u32 % 2, ..job(number, class) });
    }
    for second in 0..60 {
        let (now, seen) = (at(second), line.peek(at(second)));
        assert!(seen.is_some() && seen == line.peek(now));
        assert_eq!(line.pop(now), seen);
    }
    assert_eq!(line.peek(at(60)), None);
}
