//! The pages and what belongs to them, from inside the binary (a debug build reads them from web/ each time).

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::Problem;

#[derive(RustEmbed)]
#[folder = "web/"]
struct Web;

/// The text of a page, for those who fill it in.
pub fn text(name: &str) -> Option<String> {
    Web::get(name).and_then(|file| String::from_utf8(file.data.into_owned()).ok())
}

/// GET /
pub async fn register(headers: HeaderMap) -> Response {
    page("register.html", &headers)
}

/// GET /track/{id}
pub async fn track(headers: HeaderMap) -> Response {
    page("track.html", &headers)
}

/// GET /registrations
pub async fn registrations(headers: HeaderMap) -> Response {
    page("registrations.html", &headers)
}

/// GET /operate
pub async fn operate(headers: HeaderMap) -> Response {
    page("operate.html", &headers)
}

/// GET /assets/{*path}
pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    page(&format!("assets/{path}"), &headers)
}

fn page(name: &str, headers: &HeaderMap) -> Response {
    match Web::get(name) {
        Some(file) => show(&file, headers),
        None => Problem::new(StatusCode::NOT_FOUND, "PAGE_NOT_FOUND", "there is no such page").into_response(),
    }
}

/// What a browser has already is not sent again.
fn show(file: &EmbeddedFile, headers: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..8]));
    let known = headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let head = [
        (CONTENT_TYPE, format!("{}; charset=utf-8", file.metadata.mimetype())),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (ETAG, etag),
    ];
    match known {
        true => (StatusCode::NOT_MODIFIED, head).into_response(),
        false => (head, file.data.to_vec()).into_response(),
    }
}
