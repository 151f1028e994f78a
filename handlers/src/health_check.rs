//! Health check: the API's health endpoint is asked, and the form is looked at and never submitted.

use connectors::Connector;
use events::{CheckResult, Method};

use crate::world::World;

/// Whether there is anything to check.
pub(crate) fn can_check(connector: &Connector) -> bool {
    let methods = connector.ladder();
    (methods.contains(&Method::Api) && connector.has_health())
        || (methods.contains(&Method::AutomationReliable) && connector.form_baseline().is_some())
}

/// Checks the API and the form of a maker, each if it can be checked.
pub(crate) async fn check(world: &World, connector: &str) -> (Option<CheckResult>, Option<CheckResult>) {
    let Some(connector) = world.catalog.get(connector) else { return (None, None) };
    let api = world.api.check_health(connector).await;
    // boxed: a browser's future is large
    let form = Box::pin(connectors::check_form(connector, &world.browsers)).await;
    (api, form)
}
