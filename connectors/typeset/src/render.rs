//! Turns data into a PDF: lay out, see what the fonts cannot carry, lay out again without it, export.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use packet::{Packet, PacketData, PacketError, parse_link};
use typst::WorldExt;
use typst::foundations::{Bytes, Datetime, Smart};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, PdfStandard, PdfStandards};
use url::Url;

use crate::view::View;
use crate::world::{PacketWorld, Shared, line_of};
use crate::{RendererError, fonts, frames};

/// Stands for each sign that no font has: a blank to write on, where a PDF would draw a box.
const BLANK: &str = "__";

/// Fonts, library and template, loaded once; a clone shares them. `render` computes for some 10 ms: call it off the async threads.
#[derive(Clone)]
pub struct PacketRenderer {
    pub(crate) shared: Arc<Shared>,
}

/// What stays the same over the layouts of one packet.
struct Job<'a> {
    url: Option<&'a Url>,
    qr_svg: Option<Bytes>,
    at: Timestamp,
}

impl PacketRenderer {
    /// Loads the embedded fonts and those of `fonts_folder`, which add scripts such as Chinese or Thai.
    ///
    /// # Errors
    /// [`RendererError`] naming the font.
    pub fn new(fonts_folder: Option<&Path>) -> Result<Self, RendererError> {
        let shared = Arc::new(Shared::new(fonts::load(fonts_folder)?)?);
        Ok(PacketRenderer { shared })
    }

    /// The same with another template, to see what a bad one does.
    pub(crate) fn with_template(&self, template: &str) -> Result<Self, RendererError> {
        Ok(PacketRenderer { shared: Arc::new(self.shared.with_template(template)?) })
    }

    /// Draws one packet; `at` is the day that it names and its time of creation.
    ///
    /// # Errors
    /// [`PacketError`] naming the field that is refused, or when the page cannot be laid out.
    pub fn render(&self, data: &PacketData, at: Timestamp) -> Result<Packet, PacketError> {
        let mut data = data.clone();
        data.check()?;
        let url = data.link.as_deref().map(parse_link).transpose()?;
        let qr_svg = url.as_ref().and_then(|url| self.shared.codes.svg(url));
        let packet = self.make(data, &Job { url: url.as_ref(), qr_svg, at });
        // without it the compiler's memory of this packet (a megabyte, and somebody's data) stays for ever; what this packet had
        // no use for goes, and the rest saves the next one a fifth of its time
        typst::comemo::evict(1);
        packet
    }

    /// Forgets all that was drawn; to be called when no packet follows soon.
    pub fn forget(&self) {
        typst::comemo::evict(0);
        self.shared.codes.forget();
    }

    fn make(&self, data: PacketData, job: &Job<'_>) -> Result<Packet, PacketError> {
        let ident = data.registration_id.clone();
        let (document, missing_glyphs) = self.draw(data, job)?;
        let (pdf, pdf_ua) = export(&document, &ident, job.at)?;
        Ok(Packet { pdf, pages: document.pages().len(), missing_glyphs, pdf_ua })
    }

    /// The document, and the names of the fields in which blanks stand for signs that no font has.
    fn draw(&self, mut data: PacketData, job: &Job<'_>) -> Result<(PagedDocument, Vec<String>), PacketError> {
        let document = self.lay_out(&data, job, &[])?;
        let missing = frames::missing_clusters(&document);
        if missing.is_empty() {
            return Ok((document, Vec::new()));
        }
        let names = blank_out(data.texts_mut(), &missing);
        Ok((self.lay_out(&data, job, &names)?, names))
    }

    fn lay_out(&self, data: &PacketData, job: &Job<'_>, missing: &[String]) -> Result<PagedDocument, PacketError> {
        let view = View::new(data, job.url, job.qr_svg.is_some(), job.at, missing);
        let data_json = Bytes::new(serde_json::to_vec(&view).map_err(PacketError::Encode)?);
        let template = &self.shared.template;
        compile(&PacketWorld { shared: &self.shared, template, data_json, qr_svg: job.qr_svg.clone() })
    }
}

/// The pages of a world's template with its data.
pub(crate) fn compile(world: &PacketWorld<'_>) -> Result<PagedDocument, PacketError> {
    typst::compile::<PagedDocument>(world).output.map_err(|diagnostics| {
        let place = diagnostics.first().and_then(|diagnostic| world.range(diagnostic.span));
        PacketError::Layout { line: line_of(world.template, place) }
    })
}

/// Replaces what cannot be drawn and names the fields that held it.
pub(crate) fn blank_out(texts: Vec<(String, &mut String)>, missing: &BTreeSet<String>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, text) in texts {
        if missing.iter().any(|cluster| text.contains(cluster.as_str())) {
            for cluster in missing {
                *text = text.replace(cluster.as_str(), BLANK);
            }
            names.push(name);
        }
    }
    names
}

/// PDF/UA-1 when the document allows it, else a plain tagged PDF; and which of the two it was.
pub(crate) fn export(document: &PagedDocument, ident: &str, at: Timestamp) -> Result<(Vec<u8>, bool), PacketError> {
    let accessible = PdfStandards::new(&[PdfStandard::Ua_1]).map_err(|_| PacketError::Export)?;
    if let Ok(pdf) = typst_pdf::pdf(document, &options(ident, at, accessible)) {
        return Ok((pdf, true));
    }
    let plain = options(ident, at, PdfStandards::default());
    let pdf = typst_pdf::pdf(document, &plain).map_err(|_| PacketError::Export)?;
    Ok((pdf, false))
}

/// Identifier and time come from the caller, so nothing in the file depends on when or where it was made.
fn options(ident: &str, at: Timestamp, standards: PdfStandards) -> PdfOptions {
    PdfOptions {
        ident: Smart::Custom(ident.to_owned()),
        creator: Smart::Custom(Some("regflow".to_owned())),
        timestamp: datetime(at).map(typst_pdf::Timestamp::new_utc),
        standards,
        ..PdfOptions::default()
    }
}

fn datetime(at: Timestamp) -> Option<Datetime> {
    let utc = at.to_zoned(TimeZone::UTC);
    let (month, day) = (utc.month().unsigned_abs(), utc.day().unsigned_abs());
    let (hour, minute, second) = (utc.hour(), utc.minute(), utc.second());
    Datetime::from_ymd_hms(
        utc.year().into(),
        month,
        day,
        hour.unsigned_abs(),
        minute.unsigned_abs(),
        second.unsigned_abs(),
    )
}

/// The document of some data without its code, and the fields with blanks in them.
#[cfg(test)]
pub(crate) fn laid_out(
    renderer: &PacketRenderer,
    data: &PacketData,
    at: Timestamp,
) -> Result<(PagedDocument, Vec<String>), PacketError> {
    let url = data.link.as_deref().map(parse_link).transpose()?;
    renderer.draw(data.clone(), &Job { url: url.as_ref(), qr_svg: None, at })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use std::sync::LazyLock;

    use super::*;
    use packet::{FIELDS_MAX, STEPS_MAX, TEXT_CHARS_MAX};

    static RENDERER: LazyLock<PacketRenderer> = LazyLock::new(|| PacketRenderer::new(None).unwrap());
    const HOSTILE: &str = r##"#eval("1+1") *b* _i_ $x^2$ <l> @r `raw` \n #{panic()} --- ~ "q" /* c */ = h"##;

    fn sample() -> PacketData {
        serde_json::from_str(include_str!("../examples/packet.json")).unwrap()
    }

    fn at() -> Timestamp {
        "2026-11-23T08:30:00Z".parse().unwrap()
    }

    fn render(data: &PacketData) -> Packet {
        RENDERER.render(data, at()).unwrap()
    }

    /// All text of the laid-out pages without its white space, so that line breaks do not matter.
    fn drawn_text(data: &PacketData) -> String {
        let (document, _) = laid_out(&RENDERER, data, at()).unwrap();
        let mut text = String::new();
        frames::each_text(&document, &mut |item, _left| text.push_str(&item.text));
        without_space(&text)
    }

    fn without_space(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    #[test]
    fn an_ordinary_packet_is_an_accessible_pdf_of_one_or_two_pages() {
        let packet = render(&sample());
        assert!(packet.pdf.starts_with(b"%PDF-"));
        assert!((1..=2).contains(&packet.pages), "{} pages", packet.pages);
        assert!(packet.pdf_ua);
        assert_eq!(packet.missing_glyphs, Vec::<String>::new());
    }

    #[test]
    fn the_same_data_give_the_same_bytes() {
        let elsewhere = PacketRenderer::new(None).unwrap();
        let again = elsewhere.render(&sample(), at()).unwrap();
        assert_eq!(render(&sample()).pdf, again.pdf);
    }

    #[test]
    fn markup_in_any_text_is_printed_literally() {
        let mut data = sample();
        let mut names = Vec::new();
        for (name, text) in data.texts_mut() {
            if name != "link" {
                *text = format!("{HOSTILE} {name}");
                names.push(name);
            }
        }
        let drawn = drawn_text(&data);
        for name in names {
            let expected = without_space(&format!("{HOSTILE} {name}"));
            assert!(drawn.contains(&expected), "{name} is not printed literally");
        }
    }

    #[test]
    fn greek_cyrillic_and_accented_names_are_carried() {
        for name in ["Ελένη Παπαδοπούλου", "Наталія Щербак", "Žofie Čápová", "Łucja Ößwald", "נועה לוי"]
        {
            let mut data = sample();
            data.owner.name = name.to_owned();
            let packet = render(&data);
            assert!(packet.pdf_ua && packet.missing_glyphs.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_name_without_glyphs_becomes_a_blank_and_is_reported() {
        let mut data = sample();
        data.owner.name = "张伟 Zhang".to_owned();
        let packet = render(&data);
        assert_eq!(packet.missing_glyphs, ["owner.name"]);
        assert!(packet.pdf.starts_with(b"%PDF-"));
        let drawn = drawn_text(&data);
        assert!(drawn.contains("____Zhang") && !drawn.contains('张'));
        assert!(drawn.contains("lettersforpartsof“ownername”"));
    }

    #[test]
    fn a_field_of_the_form_is_named_by_its_label() {
        let mut data = sample();
        data.fields[0].value = "กรุงเทพ".to_owned();
        assert_eq!(render(&data).missing_glyphs, ["fields[0].value"]);
        let label = without_space(&data.fields[0].label);
        assert!(drawn_text(&data).contains(&format!("partsof“{label}”")));
    }

    #[test]
    fn a_run_without_spaces_stays_on_the_page() {
        let mut data = sample();
        data.fields[0].value = "X".repeat(400);
        data.owner.email = Some(format!("{}@mail.example", "y".repeat(200)));
        let job = Job { url: None, qr_svg: None, at: at() };
        let (document, _) = RENDERER.draw(data, &job).unwrap();
        let mut right_pt: f64 = 0.0;
        frames::each_text(&document, &mut |item, left| {
            right_pt = right_pt.max((left + item.width()).to_pt());
        });
        // an A4 page is 595.3 points wide and keeps a margin of 18 mm, 51 points
        assert!(right_pt < 544.5, "text up to {right_pt} points");
    }

    #[test]
    fn a_packet_without_optional_parts_is_still_a_packet() {
        let mut data = sample();
        (data.link, data.register_by) = (None, None);
        data.fields.clear();
        data.steps.clear();
        data.notes.clear();
        let packet = render(&data);
        assert!(packet.pdf_ua);
        assert_eq!(packet.pages, 1);
    }

    #[test]
    fn the_largest_allowed_packet_is_made() {
        let mut data = sample();
        let field = data.fields[0].clone();
        data.fields = vec![field; FIELDS_MAX];
        data.fields[0].value = "ab ".repeat(TEXT_CHARS_MAX / 3);
        assert!(render(&data).pages > 2);
    }

    #[test]
    fn a_link_that_is_not_plain_http_is_refused() {
        for link in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "ftp://a.example",
            "https://maker.example@evil.example/",
            "//a.example",
            "a.example",
        ] {
            let mut data = sample();
            data.link = Some(link.to_owned());
            let refused = RENDERER.render(&data, at());
            assert!(matches!(refused, Err(PacketError::BadLink)), "{link}");
        }
    }

    #[test]
    fn texts_past_their_bounds_are_refused_by_name() {
        let mut data = sample();
        data.owner.name = "x".repeat(TEXT_CHARS_MAX + 1);
        let refused = RENDERER.render(&data, at()).unwrap_err();
        assert_eq!(refused.to_string(), "owner.name is longer than 2000 characters");
        let mut data = sample();
        data.steps = vec!["Open the form.".to_owned(); STEPS_MAX + 1];
        let refused = RENDERER.render(&data, at()).unwrap_err();
        assert_eq!(refused.to_string(), "steps has more than 30 entries");
    }

    #[test]
    fn control_and_direction_signs_are_refused_by_name() {
        for sign in ['\u{0}', '\r', '\u{202E}', '\u{2067}', '\u{FFFE}'] {
            let mut data = sample();
            data.fields[1].value.push(sign);
            let refused = RENDERER.render(&data, at());
            let named = matches!(&refused, Err(PacketError::BadText { field }) if field == "fields[1].value");
            assert!(named, "{sign:?}");
        }
    }

    #[test]
    fn a_fonts_folder_must_hold_fonts() {
        let folder = tempfile::tempdir().unwrap();
        assert!(PacketRenderer::new(Some(folder.path())).is_ok(), "an empty folder adds nothing");
        let (font, _) = typst_kit::fonts::embedded().next().unwrap();
        std::fs::write(folder.path().join("a.otf"), font.data()).unwrap();
        assert!(PacketRenderer::new(Some(folder.path())).is_ok());
        std::fs::write(folder.path().join("b.ttf"), b"not a font").unwrap();
        assert!(matches!(PacketRenderer::new(Some(folder.path())), Err(RendererError::BadFont { .. })));
        let absent = folder.path().join("absent");
        assert!(matches!(PacketRenderer::new(Some(&absent)), Err(RendererError::Fonts { .. })));
    }
}
