//! Reads laid-out pages: which text is there, and which of it no font could draw.

use std::collections::BTreeSet;

use typst::layout::{Abs, Frame, FrameItem};
use typst::text::TextItem;
use typst_layout::PagedDocument;

/// The clusters that would be drawn as boxes (glyph 0 of a font is its "not there" glyph).
pub(crate) fn missing_clusters(document: &PagedDocument) -> BTreeSet<String> {
    let mut missing = BTreeSet::new();
    each_text(document, &mut |item, _left| {
        for glyph in item.glyphs.iter().filter(|glyph| glyph.id == 0) {
            let cluster = item.text.get(glyph.range()).unwrap_or_default();
            if !cluster.trim().is_empty() {
                missing.insert(cluster.to_owned());
            }
        }
    });
    missing
}

/// Calls `visit` with each run of text of all pages and the place of its left end, measured from the page's left edge.
pub(crate) fn each_text(document: &PagedDocument, visit: &mut impl FnMut(&TextItem, Abs)) {
    for page in document.pages() {
        each_in_frame(&page.frame, Abs::zero(), visit);
    }
}

fn each_in_frame(frame: &Frame, left: Abs, visit: &mut impl FnMut(&TextItem, Abs)) {
    for (place, item) in frame.items() {
        let left = left + place.x;
        match item {
            FrameItem::Group(group) => each_in_frame(&group.frame, left, visit),
            FrameItem::Text(text) => visit(text, left),
            FrameItem::Shape(..) | FrameItem::Image(..) | FrameItem::Link(..) | FrameItem::Tag(_) => {}
        }
    }
}
