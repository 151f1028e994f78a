//! How facts become bytes: a number and a version for each, and its own postcard body. A stored struct is frozen: a change
//! is a new version, and the older one is turned into it when it is read.

use serde::{Deserialize, Serialize};

/// A set of facts that records can hold.
pub trait Fact: Sized {
    /// The number of its kind in stored bytes.
    fn tag(&self) -> u16;
    /// The version of its schema that is written today.
    fn schema_version(&self) -> u16;
    /// Its name as people and subscribers see it, for example `attempt_failed`.
    fn name(&self) -> &'static str;
    /// Its bytes.
    ///
    /// # Errors
    /// When it cannot be written, which no fact of ours should cause.
    fn body(&self) -> postcard::Result<Vec<u8>>;
    /// What bytes say; nothing when no such fact is known.
    fn from_body(tag: u16, version: u16, body: &[u8]) -> Option<postcard::Result<Self>>;
}

/// Declares a set once: variant, tag in stored bytes (never reused), schema version, older versions with the types that
/// still read them, name for people.
macro_rules! facts {
    ($(#[$set_doc:meta])* $set:ident {
        $($(#[$doc:meta])* $name:ident = $tag:literal v $version:literal $(($old:literal: $old_type:ty))* $text:literal;)+
    }) => {
        $(#[$set_doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
        #[serde(untagged)]
        pub enum $set { $($(#[$doc])* $name($name),)+ }

        $(impl From<$name> for $set {
            fn from(fact: $name) -> Self { Self::$name(fact) }
        })+

        impl $set {
            /// Every tag with the version that is written today and its name.
            pub const TAGS: &'static [(u16, u16, &'static str)] = &[$(($tag, $version, $text),)+];

            /// Its name as people and subscribers see it, for example `attempt_failed`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)+ }
            }

            /// The number of its kind in stored bytes.
            #[must_use]
            pub const fn tag(&self) -> u16 {
                match self { $(Self::$name(_) => $tag,)+ }
            }

            /// The version of its schema that is written today.
            #[must_use]
            pub const fn schema_version(&self) -> u16 {
                match self { $(Self::$name(_) => $version,)+ }
            }
        }

        impl $crate::fact::Fact for $set {
            fn tag(&self) -> u16 {
                Self::tag(self)
            }

            fn schema_version(&self) -> u16 {
                Self::schema_version(self)
            }

            fn name(&self) -> &'static str {
                Self::name(self)
            }

            fn body(&self) -> postcard::Result<Vec<u8>> {
                match self { $(Self::$name(fact) => $crate::fact::bytes(fact),)+ }
            }

            fn from_body(tag: u16, version: u16, body: &[u8]) -> Option<postcard::Result<Self>> {
                match (tag, version) {
                    $(($tag, $version) => Some($crate::fact::whole(body).map(Self::$name)),)+
                    $($(($tag, $old) => Some(
                        $crate::fact::whole::<$old_type>(body).map(|old| Self::$name(old.into()))
                    ),)*)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use facts;

/// As postcard, in one piece of memory for most: grown step by step it costs as much again.
pub(crate) fn bytes(what: &impl Serialize) -> postcard::Result<Vec<u8>> {
    /// Longer than most.
    const USUAL_BYTES: usize = 512;
    postcard::to_extend(what, Vec::with_capacity(USUAL_BYTES))
}

/// Decodes all of `body`; a remainder is an error, because postcard reads a longer struct's head as a shorter one.
pub(crate) fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> postcard::Result<T> {
    match postcard::take_from_bytes(body)? {
        (value, []) => Ok(value),
        (_, _) => Err(postcard::Error::SerdeDeCustom),
    }
}
