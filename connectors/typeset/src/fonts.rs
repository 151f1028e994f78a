//! Fonts: the embedded ones (Latin, Greek, Cyrillic, Hebrew, Arabic), then those of an operator's folder for the rest.

use std::fs;
use std::path::{Path, PathBuf};

use typst::foundations::Bytes;
use typst::text::Font;
use typst_kit::fonts::FontStore;

use crate::RendererError;

/// Most font files read from the folder.
pub const FONT_FILES_MAX: usize = 200;
/// Largest font file; the biggest CJK collections have some 20 MB a file, a few 100 MB.
pub const FONT_BYTES_MAX: u64 = 128 * 1024 * 1024;

/// Loads all fonts once; the folder is not looked at again.
pub(crate) fn load(folder: Option<&Path>) -> Result<FontStore, RendererError> {
    let mut store = FontStore::new();
    store.extend(typst_kit::fonts::embedded());
    if let Some(folder) = folder {
        push_folder(&mut store, folder)?;
    }
    Ok(store)
}

/// Loads the fonts of an operator's folder and forgets them: for whoever draws nothing itself, but must find out early.
///
/// # Errors
/// [`RendererError::Fonts`] or [`RendererError::BadFont`].
pub fn check_fonts(folder: &Path) -> Result<(), RendererError> {
    push_folder(&mut FontStore::new(), folder)
}

fn push_folder(store: &mut FontStore, folder: &Path) -> Result<(), RendererError> {
    font_files(folder)?.iter().try_for_each(|path| push_file(store, path))
}

/// Sorted, so that the same folder gives the same fallbacks and the same bytes.
fn font_files(folder: &Path) -> Result<Vec<PathBuf>, RendererError> {
    let failed = |source| RendererError::Fonts { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if is_font(&path) {
            files.push(path);
        }
        if files.len() > FONT_FILES_MAX {
            return Err(RendererError::BadFont { path: folder.to_owned(), problem: "more font files than the bound" });
        }
    }
    files.sort();
    Ok(files)
}

fn is_font(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    ["ttf", "otf", "ttc", "otc"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn push_file(store: &mut FontStore, path: &Path) -> Result<(), RendererError> {
    let failed = |source| RendererError::Fonts { path: path.to_owned(), source };
    let bad = |problem| RendererError::BadFont { path: path.to_owned(), problem };
    if fs::metadata(path).map_err(failed)?.len() > FONT_BYTES_MAX {
        return Err(bad("larger than the bound"));
    }
    let bytes = Bytes::new(fs::read(path).map_err(failed)?);
    let mut count = 0;
    for font in Font::iter(bytes) {
        let info = font.info().clone();
        store.push((font, info));
        count += 1;
    }
    if count == 0 { Err(bad("not a font")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn a_folder_of_fonts_is_checked_without_drawing_anything() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
        check_fonts(folder.path()).unwrap();
        fs::write(folder.path().join("broken.ttf"), "no font").unwrap();
        let error = check_fonts(folder.path()).unwrap_err();
        assert!(matches!(&error, RendererError::BadFont { path, .. } if path.ends_with("broken.ttf")), "{error}");
        let error = check_fonts(&folder.path().join("missing")).unwrap_err();
        assert!(matches!(error, RendererError::Fonts { .. }), "{error}");
    }
}
