//! Flow 8: makers are checked, operators are told when one is ill and when it is well again, and nothing is submitted for it.

use proto::v1;
use proto::v1::operations_client::OperationsClient;
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};

use crate::notifications::Subscriber;
use crate::support::{PATIENCE, Service, Stage};

/// A round each second, and everything told after two.
const EVERY_SECOND: &str = "[health]\nevery_s = 1\nchecks_failed = 2";

async fn start(stage: &Stage) -> Service {
    let mut command = stage.command();
    command.env("REGFLOW__ALERTS__TO", "ops@example.org");
    stage.start_with(command).await
}

async fn status(service: &Service, maker: &str) -> v1::MakerStatus {
    let mut operations = OperationsClient::new(service.channel().await);
    let request = v1::ListMakersRequest { maker: maker.into() };
    operations.list_makers(request).await.unwrap().into_inner().makers.remove(0)
}

/// Waits until the maker's status shows it.
async fn until(service: &Service, maker: &str, fact: impl Fn(&v1::MakerStatus) -> bool) -> v1::MakerStatus {
    let asked = std::time::Instant::now();
    loop {
        let seen = status(service, maker).await;
        if fact(&seen) {
            return seen;
        }
        assert!(asked.elapsed() < PATIENCE, "never seen, it is {seen:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// Waits for a mail to the operators whose subject says so, and gives how many there are of it.
async fn mails(stage: &Stage, subject: &str) -> usize {
    let asked = std::time::Instant::now();
    loop {
        let mails = stage.sandbox.mailbox().mails();
        let count = mails.iter().filter(|mail| mail.subject.contains(subject)).count();
        if count > 0 {
            return count;
        }
        assert!(asked.elapsed() < PATIENCE, "no such mail: {:?}", mails.iter().map(|m| &m.subject).collect::<Vec<_>>());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_down_is_an_incident_that_is_mailed_once_and_closed_when_it_is_back() {
    let stage = Stage::new().await;
    stage.maker("norrland", &[], EVERY_SECOND);
    let service = start(&stage).await;
    until(&service, "norrland", |maker| maker.health() == v1::Health::Healthy).await;
    let mut subscriber = Subscriber::connect_to(&service, "notify.$operators.norrland.incident_opened").await;

    stage.fault(Maker::Norrland, Stage::answers(503, None));
    let ill = until(&service, "norrland", |maker| maker.incident.is_some()).await;
    assert_eq!(ill.health(), v1::Health::Down);
    assert!(!ill.alerts.is_empty());
    assert_eq!(mails(&stage, "an incident began").await, 1);
    let (_, told) = subscriber.next().await;
    assert_eq!(
        (&told["type"], &told["data"]["state"]),
        (&"io.regflow.maker.incident_opened.v1".into(), &"down".into())
    );

    stage.sandbox.faults().clear();
    until(&service, "norrland", |maker| maker.health() == v1::Health::Healthy && maker.incident.is_none()).await;
    assert_eq!(mails(&stage, "the incident is over").await, 1);
    assert_eq!(mails(&stage, "an incident began").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_changed_is_found_before_a_customer_meets_it_and_nothing_is_submitted() {
    let stage = Stage::new().await;
    stage.maker("brightwell", &[], EVERY_SECOND);
    let service = start(&stage).await;
    until(&service, "brightwell", |maker| maker.health() == v1::Health::Healthy).await;

    let renamed = Mode::RenameField { from: "serial_number".into(), to: "sn".into() };
    stage.fault(Maker::Brightwell, Fault::lasting(renamed).at(Scope::Form));
    let drifted = until(&service, "brightwell", |maker| !maker.alerts.is_empty()).await;
    let told = format!("{:?}", drifted.alerts);
    assert!(told.contains("serial_number") && told.contains("sn"), "{told}");
    assert_eq!(stage.ledger().len(), 0);
}
