//! The proof of a registration for paper: what was sent to whom, what came back, and how to check the signed file.

use serde::{Deserialize, Serialize};

use crate::{PacketError, check};

/// Most deliveries on paper.
pub const DELIVERIES_MAX: usize = 60;
/// Most values of one delivery.
pub const VALUES_MAX: usize = 60;
/// Most files, and most notes.
pub const FILES_MAX: usize = 60;

/// Everything that one printed proof shows: plain values, printed literally.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProofDocument {
    /// The registration's full id; also the seed of the PDF's document identifier.
    pub registration_id: String,
    /// A short reference that a person can say on the phone.
    pub reference: String,
    /// The maker.
    pub maker: String,
    /// The product.
    pub product: String,
    /// Where it stands, in words.
    pub status: String,
    /// The maker's code.
    pub confirmation: Option<String>,
    /// When, and by whom.
    pub handed_over: String,
    /// When the last record was written.
    pub last_change: String,
    /// What went to the maker, oldest first.
    pub deliveries: Vec<ProofDelivery>,
    /// Mails to the owner, and anything else worth a line.
    pub notes: Vec<String>,
    /// Files that are kept.
    pub files: Vec<ProofFile>,
    /// Place of the last record in the log.
    pub last_record: u64,
    /// Its BLAKE3, hex.
    pub last_hash: String,
    /// SHA-256 of the signed file, hex.
    pub note_sha256: String,
    /// The key that signed it.
    pub key: String,
    /// How to check the file.
    pub command: String,
}

/// One thing that went to the maker.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProofDelivery {
    /// What it was, for example "Attempt 1 by its API".
    pub title: String,
    /// When.
    pub when: String,
    /// The host.
    pub to: String,
    /// What came back.
    pub came_back: String,
    /// What was in it.
    pub values: Vec<ProofValue>,
}

/// One value that was sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProofValue {
    /// The name of the field.
    pub name: String,
    /// What it said.
    pub value: String,
}

/// A file that is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ProofFile {
    /// What it is.
    pub name: String,
    /// Its SHA-256, hex.
    pub sha256: String,
}

impl ProofDocument {
    /// Whether a text may hold this sign: a document with any other is refused, so who fills one replaces them.
    #[must_use]
    pub fn prints(sign: char) -> bool {
        !check::is_unprintable(sign)
    }

    /// Refuses what passes a bound or could make the page lie.
    ///
    /// # Errors
    /// [`PacketError`] naming the field.
    pub fn check(&mut self) -> Result<(), PacketError> {
        check::check_count("deliveries", self.deliveries.len(), DELIVERIES_MAX)?;
        check::check_count("notes", self.notes.len(), FILES_MAX)?;
        check::check_count("files", self.files.len(), FILES_MAX)?;
        for delivery in &self.deliveries {
            check::check_count("values", delivery.values.len(), VALUES_MAX)?;
        }
        check::check_texts(self.texts_mut())
    }

    /// Every text with its name.
    pub fn texts_mut(&mut self) -> Vec<(String, &mut String)> {
        let mut texts: Vec<(String, &mut String)> = vec![
            ("registration_id".into(), &mut self.registration_id),
            ("reference".into(), &mut self.reference),
            ("maker".into(), &mut self.maker),
            ("product".into(), &mut self.product),
            ("status".into(), &mut self.status),
            ("handed_over".into(), &mut self.handed_over),
            ("last_change".into(), &mut self.last_change),
            ("last_hash".into(), &mut self.last_hash),
            ("note_sha256".into(), &mut self.note_sha256),
            ("key".into(), &mut self.key),
            ("command".into(), &mut self.command),
        ];
        texts.extend(self.confirmation.as_mut().map(|text| ("confirmation".into(), text)));
        for (place, note) in self.notes.iter_mut().enumerate() {
            texts.push((format!("notes[{place}]"), note));
        }
        for (place, file) in self.files.iter_mut().enumerate() {
            texts.push((format!("files[{place}].name"), &mut file.name));
            texts.push((format!("files[{place}].sha256"), &mut file.sha256));
        }
        for (place, delivery) in self.deliveries.iter_mut().enumerate() {
            let at = format!("deliveries[{place}]");
            texts.push((format!("{at}.title"), &mut delivery.title));
            texts.push((format!("{at}.when"), &mut delivery.when));
            texts.push((format!("{at}.to"), &mut delivery.to));
            texts.push((format!("{at}.came_back"), &mut delivery.came_back));
            for (value_place, value) in delivery.values.iter_mut().enumerate() {
                texts.push((format!("{at}.values[{value_place}].name"), &mut value.name));
                texts.push((format!("{at}.values[{value_place}].value"), &mut value.value));
            }
        }
        texts
    }
}
