//! How a file says that its maker is guarded, and until when a product is taken.

use std::time::Duration;

use events::policy::{CircuitPolicy, Concurrency, HealthPolicy, MakerPolicy, RateLimit, Refill, WhenOpen};
use events::{Deadline, DeadlineFrom};
use jiff::civil::date;
use regflow_connectors::{Catalog, Connector};

use crate::support::details;

const BARE: &str = r#"
name = "Acme"
brands = ["Acme"]
sends = ["product.model"]
ladder = ["ASSISTED_MANUAL"]
"#;

fn connector(sections: &str) -> Connector {
    Connector::parse("acme.toml", &format!("{BARE}{sections}\n[manual]\nsteps = [\"Write to them.\"]\n")).unwrap()
}

#[test]
fn a_file_that_says_nothing_is_guarded_as_everywhere() {
    let bare = connector("");
    assert_eq!(bare.policy(), &MakerPolicy::default());
    assert_eq!(bare.deadline_rule(), None);
    assert_eq!(bare.register_by(&details()), None);
}

#[test]
fn what_a_file_says_of_its_guards_is_what_holds() {
    let policy = connector(
        r#"
        circuit = { failures = 2, open_s = 30, successes = 1, when_open = "wait" }
        limits = [{ max = 100, per_s = 60, refill = "interval" }, { max = 1_000, per_s = 3_600 }]
        concurrency = { api = 4 }
        [health]
        every_s = 60
        down_below_percent = 10
        latency_p95_max_ms = 1_500
        recover_after = 4
        "#,
    );
    let minute = RateLimit { max: 100, per: Duration::from_secs(60), refill: Refill::Interval };
    let hour = RateLimit { max: 1_000, per: Duration::from_secs(3_600), refill: Refill::Smooth };
    let wanted = MakerPolicy {
        circuit: CircuitPolicy {
            failures: 2,
            open_for: Duration::from_secs(30),
            successes: 1,
            when_open: WhenOpen::Wait,
        },
        limits: vec![minute, hour],
        concurrency: Concurrency { api: 4, ..Concurrency::default() },
        health: HealthPolicy {
            every: Duration::from_secs(60),
            down_below_percent: 10,
            latency_p95_max: Duration::from_millis(1_500),
            recover_after: 4,
            ..HealthPolicy::default()
        },
    };
    assert_eq!(policy.policy(), &wanted);
}

#[test]
fn the_day_that_counts_and_the_owners_country_decide() {
    let file = |from: &str| {
        connector(&format!("[register_by]\ndays = 28\nfrom = \"{from}\"\n[register_by.countries]\nDK = 60\nSE = 90\n"))
    };
    let mut details = details();
    details.purchase.date = Some(date(2026, 10, 2));
    details.purchase.delivered_on = Some(date(2026, 10, 4));
    assert_eq!(file("purchase").register_by(&details), Some(date(2026, 12, 1)));
    assert_eq!(file("delivery").register_by(&details), Some(date(2026, 12, 3)));
    assert_eq!(file("installation").register_by(&details), None, "nobody said when it was installed");
    details.owner.address.country = Some("NO".into());
    assert_eq!(file("delivery").register_by(&details), Some(date(2026, 11, 1)));
    assert_eq!(file("delivery").deadline_rule().unwrap().from, DeadlineFrom::Delivery);
}

#[test]
fn the_day_of_the_purchase_alone_is_enough_only_where_it_counts() {
    let bought = date(2026, 1, 1);
    assert_eq!(connector("register_by = { days = 28 }").register_by_purchase(bought), Some(date(2026, 1, 29)));
    let from_delivery = connector("register_by = { days = 28, from = \"delivery\" }");
    assert_eq!(from_delivery.register_by_purchase(bought), None);
}

#[test]
fn a_last_day_comes_with_the_days_that_the_file_says() {
    let last_day = date(2026, 12, 1);
    let own = connector("register_by = { days = 28, manual_days = 10, alert_days = 21 }");
    assert_eq!(own.deadline(last_day), Deadline { last_day, manual_days: 10, alert_days: 21 });
    assert_eq!(connector("").deadline(last_day), Deadline { last_day, manual_days: 2, alert_days: 7 });
}

#[test]
fn the_shipped_makers_show_each_kind_of_guard() {
    let catalog = Catalog::builtin().unwrap();
    let policy = |id: &str| catalog.get(id).unwrap().policy();
    let drawn = RateLimit { max: 100, per: Duration::from_secs(60), refill: Refill::Interval };
    assert_eq!(policy("kestrel").limits, [drawn]);
    assert_eq!(policy("brightwell").limits.len(), 2);
    assert_eq!(policy("aurora").circuit.when_open, WhenOpen::Wait);
    assert_eq!(policy("norrland"), &MakerPolicy::default(), "the benchmark is not held back");
    assert_eq!(catalog.get("castello").unwrap().deadline_rule().unwrap().countries["CH"], 60);
}
