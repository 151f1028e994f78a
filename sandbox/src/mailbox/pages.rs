//! The pages of the mailbox: the list, one mail in its parts, and what was sent as bytes.

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use minijinja::{Value, context};
use serde_json::json;

use super::store::Mail;
use crate::web::{Shared, pages};

/// A mail's HTML may show itself and nothing else: no scripts, no requests, no way out of its frame.
const MAIL_POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox allow-popups; default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:",
);

pub(crate) fn routes() -> Router<Shared> {
    let list_page = |State(desk): State<Shared>| async move { list_page(&desk) };
    let clear = |State(desk): State<Shared>| async move {
        desk.mailbox.clear();
        StatusCode::NO_CONTENT
    };
    Router::new()
        .route("/mail", get(list_page).delete(clear))
        .route("/mail.json", get(|State(desk): State<Shared>| async move { list_json(&desk) }))
        .route("/mail/{number}", get(on_mail(view_page)))
        .route("/mail/{number}/html", get(on_mail(|_, mail| html_body(mail))))
        .route("/mail/{number}/raw", get(on_mail(|_, mail| bytes("text/plain; charset=utf-8", mail.raw.clone()))))
        .route("/mail/{number}/attachments/{attachment}", get(attachment))
}

/// A handler for one mail; an unknown number is a plain 404.
fn on_mail(
    show: fn(&Shared, &Mail) -> Response,
) -> impl Fn(State<Shared>, Path<u64>) -> std::future::Ready<Response> + Clone {
    move |State(desk), Path(number)| {
        let found = desk.mailbox.mail(number);
        std::future::ready(found.map_or_else(gone, |mail| show(&desk, &mail)))
    }
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, "no such mail; the mailbox keeps the last 1,000").into_response()
}

fn list_json(desk: &Shared) -> Json<serde_json::Value> {
    let mails = desk.mailbox.mails();
    let rows: Vec<&Mail> = mails.iter().map(AsRef::as_ref).collect();
    Json(json!({ "mails": rows }))
}

fn list_page(desk: &Shared) -> Html<String> {
    let mut mails = desk.mailbox.mails();
    mails.reverse();
    let rows: Vec<Value> = mails.iter().map(|mail| row(mail)).collect();
    Html(desk.pages.print("mail_list.html", context! { mails => rows }))
}

fn row(mail: &Mail) -> Value {
    context! { at => mail.at.strftime("%Y-%m-%d %H:%M:%S").to_string(), ..pages::value_of(mail) }
}

fn view_page(desk: &Shared, mail: &Mail) -> Response {
    let parsed = mail.parse();
    let raw = parsed.iter().flat_map(|message| message.headers_raw());
    let headers: Vec<Value> = raw.map(|(name, value)| context! { name, value => unfold(value) }).collect();
    let text = parsed.as_ref().and_then(|message| message.body_text(0));
    let has_html =
        parsed.as_ref().is_some_and(|message| message.html_bodies().any(mail_parser::MessagePart::is_text_html));
    let at = mail.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let values = context! { at, headers, text, has_html, mail => pages::value_of(mail) };
    Html(desk.pages.print("mail_view.html", values)).into_response()
}

fn unfold(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn html_body(mail: &Mail) -> Response {
    let html = mail.parse().and_then(|message| message.body_html(0).map(std::borrow::Cow::into_owned));
    let mut response = Html(html.unwrap_or_default()).into_response();
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, MAIL_POLICY);
    response
}

fn bytes(content_type: &'static str, bytes: Bytes) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, bytes).into_response()
}

#[allow(clippy::unused_async, reason = "axum takes only async handlers")]
async fn attachment(State(desk): State<Shared>, Path((number, attachment)): Path<(u64, usize)>) -> Response {
    let found = desk.mailbox.mail(number).and_then(|mail| mail.attachment(attachment));
    let Some((described, content)) = found else { return gone() };
    // Only a PDF is shown in place: what else a mail brings could be a page that runs here.
    let (kind, how) = match described.content_type.as_str() {
        "application/pdf" => ("application/pdf", "inline"),
        "text/calendar" => ("text/calendar; charset=utf-8", "attachment"),
        _ => ("application/octet-stream", "attachment"),
    };
    let mut response = bytes(kind, content);
    let disposition = format!("{how}; filename=\"{}\"", plain_file_name(&described.filename));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    }
    response
}

/// A file name that no header and no file system can misread.
fn plain_file_name(name: &str) -> String {
    let plain = |char: char| if char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_') { char } else { '_' };
    name.chars().map(plain).collect()
}
