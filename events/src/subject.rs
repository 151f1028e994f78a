//! The only place that spells a subject.

use uuid::Uuid;

use crate::id::{RegistrationId, Shard};

/// The stream of all records.
pub const EVENTS_STREAM: &str = "EVENTS";
/// The stream that outside subscribers read.
pub const NOTIFY_STREAM: &str = "NOTIFY";
/// The stream of leases.
pub const LEASES_STREAM: &str = "KV_LEASES";
/// The lease of all shards.
pub const SHARDS_LEASE: &str = "$KV.LEASES.shards";

/// The subject of one registration: all its records, and the fence of its history.
#[must_use]
pub fn registration(shard: Shard, id: RegistrationId) -> String {
    let mut buffer = Uuid::encode_buffer();
    let id = id.0.as_simple().encode_lower(&mut buffer);
    let mut subject = String::with_capacity(4 + 5 + 1 + 32);
    subject.push_str("reg.");
    subject.push_str(&shard.0.to_string());
    subject.push('.');
    subject.push_str(id);
    subject
}

/// The subject of one maker: its circuits, its pauses, its health.
#[must_use]
pub fn maker(shard: Shard, connector: &str) -> String {
    format!("circuit.{}.{}", shard.0, token(connector))
}

/// The connector that a subject names, if it names one.
#[must_use]
pub fn parse_maker(subject: &str) -> Option<(Shard, &str)> {
    let (shard, connector) = subject.strip_prefix("circuit.")?.split_once('.')?;
    Some((Shard(shard.parse().ok()?), connector))
}

/// Whether a subject of the stream of records is that of a registration or a maker; others have a place there as well. By its
/// first word only, so that a record under a subject that is misspelt behind it is seen and reported.
#[must_use]
pub fn holds_records(subject: &str) -> bool {
    subject.starts_with("reg.") || subject.starts_with("circuit.")
}

/// The registration that a subject names, if it names one.
#[must_use]
pub fn parse_registration(subject: &str) -> Option<(Shard, RegistrationId)> {
    let (shard, id) = subject.strip_prefix("reg.")?.split_once('.')?;
    Some((Shard(shard.parse().ok()?), RegistrationId(Uuid::try_parse(id).ok()?)))
}

/// The subject of a notification: `notify.<tenant>.<registration>.<what>`.
#[must_use]
pub fn notification(tenant: &str, id: RegistrationId, what: &str) -> String {
    format!("notify.{}.{}.{what}", token(tenant), id.0.as_simple())
}

/// The subject filters of what a tenant is told: these facts, or all when none is named. Operators' notifications are no
/// tenant's.
#[must_use]
pub fn notifications_of(tenant: &str, facts: &[String]) -> Vec<String> {
    let tenant = token(tenant);
    if facts.is_empty() {
        return vec![format!("notify.{tenant}.>")];
    }
    facts.iter().map(|fact| format!("notify.{tenant}.*.{}", token(fact))).collect()
}

/// The subject of a notification about a maker, for operators; no tenant's name holds a `$`.
#[must_use]
pub fn maker_notification(connector: &str, what: &str) -> String {
    format!("notify.$operators.{}.{what}", token(connector))
}

/// A text as one token of a subject: what NATS gives a meaning to, and white space, becomes `_`.
fn token(text: &str) -> String {
    let clean = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let token: String = text.chars().map(clean).collect();
    if token.is_empty() { "_".to_owned() } else { token }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RegistrationId = RegistrationId(Uuid::from_u128(0xabc));

    #[test]
    fn a_registration_subject_reads_back() {
        let subject = registration(Shard(7), ID);
        assert_eq!(subject, "reg.7.00000000000000000000000000000abc");
        assert_eq!(parse_registration(&subject), Some((Shard(7), ID)));
    }

    #[test]
    fn a_maker_subject_reads_back() {
        let subject = maker(Shard(7), "norrland");
        assert_eq!(subject, "circuit.7.norrland");
        assert_eq!(parse_maker(&subject), Some((Shard(7), "norrland")));
        assert_eq!(parse_maker("circuit.x.norrland"), None);
    }

    #[test]
    fn records_stand_under_registrations_and_makers_and_nowhere_else() {
        assert!(holds_records(&registration(Shard(7), ID)) && holds_records(&maker(Shard(7), "norrland")));
        assert!(holds_records("reg.x.nonsense"));
        assert!(!holds_records("ops.pause") && !holds_records("register"));
    }

    #[test]
    fn other_subjects_name_no_registration() {
        for other in ["", "reg.7", "reg.x.00000000000000000000000000000abc", "circuit.7.norrland", "reg.7.nonsense"] {
            assert_eq!(parse_registration(other), None, "{other}");
        }
    }

    #[test]
    fn a_filter_of_one_tenant_lets_through_what_was_chosen_and_nothing_of_others() {
        assert_eq!(notifications_of("shop", &[]), ["notify.shop.>"]);
        assert_eq!(notifications_of(">", &["expired".to_owned()]), ["notify._.*.expired"]);
    }

    #[test]
    fn a_hostile_tenant_stays_one_token() {
        assert_eq!(notification("a.>*\r\n", ID, "x"), "notify.a_____.00000000000000000000000000000abc.x");
    }
}
