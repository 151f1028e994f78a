//! The views as they were at a place of the log: the same folds, in memory, for a reader that ends there. No folder is
//! touched.
//!
//! A row that has ended is only counted; what is open is kept, up to a bound. A record of a registration that is not kept is
//! not guessed at: the caller is asked for its history, which the log has.

use std::collections::{BTreeMap, HashMap, HashSet};

use events::state::HistoryError;
use events::{RegistrationId, Sequence, Stored, StoredMaker};

use crate::analytics::{Funnel, Metrics, MetricsError, MetricsFilter, PastAnalytics, Window};
use crate::checkpoint::Counts;
use crate::error::ViewError;
use crate::list::Filter;
use crate::row::Row;

/// Most rows of registrations that have not ended (some 800 bytes each with what analytics remember). Beyond it those that
/// wait for a person are let go first, and read again from the log when something happens to them.
pub const OPEN_MAX: usize = 250_000;
/// Most registrations whose records do not fit together; they are left out, as the view leaves them out.
const LEFT_OUT_MAX: usize = 10_000;
/// Records between two looks at what has become too old.
const TRIM_EVERY: u32 = 16_384;

/// Which rows are wanted at the end; counts and metrics are there in any case.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// This one.
    pub id: Option<RegistrationId>,
    /// The newest of those that match.
    pub filter: Filter,
    /// At most so many of them; 0 for none.
    pub rows_max: usize,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a record of a registration that is not kept must be given again, with its history"]
pub enum Taken {
    /// It is in.
    In,
    /// Its registration is not kept: give its history up to and with this record to [`Past::recall`].
    NotKept,
}

/// The fold.
pub struct Past {
    wanted: Wanted,
    open: HashMap<RegistrationId, Row>,
    /// Rows that have ended and are wanted, by submission.
    ended: BTreeMap<Sequence, Row>,
    left_out: HashSet<RegistrationId>,
    /// Rows that match may have been let go.
    incomplete: bool,
    open_max: usize,
    counts: Counts,
    analytics: PastAnalytics,
    since_trim: u32,
}

impl Past {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self::with_open_max(wanted, OPEN_MAX)
    }

    /// With another bound; for tests of what lies beyond it.
    #[must_use]
    pub fn with_open_max(wanted: Wanted, open_max: usize) -> Self {
        Self {
            wanted,
            open: HashMap::new(),
            ended: BTreeMap::new(),
            left_out: HashSet::new(),
            incomplete: false,
            open_max,
            counts: Counts::default(),
            analytics: PastAnalytics::new(),
            since_trim: 0,
        }
    }

    /// Takes in the next record of a registration, in the order of the log.
    ///
    /// # Errors
    /// [`ViewError`] when more does not fit together than one registration here and there.
    pub fn registration(&mut self, stored: &Stored) -> Result<Taken, ViewError> {
        let id = stored.registration;
        if !self.left_out.contains(&id) {
            match (self.open.remove(&id), stored.record.previous) {
                (Some(row), _) => self.go_on(row, stored)?,
                (None, None) => match Row::begin(stored) {
                    Ok(row) => self.keep(None, row),
                    Err(error) => self.does_not_fit(stored, error)?,
                },
                (None, Some(_)) => return Ok(Taken::NotKept),
            }
        }
        self.analytics.registration(stored)?;
        self.trim();
        Ok(Taken::In)
    }

    /// Takes in a record whose registration was not kept: the last of `history`, which has all of its records so far.
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::registration`].
    pub fn recall(&mut self, history: &[Stored]) -> Result<(), ViewError> {
        let Some((stored, before)) = history.split_last() else { return Ok(()) };
        match row_of(before) {
            Ok(Some(row)) => {
                self.ended.remove(&row.submission);
                self.analytics.recall(stored.registration, before);
                self.go_on(row, stored)?;
            }
            Ok(None) => {}
            Err(error) => self.does_not_fit(stored, error)?,
        }
        self.analytics.registration(stored)?;
        self.trim();
        Ok(())
    }

    /// Takes in the next record of a maker.
    ///
    /// # Errors
    /// [`ViewError`] when it cannot be kept.
    pub fn maker(&mut self, stored: &StoredMaker) -> Result<(), ViewError> {
        self.analytics.maker(stored)
    }

    /// How many registrations had which status.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The row of the wanted registration, if there was one.
    #[must_use]
    pub fn row(&self) -> Option<&Row> {
        let id = self.wanted.id?;
        self.open.get(&id).or_else(|| self.ended.values().find(|row| row.registration.id == id))
    }

    /// The newest rows that match; whether they are sure to be all of the newest.
    #[must_use]
    pub fn rows(&self) -> (Vec<&Row>, bool) {
        let wanted = &self.wanted;
        let open = self.open.values().chain(self.ended.values()).filter(|row| wanted.filter.matches(row));
        let mut rows: Vec<&Row> = open.collect();
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.submission));
        rows.truncate(wanted.rows_max);
        (rows, !self.incomplete)
    }

    /// How makers did over a window, of what is taken in.
    ///
    /// # Errors
    /// [`MetricsError::TooManyPoints`] when the window is too long for the resolution.
    pub fn metrics(&self, window: Window, filter: &MetricsFilter) -> Result<Metrics, MetricsError> {
        self.analytics.metrics(window, filter)
    }

    /// What had become of packets.
    #[must_use]
    pub const fn funnel(&self) -> Funnel {
        self.analytics.funnel()
    }

    fn go_on(&mut self, mut row: Row, stored: &Stored) -> Result<(), ViewError> {
        let before = row.status();
        match row.apply(stored) {
            Ok(()) => self.keep(Some(before), row),
            Err(error) => {
                self.counts.gone(before);
                self.does_not_fit(stored, error)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, before: Option<events::Status>, row: Row) {
        self.counts.moved(before, row.status());
        let id = row.registration.id;
        if !has_ended(&row) {
            self.open.insert(id, row);
        } else if self.wanted.id == Some(id) {
            self.ended.insert(row.submission, row);
        } else if self.wanted.rows_max > 0 && self.wanted.filter.matches(&row) {
            self.ended.insert(row.submission, row);
            // the wanted one may be the oldest: then one more is kept
            while self.ended.len() > self.wanted.rows_max.saturating_add(1) {
                let oldest = self.ended.iter().find(|(_, row)| self.wanted.id != Some(row.registration.id));
                let Some(oldest) = oldest.map(|(submission, _)| *submission) else { break };
                self.ended.remove(&oldest);
            }
        }
    }

    /// The view is begun anew without such a registration; here it leaves at once.
    fn does_not_fit(&mut self, stored: &Stored, error: HistoryError) -> Result<(), ViewError> {
        self.left_out.insert(stored.registration);
        if self.left_out.len() > LEFT_OUT_MAX {
            return Err(ViewError::OutOfOrder { sequence: stored.sequence, source: Some(error) });
        }
        Ok(())
    }

    fn trim(&mut self) {
        self.since_trim += 1;
        if self.since_trim >= TRIM_EVERY {
            self.since_trim = 0;
            self.analytics.forget_old();
        }
        if self.open.len() > self.open_max {
            self.let_go(|row| row.status().is_settled());
        }
        if self.open.len() > self.open_max {
            // each of them may move at any time: any is as good as another
            let mut surplus = self.open.len() - self.open_max / 2;
            self.let_go(|_| {
                let goes = surplus > 0;
                surplus = surplus.saturating_sub(1);
                goes
            });
        }
    }

    fn let_go(&mut self, mut which: impl FnMut(&Row) -> bool) {
        let (wanted, analytics, incomplete) = (&self.wanted, &mut self.analytics, &mut self.incomplete);
        self.open.retain(|id, row| {
            let goes = wanted.id != Some(*id) && which(row);
            if goes {
                analytics.forget(*id);
                *incomplete |= wanted.rows_max > 0;
            }
            !goes
        });
    }
}

/// Whether nothing is expected to happen to it any more; if something does, its history is asked for.
fn has_ended(row: &Row) -> bool {
    let is_done = match row.status() {
        events::Status::Success | events::Status::UserCompleted => true,
        events::Status::Pending
        | events::Status::Processing
        | events::Status::Waiting
        | events::Status::OutcomeUnknown
        | events::Status::ManualRequired
        | events::Status::NeedsCorrection
        | events::Status::Cancelled
        | events::Status::Expired => false,
    };
    is_done && row.registration.owner_mail.is_none()
}

/// The row that a history adds up to; nothing when it is empty.
fn row_of(history: &[Stored]) -> Result<Option<Row>, HistoryError> {
    let Some((first, rest)) = history.split_first() else { return Ok(None) };
    let mut row = Row::begin(first)?;
    rest.iter().try_for_each(|stored| row.apply(stored))?;
    Ok(Some(row))
}
