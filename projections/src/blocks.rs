//! Rows in blocks: all rows whose submissions lie in one stretch of the log are one entry, because an entry of the store costs
//! some 6 to 10 microseconds whatever its size.
//!
//! A block is the number of its rows (1 byte), a table with the place, the status and the end of each (1, 1 and 4 bytes,
//! little-endian; lowest place first), and then the bytes of the rows, one behind the other.

use std::iter::Peekable;
use std::ops::Range;

use events::{Sequence, Status};

/// Places of the log in a block. With more of them a row that changes alone writes more bytes.
const SPAN: u64 = 64;
/// Bytes of a row in the table.
const LINE: usize = 6;

/// A row to be stored.
pub(crate) struct NewRow {
    pub submission: Sequence,
    pub status: Status,
    pub bytes: Vec<u8>,
}

/// A row in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowBytes<'a> {
    pub submission: Sequence,
    /// The number of its status.
    pub status: u8,
    pub bytes: &'a [u8],
}

/// A block as it is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    number: u64,
    table: &'a [u8],
    rows: &'a [u8],
}

/// In which block a submission lies.
pub(crate) const fn number(submission: Sequence) -> u64 {
    submission / SPAN
}

/// The submissions of a block.
pub(crate) const fn stretch(number: u64) -> Range<Sequence> {
    let first = number.saturating_mul(SPAN);
    first..first.saturating_add(SPAN)
}

/// The mark of a status; the marks of a block say which statuses there are in it.
pub(crate) const fn mark(status: u8) -> u16 {
    1 << (status & 0xf)
}

impl<'a> Block<'a> {
    /// Nothing when the bytes are no block.
    pub(crate) fn parse(number: u64, bytes: &'a [u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first()?;
        let (table, rows) = rest.split_at_checked(usize::from(*count) * LINE)?;
        let block = Self { number, table, rows };
        let (mut place, mut end) = (None, 0);
        for line in table.chunks_exact(LINE) {
            let next = Self::end(line);
            if u64::from(line[0]) >= SPAN || place >= Some(line[0]) || next < end {
                return None;
            }
            (place, end) = (Some(line[0]), next);
        }
        (end == rows.len()).then_some(block)
    }

    fn end(line: &[u8]) -> usize {
        line.last_chunk::<4>().map_or(0, |end| usize::try_from(u32::from_le_bytes(*end)).unwrap_or(usize::MAX))
    }

    /// All rows, the oldest first.
    pub(crate) fn rows(self) -> impl DoubleEndedIterator<Item = RowBytes<'a>> {
        (0..self.table.len() / LINE).map(move |index| self.row(index))
    }

    fn row(self, index: usize) -> RowBytes<'a> {
        let line = |index: usize| &self.table[index * LINE..][..LINE];
        let begin = index.checked_sub(1).map_or(0, |before| Self::end(line(before)));
        let line = line(index);
        RowBytes {
            submission: stretch(self.number).start + u64::from(line[0]),
            status: line[1],
            bytes: &self.rows[begin..Self::end(line)],
        }
    }

    /// The bytes of a row.
    pub(crate) fn find(self, submission: Sequence) -> Option<&'a [u8]> {
        self.rows().find(|row| row.submission == submission).map(|row| row.bytes)
    }
}

/// The bytes of a block with what stands in it and what is new, which takes the place of the old; and its marks. `new`: all of
/// this block, lowest submission first.
pub(crate) fn renew(old: Option<Block<'_>>, new: &[NewRow]) -> (Vec<u8>, u16) {
    let new =
        new.iter().map(|row| RowBytes { submission: row.submission, status: row.status.number(), bytes: &row.bytes });
    let rows = Merged { old: old.into_iter().flat_map(Block::rows).peekable(), new: new.peekable() };
    let (mut table, mut bytes, mut marks) = (vec![0], Vec::new(), 0);
    for row in rows {
        bytes.extend_from_slice(row.bytes);
        // both are small: a stretch has few places, and what a row may hold is bounded where it is taken in
        let place = u8::try_from(row.submission % SPAN).unwrap_or(u8::MAX);
        let end = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        table.extend_from_slice(&[place, row.status]);
        table.extend_from_slice(&end.to_le_bytes());
        table[0] += 1;
        marks |= mark(row.status);
    }
    table.append(&mut bytes);
    (table, marks)
}

/// Both by submission, each once.
struct Merged<O: Iterator, N: Iterator> {
    old: Peekable<O>,
    new: Peekable<N>,
}

impl<'a, O, N> Iterator for Merged<O, N>
where
    O: Iterator<Item = RowBytes<'a>>,
    N: Iterator<Item = RowBytes<'a>>,
{
    type Item = RowBytes<'a>;

    fn next(&mut self) -> Option<RowBytes<'a>> {
        let Some(next) = self.new.peek().map(|row| row.submission) else { return self.old.next() };
        if let Some(before) = self.old.next_if(|row| row.submission < next) {
            return Some(before);
        }
        self.old.next_if(|row| row.submission == next);
        self.new.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(submission: Sequence, status: Status, bytes: &[u8]) -> NewRow {
        NewRow { submission, status, bytes: bytes.to_vec() }
    }

    #[test]
    fn new_rows_stand_among_the_old_and_take_their_places() {
        let (first, marks) = renew(None, &[row(130, Status::Pending, b"one"), row(135, Status::Success, b"")]);
        assert_eq!(marks, mark(Status::Pending.number()) | mark(Status::Success.number()));
        let block = Block::parse(2, &first).expect("a block");
        let new =
            [row(128, Status::Success, b"zero"), row(130, Status::Success, b"uno"), row(191, Status::Success, b"63")];
        let (second, marks) = renew(Some(block), &new);
        assert_eq!(marks, mark(Status::Success.number()));
        let block = Block::parse(2, &second).expect("a block");
        let rows: Vec<_> = block.rows().map(|row| (row.submission, row.bytes)).collect();
        assert_eq!(rows, [(128, &b"zero"[..]), (130, b"uno"), (135, b""), (191, b"63")]);
        assert_eq!((block.find(130), block.find(129)), (Some(&b"uno"[..]), None));
    }

    #[test]
    fn bytes_that_are_cut_longer_or_out_of_order_are_no_block() {
        let (bytes, _) = renew(None, &[row(1, Status::Pending, b"one"), row(2, Status::Pending, b"two")]);
        assert!(Block::parse(0, &bytes).is_some());
        for wrong in [&bytes[..bytes.len() - 1], &[&bytes[..], b"x"].concat(), &bytes[..3], b""] {
            assert!(Block::parse(0, wrong).is_none(), "{wrong:?}");
        }
        let mut turned = bytes;
        turned.swap(1, 1 + LINE);
        assert!(Block::parse(0, &turned).is_none());
    }

    #[test]
    fn a_block_holds_the_submissions_of_its_stretch() {
        assert_eq!((number(63), number(64), stretch(1)), (0, 1, 64..128));
        assert!(stretch(number(Sequence::MAX)).contains(&(Sequence::MAX - 1)));
    }
}
