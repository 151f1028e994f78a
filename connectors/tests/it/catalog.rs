//! Finding a connector: by brand, by id, with and without a sandbox, with a folder of the operator's own.

use events::Method;
use regflow_connectors::{Catalog, CatalogError};

use crate::support::details;

const OWN: &str = r#"
name = "Tamsin & Lowe"
brands = ["Tamsin & Lowe"]
sends = ["product.model"]
ladder = ["ASSISTED_MANUAL"]
[manual]
steps = ["Write to them."]
"#;

#[test]
fn every_file_of_the_folder_is_compiled_in_and_loads() {
    let mut files: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/catalog"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let catalog = Catalog::builtin().unwrap_or_else(|error| panic!("{error}"));
    let ids: Vec<String> = catalog.iter().map(|connector| format!("{}.toml", connector.id())).collect();
    assert_eq!(ids, files);
}

#[test]
fn brands_are_found_as_people_write_them() {
    let catalog = Catalog::builtin().unwrap();
    for (brand, id) in [
        ("norrland", "norrland"),
        ("NORRLAND HVITEVARER", "norrland"),
        ("Norrland-Home", "norrland"),
        ("bwa", "brightwell"),
        ("B.W.A.", "brightwell"),
        ("brightwell  audio", "brightwell"),
        ("kestrel pro", "kestrel"),
        ("Castèllo", "castello"),
        ("La Castello", "castello"),
        ("AURORA BABY", "aurora"),
        ("Veloce Cicli", "veloce"),
        ("Hartmann & Söhne", "hartmann"),
        ("hartmann and sohne", "hartmann"),
        ("HARTMANN UND SOEHNE", "hartmann"),
        ("Ó Briain", "generic"),
        ("Norland", "generic"),
        ("", "generic"),
    ] {
        assert_eq!(catalog.find_brand(brand).id(), id, "{brand}");
    }
    assert!(catalog.find_brand("Tamsin & Lowe").is_generic());
}

#[test]
fn without_a_sandbox_its_makers_are_manual_only() {
    let catalog = Catalog::builtin().unwrap().with_sandbox(None);
    for connector in catalog.iter() {
        assert_eq!(connector.ladder(), [Method::AssistedManual], "{}", connector.id());
    }
    assert!(catalog.get("castello").unwrap().form_recipe(&details()).is_err());
    assert_eq!(catalog.get("hartmann").unwrap().manual_view(&details()).unwrap().link, None);
}

#[test]
fn with_a_sandbox_the_ladders_are_as_the_files_say() {
    use Method::{Api, AssistedManual, AutomationReliable};
    let catalog = Catalog::builtin().unwrap().with_sandbox(Some("http://127.0.0.1:8099/".parse().unwrap()));
    for (id, ladder) in [
        ("norrland", &[Api, AssistedManual][..]),
        ("brightwell", &[Api, AutomationReliable, AssistedManual]),
        ("kestrel", &[Api, AssistedManual]),
        ("castello", &[AutomationReliable, AssistedManual]),
        ("veloce", &[AutomationReliable, AssistedManual]),
        ("aurora", &[Api, AutomationReliable, AssistedManual]),
        ("hartmann", &[AssistedManual]),
        ("generic", &[AssistedManual]),
    ] {
        assert_eq!(catalog.get(id).unwrap().ladder(), ladder, "{id}");
    }
    let link = catalog.get("hartmann").unwrap().manual_view(&details()).unwrap().link;
    assert_eq!(link.as_deref(), Some("http://127.0.0.1:8099/hartmann/garantie"));
}

#[test]
fn a_file_of_the_operators_folder_adds_or_takes_a_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tamsin.toml"), OWN).unwrap();
    std::fs::write(folder.path().join("veloce.toml"), OWN.replace("Tamsin & Lowe", "Veloce")).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not a connector").unwrap();
    let catalog = Catalog::load(Some(folder.path())).unwrap();
    assert_eq!(catalog.find_brand("tamsin and lowe").id(), "tamsin");
    assert_eq!(catalog.get("veloce").unwrap().ladder(), [Method::AssistedManual]);
    assert_eq!(catalog.find_brand("Veloce Cicli").id(), "generic", "the replaced file's brands are gone");
}

#[test]
fn a_brand_of_two_files_is_named_where_the_second_claims_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("tamsin.toml"),
        OWN.replace("\"Tamsin & Lowe\"]", "\"Tamsin\", \"KESTREL-Pro\"]"),
    )
    .unwrap();
    let error = Catalog::load(Some(folder.path())).unwrap_err().to_string();
    let wanted = "tamsin.toml:3:21: the brand `KESTREL-Pro` belongs to `kestrel` already; a brand has one maker";
    assert!(error.ends_with(wanted), "{error}");
}

#[test]
fn a_folder_that_is_not_there_is_an_error_with_its_path() {
    let error = Catalog::load(Some("no/such/folder".as_ref())).unwrap_err();
    assert!(matches!(error, CatalogError::Read { .. }));
    assert_eq!(error.to_string(), "reading the catalog at no/such/folder");
}
