//! Lists: newest submission first, page by page; the token of one list is refused by another.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use events::{Sequence, Status};

use crate::error::{ListError, ViewError};
use crate::keys;
use crate::row::Row;
use crate::rows::{Part, Rows};

/// Most rows on one page.
pub const PAGE_ROWS_MAX: usize = 1_000;
/// Most rows that are looked at for one page: a rare filter gives short pages instead of a long wait.
const ROWS_LOOKED_AT_MAX: usize = 4_096;
/// Rows looked for at a time.
const CHUNK: usize = 256;
/// Bytes of the filter's hash in a token.
const FILTER_HASH_BYTES: usize = 8;

/// What must hold for a row to be listed; an empty filter lists all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Any of these; empty for all.
    pub statuses: Vec<Status>,
    /// The connector.
    pub maker: Option<String>,
    /// The pseudonym of the owner.
    pub owner_ref: Option<[u8; 16]>,
    /// Whose service it came through.
    pub tenant: Option<String>,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Newest submission first; may be short, even empty, while more are to come.
    pub rows: Vec<Row>,
    /// For the next page; nothing after the last one.
    pub next_token: Option<String>,
}

/// What a page has come to so far.
struct Gathering {
    rows: Vec<Row>,
    /// Everything from here on is done.
    below: Sequence,
    looked_at: usize,
}

/// The page after `token`, of at most `rows_max` rows.
pub(crate) fn page(rows: &Rows, filter: &Filter, rows_max: usize, token: Option<&str>) -> Result<Page, ListError> {
    let below = match token {
        Some(token) => filter.read_token(token).ok_or(ListError::BadToken)?,
        None => Sequence::MAX,
    };
    let rows_max = rows_max.clamp(1, PAGE_ROWS_MAX);
    let mut gathering = Gathering { rows: Vec::new(), below, looked_at: 0 };
    let more = gathering.fill(rows, filter, rows_max)?;
    let next_token = more.then(|| filter.token(gathering.below));
    Ok(Page { rows: gathering.rows, next_token })
}

impl Gathering {
    /// Whether there may be more.
    fn fill(&mut self, rows: &Rows, filter: &Filter, rows_max: usize) -> Result<bool, ViewError> {
        let mut reader = rows.reader();
        while self.looked_at < ROWS_LOOKED_AT_MAX {
            let part = filter.newest(rows, self.below)?;
            for submission in part.submissions {
                self.looked_at += 1;
                let row = reader.found(submission)?;
                if filter.matches(&row) {
                    if self.rows.len() == rows_max {
                        return Ok(true);
                    }
                    self.rows.push(row);
                }
                self.below = submission;
            }
            match part.below {
                Some(below) => self.below = below,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

impl Filter {
    /// Whether `row` belongs to the list.
    #[must_use]
    pub fn matches(&self, row: &Row) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&row.status()))
            && self.maker.as_ref().is_none_or(|maker| *maker == row.registration.connector)
            && self.owner_ref.is_none_or(|owner| row.listed_owner() == Some(owner))
            && self.tenant.as_ref().is_none_or(|tenant| *tenant == row.registration.tenant)
    }

    /// The next part of the index that is likely to hold the fewest; some may not match.
    fn newest(&self, rows: &Rows, below: Sequence) -> Result<Part, ViewError> {
        if let Some(owner_ref) = &self.owner_ref {
            return rows.of_owner(owner_ref, below, CHUNK);
        }
        // before all others: how long a page takes, and how short it is, must not tell of other tenants' rows
        if let Some(tenant) = &self.tenant {
            return rows.of_index(&keys::tenant(tenant), below, CHUNK);
        }
        // most rows end in SUCCESS, so it says less than a maker
        match &self.maker {
            Some(maker) if self.statuses.is_empty() || self.statuses.contains(&Status::Success) => {
                rows.of_index(&keys::maker(maker), below, CHUNK)
            }
            Some(_) | None => rows.of_statuses(&self.statuses, below, CHUNK),
        }
    }

    fn token(&self, below: Sequence) -> String {
        let mut bytes = below.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.hash());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read_token(&self, token: &str) -> Option<Sequence> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (below, hash) = bytes.split_first_chunk::<8>()?;
        (hash == self.hash()).then_some(Sequence::from_be_bytes(*below))
    }

    /// The same for the same filter, in whichever order its statuses stand.
    fn hash(&self) -> [u8; FILTER_HASH_BYTES] {
        let mut statuses: Vec<u8> = self.statuses.iter().map(|status| status.number()).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[u8::try_from(statuses.len()).unwrap_or(u8::MAX)]).update(&statuses);
        hasher.update(&[u8::from(self.owner_ref.is_some())]).update(&self.owner_ref.unwrap_or_default());
        for name in [&self.tenant, &self.maker] {
            let text = name.as_deref().unwrap_or_default();
            hasher.update(&[u8::from(name.is_some())]).update(&text.len().to_le_bytes()).update(text.as_bytes());
        }
        let mut hash = [0; FILTER_HASH_BYTES];
        hash.copy_from_slice(&hasher.finalize().as_bytes()[..FILTER_HASH_BYTES]);
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_fits_its_own_filter_in_any_order_and_no_other() {
        let filter = Filter { statuses: vec![Status::Pending, Status::Waiting], ..Filter::default() };
        let turned = Filter { statuses: vec![Status::Waiting, Status::Pending], ..Filter::default() };
        let token = filter.token(42);
        assert_eq!(turned.read_token(&token), Some(42));
        for other in [
            Filter::default(),
            Filter { maker: Some(String::new()), ..filter.clone() },
            Filter { owner_ref: Some([0; 16]), ..filter.clone() },
            Filter { tenant: Some(String::new()), ..filter.clone() },
        ] {
            assert_eq!(other.read_token(&token), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "AAAA", "not base64!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(Filter::default().read_token(text), None, "{text}");
        }
    }
}
