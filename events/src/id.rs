//! Names of things: registrations, records, person keys, owners, shards.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The namespace of ids that are derived from a client's request id (UUID version 5).
const REQUEST_NAMESPACE: Uuid = Uuid::from_u128(0x6b1f_51d0_92a7_4c3e_8d55_7e67_666c_6f77);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::try_parse(text).map(Self).map_err(|_| BadId { what: stringify!($name) })
            }
        }
    };
}

uuid_id! {
    /// One product to register.
    RegistrationId
}
uuid_id! {
    /// One stored record; also the cause that a later record names.
    RecordId
}
uuid_id! {
    /// The key under which one person's data is sealed.
    PersonKeyId
}

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {what}: want a UUID such as 0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d")]
pub struct BadId {
    /// Which kind of id was wanted.
    pub what: &'static str,
}

impl RegistrationId {
    /// The id that a client's request always gets: the same tenant and request id give the same registration,
    /// so the fence of the log (expected sequence 0) makes a repeat find the first one.
    #[must_use]
    pub fn of_request(tenant: &str, request_id: &str) -> Self {
        let mut name = Vec::with_capacity(tenant.len() + 1 + request_id.len());
        name.extend_from_slice(tenant.as_bytes());
        name.push(0);
        name.extend_from_slice(request_id.as_bytes());
        Self(Uuid::new_v5(&REQUEST_NAMESPACE, &name))
    }

    /// A short code for people and paper: the last eight hex digits, upper case. Not unique, only recognisable.
    #[must_use]
    pub fn reference(&self) -> String {
        let hex = self.0.simple().to_string().to_uppercase();
        format!("RF-{}-{}", &hex[24..28], &hex[28..32])
    }
}

/// A position in the stream, from 1; 0 stands for "before the first".
pub type Sequence = u64;

/// The unit of ownership: all registrations of a connector are in one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard of a connector among `shards` of them (chosen when the stream is created).
    #[must_use]
    pub fn of(connector: &str, shards: u16) -> Self {
        let hash = blake3::hash(connector.as_bytes());
        let head = u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]]);
        Self(head % shards.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_request_of_a_tenant_gets_the_same_id() {
        assert_eq!(RegistrationId::of_request("a", "1"), RegistrationId::of_request("a", "1"));
        assert_ne!(RegistrationId::of_request("a", "1"), RegistrationId::of_request("b", "1"));
        assert_ne!(RegistrationId::of_request("a", "b1"), RegistrationId::of_request("ab", "1"));
    }

    #[test]
    fn a_shard_is_always_below_the_number_of_shards() {
        for name in ["norrland", "kestrel", "", "é"] {
            assert!(Shard::of(name, 64).0 < 64);
            assert_eq!(Shard::of(name, 0), Shard(0));
        }
    }

    #[test]
    fn a_text_that_is_no_uuid_is_refused_with_an_example() {
        let refused = "nonsense".parse::<RegistrationId>().map_err(|e| e.to_string());
        assert!(refused.is_err_and(|text| text.contains("RegistrationId") && text.contains("0192f0c4")));
    }
}
