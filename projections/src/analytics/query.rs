//! What can be asked: metrics over a window, the lists, and what stands open.

use std::collections::BTreeMap;
use std::ops::Range;

use events::{Method, Timestamp};
use jiff::ToSpan;
use jiff::civil::Date;

use super::keys::{self, List};
use super::memory::Memory;
use super::resolution::Resolution;
use super::tally::Tally;
use crate::error::ViewError;
use crate::store::Store;

/// Most points of a series.
pub const POINTS_MAX: u64 = 1_440;
/// Most entries of a list that are given at once.
pub const LIST_MAX: usize = 1_000;
/// Entries of a list that are read at a time.
const CHUNK: usize = 512;

/// From `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

/// What metrics are of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricsFilter {
    /// Only this maker.
    pub connector: Option<String>,
    /// Only this method.
    pub method: Option<Method>,
    /// How fine; nothing for the finest that is kept for the whole window and gives no more than [`POINTS_MAX`].
    pub resolution: Option<Resolution>,
}

/// How makers did over a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// How fine the points are.
    pub resolution: Resolution,
    /// The window, rounded to whole points.
    pub window: Window,
    /// One for each maker and method with attempts, by maker and method.
    pub series: Vec<Series>,
    /// All of them together.
    pub total: Tally,
}

/// One maker's method over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// The maker.
    pub connector: String,
    /// The method.
    pub method: Method,
    /// The whole window.
    pub total: Tally,
    /// When each stretch with attempts begins, and what ended in it; oldest first.
    pub points: Vec<(Timestamp, Tally)>,
}

/// Why metrics are not given.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The window is too long for its points.
    #[error("the window has {points} points; at most {POINTS_MAX} are given")]
    TooManyPoints {
        /// How many it would have.
        points: u64,
    },
    /// The view itself.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// Open registrations of one maker whose last day is near.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadlineCounts {
    /// The maker.
    pub connector: String,
    /// The last day has passed.
    pub passed: u64,
    /// Three days are left, or less.
    pub within_three_days: u64,
    /// Four to fourteen days are left.
    pub within_two_weeks: u64,
}

/// Memory and store, while somebody asks.
pub(crate) struct Query<'a> {
    pub memory: &'a Memory,
    pub store: &'a Store,
}

impl Query<'_> {
    pub(crate) fn metrics(&self, window: Window, filter: &MetricsFilter) -> Result<Metrics, MetricsError> {
        let (resolution, stretches) = self.choose(window, filter.resolution)?;
        let mut series: BTreeMap<(String, Method), Series> = BTreeMap::new();
        let mut total = Tally::default();
        self.tallies(resolution, stretches.clone(), |stretch, connector, method, tally| {
            let wanted = filter.connector.as_deref().is_none_or(|wanted| wanted == connector)
                && filter.method.is_none_or(|wanted| wanted == method);
            if wanted {
                total.merge(&tally);
                let one =
                    series.entry((connector.to_owned(), method)).or_insert_with(|| Series::new(connector, method));
                one.total.merge(&tally);
                one.points.push((resolution.begin_of(stretch), tally));
            }
        })?;
        let window = Window { start: resolution.begin_of(stretches.start), end: resolution.begin_of(stretches.end) };
        Ok(Metrics { resolution, window, series: series.into_values().collect(), total })
    }

    /// The resolution, and the stretches of the window.
    fn choose(&self, window: Window, wanted: Option<Resolution>) -> Result<(Resolution, Range<u32>), MetricsError> {
        let stretches = |resolution: Resolution| {
            let start = resolution.stretch_of(window.start);
            start..resolution.stretch_after(window.end).max(start)
        };
        let fits = |resolution: Resolution| stretches(resolution).len() as u64 <= POINTS_MAX;
        let newest = self.memory.saved.newest;
        let kept = |resolution: Resolution| newest.since(window.start) <= resolution.kept_for();
        let finest = || Resolution::ALL.into_iter().find(|resolution| fits(*resolution) && kept(*resolution));
        let resolution = wanted.or_else(finest).unwrap_or(Resolution::Day);
        if fits(resolution) {
            return Ok((resolution, stretches(resolution)));
        }
        Err(MetricsError::TooManyPoints { points: stretches(resolution).len() as u64 })
    }

    /// Each tally of the stretches, by time.
    fn tallies(
        &self,
        resolution: Resolution,
        stretches: Range<u32>,
        mut each: impl FnMut(u32, &str, Method, Tally),
    ) -> Result<(), ViewError> {
        if stretches.is_empty() {
            return Ok(());
        }
        let range = keys::tallies(resolution, stretches.start, stretches.end);
        let mut unwritten = self.memory.tallies.range(range.clone()).peekable();
        let mut give = |key: &[u8], tally: Tally| {
            let (stretch, connector, method) = keys::tallied(key)?;
            each(stretch, connector, method, tally);
            Ok::<(), ViewError>(())
        };
        self.store.each(range, |key, value| {
            while let Some((newer, tally)) = unwritten.next_if(|(newer, _)| newer.as_slice() < key) {
                give(newer, tally.clone())?;
            }
            match unwritten.next_if(|(newer, _)| newer.as_slice() == key) {
                Some((_, tally)) => give(key, tally.clone()),
                None => give(key, Tally::from_bytes(value)?),
            }
        })?;
        unwritten.try_for_each(|(key, tally)| give(key, tally.clone()))
    }

    /// At most `limit` entries of a list within the window that `accept` takes, newest first.
    pub(crate) fn newest<T>(
        &self,
        list: List,
        window: Window,
        limit: usize,
        mut accept: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, ViewError>,
    ) -> Result<Vec<T>, ViewError> {
        let (limit, mut range) = (limit.clamp(1, LIST_MAX), list.range(window.start, window.end.max(window.start)));
        let mut found: Vec<(Vec<u8>, T)> = Vec::new();
        for (key, value) in self.memory.listed.range(range.clone()).rev() {
            if found.len() >= limit {
                break;
            }
            found.extend(accept(key, value)?.map(|entry| (key.clone(), entry)));
        }
        let mut stored = 0;
        while stored < limit && range.start < range.end {
            let chunk = self.store.newest_in(range.clone(), CHUNK)?;
            let Some((oldest, _)) = chunk.last() else { break };
            range.end = oldest.to_vec();
            for (key, value) in chunk.iter().filter(|(key, _)| !self.memory.listed.contains_key(key.as_ref())) {
                if let (true, Some(entry)) = (stored < limit, accept(key, value)?) {
                    found.push((key.to_vec(), entry));
                    stored += 1;
                }
            }
        }
        found.sort_by(|(one, _), (other, _)| other.cmp(one));
        found.truncate(limit);
        Ok(found.into_iter().map(|(_, entry)| entry).collect())
    }

    /// By maker.
    pub(crate) fn deadlines(&self, today: Date) -> Result<Vec<DeadlineCounts>, ViewError> {
        let (soon, later) = (today.saturating_add(3.days()), today.saturating_add(14.days()));
        let mut counts: BTreeMap<String, DeadlineCounts> = BTreeMap::new();
        let mut count = |key: &[u8], number: u64| {
            let (day, connector) = keys::deadline_of(key)?;
            if number > 0 {
                let maker = counts.entry(connector.to_owned()).or_default();
                let place = match day {
                    day if day < today => &mut maker.passed,
                    day if day <= soon => &mut maker.within_three_days,
                    _ => &mut maker.within_two_weeks,
                };
                *place += number;
            }
            Ok::<(), ViewError>(())
        };
        let range = keys::deadlines_upto(later);
        self.memory.deadlines.range(range.clone()).try_for_each(|(key, number)| count(key, *number))?;
        self.store.each(range, |key, value| {
            if self.memory.deadlines.contains_key(key) { Ok(()) } else { count(key, super::decode(value)?) }
        })?;
        let named = |(connector, counts)| DeadlineCounts { connector, ..counts };
        Ok(counts.into_iter().map(named).collect())
    }
}

impl Series {
    fn new(connector: &str, method: Method) -> Self {
        Self { connector: connector.to_owned(), method, total: Tally::default(), points: Vec::new() }
    }
}
