//! What templates may see of a registration: the fields that its connector declares, and nothing else.

use std::collections::BTreeMap;

use events::Details;
use events::details::FIELDS;
use events::sending::MARKETING_CONSENT;
use minijinja::value::Value;

use crate::expression::Names;
use crate::source::nearest;

/// Ours, not the person's: always there.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// The fields that a connector declares in `sends`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared(Vec<String>);

impl Declared {
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|declared| declared == name)
    }

    /// Why a template may not use this variable; the text fits after "uses".
    pub(crate) fn objection(&self, variable: &str) -> Option<String> {
        if variable == IDEMPOTENCY_KEY || self.contains(variable) {
            return None;
        }
        Some(match unknown_field(variable) {
            None => format!("`{variable}`, which `sends` does not declare; add it there or take it out here"),
            Some(problem) => problem,
        })
    }
}

/// What is wrong with the name of a field, with the nearest that exists.
pub(crate) fn unknown_field(name: &str) -> Option<String> {
    let extra = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if FIELDS.contains(&name) || name == MARKETING_CONSENT || name.strip_prefix("extra.").is_some_and(extra) {
        return None;
    }
    let known = FIELDS.iter().copied().chain([MARKETING_CONSENT]);
    let hint = nearest(name, known).map_or_else(|| FIELDS.join(", "), |hint| format!("did you mean `{hint}`?"));
    let lead = if hint.starts_with("did") { "" } else { "fields are " };
    Some(format!("unknown field `{name}`; {lead}{hint}"))
}

/// One registration as its connector's templates see it.
pub(crate) struct Sent<'a> {
    details: &'a Details,
    declared: &'a Declared,
    idempotency_key: &'a str,
}

impl<'a> Sent<'a> {
    pub(crate) fn new(details: &'a Details, declared: &'a Declared, idempotency_key: &'a str) -> Self {
        Self { details, declared, idempotency_key }
    }
}

impl Names for Sent<'_> {
    fn get(&self, path: &str) -> Value {
        if path == IDEMPOTENCY_KEY {
            return Value::from(self.idempotency_key);
        }
        if !self.declared.contains(path) {
            return Value::UNDEFINED;
        }
        if path == MARKETING_CONSENT {
            return Value::from(self.details.marketing_consent);
        }
        self.details.field(path).map_or(Value::UNDEFINED, Value::from)
    }

    fn root(&self, paths: &[String]) -> Value {
        let mut tree = Tree::default();
        for path in paths {
            tree.insert(path, self.get(path));
        }
        tree.into_value()
    }
}

/// Dotted names as nested tables.
#[derive(Default)]
struct Tree {
    value: Option<Value>,
    below: BTreeMap<String, Tree>,
}

impl Tree {
    fn insert(&mut self, path: &str, value: Value) {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let child = self.below.entry(first.to_owned()).or_default();
        match rest {
            Some(rest) => child.insert(rest, value),
            None => child.value = Some(value),
        }
    }

    fn into_value(self) -> Value {
        match self.value {
            Some(value) => value,
            None => Value::from_pairs(self.below.into_iter().map(|(name, tree)| (name, tree.into_value()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details() -> Details {
        let mut details = Details::default();
        details.owner.email = "ada@example.org".into();
        details.product.serial = "K1".into();
        details.marketing_consent = true;
        details
    }

    #[test]
    fn only_declared_fields_can_be_seen() {
        let details = details();
        let declared = Declared::new(vec!["product.serial".into()]);
        let sent = Sent::new(&details, &declared, "key-1");
        assert_eq!(sent.get("product.serial"), Value::from("K1"));
        assert_eq!(sent.get("idempotency_key"), Value::from("key-1"));
        assert!(sent.get("owner.email").is_undefined());
        assert!(sent.get("marketing_consent").is_undefined());
        let root = sent.root(&["owner.email".to_owned(), "product.serial".to_owned()]).to_string();
        assert!(root.contains("K1") && !root.contains("ada@example.org"), "{root}");
    }

    #[test]
    fn a_variable_that_is_not_declared_is_objected_to() {
        let declared = Declared::new(vec!["product.serial".into(), "extra.colour".into()]);
        assert_eq!(declared.objection("extra.colour"), None);
        assert!(declared.objection("owner.phone").is_some_and(|text| text.contains("`sends` does not declare")));
        assert!(declared.objection("owner.fone").is_some_and(|text| text.contains("did you mean `owner.phone`?")));
        assert!(declared.objection("owner").is_some());
    }
}
