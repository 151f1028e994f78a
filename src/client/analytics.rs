//! The command that asks how attempts ended.

use proto::v1;
use proto::v1::analytics_client::AnalyticsClient;

use super::{Outcome, bounded, connect, method_of};
use crate::cli::MetricsArgs;
use crate::show::{self, Paint};

pub async fn metrics(args: MetricsArgs) -> Outcome {
    let mut service = AnalyticsClient::new(connect(&args.client).await?);
    let now = handlers::system_clock();
    let start = events::Timestamp(now.0 - i64::try_from(args.window.as_micros()).unwrap_or(now.0));
    let request = v1::MetricsRequest {
        start_time: Some(show::wire_time(start)),
        end_time: Some(show::wire_time(now)),
        maker: args.maker,
        method: method_of(args.method).into(),
        ..Default::default()
    };
    let answer = service.metrics(bounded(request)).await?.into_inner();
    if args.client.json {
        return Ok(show::say(&show::json(&answer))?);
    }
    Ok(show::say(show::metrics(&answer, Paint::stdout()).trim_end())?)
}
