//! Registrations as CSV for spreadsheets, which take some texts for formulas and run them.

use std::io::{self, Write};

use proto::v1;

use super::{method_in_words, printable, state_word};

const COLUMNS: [&str; 9] =
    ["id", "status", "maker", "brand", "model", "method", "confirmation", "last_problem", "purchase_date"];
/// With these a cell begins that a spreadsheet may run (OWASP, "CSV Injection"), the wide forms of East Asian keyboards included.
const FORMULAS: [char; 9] = ['=', '+', '-', '@', '|', '＝', '＋', '－', '＠'];

/// Writes a line of names, and a line for each row.
pub fn sheet(rows: &[v1::Registration], to: &mut impl Write) -> io::Result<()> {
    let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(to);
    writer.write_record(COLUMNS)?;
    for row in rows {
        let cells = [
            row.id.clone(),
            state_word(row.state()).to_owned(),
            row.maker.clone(),
            row.brand.clone(),
            row.model.clone(),
            method_in_words(row.method()).to_owned(),
            row.confirmation().to_owned(),
            row.last_error_detail.clone(),
            row.purchase_date.clone(),
        ];
        writer.write_record(cells.iter().map(|text| cell(text)))?;
    }
    writer.flush()
}

/// A text that stays a text: a quotation mark before it keeps a formula from being one.
fn cell(text: &str) -> String {
    let text = printable(text);
    if text.trim_start_matches(is_skipped).starts_with(FORMULAS) { format!("'{text}") } else { text }
}

/// What a spreadsheet passes over at the beginning of a cell.
fn is_skipped(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\u{FEFF}' | '\u{200B}' | '\u{FFFD}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile_values as values;

    #[test]
    fn no_hostile_value_is_a_formula_a_second_cell_or_a_second_row() {
        let of = |value: String| v1::Registration { brand: value.clone(), model: value, ..Default::default() };
        let rows: Vec<v1::Registration> = values::all().into_iter().map(of).collect();
        let mut file = Vec::new();
        sheet(&rows, &mut file).expect("written");
        let mut read = csv::Reader::from_reader(file.as_slice());
        let records: Vec<csv::StringRecord> =
            read.records().collect::<Result<_, _>>().expect("as many cells in each row");
        assert_eq!(records.len(), rows.len());
        for (record, row) in records.iter().zip(&rows) {
            let (brand, model) = (&record[3], &record[4]);
            let harmless = brand.trim_start_matches(is_skipped);
            assert!(!harmless.starts_with(FORMULAS), "{brand:?}");
            assert!(!brand.contains(|c: char| c.is_control()), "{brand:?}");
            assert_eq!(
                brand.strip_prefix('\'').unwrap_or(brand),
                printable(&row.brand).strip_prefix('\'').unwrap_or(&printable(&row.brand))
            );
            assert_eq!(brand, model);
        }
        let marked = records.iter().filter(|record| record[3].starts_with('\'')).count();
        assert!(marked > 30, "only {marked} were marked");
    }

    #[test]
    fn an_ordinary_text_stays_as_it_is() {
        assert_eq!(cell("Kaffeemühle \"Öl\", 5-fach"), "Kaffeemühle \"Öl\", 5-fach");
        assert_eq!(cell("=1+1"), "'=1+1");
        assert_eq!(cell(" \t@x"), "' \u{FFFD}@x");
    }
}
