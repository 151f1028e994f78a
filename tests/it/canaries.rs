//! Canaries: values of a person that nothing else spells, and a search for them in every spelling over every file.

use std::collections::BTreeSet;
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use crate::support::files;

/// Shorter parts of a base64 text are spelled by chance.
const BASE64_CHARS_MIN: usize = 10;

/// Every way in which a value could stand in a file: as it is, in UTF-16, in hex, percent-encoded, in base64.
pub fn spellings(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![value.to_vec()];
    if let Ok(text) = std::str::from_utf8(value) {
        all.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        all.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
    }
    all.push(hex::encode(value).into_bytes());
    all.push(hex::encode_upper(value).into_bytes());
    all.push(value.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect());
    for space in ["%20", "+"] {
        let part = |byte: &u8| match byte {
            b' ' => space.as_bytes().to_vec(),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => vec![*byte],
            byte => format!("%{byte:02X}").into_bytes(),
        };
        all.push(value.iter().flat_map(part).collect());
    }
    all.extend(base64s(value));
    all.sort();
    all.dedup();
    all
}

/// What of its base64 does not depend on its neighbours, at each of the three places that it can begin at.
fn base64s(value: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for before in 0..3_usize {
        let bytes = [vec![0; before], value.to_vec()].concat();
        let (first, last) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        for engine in [STANDARD, URL_SAFE] {
            let part = engine.encode(&bytes).as_bytes()[first..last].to_vec();
            assert!(part.len() >= BASE64_CHARS_MIN, "too short a canary: {}", String::from_utf8_lossy(value));
            all.push(part);
        }
    }
    all
}

/// Looks for canaries.
pub struct Search {
    patterns: AhoCorasick,
    /// To which canary each pattern belongs.
    of: Vec<&'static str>,
    canaries: Vec<&'static str>,
}

impl Search {
    pub fn for_all(canaries: &[&'static str]) -> Self {
        let pairs: Vec<_> =
            canaries.iter().flat_map(|one| spellings(one.as_bytes()).into_iter().map(|spelt| (*one, spelt))).collect();
        let (of, patterns): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        // an address in small letters is an address
        let kind = aho_corasick::MatchKind::Standard;
        let patterns = AhoCorasick::builder().match_kind(kind).ascii_case_insensitive(true).build(patterns).unwrap();
        Self { patterns, of, canaries: canaries.to_vec() }
    }

    /// Which canaries stand in which file below a folder; and how many files and bytes were looked at.
    pub fn below(&self, folder: &Path) -> (BTreeSet<(String, &'static str)>, usize, usize) {
        let (mut found, mut count, mut size) = (BTreeSet::new(), 0, 0);
        for path in files(folder) {
            // a file that has just gone holds nothing
            let Ok(bytes) = std::fs::read(&path) else { continue };
            (count, size) = (count + 1, size + bytes.len());
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let hits = self.patterns.find_overlapping_iter(&bytes);
            found.extend(hits.map(|hit| (name.clone(), self.of[hit.pattern().as_usize()])));
        }
        (found, count, size)
    }

    /// Shows that it finds: each canary in each spelling, planted amid other bytes in a file below the folder.
    pub fn prove_itself(&self, folder: &Path) {
        for canary in &self.canaries {
            for spelt in spellings(canary.as_bytes()) {
                let planted = folder.join("planted");
                std::fs::write(&planted, [&[0xA5; 100], spelt.as_slice(), &[0x5A; 100]].concat()).unwrap();
                let (found, ..) = self.below(folder);
                std::fs::remove_file(&planted).unwrap();
                let hit = ("planted".to_owned(), *canary);
                assert!(found.contains(&hit), "{canary} as {}", String::from_utf8_lossy(&spelt));
            }
        }
        // as the beginning of a longer base64 text, whatever stands before it
        for before in 0..3 {
            let text = STANDARD.encode([&b"xyz"[..before], self.canaries[0].as_bytes(), b"and more"].concat());
            std::fs::write(folder.join("planted"), text).unwrap();
            assert_eq!(self.below(folder).0.len(), 1);
        }
        std::fs::remove_file(folder.join("planted")).unwrap();
    }
}
