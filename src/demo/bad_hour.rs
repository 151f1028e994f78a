//! After the products: one maker has a bad hour, so that the operations page shows what it is for.

use std::path::{Path, PathBuf};

use anyhow::Context;
use connectors::Catalog;
use proto::v1;
use proto::v1::registrations_client::RegistrationsClient;
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Target};

use crate::client;
use crate::serve::Running;
use crate::show::{Paint, tell};

/// Who has it.
const MAKER: &str = "norrland";
/// It is looked at so often that nobody has to wait for the incident.
const HEALTH: &str = "\n[health]\nevery_s = 5\nchecks_failed = 2\n";
/// What comes in meanwhile: a serial number and its class.
const MEANWHILE: [(&str, v1::Priority); 6] = [
    ("NO30000001", v1::Priority::Normal),
    ("NO30000002", v1::Priority::High),
    ("NO30000003", v1::Priority::Normal),
    ("NO30000004", v1::Priority::Low),
    ("NO30000005", v1::Priority::High),
    ("NO30000006", v1::Priority::Low),
];

/// A folder with the maker's file, which checks more often than the built-in one.
pub fn catalog(data: &Path) -> anyhow::Result<PathBuf> {
    let folder = data.join("catalog");
    std::fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let built_in = Catalog::built_in_file(MAKER).context("the maker of the bad hour is not in the catalog")?;
    std::fs::write(folder.join(format!("{MAKER}.toml")), format!("{built_in}{HEALTH}"))?;
    Ok(folder)
}

/// From now on the maker answers 503, and products of it come in.
pub async fn begin(sandbox: &sandbox::Sandbox, running: &Running, paint: Paint) -> anyhow::Result<()> {
    let down = Fault::lasting(Mode::Status { status: 503, retry_after_s: None });
    sandbox.faults().set(Target::Maker(Maker::Norrland), down);
    let mut service =
        RegistrationsClient::new(client::connect_plainly(&format!("http://{}", running.grpc_addr)).await?);
    let requests = MEANWHILE.iter().map(|(serial, priority)| product(serial, *priority)).collect();
    service.submit_batch(v1::SubmitBatchRequest { requests }).await?;
    let text = format!("{MAKER} has a bad hour now: its API answers 503, its circuit opens, what comes in waits");
    tell!("\n{}", paint.dim(&text));
    Ok(())
}

fn product(serial: &str, priority: v1::Priority) -> v1::SubmitRequest {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    v1::SubmitRequest {
        product: Some(v1::Product { brand: "Norrland".into(), model: "Fjell 600".into(), serial: serial.into() }),
        purchase: Some(v1::Purchase { date: today.to_string(), ..Default::default() }),
        owner: Some(v1::Owner {
            name: "Zoë Lindqvist-Ångström".into(),
            email: "zoe@example.org".into(),
            address: Some(v1::Address { country: "DK".into(), ..Default::default() }),
            ..Default::default()
        }),
        priority: priority.into(),
        ..Default::default()
    }
}
