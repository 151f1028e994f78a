//! A rehearsal of who gets a turn: made-up registrations, real lines and guards, no log and no maker. For what takes the
//! measure of the queue from outside of this room (`handlers/benches/turns.rs`).

use events::event::Submitted;
use events::line::Ageing;
use events::{
    Actor, ErrorKind, Guards, MailPreference, MakerPolicy, Method, PersonKeyId, Priority, Record, RecordHash, RecordId,
    Registration, RegistrationId, Shard, Stored, Timestamp,
};
use uuid::Uuid;

use crate::turns::{Failed, Lane, Turn, Turns};

/// The day of the rehearsal; only differences count.
const NOW: Timestamp = Timestamp(1_790_000_000_000_000);
/// Tenants that share the lines.
const TENANTS: u32 = 50;

/// The lines in front of the APIs of so many makers.
pub struct Rehearsal {
    turns: Turns,
    makers: u32,
    cast: Vec<Registration>,
    /// Places of the lane.
    bound: usize,
}

impl Rehearsal {
    /// Nobody waits; the lane has `bound` places, and each maker takes as many calls at once as `concurrency` says.
    #[must_use]
    pub fn new(makers: u32, bound: usize, concurrency: u32) -> Self {
        let names: Vec<String> = (0..makers.max(1)).map(name).collect();
        let mut policy = MakerPolicy::default();
        policy.concurrency.api = concurrency;
        let guards = Guards::new(names.iter().map(|name| (name.as_str(), policy.clone())));
        Self { turns: Turns::new(guards, Ageing::default()), makers: makers.max(1), cast: Vec::new(), bound }
    }

    /// So many more stand in line, spread over makers, tenants and classes.
    pub fn fill(&mut self, count: u32) {
        let first = u32::try_from(self.cast.len()).unwrap_or(u32::MAX);
        for number in first..first.saturating_add(count) {
            if let Some(registration) = registration(number, name(number % self.makers)) {
                self.turns.join(&registration, Method::Api, None);
                self.cast.push(registration);
            }
        }
    }

    /// Somebody has a turn, which comes to nothing, and stands in line again. False when nobody can have one.
    pub fn turn(&mut self) -> bool {
        let Some(mut turn) = self.turns.next(Lane::Api, self.bound, NOW) else { return false };
        let Some(registration) = self.cast.get(number_of(turn.id)) else { return false };
        self.turns.grant(&mut turn, registration, NOW);
        self.turns.over(&turn, None);
        self.turns.join(registration, Method::Api, None);
        true
    }

    /// Takes a place and keeps it for ever, as a call does that hangs. False when nobody can have one.
    pub fn take_place(&mut self) -> bool {
        self.turns.next(Lane::Api, self.bound, NOW).is_some()
    }

    /// Somebody who arrives, at whom nothing stands before the first maker, has a turn, which comes to nothing.
    pub fn arrive(&mut self, newcomer: &Newcomer) -> bool {
        let turn = self.admit(newcomer);
        turn.iter().for_each(|turn| self.turns.over(turn, None));
        turn.is_some()
    }

    /// As [`Rehearsal::arrive`], but the attempt fails and may be made again at once. Tells whether it kept its turn.
    pub fn arrive_and_keep(&mut self, newcomer: &Newcomer) -> bool {
        let Some(turn) = self.admit(newcomer) else { return false };
        let failed = Failed { after: &newcomer.0, kind: ErrorKind::Server, method: Method::Api, last_day: None };
        let kept = self.turns.keep(&turn, &failed, self.bound, NOW);
        self.turns.over(kept.as_ref().unwrap_or(&turn), None);
        kept.is_some()
    }

    fn admit(&mut self, newcomer: &Newcomer) -> Option<Turn> {
        self.turns.admit(&newcomer.0, Method::Api, self.bound, NOW)
    }
}

/// Somebody who is about to arrive.
pub struct Newcomer(Registration);

impl Newcomer {
    /// At a maker of the rehearsal, by its number; a number behind the last one is a maker of whom nothing is known.
    #[must_use]
    pub fn at(maker: u32) -> Option<Self> {
        registration(u32::MAX, name(maker)).map(Self)
    }
}

fn name(maker: u32) -> String {
    format!("maker-{maker}")
}

fn number_of(id: RegistrationId) -> usize {
    // the number stands in front of the id's random part
    (id.0.as_u128() >> 96) as usize
}

fn registration(number: u32, connector: String) -> Option<Registration> {
    // spread like random, so that they do not leave in the order in which they arrived
    let spread = number.wrapping_mul(2_654_435_761);
    let id = RegistrationId(Uuid::from_u128((u128::from(number) << 96) | u128::from(spread)));
    let at = Timestamp(NOW.0 - i64::from(spread % 60_000_000));
    let submitted = Submitted {
        tenant: format!("tenant-{}", spread % TENANTS),
        request_id: None,
        connector,
        brand: String::new(),
        model: String::new(),
        purchased_on: None,
        priority: Priority::ALL[spread as usize % Priority::ALL.len()],
        owner_ref: [0; 16],
        person_key: PersonKeyId(Uuid::nil()),
        sealed: Vec::new(),
        proof: None,
        register_by: None,
        mail: MailPreference::ManualOnly,
    };
    let (events, actor) = (vec![submitted.into()], Actor::System);
    let record = Record { id: RecordId(id.0), at, actor, cause: None, trace: None, previous: None, events };
    let (sequence, hash) = (u64::from(number), RecordHash([0; 32]));
    Registration::begin(&Stored { sequence, shard: Shard(0), registration: id, record, hash }).ok()
}
