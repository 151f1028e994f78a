//! Reads a list of products as people keep it: a CSV file with plain column names, or a Homebox export.

use std::path::Path;

use anyhow::{Context, bail};
use proto::v1;

/// Most rows of one file.
const ROWS_MAX: usize = 1_000;
/// Largest file, in bytes.
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// One row: what to submit, and how it should end if the file says so.
#[derive(Debug, Clone)]
pub struct Item {
    pub request: v1::SubmitRequest,
    pub expected: Option<Ending>,
}

/// The ends that a sample can foresee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Api,
    WebForm,
    Manual,
    Correction,
}

impl Ending {
    /// The end that a registration has come to.
    pub fn of(registration: &v1::Registration) -> Option<Self> {
        use v1::RegistrationState as State;
        match (registration.state(), registration.method()) {
            (State::Success, v1::Method::Api) => Some(Self::Api),
            (State::Success, v1::Method::AutomationReliable) => Some(Self::WebForm),
            (State::ManualRequired, _) => Some(Self::Manual),
            (State::NeedsCorrection, _) => Some(Self::Correction),
            _ => None,
        }
    }

    fn parse(text: &str) -> anyhow::Result<Option<Self>> {
        match text.to_uppercase().as_str() {
            "" => Ok(None),
            "API" => Ok(Some(Self::Api)),
            "WEB_FORM" => Ok(Some(Self::WebForm)),
            "MANUAL" => Ok(Some(Self::Manual)),
            "CORRECTION" => Ok(Some(Self::Correction)),
            _ => bail!("`expected` is {text:?}; write API, WEB_FORM, MANUAL, CORRECTION or nothing"),
        }
    }
}

/// Our field and the column names that it goes by; the last ones are those of a Homebox export.
const COLUMNS: &[(&str, &[&str])] = &[
    ("brand", &["brand", "manufacturer", "maker", "hb.manufacturer"]),
    ("model", &["model", "model number", "product", "hb.model_number", "hb.name"]),
    ("serial", &["serial", "serial number", "serial no", "hb.serial_number"]),
    ("date", &["purchase date", "purchased", "bought", "date", "hb.purchase_time", "hb.purchase_date"]),
    ("installed", &["installation date", "installed"]),
    ("delivered", &["delivery date", "delivered"]),
    ("shop", &["shop", "dealer", "purchased from", "store", "hb.purchase_from"]),
    ("price", &["price", "purchase price", "hb.purchase_price"]),
    ("owner", &["owner", "name", "owner name", "hb.field.owner"]),
    ("email", &["email", "e-mail", "owner email", "hb.field.email"]),
    ("phone", &["phone", "telephone", "hb.field.phone"]),
    ("street", &["street", "address", "hb.field.street"]),
    ("postal_code", &["postal code", "zip", "postcode", "hb.field.postal code"]),
    ("city", &["city", "town", "hb.field.city"]),
    ("country", &["country", "hb.field.country"]),
    ("priority", &["priority"]),
    ("expected", &["expected"]),
];

/// The products of a file. Whole or not at all: the first bad row is named with its line.
pub fn read(path: &Path) -> anyhow::Result<Vec<Item>> {
    let size = std::fs::metadata(path).with_context(|| format!("failed to open {}", path.display()))?.len();
    if size > FILE_BYTES_MAX {
        bail!("{} has {size} bytes; at most {FILE_BYTES_MAX} are read", path.display());
    }
    let bytes = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("failed to read {}", path.display()))
}

pub fn parse(bytes: &[u8]) -> anyhow::Result<Vec<Item>> {
    // spreadsheets write a byte order mark
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes);
    let header = reader.headers().context("the first line has no column names")?.clone();
    let places: Vec<(&str, Option<usize>)> =
        COLUMNS.iter().map(|(field, names)| (*field, column(&header, names))).collect();
    let found = |field: &str| places.iter().any(|(name, place)| *name == field && place.is_some());
    for needed in ["brand", "model"] {
        if !found(needed) {
            let names = COLUMNS.iter().find(|(field, _)| *field == needed).map(|(_, names)| names.join(", "));
            bail!("no column for the {needed}; name it one of: {}", names.unwrap_or_default());
        }
    }
    let mut items = Vec::new();
    for row in reader.records() {
        let row = row.context("a row cannot be read")?;
        let line = row.position().map_or(0, csv::Position::line);
        if items.len() == ROWS_MAX {
            bail!("line {line}: a file has at most {ROWS_MAX} products");
        }
        items.push(item(&row, &places).with_context(|| format!("line {line}"))?);
    }
    Ok(items)
}

/// The best column: names are tried in the order of the table, not of the file.
fn column(header: &csv::StringRecord, names: &[&str]) -> Option<usize> {
    names.iter().find_map(|name| {
        header.iter().position(|column| column.to_lowercase().replace('_', " ") == name.replace('_', " "))
    })
}

fn item(row: &csv::StringRecord, places: &[(&str, Option<usize>)]) -> anyhow::Result<Item> {
    let value = |field: &str| {
        let place = places.iter().find(|(name, _)| *name == field).and_then(|(_, place)| *place);
        place.and_then(|place| row.get(place)).unwrap_or_default().to_owned()
    };
    let address = v1::Address {
        street: value("street"),
        postal_code: value("postal_code"),
        city: value("city"),
        country: value("country").to_uppercase(),
    };
    let owner =
        v1::Owner { name: value("owner"), email: value("email"), phone: value("phone"), address: Some(address) };
    let request = v1::SubmitRequest {
        product: Some(v1::Product { brand: value("brand"), model: value("model"), serial: value("serial") }),
        purchase: Some(v1::Purchase {
            date: day(&value("date")),
            shop: value("shop"),
            price: value("price"),
            installation_date: day(&value("installed")),
            delivery_date: day(&value("delivered")),
        }),
        owner: Some(owner),
        priority: priority(&value("priority"))?.into(),
        ..Default::default()
    };
    Ok(Item { request, expected: Ending::parse(&value("expected"))? })
}

/// A time of day after the date is dropped (Homebox writes one); what is no date is left for the service to refuse by name.
fn day(text: &str) -> String {
    text.split(['T', ' ']).next().unwrap_or_default().to_owned()
}

fn priority(text: &str) -> anyhow::Result<v1::Priority> {
    match text.to_uppercase().as_str() {
        "" | "NORMAL" => Ok(v1::Priority::Normal),
        "HIGH" => Ok(v1::Priority::High),
        "LOW" => Ok(v1::Priority::Low),
        _ => bail!("`priority` is {text:?}; write HIGH, NORMAL, LOW or nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> v1::SubmitRequest {
        parse(text.as_bytes()).expect("reads").remove(0).request
    }

    #[test]
    fn plain_column_names_in_any_case_and_order_are_found() {
        let request = first("Serial Number,BRAND,Model,purchase date\nNL1,Norrland,VK 200,2026-11-02\n");
        let product = request.product.expect("a product");
        assert_eq!(
            (product.brand.as_str(), product.model.as_str(), product.serial.as_str()),
            ("Norrland", "VK 200", "NL1")
        );
        assert_eq!(request.purchase.expect("a purchase").date, "2026-11-02");
    }

    #[test]
    fn a_homebox_export_is_read_by_its_own_column_names() {
        let text = "HB.name,HB.manufacturer,HB.model_number,HB.serial_number,HB.purchase_time\nFridge,Norrland,VK 200,NL1,2026-11-02T00:00:00Z\n";
        let request = first(text);
        assert_eq!(request.product.expect("a product").model, "VK 200");
        assert_eq!(request.purchase.expect("a purchase").date, "2026-11-02");
    }

    #[test]
    fn a_missing_column_and_a_bad_word_are_named_with_their_line() {
        let error = |text: &str| format!("{:#}", parse(text.as_bytes()).expect_err("refused"));
        assert!(error("serial\nx\n").contains("no column for the brand"));
        assert!(error("brand,model,priority\na,b,\na,b,SOON\n").contains("line 3: `priority` is \"SOON\""));
    }

    #[test]
    fn the_committed_examples_are_read() {
        for (file, rows_min) in [("household.csv", 18), ("homebox.csv", 3)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
            let items = read(&path).expect(file);
            assert!(items.len() >= rows_min, "{file} has {} rows", items.len());
        }
    }
}
