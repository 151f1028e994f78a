//! What of a person's details leaves, and where to: part of the events that are stored before it does; and what came back.
//!
//! Fields stand in stored bytes as the bits of one number, because nearly every attempt names the same dozen.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The names of fields by their bits. A number is never given to another field, and none is taken away.
pub const NUMBERED: &[(u8, &str)] = &[
    (0, "product.brand"),
    (1, "product.model"),
    (2, "product.serial"),
    (3, "purchase.date"),
    (4, "purchase.shop"),
    (5, "purchase.price"),
    (6, "purchase.installation_date"),
    (7, "purchase.delivery_date"),
    (8, "owner.name"),
    (9, "owner.email"),
    (10, "owner.phone"),
    (11, "owner.address.street"),
    (12, "owner.address.postal_code"),
    (13, "owner.address.city"),
    (14, "owner.address.country"),
    (15, MARKETING_CONSENT),
    (16, PROOF_OF_PURCHASE),
];

/// Whether the owner wants advertising: no text field, but it leaves like one.
pub const MARKETING_CONSENT: &str = "marketing_consent";
/// The receipt, where a form takes it as a file.
pub const PROOF_OF_PURCHASE: &str = "proof_of_purchase";

/// One thing that leaves for a maker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// The host, with its port unless that is the usual one.
    pub to: String,
    /// The fields of the details that are in it.
    pub fields: SentFields,
}

/// A set of fields. To people and in JSON a list of names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SentFields {
    /// By [`NUMBERED`].
    known: u64,
    /// The names below `extra.`, sorted.
    extra: Vec<String>,
}

/// The maker's answer, as far as it can be told without showing it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// The HTTP status.
    pub status: u16,
    /// BLAKE3 of its body.
    #[serde(with = "hash")]
    pub body: [u8; 32],
}

impl Received {
    /// What came back.
    #[must_use]
    pub fn new(status: u16, body: &[u8]) -> Self {
        Self { status, body: *blake3::hash(body).as_bytes() }
    }
}

impl SentFields {
    /// Adds a field; a name that is none of ours is left out.
    pub fn insert(&mut self, name: &str) {
        if let Some(extra) = name.strip_prefix("extra.") {
            if let Err(place) = self.extra.binary_search_by(|known| known.as_str().cmp(extra)) {
                self.extra.insert(place, extra.to_owned());
            }
        } else if let Some((number, _)) = NUMBERED.iter().find(|(_, known)| *known == name) {
            self.known |= 1 << number;
        }
    }

    /// Their names, in the order of the vocabulary. A number that this program does not know is shown as one.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let named = |number: u8| {
            let known = NUMBERED.iter().find(|(known, _)| *known == number);
            known.map_or_else(|| format!("field {number} of a newer program"), |(_, name)| (*name).to_owned())
        };
        let known = (0..64).filter(|number| self.known & (1 << number) != 0).map(named);
        known.chain(self.extra.iter().map(|name| format!("extra.{name}"))).collect()
    }
}

impl<'n> FromIterator<&'n str> for SentFields {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut fields = Self::default();
        names.into_iter().for_each(|name| fields.insert(name));
        fields
    }
}

impl Serialize for SentFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.names().serialize(serializer)
        } else {
            (self.known, &self.extra).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for SentFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let names = Vec::<String>::deserialize(deserializer)?;
            return Ok(names.iter().map(String::as_str).collect());
        }
        let (known, extra) = <(u64, Vec<String>)>::deserialize(deserializer)?;
        Ok(Self { known, extra })
    }
}

/// Hex digits in text, bytes in bytes.
mod hash {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(hash: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&hex::encode(hash))
        } else {
            hash.serialize(serializer)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer);
        }
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| D::Error::custom("a hash has 64 hex digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::details::FIELDS;

    #[test]
    fn every_field_has_a_number_of_its_own_that_fits() {
        for name in FIELDS {
            assert_eq!(NUMBERED.iter().filter(|(_, known)| known == name).count(), 1, "{name}");
        }
        assert_eq!(NUMBERED.len(), FIELDS.len() + 2);
        let whole = NUMBERED.iter().fold(0_u64, |all, (number, _)| all | 1 << number);
        assert_eq!(whole.count_ones() as usize, NUMBERED.len());
    }

    #[test]
    fn a_set_keeps_its_names_sorted_and_once_and_leaves_others_out() {
        let fields: SentFields =
            ["owner.email", "extra.size", "product.brand", "extra.colour", "owner.email", "idempotency_key"]
                .into_iter()
                .collect();
        assert_eq!(fields.names(), ["product.brand", "owner.email", "extra.colour", "extra.size"]);
        let bytes = postcard::to_stdvec(&fields).expect("encodes");
        assert_eq!(postcard::from_bytes::<SentFields>(&bytes), Ok(fields));
    }

    #[test]
    fn a_set_of_the_usual_fields_takes_four_bytes() {
        let fields: SentFields = FIELDS.iter().copied().chain([MARKETING_CONSENT]).collect();
        assert_eq!(postcard::to_stdvec(&fields).map(|bytes| bytes.len()), Ok(4));
    }

    #[test]
    fn a_number_of_a_newer_program_is_not_lost() {
        let newer = SentFields { known: 1 << 40, extra: Vec::new() };
        assert_eq!(newer.names(), ["field 40 of a newer program"]);
    }
}
