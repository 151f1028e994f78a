//! The sandbox's pages for people: the index of the makers, and the ledger as a table.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use minijinja::{Value, context};

use super::{Shared, control, pages};
use crate::ledger::{Entry, Filter};
use crate::maker::Maker;

/// So many of the newest entries the table shows.
const ROWS_MAX: usize = 200;

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(|State(desk): State<Shared>| async move { index(&desk) }))
        .route("/_sandbox", get(|State(desk): State<Shared>| async move { ledger(&desk) }))
}

fn index(desk: &Shared) -> Html<String> {
    let makers: Vec<Value> = Maker::ALL.into_iter().map(|maker| maker_row(desk, maker)).collect();
    let mails = desk.mailbox.mails().len();
    let entries = desk.ledger.count(&Filter::default());
    let values = context! { makers, mails, entries => entries.total, accepted => entries.accepted };
    Html(desk.pages.print("index.html", values))
}

fn maker_row(desk: &Shared, maker: Maker) -> Value {
    let filter = Filter { maker: Some(maker.slug().to_owned()), serial: None };
    let count = desk.ledger.count(&filter);
    let page = match maker {
        Maker::Norrland => Some("/norrland/warranty"),
        Maker::Kestrel => Some("/kestrel/warranty"),
        Maker::Hartmann => Some("/hartmann/garantie"),
        Maker::Brightwell | Maker::Castello | Maker::Veloce | Maker::Aurora => None,
    };
    context! { total => count.total, accepted => count.accepted, page => page.map(pages::path), ..pages::card(maker) }
}

fn ledger(desk: &Shared) -> Html<String> {
    let mut entries = desk.ledger.entries(&Filter::default(), ROWS_MAX);
    entries.reverse();
    let rows: Vec<Value> = entries.iter().map(row).collect();
    let faults = pages::value_of(control::faults(desk));
    Html(
        desk.pages
            .print("ledger.html", context! { rows, faults, count => desk.ledger.count(&Filter::default()).total }),
    )
}

fn row(entry: &Entry) -> Value {
    let fields = serde_json::to_string_pretty(&entry.fields).unwrap_or_default();
    context! {
        at => entry.at.strftime("%H:%M:%S%.3f").to_string(),
        pretty => if entry.fields.is_null() { String::new() } else { fields },
        ..pages::value_of(entry)
    }
}
