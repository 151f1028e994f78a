//! Sealed details of every version that was ever written open for ever: one golden file a version in tests/golden_sealed.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

use std::path::PathBuf;

use jiff::civil::date;
use regflow_events::details::{Address, Details, Owner, Product, Purchase};
use regflow_events::seal::{NONCE_BYTES, PersonKey};
use regflow_events::{RegistrationId, seal::SealError};
use uuid::Uuid;

const ID: RegistrationId = RegistrationId(Uuid::from_u128(7));

fn key() -> PersonKey {
    PersonKey::new([1; 32])
}

/// All parts filled.
fn details() -> Details {
    let some = |text: &str| Some(text.to_owned());
    let address = Address {
        street: some("Exempelgatan 1"),
        postal_code: some("111 11"),
        city: some("Stockholm"),
        country: some("SE"),
    };
    Details {
        product: Product { brand: "Norrland".into(), model: "VK 200".into(), serial: "NL12345678".into() },
        purchase: Purchase {
            date: Some(date(2026, 11, 2)),
            shop: some("Elhuset"),
            price: some("199.00 EUR"),
            installed_on: Some(date(2026, 11, 9)),
            delivered_on: Some(date(2026, 11, 5)),
        },
        owner: Owner {
            name: "Åsa Öberg".into(),
            email: "asa@example.org".into(),
            phone: some("+46 8 000000"),
            address,
        },
        marketing_consent: true,
        extra: [("colour".to_owned(), "red".to_owned())].into(),
    }
}

fn golden(version: u8) -> (PathBuf, Option<Vec<u8>>) {
    let name = format!("tests/golden_sealed/details-v{version}.hex");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    let bytes = std::fs::read_to_string(&path).ok().map(|text| hex::decode(text.trim()).unwrap());
    (path, bytes)
}

#[test]
fn details_of_version_1_open_without_the_days_that_it_did_not_know() {
    let mut known = details();
    (known.purchase.installed_on, known.purchase.delivered_on) = (None, None);
    assert_eq!(key().open(ID, &golden(1).1.unwrap()), Ok(known));
    let other = RegistrationId(Uuid::from_u128(8));
    assert_eq!(key().open(other, &golden(1).1.unwrap()), Err(SealError::DoesNotOpen));
}

#[test]
fn details_of_version_2_are_written_as_they_always_were() {
    let written = key().seal(ID, &[9; NONCE_BYTES], &details()).unwrap();
    let (path, stored) = golden(2);
    if std::env::var_os("REGFLOW_WRITE_GOLDEN").is_some() && stored.is_none() {
        std::fs::write(&path, format!("{}\n", hex::encode(&written))).unwrap();
    }
    let stored = golden(2).1.unwrap_or_else(|| panic!("{} is missing", path.display()));
    assert_eq!(stored, written, "{}: stored bytes must never change", path.display());
    assert_eq!(key().open(ID, &stored), Ok(details()));
}
