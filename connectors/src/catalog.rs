//! All connectors: those compiled in, and those of a folder that add to them or take their place.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use crate::brand;
use crate::compile::GENERIC_ID;
use crate::connector::Connector;
use crate::source::Mistake;

/// A larger file is no connector, in bytes.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;
/// More files than this in a folder are not a catalog.
const FILES_MAX: usize = 5_000;

/// The files that are compiled in.
const BUILTIN: &[(&str, &str)] = &[
    ("aurora.toml", include_str!("../catalog/aurora.toml")),
    ("brightwell.toml", include_str!("../catalog/brightwell.toml")),
    ("castello.toml", include_str!("../catalog/castello.toml")),
    ("generic.toml", include_str!("../catalog/generic.toml")),
    ("hartmann.toml", include_str!("../catalog/hartmann.toml")),
    ("kestrel.toml", include_str!("../catalog/kestrel.toml")),
    ("norrland.toml", include_str!("../catalog/norrland.toml")),
    ("veloce.toml", include_str!("../catalog/veloce.toml")),
];

/// Why there is no catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or the folder could not be read.
    #[error("reading the catalog at {}", path.display())]
    Read {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Files with mistakes, all of them.
    #[error("{}", Lines(.0))]
    Broken(Vec<Mistake>),
}

struct Lines<'a>(&'a [Mistake]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// All connectors, found by id or by brand.
#[derive(Debug, Clone)]
pub struct Catalog {
    by_id: BTreeMap<String, Arc<Connector>>,
    /// Brand key to connector id.
    by_brand: BTreeMap<String, String>,
    /// Brands exactly as the files spell them, which most people do: the others cost a look at each letter.
    by_name: HashMap<String, String>,
    generic: Arc<Connector>,
}

impl Catalog {
    /// The text of a file that is compiled in, by the id of its connector.
    #[must_use]
    pub fn built_in_file(id: &str) -> Option<&'static str> {
        let name = format!("{id}.toml");
        BUILTIN.iter().find(|(file, _)| *file == name).map(|(_, text)| *text)
    }

    /// The catalog that is compiled in.
    ///
    /// # Errors
    /// Only when a compiled-in file is broken, which a test rules out.
    pub fn builtin() -> Result<Self, CatalogError> {
        Self::load(None)
    }

    /// The compiled-in catalog with the `*.toml` files of a folder: a file of the same name replaces, another adds.
    ///
    /// # Errors
    /// When the folder cannot be read, or any file has a mistake: then all mistakes of all files.
    pub fn load(folder: Option<&Path>) -> Result<Self, CatalogError> {
        let own = folder.map(read_folder).transpose()?.unwrap_or_default();
        let replaced = |name: &str| own.iter().any(|(path, _)| path.rsplit('/').next() == Some(name));
        let builtin = BUILTIN.iter().filter(|(name, _)| !replaced(name)).copied();
        let own = own.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        Self::of_files(builtin.chain(own))
    }

    fn of_files<'f>(files: impl Iterator<Item = (&'f str, &'f str)>) -> Result<Self, CatalogError> {
        let mut connectors = Vec::new();
        let mut mistakes = Vec::new();
        for (name, text) in files {
            match Connector::parse(name, text) {
                Ok(connector) => connectors.push(Arc::new(connector)),
                Err(found) => mistakes.extend(found),
            }
        }
        let by_brand = index_brands(&connectors, &mut mistakes);
        let names =
            connectors.iter().flat_map(|connector| connector.plan().brands.iter().map(move |brand| (connector, brand)));
        let by_name = names.map(|(connector, brand)| (brand.name.clone(), connector.id().to_owned())).collect();
        let by_id: BTreeMap<String, _> =
            connectors.into_iter().map(|connector| (connector.id().to_owned(), connector)).collect();
        match by_id.get(GENERIC_ID).cloned() {
            Some(generic) if mistakes.is_empty() => Ok(Self { by_id, by_brand, by_name, generic }),
            Some(_) | None => Err(CatalogError::Broken(mistakes)),
        }
    }

    /// The same catalog with `sandbox://` standing for this address. Without one, the API and the form of the sandbox's
    /// connectors are left out of their ladders, so that their products go straight to the manual packet.
    #[must_use]
    pub fn with_sandbox(mut self, sandbox: Option<Url>) -> Self {
        for connector in self.by_id.values_mut() {
            *connector = Arc::new(connector.with_sandbox(sandbox.as_ref()));
        }
        if let Some(generic) = self.by_id.get(GENERIC_ID) {
            self.generic = Arc::clone(generic);
        }
        self
    }

    /// The connector of a brand as people write it; the generic one when nobody described its maker.
    #[must_use]
    pub fn find_brand(&self, brand: &str) -> &Arc<Connector> {
        let by_key = || brand::keys(brand).into_iter().find_map(|key| self.by_brand.get(&key));
        let id = self.by_name.get(brand).or_else(by_key);
        id.and_then(|id| self.by_id.get(id)).unwrap_or(&self.generic)
    }

    /// The connector of all makers that nobody described: a guide that fits them all.
    #[must_use]
    pub fn generic(&self) -> &Arc<Connector> {
        &self.generic
    }

    /// The connector with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Arc<Connector>> {
        self.by_id.get(id)
    }

    /// All connectors, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Connector>> {
        self.by_id.values()
    }
}

/// Brands that two of these connectors claim, each as a mistake of the later one.
#[must_use]
pub fn brands_claimed_twice(connectors: &[Arc<Connector>]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    index_brands(connectors, &mut mistakes);
    mistakes
}

/// Brand keys to ids; a brand that two files claim is a mistake of the later one.
fn index_brands(connectors: &[Arc<Connector>], mistakes: &mut Vec<Mistake>) -> BTreeMap<String, String> {
    let mut index: BTreeMap<String, String> = BTreeMap::new();
    for connector in connectors {
        for brand in &connector.plan().brands {
            for key in &brand.keys {
                let owner = index.entry(key.clone()).or_insert_with(|| connector.id().to_owned());
                if owner != connector.id() {
                    let problem =
                        format!("the brand `{}` belongs to `{owner}` already; a brand has one maker", brand.name);
                    let mistake = Mistake { file: brand.file.clone(), line: brand.line, column: brand.column, problem };
                    if !mistakes.contains(&mistake) {
                        mistakes.push(mistake);
                    }
                }
            }
        }
    }
    index
}

/// The TOML files of a folder in the order of their names, with their paths as the messages show them.
fn read_folder(folder: &Path) -> Result<Vec<(String, String)>, CatalogError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CatalogError::Read { path, source }
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(failed(folder))?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    if paths.len() > FILES_MAX {
        let text = format!("{} files; at most {FILES_MAX} are read", paths.len());
        return Err(failed(folder)(io::Error::other(text)));
    }
    paths.iter().map(|path| read_file(path).map(|text| (shown(path), text)).map_err(failed(path))).collect()
}

fn read_file(path: &Path) -> io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("{size} bytes; a connector has at most {FILE_BYTES_MAX}")));
    }
    std::fs::read_to_string(path)
}

fn shown(path: &Path) -> String {
    path.display().to_string().replace('\\', "/")
}
