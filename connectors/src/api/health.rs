//! Asks a maker's API whether it is well. Registers nothing and shows nobody's data.

use std::time::Instant;

use events::{CheckResult, ErrorKind};
use url::Url;

use super::ApiClient;
use super::call::{Read, read_body};
use crate::connector::Connector;
use crate::plan::Api;

impl ApiClient {
    /// Asks the health endpoint, as the registrations are sent: same account, same timeout. Nothing when the connector has
    /// none that can be reached. Any 2xx is well.
    pub async fn check_health(&self, connector: &Connector) -> Option<CheckResult> {
        let (api, url) = (connector.api()?, connector.health_url()?);
        let started = Instant::now();
        let asked = self.ask_health(connector, api, url).await;
        let latency_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
        Some(match asked {
            Ok(()) => CheckResult::well(Vec::new(), latency_ms),
            Err(why) => CheckResult::failed(why, latency_ms),
        })
    }

    async fn ask_health(&self, connector: &Connector, api: &Api, url: Url) -> Result<(), String> {
        let response = self.fetch(connector, api, url).await.map_err(|failure| failure.detail)?;
        let status = response.status();
        // read to its end: else the connection would be lost to the registrations
        match read_body(response).await {
            _ if !status.is_success() => Err(format!("the maker answered {}", status.as_u16())),
            Read::Whole(_) | Read::TooLong => Ok(()),
            Read::Broken(ErrorKind::Timeout) => Err("the maker's answer did not end in time".to_owned()),
            Read::Broken(_) => Err("the maker's answer broke off".to_owned()),
        }
    }
}
