//! The compiler's whole world: one of two templates, one data file, one picture, fonts in memory. No disk, no network, no clock.

use std::sync::{Arc, LazyLock};

use typst::diag::{FileError, FileResult};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};
use typst_kit::fonts::FontStore;

use crate::RendererError;
use crate::codes::Codes;

const TEMPLATE: &str = include_str!("../templates/packet.typ");
const PROOF_TEMPLATE: &str = include_str!("../templates/proof.typ");
/// File ids are interned for ever, so these are made once.
static DATA_FILE: LazyLock<Option<FileId>> = LazyLock::new(|| file_id("/data.json"));
static QR_FILE: LazyLock<Option<FileId>> = LazyLock::new(|| file_id("/qr.svg"));

fn file_id(path: &str) -> Option<FileId> {
    let path = VirtualPath::new(path).ok()?;
    Some(RootedPath::new(VirtualRoot::Project, path).intern())
}

/// What all packets share.
pub(crate) struct Shared {
    library: LazyHash<Library>,
    fonts: Arc<FontStore>,
    pub(crate) codes: Codes,
    pub(crate) template: Source,
    pub(crate) proof_template: Source,
}

impl Shared {
    pub(crate) fn new(fonts: FontStore) -> Result<Self, RendererError> {
        Ok(Shared {
            library: LazyHash::new(Library::default()),
            fonts: Arc::new(fonts),
            codes: Codes::default(),
            template: source("/packet.typ", TEMPLATE)?,
            proof_template: source("/proof.typ", PROOF_TEMPLATE)?,
        })
    }

    pub(crate) fn with_template(&self, template: &str) -> Result<Self, RendererError> {
        Ok(Shared {
            library: self.library.clone(),
            fonts: Arc::clone(&self.fonts),
            codes: Codes::default(),
            template: source("/packet.typ", template)?,
            proof_template: self.proof_template.clone(),
        })
    }
}

/// One-based line of a template where `range` begins.
pub(crate) fn line_of(template: &Source, range: Option<std::ops::Range<usize>>) -> usize {
    let line = range.and_then(|range| template.lines().byte_to_line(range.start));
    line.map_or(0, |line| line + 1)
}

fn source(name: &str, template: &str) -> Result<Source, RendererError> {
    let main = file_id(name).ok_or(RendererError::Template)?;
    Ok(Source::new(main, template.to_owned()))
}

/// The world of one packet.
pub(crate) struct PacketWorld<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) template: &'a Source,
    pub(crate) data_json: Bytes,
    pub(crate) qr_svg: Option<Bytes>,
}

impl World for PacketWorld<'_> {
    fn library(&self) -> &LazyHash<Library> {
        &self.shared.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        self.shared.fonts.book()
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == self.main() { Ok(self.template.clone()) } else { Err(FileError::AccessDenied) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        let known = |file: &Option<FileId>| *file == Some(id);
        let qr_svg = self.qr_svg.clone().filter(|_| known(&QR_FILE));
        let data_json = known(&DATA_FILE).then(|| self.data_json.clone());
        data_json.or(qr_svg).ok_or(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.shared.fonts.font(index)
    }

    /// A packet tells its day as data: the same data must give the same bytes tomorrow.
    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}
