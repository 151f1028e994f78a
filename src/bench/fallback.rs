//! Scenario `fallback`: the first method fails for every registration, and the second one succeeds.
//!
//! The second method of a ladder with an API is a web form, which needs a browser, or a packet, which needs a PDF: either is
//! slower by itself than all that is measured here. So the second method is a plain call: the maker's API once more, at once.
//! An attempt fails with 503, that is stored with the start of the second attempt when the registration keeps its turn (decision
//! 21; else it is stored alone, and the registration stands in line again), and the second attempt succeeds.

use anyhow::Context;
use proto::v1;
use proto::v1::operations_client::OperationsClient;
use serde_json::{Value, json};

use super::client::{self, Client};
use super::load::{Load, Pace};
use super::stage::Stage;
use super::{happy, report};
use crate::cli::BenchArgs;

/// The maker that is changed, and its file as it is built in.
const MAKER: &str = "norrland";
const FILE: &str = include_str!("../../connectors/catalog/norrland.toml");

/// As fast as it goes.
pub async fn run(args: &BenchArgs) -> anyhow::Result<Value> {
    let stage = Stage::set(args.relaxed).await?;
    prepare(&stage).await?;
    let service = stage.serve().await?;
    hold_circuit(&service.file.grpc).await?;
    let client = Client::open(&service.file, args.over, args.connections).await?;
    let load =
        Load { first: 0, count: args.registrations(), batch: args.batch(), pace: Pace::InFlight(args.in_flight) };
    let before = service.usage().await?;
    let measured = load.run(&client, 0).await?;
    let mut told = json!({
        "scenario": "fallback",
        "over": args.over.as_str(),
        "first_method": "the maker's API, which answers 503",
        "second_method": "the maker's API once more, at once: a plain call in place of a web form, which needs a browser",
        "attempts_per_registration": attempts(&client, &measured.ids).await?,
    });
    report::add(&mut told, happy::figures(&service, &load, &measured, &before).await?);
    happy::finish(stage, service, args, told, Some(&measured)).await
}

/// Has the maker refuse first tries and be called again at once; before the service starts.
pub async fn prepare(stage: &Stage) -> anyhow::Result<()> {
    std::fs::write(stage.catalog()?.join(format!("{MAKER}.toml")), maker()?)?;
    fail_first_tries(&stage.sandbox_url).await
}

/// Has the maker in this sandbox refuse the first try of each registration.
pub async fn fail_first_tries(sandbox: &str) -> anyhow::Result<()> {
    let fault = json!({ "mode": "status", "status": 503, "scope": "api", "once_each": true });
    client::set_fault(sandbox, MAKER, &fault).await
}

/// The maker's file with a second try at once.
fn maker() -> anyhow::Result<String> {
    let mut file: toml::Table = FILE.parse().context("the built-in file of the maker is broken")?;
    let retry = toml::Table::from_iter(
        [("tries_max", 2), ("base_ms", 0), ("cap_ms", 0)]
            .map(|(key, value)| (key.to_owned(), toml::Value::Integer(value))),
    );
    file.insert("retry".to_owned(), toml::Table::from_iter([("api".to_owned(), retry.into())]).into());
    Ok(toml::to_string(&file)?)
}

/// As an operator would: else the circuit opens, and what is measured is a pause.
pub async fn hold_circuit(grpc: &str) -> anyhow::Result<()> {
    let request = v1::ForceCircuitRequest {
        maker: MAKER.into(),
        method: v1::Method::Api.into(),
        position: v1::CircuitPosition::Closed.into(),
        reason: "the benchmark measures the fallback, not the pause".into(),
        operator: "regflow bench".into(),
    };
    let channel = crate::client::connect_plainly(grpc).await?;
    OperationsClient::new(channel).force_circuit(request).await.context("failed to hold the circuit")?;
    Ok(())
}

/// Attempts of the last registration: that it was two shows that the first one failed.
pub async fn attempts(client: &Client, ids: &[String]) -> anyhow::Result<u32> {
    let id = ids.last().context("nothing was accepted")?.clone();
    let mut registrations = v1::registrations_client::RegistrationsClient::new(client.channel());
    Ok(registrations.get(v1::GetRequest { id, min_sequence: 0 }).await?.into_inner().attempts)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_makers_file_is_a_sound_one() {
        let file = super::maker().expect("a file");
        let connector = connectors::Connector::parse("norrland.toml", &file).expect("a connector");
        assert_eq!(connector.id(), "norrland");
    }
}
