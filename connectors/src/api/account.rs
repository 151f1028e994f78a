//! Our account with one maker: its secrets, read once, as the headers that show them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use events::{ErrorKind, Failure};
use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::oauth::Oauth;
use crate::connector::Connector;
use crate::file::{AuthFile, Oauth2File};
use crate::secret::SecretRef;

/// How we show who we are.
#[derive(Debug)]
pub(super) enum Account {
    /// The maker asks for nothing.
    Open,
    /// The same header each time.
    Header(HeaderName, HeaderValue),
    /// A key in the query.
    Query(String, SecretString),
    /// A token that is fetched and wears out.
    Oauth(Oauth),
}

impl Account {
    /// Reads the secrets of a connector; a missing one is a failed authentication that names its place.
    pub(super) fn open(connector: &Connector, environment: fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let Some(api) = connector.api() else { return Ok(Self::Open) };
        let read = |secret: &SecretRef| secret.read(environment).map_err(auth);
        Ok(match &api.auth {
            AuthFile::None => Self::Open,
            AuthFile::ApiKey(file) => match (&file.header, &file.query) {
                (Some(name), _) => {
                    let name =
                        HeaderName::from_bytes(name.as_bytes()).map_err(|_| auth("the name of the header is bad"))?;
                    Self::Header(name, sensitive(read(&file.secret)?.expose_secret())?)
                }
                (None, Some(name)) => Self::Query(name.clone(), read(&file.secret)?),
                (None, None) => Self::Open,
            },
            AuthFile::Bearer(file) => Self::Header(AUTHORIZATION, bearer(read(&file.secret)?.expose_secret())?),
            AuthFile::Basic(file) => Self::Header(AUTHORIZATION, basic(&read(&file.user)?, &read(&file.secret)?)?),
            AuthFile::Oauth2(file) => Self::Oauth(open_oauth(connector, &api.base_url, file, read)?),
        })
    }

    /// The request with what shows who we are; `token` is the one of an OAuth2 account.
    pub(super) fn show(&self, request: RequestBuilder, token: Option<&HeaderValue>) -> RequestBuilder {
        match self {
            Self::Open => request,
            Self::Header(name, value) => request.header(name, value),
            Self::Query(name, key) => request.query(&[(name.as_str(), key.expose_secret())]),
            Self::Oauth(_) => match token {
                Some(token) => request.header(AUTHORIZATION, token),
                None => request,
            },
        }
    }
}

fn open_oauth(
    connector: &Connector,
    base_url: &str,
    file: &Oauth2File,
    read: impl Fn(&SecretRef) -> Result<SecretString, Failure>,
) -> Result<Oauth, Failure> {
    let address =
        if file.token_url.starts_with('/') { format!("{base_url}{}", file.token_url) } else { file.token_url.clone() };
    let url =
        connector.resolve(&address).ok_or_else(|| auth("the token endpoint is in the sandbox, and there is none"))?;
    Ok(Oauth::new(url, read(&file.client_id)?, read(&file.secret)?, file.scope.clone(), file.client_auth))
}

/// `Authorization: Bearer`.
pub(super) fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    sensitive(&Zeroizing::new(format!("Bearer {token}")))
}

/// `Authorization: Basic` (RFC 7617).
pub(super) fn basic(user: &SecretString, secret: &SecretString) -> Result<HeaderValue, Failure> {
    let pair = Zeroizing::new(format!("{}:{}", user.expose_secret(), secret.expose_secret()));
    let encoded = Zeroizing::new(STANDARD.encode(&*pair));
    sensitive(&Zeroizing::new(format!("Basic {}", *encoded)))
}

fn sensitive(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text).map_err(|_| auth("the secret has characters that fit in no header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Nothing was sent: the fault is with our credentials.
pub(super) fn auth(detail: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::Auth, detail)
}
