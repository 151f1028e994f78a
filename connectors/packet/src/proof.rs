//! The proof of a registration for paper: what was sent to whom, what came back, and how to check the signed file.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use typst::foundations::Bytes;
use typst_layout::PagedDocument;

use crate::render::{blank_out, compile, export};
use crate::world::PacketWorld;
use crate::{Packet, PacketError, PacketRenderer, check, frames};

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

/// The JSON file that the template loads.
#[derive(Serialize)]
struct View<'a> {
    data: &'a ProofDocument,
    printed: String,
    unprintable: bool,
}

impl PacketRenderer {
    /// Draws one proof; `at` is the day that it names and its time of creation.
    ///
    /// # Errors
    /// [`PacketError`] naming the field that passes a bound, or when the page cannot be laid out.
    pub fn render_proof(&self, proof: &ProofDocument, at: Timestamp) -> Result<Packet, PacketError> {
        let mut proof = proof.clone();
        proof.check()?;
        let packet = self.make_proof(&mut proof, at);
        // as for packets
        typst::comemo::evict(1);
        packet
    }

    fn make_proof(&self, proof: &mut ProofDocument, at: Timestamp) -> Result<Packet, PacketError> {
        let mut document = self.lay_out_proof(proof, at, false)?;
        let missing = frames::missing_clusters(&document);
        let mut missing_glyphs = Vec::new();
        if !missing.is_empty() {
            missing_glyphs = blank_out(proof.texts_mut(), &missing);
            document = self.lay_out_proof(proof, at, true)?;
        }
        let (pdf, pdf_ua) = export(&document, &format!("proof of {}", proof.registration_id), at)?;
        Ok(Packet { pdf, pages: document.pages().len(), missing_glyphs, pdf_ua })
    }

    fn lay_out_proof(
        &self,
        proof: &ProofDocument,
        at: Timestamp,
        unprintable: bool,
    ) -> Result<PagedDocument, PacketError> {
        let printed = at.to_zoned(TimeZone::UTC).date().strftime("%-d %B %Y").to_string();
        let view = View { data: proof, printed, unprintable };
        let data_json = Bytes::new(serde_json::to_vec(&view).map_err(PacketError::Encode)?);
        compile(&PacketWorld { shared: &self.shared, template: &self.shared.proof_template, data_json, qr_svg: None })
    }
}

impl ProofDocument {
    /// Whether a text may hold this sign: a document with any other is refused, so who fills one replaces them.
    #[must_use]
    pub fn prints(sign: char) -> bool {
        !check::is_unprintable(sign)
    }

    pub(crate) fn check(&mut self) -> Result<(), PacketError> {
        check::check_count("deliveries", self.deliveries.len(), DELIVERIES_MAX)?;
        check::check_count("notes", self.notes.len(), FILES_MAX)?;
        check::check_count("files", self.files.len(), FILES_MAX)?;
        for delivery in &self.deliveries {
            check::check_count("values", delivery.values.len(), VALUES_MAX)?;
        }
        check::check_texts(self.texts_mut())
    }

    /// Every text with its name.
    fn texts_mut(&mut self) -> Vec<(String, &mut String)> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    fn sample() -> ProofDocument {
        serde_json::from_str(include_str!("../examples/proof.json")).unwrap()
    }

    fn render(proof: &ProofDocument) -> Packet {
        let renderer = PacketRenderer::new(None).unwrap();
        renderer.render_proof(proof, "2026-11-27T08:30:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn an_ordinary_proof_is_an_accessible_pdf_of_few_pages_and_always_the_same() {
        let packet = render(&sample());
        assert!(packet.pdf.starts_with(b"%PDF-") && packet.pdf_ua);
        assert!((1..=2).contains(&packet.pages), "{} pages", packet.pages);
        assert_eq!(packet.missing_glyphs, Vec::<String>::new());
        assert_eq!(packet.pdf, render(&sample()).pdf);
    }

    #[test]
    fn markup_in_any_text_is_printed_literally() {
        let mut proof = sample();
        let hostile = r##"#eval("1+1") *b* $x^2$ <l> @r #{panic()}"##;
        let mut names = Vec::new();
        for (name, text) in proof.texts_mut() {
            *text = format!("{hostile} {name}");
            names.push(name);
        }
        let renderer = PacketRenderer::new(None).unwrap();
        let document = renderer.lay_out_proof(&proof, Timestamp::UNIX_EPOCH, false).unwrap();
        let mut drawn = String::new();
        frames::each_text(&document, &mut |item, _left| drawn.push_str(&item.text));
        let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let drawn = plain(&drawn);
        for name in names {
            assert!(drawn.contains(&plain(&format!("{hostile} {name}"))), "{name} is not printed literally");
        }
    }

    #[test]
    fn a_name_without_glyphs_is_reported_and_a_long_proof_is_refused() {
        let mut proof = sample();
        proof.deliveries[0].values[0].value = "张伟".to_owned();
        assert_eq!(render(&proof).missing_glyphs, ["deliveries[0].values[0].value"]);
        proof.deliveries = vec![ProofDelivery::default(); DELIVERIES_MAX + 1];
        let renderer = PacketRenderer::new(None).unwrap();
        let refused = renderer.render_proof(&proof, Timestamp::UNIX_EPOCH).unwrap_err();
        assert_eq!(refused.to_string(), "deliveries has more than 60 entries");
    }

    #[tokio::test]
    async fn a_press_names_the_field_before_a_worker_is_asked() {
        let (program, arguments, environment) = ("/nonexistent/worker".into(), Vec::new(), Vec::new());
        let deadline = std::time::Duration::from_secs(1);
        let press =
            crate::Press::new(crate::PressOptions { program, arguments, environment, workers_max: 1, deadline });
        for sign in ['\u{202E}', '\u{200F}', '\u{FEFF}', '\u{FFFE}'] {
            assert!(!ProofDocument::prints(sign), "{sign:?}");
            let mut proof = sample();
            proof.maker.push(sign);
            let refused = press.render_proof(proof, Timestamp::UNIX_EPOCH).await.unwrap_err();
            assert!(matches!(&refused, PacketError::BadText { field } if field == "maker"), "{refused}");
        }
        let unstarted = press.render_proof(sample(), Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert!(matches!(unstarted, PacketError::Worker(_)), "{unstarted}");
    }
}
