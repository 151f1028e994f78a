//! The health of makers' forms: the shipped baselines against the sandbox as it is, and as faults make it.

use std::path::PathBuf;
use std::sync::LazyLock;

use events::{CheckResult, DriftKind, Method};
use form::{BrowserOptions, Browsers, discover};
use regflow_connectors::{baseline_toml, check_form};
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};
use tokio::runtime::Runtime;

use crate::support::{World, world};

/// One runtime and one set of browsers for all tests of this file: their driver lives in it.
pub(crate) static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
pub(crate) static BROWSERS: LazyLock<Browsers> = LazyLock::new(|| {
    let _on_runtime = RUNTIME.enter();
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("connectors-forms");
    Browsers::start(BrowserOptions::new(discover().expect("these tests need a real browser"), folder)).unwrap()
});

async fn check(world: &World, id: &str) -> CheckResult {
    check_form(world.catalog.get(id).unwrap(), &BROWSERS).await.unwrap()
}

fn found(result: &CheckResult) -> Vec<(DriftKind, &str)> {
    result.drift.iter().map(|drift| (drift.kind, drift.field.as_str())).collect()
}

#[test]
fn the_shipped_forms_have_not_drifted_from_their_baselines() {
    RUNTIME.block_on(async {
        let world = world().await;
        for connector in world.catalog.iter() {
            let has_form = connector.ladder().contains(&Method::AutomationReliable);
            let checked = check_form(connector, &BROWSERS).await;
            assert_eq!(checked.is_some(), has_form, "{}", connector.id());
            if let Some(checked) = checked {
                let seen = BROWSERS.look(&connector.form_sample().unwrap()).await.shape.unwrap();
                let (id, section) = (connector.id(), baseline_toml(&seen));
                assert!(connector.form_baseline().is_some(), "{id} has no baseline; it is\n{section}");
                assert_eq!((checked.failure, checked.drift), (None, Vec::new()), "{id} is now\n{section}");
            }
        }
        assert_eq!(world.sandbox.ledger().count(&Default::default()).total, 0, "nothing was sent");
    });
}

#[test]
fn each_way_in_which_a_form_of_the_sandbox_can_drift_is_found() {
    let name = |name: &str| name.to_owned();
    let cases = [
        (Mode::RenameField { from: name("serial_number"), to: name("sn") }, DriftKind::Renamed, "serial_number"),
        (Mode::AddField { name: name("fax") }, DriftKind::Added, "fax"),
        (Mode::RemoveField { name: name("country") }, DriftKind::Removed, "country"),
        (Mode::ToggleRequired { name: name("newsletter") }, DriftKind::RequiredChanged, "newsletter"),
        (Mode::Captcha, DriftKind::CaptchaAdded, ""),
        (Mode::LoginWall, DriftKind::LoginWall, ""),
    ];
    RUNTIME.block_on(async {
        let world = world().await;
        for (mode, kind, field) in cases {
            world.fault(Maker::Brightwell, Fault::lasting(mode));
            let checked = check(&world, "brightwell").await;
            assert_eq!((checked.failure.as_ref(), found(&checked)), (None, vec![(kind, field)]));
        }
        world.fault(Maker::Brightwell, Fault::lasting(Mode::None));
        assert_eq!(found(&check(&world, "brightwell").await), []);
    });
}

#[test]
fn a_form_that_cannot_be_reached_is_a_failure_and_a_missing_one_is_nothing() {
    RUNTIME.block_on(async {
        let world = world().await;
        let unwell = Mode::Status { status: 503, retry_after_s: None };
        world.fault(Maker::Aurora, Fault::lasting(unwell).at(Scope::Form));
        let checked = check(&world, "aurora").await;
        assert_eq!(checked.failure.as_deref(), Some("the form's address shows a page with status 503"));
        let without_form = check_form(world.catalog.get("norrland").unwrap(), &BROWSERS).await;
        assert_eq!(without_form, None);
    });
}
