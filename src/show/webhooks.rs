//! Webhooks in a terminal: one line each.

use proto::v1;

use super::{printable, table, time};

/// All of them.
pub fn webhooks(known: &[v1::WebhookStatus]) -> String {
    let mut table = table(["TENANT", "NAME", "URL", "PENDING", "UNDER WAY", "LAST TAKEN", "LAST FAILURE"]);
    for webhook in known {
        let failure = match (webhook.gone, webhook.failure_time) {
            (true, _) => "gone: nothing is sent until `regflow webhooks redeliver` or a restart".to_owned(),
            (false, Some(at)) => format!("{}, {}", printable(&webhook.failure), time(at)),
            (false, None) => "-".to_owned(),
        };
        table.add_row([
            webhook.tenant.clone(),
            webhook.name.clone(),
            printable(&webhook.url).to_string(),
            webhook.pending.to_string(),
            webhook.unacknowledged.to_string(),
            webhook.success_time.map_or_else(|| "-".to_owned(), time),
            failure,
        ]);
    }
    table.trim_fmt()
}
