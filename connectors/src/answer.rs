//! What a maker's answer means, as the connector's file tells it: compiled rules over `status` and `body`.

use std::collections::BTreeMap;

use events::outcome::ErrorKind;
use minijinja::value::Value;

use crate::expression::{Expression, Names};

/// The names that expressions over answers may use; `item` only inside a list of problems.
pub(crate) const ANSWER_NAMES: &[&str] = &["status", "body", "item"];
/// Longest confirmation code that we keep, in characters.
const CONFIRMATION_CHARS_MAX: usize = 100;

/// A status, and a condition if the status is not enough.
#[derive(Debug)]
pub(crate) struct AnswerRule {
    pub(crate) status: Vec<u16>,
    pub(crate) when: Option<Expression>,
    pub(crate) confirmation: Option<Expression>,
}

/// An answer that means a failure.
#[derive(Debug)]
pub(crate) struct ErrorRule {
    pub(crate) matches: AnswerRule,
    pub(crate) kind: ErrorKind,
    pub(crate) field: Option<String>,
    pub(crate) each: Option<Expression>,
    pub(crate) name: Option<Expression>,
    pub(crate) text: Option<Expression>,
}

/// All rules of one API, in the order in which they are asked: already registered, success, errors.
#[derive(Debug)]
pub(crate) struct AnswerRules {
    pub(crate) success: AnswerRule,
    pub(crate) already: Option<AnswerRule>,
    pub(crate) errors: Vec<ErrorRule>,
    /// The maker's names of fields to ours.
    pub(crate) field_names: BTreeMap<String, String>,
    pub(crate) message: Option<Expression>,
}

/// One answer, as the expressions see it.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Undefined when the body was no JSON.
    pub(crate) body: Value,
    /// The problem that is looked at.
    pub(crate) item: Value,
}

impl Answer {
    pub(crate) fn new(status: u16, body: Value) -> Self {
        Self { status, body, item: Value::UNDEFINED }
    }

    fn with_item(&self, item: Value) -> Self {
        Self { status: self.status, body: self.body.clone(), item }
    }

    /// The text that an optional expression gives; nothing when it is absent, empty, or no plain value.
    pub(crate) fn text(&self, expression: Option<&Expression>) -> Option<String> {
        let value = expression?.eval(self).ok()?;
        let text = match value.as_str() {
            Some(text) => text.trim().to_owned(),
            None if value.is_number() => value.to_string(),
            None => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// A confirmation code, without what could do harm in a mail or on a terminal.
    pub(crate) fn confirmation(&self, expression: &Expression) -> Option<String> {
        let text = self.text(Some(expression))?;
        Some(text.chars().filter(|c| !c.is_control()).take(CONFIRMATION_CHARS_MAX).collect())
    }

    /// The problems that a rule's list names: the maker's field name and its words.
    pub(crate) fn problems(&self, rule: &ErrorRule) -> Vec<(Option<String>, Option<String>)> {
        /// More problems than this fit on no screen.
        const PROBLEMS_MAX: usize = 20;
        let Some(list) = rule.each.as_ref().and_then(|each| each.eval(self).ok()) else { return Vec::new() };
        let Ok(items) = list.try_iter() else { return Vec::new() };
        items
            .take(PROBLEMS_MAX)
            .map(|item| {
                let answer = self.with_item(item);
                (answer.text(rule.name.as_ref()), answer.text(rule.text.as_ref()))
            })
            .collect()
    }
}

impl Names for Answer {
    fn get(&self, path: &str) -> Value {
        let mut steps = path.split('.');
        let first = match steps.next() {
            Some("status") => Value::from(self.status),
            Some("body") => self.body.clone(),
            Some("item") => self.item.clone(),
            Some(_) | None => Value::UNDEFINED,
        };
        steps.fold(first, |value, step| value.get_attr(step).unwrap_or(Value::UNDEFINED))
    }

    fn root(&self, _: &[String]) -> Value {
        Value::from_pairs([
            ("status", Value::from(self.status)),
            ("body", self.body.clone()),
            ("item", self.item.clone()),
        ])
    }
}

impl AnswerRule {
    pub(crate) fn fits(&self, answer: &Answer) -> bool {
        self.status.contains(&answer.status)
            && self.when.as_ref().is_none_or(|when| when.eval(answer).is_ok_and(|value| value.is_true()))
    }

    /// Whether the rule looks into the body at all.
    pub(crate) const fn reads_body(&self) -> bool {
        self.when.is_some() || self.confirmation.is_some()
    }

    /// The maker's code, if the answer holds one.
    pub(crate) fn confirmation(&self, answer: &Answer) -> Option<String> {
        answer.confirmation(self.confirmation.as_ref()?)
    }
}
