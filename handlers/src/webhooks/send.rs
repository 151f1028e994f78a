//! One try: signed as Standard Webhooks wants it, sent, judged. What the recipient answers beyond its status is not kept.

use std::time::Duration;

use bytes::Bytes;
use outbound::{Client, SendError};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};

/// Bytes of an answer that are read, so that its connection can be used again; then it is closed.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// What a try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tried {
    /// The recipient has it.
    Taken,
    /// It does not want any more.
    Gone,
    /// Not taken, for this reason; it may be later, not before the recipient's Retry-After.
    Failed(String, Option<Duration>),
}

/// Sends `body` under the id `id` at `now` (seconds since 1970).
pub(super) async fn send(client: &Client, url: &Url, key: &Webhook, id: &str, now: i64, body: Bytes) -> Tried {
    let signature = match key.sign(id, now, &body) {
        Ok(signature) => signature,
        Err(error) => return Tried::Failed(format!("it cannot be signed: {error}"), None),
    };
    let request = client
        .request(Method::POST, url.clone())
        .header(CONTENT_TYPE, "application/cloudevents+json")
        .header(HEADER_WEBHOOK_ID, id)
        .header(HEADER_WEBHOOK_TIMESTAMP, now)
        .header(HEADER_WEBHOOK_SIGNATURE, signature)
        .body(body);
    match client.send(request).await {
        Ok(answer) => judge(answer).await,
        Err(error) => Tried::Failed(in_words(&error).to_owned(), None),
    }
}

async fn judge(mut answer: Response) -> Tried {
    let status = answer.status();
    let tried = match status {
        status if status.is_success() => Tried::Taken,
        StatusCode::GONE => Tried::Gone,
        status if status.is_redirection() => {
            Tried::Failed(format!("answered {}; redirects are not followed", status.as_u16()), None)
        }
        status => Tried::Failed(format!("answered {}", status.as_u16()), retry_after(answer.headers())),
    };
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read > ANSWER_BYTES_MAX {
            break;
        }
    }
    tried
}

/// In seconds; the form with a date is not taken.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Without the address, which may hold a secret.
fn in_words(error: &SendError) -> &'static str {
    if error.refused().is_some() {
        "its name leads to an address that is not on the public internet"
    } else if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}
