//! Ways to damage a store of nats-server: what disks do, and what somebody with access to the files could do.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::rngs::StdRng;

/// The head of a stored message: length, sequence, time, length of the subject.
const HEAD_BYTES: usize = 22;
/// Set in the length of a message with headers.
const HAS_HEADERS: u32 = 1 << 31;

/// All kinds; a number chooses one.
pub const KINDS: [&str; 16] = [
    "a bit of a block",
    "a bit of a payload",
    "a bit of the index",
    "a bit of the stream's description",
    "a bit of a message's head",
    "a block cut short",
    "the index cut short",
    "a block removed",
    "the index removed and a bit of a block",
    "a stretch of zeroes",
    "a message doubled",
    "two messages swapped",
    "a message cut out",
    "rubbish behind the last message",
    "places used again after a rewind",
    "a block that is an older copy of itself",
];

/// Changes files of the stream's folder.
pub fn apply(kind: usize, stream: &Path, rng: &mut StdRng) {
    let msgs = stream.join("msgs");
    let block = any(&blocks(&msgs), rng);
    let index = msgs.join("index.db");
    match kind {
        0 => flip(&block, None, rng),
        1 => flip(&block, Some(|message| message.start + HEAD_BYTES + 60..message.end - 8), rng),
        2 => flip(&index, None, rng),
        3 => flip(&stream.join(any(&["meta.inf", "meta.sum"], rng)), None, rng),
        4 => flip(&block, Some(|message| message.start..message.start + HEAD_BYTES), rng),
        5 => cut(&block, rng),
        6 => cut(&index, rng),
        7 => std::fs::remove_file(block).unwrap(),
        8 => {
            std::fs::remove_file(index).unwrap();
            flip(&block, None, rng);
        }
        9 => edit(&block, |bytes| {
            let at = rng.random_range(0..bytes.len() - 64);
            let end = bytes.len().min(at + rng.random_range(1..4_096));
            bytes[at..end].fill(0);
        }),
        10 => rebuilt(&block, &index, rng, |bytes, messages, at| {
            let twice = bytes[messages[at].clone()].to_vec();
            bytes.splice(messages[at].end..messages[at].end, twice);
        }),
        11 => rebuilt(&block, &index, rng, |bytes, messages, at| {
            let (one, other) = (messages[at].clone(), messages[at + 1].clone());
            let swapped = [&bytes[other.clone()], &bytes[one.clone()]].concat();
            bytes.splice(one.start..other.end, swapped);
        }),
        12 => rebuilt(&block, &index, rng, |bytes, messages, at| {
            bytes.drain(messages[at].clone());
        }),
        13 => edit(blocks(&msgs).last().unwrap(), |bytes| {
            bytes.extend((0..rng.random_range(1..500)).map(|_| rng.random::<u8>()));
        }),
        15 => edit(&block, |bytes| bytes.truncate(bytes.len() / 2)),
        _ => unreachable!("14 is made of another store"),
    }
}

/// The blocks of messages, the first one first.
pub fn blocks(msgs: &Path) -> Vec<PathBuf> {
    let mut blocks: Vec<_> = std::fs::read_dir(msgs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "blk"))
        .collect();
    blocks.sort_by_key(|path| path.file_stem().unwrap().to_str().unwrap().parse::<u32>().unwrap());
    blocks
}

/// Where the messages of a block stand.
pub fn messages(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut at, mut found) = (0, Vec::new());
    while let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let length = (u32::from_le_bytes(*head) & !HAS_HEADERS) as usize;
        if length < HEAD_BYTES || at + length > bytes.len() {
            break;
        }
        found.push(at..at + length);
        at += length;
    }
    found
}

fn any<T: Clone>(all: &[T], rng: &mut StdRng) -> T {
    all[rng.random_range(0..all.len())].clone()
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

fn cut(path: &Path, rng: &mut StdRng) {
    edit(path, |bytes| bytes.truncate(rng.random_range(0..bytes.len())));
}

fn flip(path: &Path, within: Option<fn(Range<usize>) -> Range<usize>>, rng: &mut StdRng) {
    edit(path, |bytes| {
        let range = match within {
            Some(within) => within(any(&messages(bytes), rng)),
            None => 0..bytes.len(),
        };
        bytes[rng.random_range(range)] ^= 1 << rng.random_range(0..8);
    });
}

/// Changes a block at some message, and has the server build its index anew from it.
fn rebuilt(block: &Path, index: &Path, rng: &mut StdRng, change: impl FnOnce(&mut Vec<u8>, &[Range<usize>], usize)) {
    std::fs::remove_file(index).unwrap();
    edit(block, |bytes| {
        let messages = messages(bytes);
        let at = rng.random_range(0..messages.len() - 1);
        change(bytes, &messages, at);
    });
}
