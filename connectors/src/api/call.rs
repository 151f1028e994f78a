//! One exchange with a maker: build, send, read within bounds.

use events::{ErrorKind, Failure, Outcome, Received};
use outbound::Client;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Response};
use url::Url;

use super::account::Account;
use super::judge::{Reply, judge};
use super::send::send;
use super::{ApiClient, ApiRequest, failure, unusable};
use crate::connector::Connector;
use crate::expression::TemplateError;
use crate::plan::Api;
use crate::sent::Sent;

/// Longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// What could be read of an answer's body.
pub(super) enum Read {
    Whole(Vec<u8>),
    TooLong,
    /// Timeout or network.
    Broken(ErrorKind),
}

impl ApiClient {
    pub(super) async fn call(
        &self,
        connector: &Connector,
        request: &ApiRequest<'_>,
    ) -> Result<(Outcome, Option<Received>), Failure> {
        let Some(api) = connector.api() else { return Err(unusable("the connector has no API")) };
        let (url, body) = compose(connector, api, request)?;
        let account = self.account(connector)?;
        let http = self.http(connector);
        let build = || build(http, api, request, url.clone(), body.clone());
        let reply = match &*account {
            Account::Oauth(oauth) => {
                let token = oauth.token(http).await?;
                let reply = exchange(connector, http, account.show(build(), Some(&token)), api.repeatable).await?;
                if reply.status != 401 {
                    return Ok((judge(connector, api, &reply, request.details), received(&reply)));
                }
                // a 401 took nothing in: with a fresh token it may be sent once more
                oauth.refused(&token).await;
                let token = oauth.token(http).await.map_err(failure::after_a_401)?;
                exchange(connector, http, account.show(build(), Some(&token)), api.repeatable)
                    .await
                    .map_err(failure::after_a_401)?
            }
            Account::Open | Account::Header(..) | Account::Query(..) => {
                exchange(connector, http, account.show(build(), None), api.repeatable).await?
            }
        };
        if reply.status == 401 {
            self.forget_account(connector);
        }
        Ok((judge(connector, api, &reply, request.details), received(&reply)))
    }
}

fn build(http: &Client, api: &Api, request: &ApiRequest<'_>, url: Url, body: Vec<u8>) -> RequestBuilder {
    let builder = http
        .request(api.method.clone(), url)
        .timeout(api.timeout)
        .header(CONTENT_TYPE, HeaderValue::from_static(api.body.content_type()))
        .body(body);
    match &api.idempotency_header {
        Some(name) => builder.header(name, request.idempotency_key.as_str()),
        None => builder,
    }
}

fn received(reply: &Reply) -> Option<Received> {
    match &reply.body {
        Read::Whole(bytes) => Some(Received::new(reply.status, bytes)),
        Read::TooLong | Read::Broken(_) => None,
    }
}

/// The address and the body, from the declared fields alone.
fn compose(connector: &Connector, api: &Api, request: &ApiRequest<'_>) -> Result<(Url, Vec<u8>), Failure> {
    let broken = |error: TemplateError| unusable(format!("the connector's template does not work: {error}"));
    let sent = Sent::new(request.details, &connector.plan().declared, &request.idempotency_key);
    let url = match connector.api_url() {
        Some(url) => url.clone(),
        None => {
            let base = connector
                .resolve(&api.base_url)
                .ok_or_else(|| unusable("the maker is in the sandbox, and there is none"))?;
            let path = api.path.url(&sent).map_err(broken)?;
            Url::parse(&format!("{base}{path}")).map_err(|_| unusable("the connector's address cannot be read"))?
        }
    };
    Ok((url, api.body.bytes(&sent).map_err(broken)?))
}

async fn exchange(
    connector: &Connector,
    http: &Client,
    request: RequestBuilder,
    repeatable: bool,
) -> Result<Reply, Failure> {
    let sent = send(connector, http, request).await;
    let response = sent.map_err(|error| failure::while_registering(&error, repeatable))?;
    let status = response.status().as_u16();
    let retry_after = failure::retry_after(response.headers());
    Ok(Reply { status, retry_after, body: read_body(response).await })
}

/// Reads an answer's body up to its bound.
pub(super) async fn read_body(mut response: Response) -> Read {
    let mut bytes = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Read::Whole(bytes),
            Ok(Some(chunk)) if bytes.len() + chunk.len() > ANSWER_BYTES_MAX => return Read::TooLong,
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Err(error) if error.is_timeout() => return Read::Broken(ErrorKind::Timeout),
            Err(_) => return Read::Broken(ErrorKind::Network),
        }
    }
}
