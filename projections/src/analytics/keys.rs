//! How keys of the analytics view are spelt: the first byte says what an entry is, big-endian numbers keep the order of time.

use std::fmt::Write;
use std::ops::Range;

use events::{Method, RegistrationId, Sequence, Timestamp};
use jiff::civil::Date;

use super::resolution::Resolution;
use crate::error::ViewError;

/// The letter, resolution and stretch that a tally's key begins with.
const STRETCH_BYTES: usize = 6;
/// A day as text.
const DAY_BYTES: usize = 10;

/// A list of things that happened, by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Circuits,
    Health,
    Incidents,
}

impl List {
    pub(crate) const ALL: [Self; 3] = [Self::Circuits, Self::Health, Self::Incidents];

    const fn letter(self) -> u8 {
        match self {
            Self::Circuits => b'k',
            Self::Health => b'h',
            Self::Incidents => b'i',
        }
    }

    /// Its place among all lists.
    pub(crate) const fn place(self) -> usize {
        match self {
            Self::Circuits => 0,
            Self::Health => 1,
            Self::Incidents => 2,
        }
    }

    /// The entries from `start` to before `end`.
    pub(crate) fn range(self, start: Timestamp, end: Timestamp) -> Range<Vec<u8>> {
        self.begin(start)..self.begin(end)
    }

    /// The key of an entry: when, and what tells it from others of the same microsecond.
    pub(crate) fn key(self, at: Timestamp, rest: &[u8]) -> Vec<u8> {
        let mut key = self.begin(at);
        key.extend_from_slice(rest);
        key
    }

    fn begin(self, at: Timestamp) -> Vec<u8> {
        let mut key = vec![self.letter()];
        key.extend_from_slice(&u64::try_from(at.0).unwrap_or(0).to_be_bytes());
        key
    }
}

/// Where an entry of a list stands: when, and the rest of its key.
pub(crate) fn listed(key: &[u8]) -> Result<(Timestamp, &[u8]), ViewError> {
    let (at, rest) = key.get(1..).and_then(|key| key.split_first_chunk::<8>()).ok_or(ViewError::Undecodable)?;
    let at = i64::try_from(u64::from_be_bytes(*at)).map_err(|_| ViewError::Undecodable)?;
    Ok((Timestamp(at), rest))
}

/// The rest of the key of an event in the record at `sequence`.
pub(crate) fn event_of(sequence: Sequence, place: usize) -> Vec<u8> {
    let mut rest = sequence.to_be_bytes().to_vec();
    // a record has at most 16 events
    rest.push(u8::try_from(place).unwrap_or(u8::MAX));
    rest
}

/// The sequence in such a rest.
pub(crate) fn sequence_of(rest: &[u8]) -> Result<Sequence, ViewError> {
    rest.first_chunk::<8>().map(|bytes| Sequence::from_be_bytes(*bytes)).ok_or(ViewError::Undecodable)
}

/// The key of a tally. The time stands before the maker: a window is one range, and so is what is too old.
pub(crate) fn tally(resolution: Resolution, stretch: u32, connector: &str, method: Method) -> Vec<u8> {
    let mut key = Vec::with_capacity(STRETCH_BYTES + connector.len() + 1);
    begin_stretch(&mut key, resolution, stretch);
    key.extend_from_slice(connector.as_bytes());
    key.push(method.number());
    key
}

/// The tallies from the stretch `from` to before `to`.
pub(crate) fn tallies(resolution: Resolution, from: u32, to: u32) -> Range<Vec<u8>> {
    let begin = |stretch| {
        let mut key = Vec::with_capacity(STRETCH_BYTES);
        begin_stretch(&mut key, resolution, stretch);
        key
    };
    begin(from)..begin(to)
}

fn begin_stretch(key: &mut Vec<u8>, resolution: Resolution, stretch: u32) {
    key.extend_from_slice(&[b't', resolution.number()]);
    key.extend_from_slice(&stretch.to_be_bytes());
}

/// The stretch, connector and method of a tally's key.
pub(crate) fn tallied(key: &[u8]) -> Result<(u32, &str, Method), ViewError> {
    let parts = || {
        let (stretch, rest) = key.get(2..)?.split_first_chunk::<4>()?;
        let (method, connector) = rest.split_last()?;
        Some((u32::from_be_bytes(*stretch), std::str::from_utf8(connector).ok()?, Method::from_number(*method)?))
    };
    parts().ok_or(ViewError::Undecodable)
}

/// The key of a registration that is followed.
pub(crate) fn tracked(id: RegistrationId) -> [u8; 17] {
    let mut key = [b'f'; 17];
    key[1..].copy_from_slice(id.0.as_bytes());
    key
}

/// The key of the count of open registrations of a maker with this last day.
pub(crate) fn deadline(last_day: Date, connector: &str) -> Vec<u8> {
    let mut key = String::with_capacity(DAY_BYTES + connector.len() + 2);
    // as text, so that it sorts; years before 0 do not come in. A string takes all that is written to it
    let _ = write!(key, "d{last_day} {connector}");
    key.into_bytes()
}

/// All such counts up to and with `last_day`.
pub(crate) fn deadlines_upto(last_day: Date) -> Range<Vec<u8>> {
    // behind the space of every key of that day
    vec![b'd']..format!("d{last_day}~").into_bytes()
}

/// The last day and the connector of such a key.
pub(crate) fn deadline_of(key: &[u8]) -> Result<(Date, &str), ViewError> {
    let parts = || {
        let (day, connector) = std::str::from_utf8(key.get(1..)?).ok()?.split_once(' ')?;
        Some((day.parse().ok()?, connector))
    };
    parts().ok_or(ViewError::Undecodable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn what_a_key_says_reads_back() {
        let key = tally(Resolution::Hour, 77, "norrland", Method::Api);
        assert_eq!(tallied(&key).expect("a key"), (77, "norrland", Method::Api));
        let key = deadline(date(2026, 11, 25), "norrland");
        assert_eq!(deadline_of(&key).expect("a key"), (date(2026, 11, 25), "norrland"));
        let key = List::Circuits.key(Timestamp(5), &event_of(9, 1));
        let (at, rest) = listed(&key).expect("a key");
        assert_eq!((at, sequence_of(rest).expect("a sequence")), (Timestamp(5), 9));
        assert!(tallied(b"t").is_err() && deadline_of(b"dx").is_err() && listed(b"k").is_err());
    }

    #[test]
    fn ranges_hold_what_lies_in_them() {
        let key = |stretch| tally(Resolution::Minute, stretch, "z", Method::Api);
        let range = tallies(Resolution::Minute, 255, 257);
        assert!(range.contains(&key(255)) && range.contains(&key(256)) && !range.contains(&key(257)));
        let upto = deadlines_upto(date(2026, 11, 25));
        assert!(upto.contains(&deadline(date(2026, 11, 25), "zz")) && upto.contains(&deadline(date(1999, 1, 1), "a")));
        assert!(!upto.contains(&deadline(date(2026, 11, 26), "a")));
        let range = List::Health.range(Timestamp(5), Timestamp(7));
        assert!(
            range.contains(&List::Health.key(Timestamp(5), b""))
                && range.contains(&List::Health.key(Timestamp(6), b"x"))
        );
        assert!(!range.contains(&List::Health.key(Timestamp(7), b"")));
    }
}
