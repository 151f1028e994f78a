//! Asks a maker whether a product is registered already: after a crash nobody else knows.

use events::{ErrorKind, Failure};
use minijinja::value::Value;
use url::Url;

use super::call::{Read, read_body};
use super::{ApiClient, ApiRequest, failure, unusable};
use crate::answer::Answer;
use crate::connector::Connector;
use crate::plan;
use crate::sent::Sent;

/// What the maker knows of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It is registered.
    Registered {
        /// The maker's code for it, if it gave one.
        confirmation: Option<String>,
    },
    /// It is not.
    NotRegistered,
    /// The maker could not be asked, or not understood. Asking changes nothing and may be tried again.
    Failed(Failure),
}

impl ApiClient {
    /// Asks the maker; only for connectors that can look up.
    pub async fn lookup(&self, connector: &Connector, request: &ApiRequest<'_>) -> Lookup {
        self.ask(connector, request).await.unwrap_or_else(Lookup::Failed)
    }

    async fn ask(&self, connector: &Connector, request: &ApiRequest<'_>) -> Result<Lookup, Failure> {
        let parts = connector.api().and_then(|api| Some((api, api.lookup.as_ref()?)));
        let Some((api, lookup)) = parts else { return Err(unusable("the maker cannot be asked by API")) };
        let url = address(connector, &api.base_url, lookup, request)?;
        let response = self.fetch(connector, api, url).await?;
        let status = response.status().as_u16();
        let retry_after = failure::retry_after(response.headers());
        match (status, read_body(response).await) {
            (200, Read::Whole(bytes)) => understand(lookup, &bytes),
            (404, _) => Ok(Lookup::NotRegistered),
            (_, _) => {
                Err(Failure { retry_after, ..Failure::new(kind_of(status), format!("the maker answered {status}")) })
            }
        }
    }
}

fn address(connector: &Connector, base: &str, lookup: &plan::Lookup, request: &ApiRequest<'_>) -> Result<Url, Failure> {
    let sent = Sent::new(request.details, &connector.plan().declared, &request.idempotency_key);
    let base = connector.resolve(base).ok_or_else(|| unusable("the maker is in the sandbox, and there is none"))?;
    let path =
        lookup.path.url(&sent).map_err(|error| unusable(format!("the connector's template does not work: {error}")))?;
    Url::parse(&format!("{base}{path}")).map_err(|_| unusable("the connector's address cannot be read"))
}

fn understand(lookup: &plan::Lookup, bytes: &[u8]) -> Result<Lookup, Failure> {
    let body: Value = serde_json::from_slice(bytes).map_err(|_| unusable("the maker's answer is no JSON"))?;
    let answer = Answer::new(200, body);
    Ok(Lookup::Registered { confirmation: answer.confirmation(&lookup.confirmation) })
}

fn kind_of(status: u16) -> ErrorKind {
    match status {
        401 | 403 => ErrorKind::Auth,
        429 => ErrorKind::RateLimited,
        500.. => ErrorKind::Server,
        _ => ErrorKind::FormChanged,
    }
}
