//! The proof of a registration for paper: what was sent to whom, what came back, and how to check the signed file.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use packet::{Packet, PacketError, ProofDocument};
use serde::Serialize;
use typst::foundations::Bytes;
use typst_layout::PagedDocument;

use crate::render::{blank_out, compile, export};
use crate::world::PacketWorld;
use crate::{PacketRenderer, frames};

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use packet::{DELIVERIES_MAX, ProofDelivery};

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
}
