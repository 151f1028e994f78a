//! `regflow webhooks`: how deliveries stand, and delivering the past again.

use proto::v1;

use super::operations::{operations, operator};
use super::{ClientError, Outcome, bounded};
use crate::cli::{Client, RedeliverArgs, WebhooksCommand};
use crate::show;

pub async fn webhooks(command: WebhooksCommand) -> Outcome {
    match command {
        WebhooksCommand::List(client) => list(client).await,
        WebhooksCommand::Redeliver(args) => redeliver(args).await,
    }
}

async fn list(client: Client) -> Outcome {
    let mut service = operations(&client).await?;
    let known = service.list_webhooks(bounded(v1::ListWebhooksRequest {})).await?.into_inner().webhooks;
    if client.json {
        for webhook in &known {
            show::say(&show::json(webhook))?;
        }
        return Ok(());
    }
    if known.is_empty() {
        return Ok(show::say("no webhooks; regflow.toml tells how to add one")?);
    }
    Ok(show::say(show::webhooks(&known).trim_end())?)
}

async fn redeliver(args: RedeliverArgs) -> Outcome {
    let since_time = args.since.as_deref().map(moment).transpose()?;
    let request = v1::RedeliverWebhooksRequest {
        tenant: args.tenant,
        name: args.name.clone(),
        since_time,
        since_sequence: args.since_sequence.unwrap_or_default(),
        operator: operator(&args.why)?,
        reason: args.why.reason,
    };
    let mut service = operations(&args.client).await?;
    let done = service.redeliver_webhooks(bounded(request)).await?.into_inner();
    if args.client.json {
        return Ok(show::say(&show::json(&done))?);
    }
    Ok(show::say(&format!("{}: {} notifications are delivered again", args.name, done.notifications))?)
}

fn moment(text: &str) -> Result<proto::Timestamp, ClientError> {
    let at: jiff::Timestamp =
        text.parse().map_err(|_| ClientError::Usage("--since is no time; write it like 2026-11-25T08:00:00Z"))?;
    Ok(proto::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() })
}
