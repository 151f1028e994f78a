//! How often somebody may be wrong: a share for each address and for each key, which failures use up and time gives back.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use events::Timestamp;

/// Most sources of failures that are remembered; those whose share is whole again go first.
const SOURCES_MAX: usize = 65_536;
/// Most credentials that are remembered as good.
const GOOD_MAX: usize = 4_096;
/// The time in which a whole share comes back.
const MINUTE_US: i64 = 60_000_000;

/// Where a failure comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    Address(IpAddr),
    /// A key, by its id, whether or not there is one.
    Key(String),
}

impl Source {
    /// An address; of IPv6 the network, because whoever has one address has all of it.
    pub fn of(address: IpAddr) -> Self {
        Self::Address(network(address))
    }
}

/// An address; of IPv6 its network of 64 bits.
pub fn network(address: IpAddr) -> IpAddr {
    let of = |v6: Ipv6Addr| match v6.to_ipv4_mapped() {
        Some(v4) => IpAddr::V4(v4),
        None => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
    };
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => of(v6),
    }
}

/// The failures of all sources; the clock is the caller's.
pub struct Throttle {
    /// Failures that one source may have at once, and then in a minute.
    per_minute: i64,
    /// When the share of a source is whole again.
    whole_at: HashMap<Source, i64>,
    /// Hashes of credentials that were right before. They are checked as all others, but not held up by the failures of
    /// others, behind whose address or with whose id they come.
    good: HashSet<[u8; 32]>,
    good_in_order: VecDeque<[u8; 32]>,
}

impl Throttle {
    /// `per_minute` failures; at least one.
    pub fn new(per_minute: u32) -> Self {
        Self {
            per_minute: i64::from(per_minute.max(1)),
            whole_at: HashMap::new(),
            good: HashSet::new(),
            good_in_order: VecDeque::new(),
        }
    }

    /// How long a source must wait before it may try again; nothing when it may at once.
    pub fn wait(&self, source: &Source, now: Timestamp) -> Option<Duration> {
        let interval = MINUTE_US / self.per_minute;
        let used = self.whole_at.get(source)?.saturating_sub(now.0);
        let wait = used.saturating_sub((self.per_minute - 1) * interval);
        u64::try_from(wait).ok().filter(|wait| *wait > 0).map(Duration::from_micros)
    }

    /// Takes one of a source's share.
    pub fn failed(&mut self, source: Source, now: Timestamp) {
        if self.whole_at.len() >= SOURCES_MAX {
            self.whole_at.retain(|_, whole_at| *whole_at > now.0);
        }
        if self.whole_at.len() >= SOURCES_MAX && !self.whole_at.contains_key(&source) {
            // so many at once are no typing mistakes; one of them is forgotten, and no memory is used up
            if let Some(any) = self.whole_at.keys().next().cloned() {
                self.whole_at.remove(&any);
            }
        }
        let whole_at = self.whole_at.entry(source).or_insert(now.0);
        // never more than a minute ahead: a forgotten job that tries for hours must not lock its address out for days
        let used = (*whole_at).max(now.0).saturating_add(MINUTE_US / self.per_minute);
        *whole_at = used.min(now.0.saturating_add(MINUTE_US));
    }

    /// Whether a credential, by its hash, was right before.
    pub fn was_good(&self, credential: &[u8; 32]) -> bool {
        self.good.contains(credential)
    }

    /// A credential that was right, and is not any more: from now on it is held up as all others.
    pub fn no_longer_good(&mut self, credential: &[u8; 32]) {
        if self.good.remove(credential) {
            self.good_in_order.retain(|known| known != credential);
        }
    }

    /// Remembers that a credential was right.
    pub fn succeeded(&mut self, credential: [u8; 32]) {
        if !self.good.insert(credential) {
            return;
        }
        self.good_in_order.push_back(credential);
        if self.good_in_order.len() > GOOD_MAX
            && let Some(oldest) = self.good_in_order.pop_front()
        {
            self.good.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_764_072_000_000_000);

    fn after(seconds: u64) -> Timestamp {
        NOON.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn given_a_whole_share_of_failures_when_another_comes_then_it_waits_for_a_part_of_a_minute() {
        let mut throttle = Throttle::new(6);
        let source = Source::Key("abc".into());
        for _ in 0..6 {
            assert_eq!(throttle.wait(&source, NOON), None);
            throttle.failed(source.clone(), NOON);
        }
        assert_eq!(throttle.wait(&source, NOON), Some(Duration::from_secs(10)));
        assert_eq!(throttle.wait(&source, after(9)), Some(Duration::from_secs(1)));
        assert_eq!(throttle.wait(&source, after(10)), None);
        throttle.failed(source.clone(), after(10));
        assert_eq!(throttle.wait(&source, after(10)), Some(Duration::from_secs(10)));
        assert_eq!(throttle.wait(&Source::Key("other".into()), NOON), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let of = |text: &str| Source::of(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn memory_is_bounded_whoever_fails_and_whoever_succeeds() {
        let mut throttle = Throttle::new(1);
        for n in 0..=SOURCES_MAX {
            throttle.failed(Source::Key(n.to_string()), NOON);
        }
        assert_eq!(throttle.whole_at.len(), SOURCES_MAX);
        for n in 0..=GOOD_MAX {
            throttle.succeeded(*blake3::hash(&n.to_le_bytes()).as_bytes());
        }
        assert_eq!((throttle.good.len(), throttle.good_in_order.len()), (GOOD_MAX, GOOD_MAX));
        assert!(!throttle.was_good(blake3::hash(&0_usize.to_le_bytes()).as_bytes()));
    }
}
