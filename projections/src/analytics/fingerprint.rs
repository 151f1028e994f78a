//! What the analytics view holds, as numbers that a fresh fold of the same records comes to as well.

use super::keys;
use super::resolution::Resolution;
use super::retention;
use super::saved::Saved;
use crate::error::ViewError;
use crate::fingerprint::{Fingerprint, Part};
use crate::store::Store;

/// The tallies that are not too old, the registrations under way, the deadlines, and what is counted of everything. Lists
/// are left out: how many of their old entries are gone depends on when the view wrote.
pub(crate) fn of(store: &Store, saved: &Saved) -> Result<Fingerprint, ViewError> {
    let mut parts = Vec::new();
    for resolution in Resolution::ALL {
        let from = retention::oldest_kept(resolution, saved.newest);
        let range = keys::tallies(resolution, from, u32::MAX);
        parts.push(part("tallies", store, range)?);
    }
    parts.push(part("registrations under way", store, vec![b'f']..vec![b'f' + 1])?);
    parts.push(part("deadlines", store, vec![b'd']..vec![b'd' + 1])?);
    let counted = super::encode(&(saved.newest.0, saved.funnel))?;
    parts.push(Part { what: "counts", key: 0, hash: Part::hash_of(&[&counted]) });
    Ok(Fingerprint { checkpoint: saved.checkpoint, parts })
}

fn part(what: &'static str, store: &Store, range: std::ops::Range<Vec<u8>>) -> Result<Part, ViewError> {
    let mut hash = [0; 32];
    store.each(range, |key, value| {
        hash = Part::hash_of(&[&hash, key, value]);
        Ok(())
    })?;
    Ok(Part { what, key: 0, hash })
}
