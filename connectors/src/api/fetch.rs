//! A GET with our account: asks and changes nothing, so it may be sent again with a fresh token.

use events::Failure;
use outbound::Client;
use reqwest::{Method, Response};
use url::Url;

use super::account::Account;
use super::send::send;
use super::{ApiClient, failure};
use crate::connector::Connector;
use crate::plan::Api;

impl ApiClient {
    /// The answer, whatever its status.
    pub(super) async fn fetch(&self, connector: &Connector, api: &Api, url: Url) -> Result<Response, Failure> {
        let account = self.account(connector)?;
        let http = self.http(connector);
        let get = || http.request(Method::GET, url.clone()).timeout(api.timeout);
        let response = match &*account {
            Account::Oauth(oauth) => {
                let token = oauth.token(http).await?;
                let response = ask(connector, http, account.show(get(), Some(&token))).await?;
                if response.status() != 401 {
                    return Ok(response);
                }
                // the token wore out before its time
                oauth.refused(&token).await;
                let token = oauth.token(http).await?;
                ask(connector, http, account.show(get(), Some(&token))).await?
            }
            Account::Open | Account::Header(..) | Account::Query(..) => {
                ask(connector, http, account.show(get(), None)).await?
            }
        };
        if response.status() == 401 {
            self.forget_account(connector);
        }
        Ok(response)
    }
}

async fn ask(connector: &Connector, http: &Client, request: reqwest::RequestBuilder) -> Result<Response, Failure> {
    send(connector, http, request).await.map_err(|error| failure::before_sending(&error))
}
