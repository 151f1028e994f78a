//! Files on their way into a form: written to a folder of one attempt, removed with it.

use std::path::PathBuf;

use crate::{BrowserError, FormFile};

/// Where they lie, in the folder of the options.
pub(crate) const UPLOADS_FOLDER: &str = "uploads";
const NAME_LENGTH_MAX: usize = 80;

/// The files of one attempt; the folder goes when this does.
#[derive(Debug)]
pub(crate) struct Uploads {
    folder: PathBuf,
    files: Vec<(String, PathBuf)>,
}

impl Uploads {
    /// Writes them under `parent`; nothing is written when there are none.
    pub(crate) async fn write(parent: PathBuf, files: Vec<FormFile>) -> Result<Self, BrowserError> {
        let folder = parent.join(uuid::Uuid::new_v4().simple().to_string());
        let mut uploads = Self { folder, files: Vec::new() };
        for (number, file) in files.into_iter().enumerate() {
            // a folder each: two files may bear one name, and the maker sees it
            let home = uploads.folder.join(number.to_string());
            let path = home.join(plain(&file.name));
            let fail = |source| BrowserError::TempDir { path: home.clone(), source };
            tokio::fs::create_dir_all(&home).await.map_err(fail)?;
            tokio::fs::write(&path, file.bytes).await.map_err(fail)?;
            uploads.files.push((file.name, path));
        }
        Ok(uploads)
    }

    /// Where the file called `name` lies, with or without extension.
    pub(crate) fn path(&self, name: &str) -> Option<&PathBuf> {
        let stem = |full: &str| full.rsplit_once('.').map_or(full.to_owned(), |(stem, _)| stem.to_owned());
        let found = self.files.iter().find(|(full, _)| full == name || stem(full) == name);
        found.map(|(_, path)| path)
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        if !self.files.is_empty() && std::fs::remove_dir_all(&self.folder).is_err() {
            tracing::warn!("an upload's temporary folder could not be removed; the next start removes it");
        }
    }
}

// No separators, no leading dot, nothing that a maker's server would stumble over.
fn plain(name: &str) -> String {
    let kept = name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' });
    let kept: String = kept.collect();
    let tail = kept.trim_start_matches('.');
    let start = tail.len().saturating_sub(NAME_LENGTH_MAX);
    if tail.is_empty() { "file".into() } else { tail[start..].to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_its_folder() {
        assert_eq!(plain("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(plain("Quittung Küche.pdf"), "Quittung_K_che.pdf");
        assert_eq!(plain(".."), "file");
        assert!(plain(&format!("{}.pdf", "x".repeat(300))).ends_with(".pdf"));
    }

    #[tokio::test]
    async fn files_are_gone_with_their_attempt() {
        let parent = tempfile::tempdir().unwrap();
        let file = FormFile { name: "receipt.pdf".into(), bytes: b"%PDF".to_vec() };
        let uploads = Uploads::write(parent.path().to_owned(), vec![file]).await.unwrap();
        let path = uploads.path("receipt").unwrap().clone();
        assert_eq!(std::fs::read(&path).unwrap(), b"%PDF");
        assert_eq!(uploads.path("receipt.pdf"), Some(&path));
        assert_eq!(uploads.path("warranty"), None);
        drop(uploads);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
