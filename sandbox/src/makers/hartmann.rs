//! Hartmann & Söhne: no API and no form, only a page that asks people to ring or to write.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use minijinja::context;

use crate::maker::{Maker, Profile, SerialRule};
use crate::web::{Shared, pages};

pub(crate) const PROFILE: Profile = Profile {
    slug: "hartmann",
    name: "Hartmann & Söhne",
    tagline: "Uhren und Standuhren seit 1887.",
    form: None,
    api: None,
    api_serial: "",
    form_serial: "",
    code_prefix: "HS",
    serial: SerialRule { mask: "99999", pattern: r"^\d{5}$", example: "18873" },
};

pub(crate) fn routes(_desk: &Shared) -> Router<Shared> {
    let show = |State(desk): State<Shared>| async move {
        Html(desk.pages.print("hartmann.html", context! { maker => pages::card(Maker::Hartmann) }))
    };
    Router::new().route("/hartmann/garantie", get(show))
}
