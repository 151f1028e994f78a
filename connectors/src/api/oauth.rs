//! OAuth2 client credentials (RFC 6749, section 4.4): one token for all calls, fetched by one of them.

use std::time::{Duration, Instant};

use events::{ErrorKind, Failure};
use outbound::Client;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::account::{auth, basic, bearer};
use super::call::{Read, read_body};
use super::failure;
use crate::file::ClientAuth;

/// How long the token endpoint may take.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
/// A token is renewed this long before it wears out: it must live through the call that carries it.
const RENEW_BEFORE: Duration = Duration::from_secs(30);
/// The life of a token whose maker does not tell (RFC 6749 leaves it open).
const LIFE_UNTOLD: Duration = Duration::from_secs(300);
/// No maker's token is believed to live longer.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);

/// A client of a token endpoint.
#[derive(Debug)]
pub(super) struct Oauth {
    token_url: String,
    client_id: SecretString,
    secret: SecretString,
    scope: Option<String>,
    client_auth: ClientAuth,
    /// Held while a token is fetched, so that a hundred calls fetch one.
    token: Mutex<Option<Token>>,
}

#[derive(Debug, Clone)]
struct Token {
    header: HeaderValue,
    good_until: Instant,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Oauth {
    pub(super) fn new(
        token_url: String,
        client_id: SecretString,
        secret: SecretString,
        scope: Option<String>,
        client_auth: ClientAuth,
    ) -> Self {
        Self { token_url, client_id, secret, scope, client_auth, token: Mutex::new(None) }
    }

    /// The token's header, fetched if there is none that is good. Fetching registers nothing, so its failures are certain.
    pub(super) async fn token(&self, http: &Client) -> Result<HeaderValue, Failure> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| Instant::now() < token.good_until) {
            return Ok(token.header.clone());
        }
        let fresh = self.fetch(http).await?;
        Ok(token.insert(fresh).header.clone())
    }

    /// The maker refused this token: it is thrown away, unless somebody did so already.
    pub(super) async fn refused(&self, header: &HeaderValue) {
        let mut token = self.token.lock().await;
        if token.as_ref().is_some_and(|token| token.header == *header) {
            *token = None;
        }
    }

    async fn fetch(&self, http: &Client) -> Result<Token, Failure> {
        let asked_at = Instant::now();
        let response = http.send(self.request(http)?).await.map_err(|error| failure::before_sending(&error))?;
        let status = response.status().as_u16();
        let retry_after = failure::retry_after(response.headers());
        let body = read_body(response).await;
        if status != 200 {
            return Err(refusal(status, retry_after));
        }
        let Read::Whole(bytes) = body else { return Err(auth("the token endpoint's answer broke off")) };
        let answer: TokenAnswer =
            serde_json::from_slice(&bytes).map_err(|_| auth("the token endpoint's answer holds no token"))?;
        let life = answer.expires_in.map_or(LIFE_UNTOLD, Duration::from_secs).min(LIFE_MAX);
        // a life shorter than the margin: the token serves half of it
        let good_for = life.saturating_sub(RENEW_BEFORE).max(life / 2);
        Ok(Token { header: bearer(&Zeroizing::new(answer.access_token))?, good_until: asked_at + good_for })
    }

    fn request(&self, http: &Client) -> Result<reqwest::RequestBuilder, Failure> {
        let mut form = vec![("grant_type", "client_credentials")];
        if let Some(scope) = &self.scope {
            form.push(("scope", scope));
        }
        let request = http.request(Method::POST, &self.token_url).timeout(TOKEN_TIMEOUT);
        Ok(match self.client_auth {
            ClientAuth::Basic => request.header(AUTHORIZATION, basic(&self.client_id, &self.secret)?).form(&form),
            ClientAuth::Body => {
                form.push(("client_id", self.client_id.expose_secret()));
                form.push(("client_secret", self.secret.expose_secret()));
                request.form(&form)
            }
        })
    }
}

fn refusal(status: u16, retry_after: Option<Duration>) -> Failure {
    let kind = match status {
        429 => ErrorKind::RateLimited,
        500.. => ErrorKind::Server,
        _ => ErrorKind::Auth,
    };
    Failure { retry_after, ..Failure::new(kind, format!("the token endpoint answered {status}")) }
}
