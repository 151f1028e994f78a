//! From a maker's answer to an outcome: the connector's rules first, then what the status means everywhere.

use std::time::Duration;

use events::{Details, ErrorKind, Failure, FieldProblem, Outcome};
use minijinja::value::Value;

use super::call::Read;
use super::failure::after_sending;
use super::scrub::scrub;
use crate::answer::{Answer, ErrorRule};
use crate::connector::{Connector, SERIAL};
use crate::plan::Api;

/// What a problem is filed under when the maker's name of the field is not known to us.
const WHOLE: &str = "registration";

/// A maker's answer as it came in.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Read,
}

/// What the reply means for the registration of `details`.
pub(super) fn judge(connector: &Connector, api: &Api, reply: &Reply, details: &Details) -> Outcome {
    let (body, readable) = match &reply.body {
        Read::Whole(bytes) => {
            serde_json::from_slice(bytes).map_or((Value::UNDEFINED, false), |body: Value| (body, true))
        }
        Read::TooLong | Read::Broken(_) => (Value::UNDEFINED, false),
    };
    let answer = Answer::new(reply.status, body);
    let rules = &api.rules;
    if let Some(already) = rules.already.as_ref().filter(|rule| rule.fits(&answer)) {
        return Outcome::Registered { confirmation: already.confirmation(&answer), already: true };
    }
    if rules.success.fits(&answer) && (readable || !rules.success.reads_body()) {
        return Outcome::Registered { confirmation: rules.success.confirmation(&answer), already: false };
    }
    let judge = Judge { connector, api, reply, answer, details };
    match rules.errors.iter().find(|rule| rule.matches.fits(&judge.answer)) {
        Some(rule) => Outcome::Failed(judge.by_rule(rule)),
        None => Outcome::Failed(judge.by_status()),
    }
}

struct Judge<'a> {
    connector: &'a Connector,
    api: &'a Api,
    reply: &'a Reply,
    answer: Answer,
    details: &'a Details,
}

impl Judge<'_> {
    fn by_rule(&self, rule: &ErrorRule) -> Failure {
        let mut failure = self.failure(rule.kind, "");
        if rule.kind == ErrorKind::Validation {
            failure.fields = self.problems(rule);
            let mut names: Vec<&str> = failure.fields.iter().map(|problem| problem.field.as_str()).collect();
            names.dedup();
            if !names.is_empty() {
                failure.detail = format!("the maker answered {} and refused {}", self.reply.status, names.join(", "));
            }
        }
        failure
    }

    fn problems(&self, rule: &ErrorRule) -> Vec<FieldProblem> {
        let listed = self.answer.problems(rule).into_iter().map(|(theirs, text)| self.problem(theirs.as_deref(), text));
        let mut problems: Vec<FieldProblem> = listed.collect();
        if let Some(field) = &rule.field {
            let text = self.answer.text(rule.text.as_ref());
            problems.push(FieldProblem::new(field.clone(), format!("{}{}", self.words(text), self.hint(field))));
        }
        problems
    }

    fn problem(&self, theirs: Option<&str>, text: Option<String>) -> FieldProblem {
        let theirs = theirs.unwrap_or_default();
        match self.api.rules.field_names.get(theirs) {
            Some(ours) => FieldProblem::new(ours.clone(), format!("{}{}", self.words(text), self.hint(ours))),
            None => {
                let words = format!("{} (the maker's field `{}`)", self.words(text), scrub(theirs, self.details));
                FieldProblem::new(WHOLE, words)
            }
        }
    }

    fn words(&self, text: Option<String>) -> String {
        let text = text.map(|text| scrub(&text, self.details)).filter(|text| !text.is_empty());
        match text {
            Some(text) => format!("{} says: {text}", self.connector.name()),
            None => {
                format!("{} does not accept it; compare it with the product and the receipt", self.connector.name())
            }
        }
    }

    /// How the maker's serial numbers look, when it is the serial that was refused and does not look so.
    fn hint(&self, field: &str) -> String {
        let rule = self.connector.plan().serial.as_ref().filter(|_| field == SERIAL);
        let odd = rule.filter(|rule| !rule.fits(&self.details.product.serial));
        odd.map(|rule| format!("; usually {}, such as {}", rule.guide.hint, rule.guide.example)).unwrap_or_default()
    }

    /// RFC 9110, where the connector's file says nothing.
    fn by_status(&self) -> Failure {
        match self.reply.status {
            200..=299 => self.unclear(),
            300..=399 => self.failure(ErrorKind::FormChanged, "; its API may have moved"),
            401 | 403 | 407 => self.failure(ErrorKind::Auth, ""),
            408 => self.failure(ErrorKind::Timeout, ""),
            429 => self.failure(ErrorKind::RateLimited, ""),
            // the data is at fault, as far as the maker tells
            400 | 409 | 413 | 422 => self.failure(ErrorKind::Validation, " without naming a field"),
            // the request is: that is for us to mend, not for the owner
            402..=499 => self.failure(ErrorKind::FormChanged, "; its API is not as the connector knows it"),
            // a gateway gave up waiting: what stands behind it may have taken the registration
            504 => after_sending(ErrorKind::Timeout, "the maker's gateway answered 504", self.api.repeatable),
            _ => self.failure(ErrorKind::Server, ""),
        }
    }

    /// A success that does not say what a success says.
    fn unclear(&self) -> Failure {
        let status = self.reply.status;
        match self.reply.body {
            Read::Whole(_) => {
                let what = format!("the maker answered {status}, but not as it does when it has registered a product");
                Failure::new(ErrorKind::UnknownOutcome, what)
            }
            Read::TooLong => {
                Failure::new(ErrorKind::UnknownOutcome, format!("the maker answered {status} at too great length"))
            }
            Read::Broken(kind) => {
                after_sending(kind, &format!("the maker's answer {status} broke off"), self.api.repeatable)
            }
        }
    }

    fn failure(&self, kind: ErrorKind, remark: &str) -> Failure {
        let said = self.answer.text(self.api.rules.message.as_ref()).map(|text| scrub(&text, self.details));
        let said = said.filter(|text| !text.is_empty()).map(|text| format!(": {text}")).unwrap_or_default();
        let detail = format!("the maker answered {}{remark}{said}", self.reply.status);
        Failure { retry_after: self.reply.retry_after, ..Failure::new(kind, detail) }
    }
}
