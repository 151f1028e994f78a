//! The API section of a catalog file, checked and compiled.

use std::time::Duration;

use events::outcome::ErrorKind;
use outbound::{Reach, check_url};
use reqwest::header::HeaderName;
use url::Url;

use crate::answer::{AnswerRule, AnswerRules, ErrorRule};
use crate::body::{Body, Node, compile_form};
use crate::checker::{Checker, Noted};
use crate::file::{AnswerFile, ApiFile, ApiKeyFile, AuthFile, BodyFile, ErrorFile, LookupFile, Network};
use crate::plan::{Api, Lookup};
use crate::secret::SecretRef;
use crate::sending::uses;

/// The scheme of addresses that the sandbox stands for.
pub(crate) const SANDBOX: &str = "sandbox://";
/// Shortest and longest time that a maker may be given, in milliseconds.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 50..=120_000;

/// Compiles the section; all its mistakes are noted before it gives up.
pub(crate) fn api(checker: &mut Checker<'_>, file: ApiFile, network: Network) -> Result<Api, Noted> {
    check_base_url(checker, &file.base_url, network);
    check_auth(checker, &file.auth, file.base_url.starts_with(SANDBOX));
    if !TIMEOUT_MS.contains(&file.timeout_ms) {
        let (least, most) = (TIMEOUT_MS.start(), TIMEOUT_MS.end());
        checker.mistake(&["api", "timeout_ms"], format!("give the maker between {least} and {most} milliseconds"));
    }
    if file.health_path.as_ref().is_some_and(|path| !path.starts_with('/')) {
        checker.mistake(&["api", "health_path"], "a path begins with `/`");
    }
    let path = checker.url_template(&["api", "path"], &file.path);
    let method = method(checker, &file.method);
    let idempotency_header =
        file.idempotency_header.map(|name| header(checker, &["api", "idempotency_header"], &name)).transpose();
    let body = body(checker, file.body);
    let lookup = file.lookup.map(|file| lookup(checker, &file)).transpose();
    let rules =
        Rules { success: file.success, already: file.already_registered, errors: file.errors, message: file.message };
    let rules = rules.compile(checker, file.field_names);
    let (path, body) = (path?, body?);
    Ok(Api {
        base_url: file.base_url.trim_end_matches('/').to_owned(),
        uses: uses(path.expressions().chain(body.expressions())),
        path,
        method: method?,
        auth: file.auth,
        body,
        idempotency_header: idempotency_header?,
        timeout: Duration::from_millis(file.timeout_ms),
        repeatable: file.repeatable,
        rules: rules?,
        lookup: lookup?,
        health_path: file.health_path,
    })
}

fn check_base_url(checker: &mut Checker<'_>, base_url: &str, network: Network) {
    let problem = match Url::parse(base_url) {
        Err(error) => Some(format!("this is no address: {error}; write it like https://api.example.com/v1")),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            Some("leave query and fragment to `path`".to_owned())
        }
        Ok(url) => objection_to(&url, network),
    };
    if let Some(problem) = problem {
        checker.mistake(&["api", "base_url"], problem);
    }
}

/// Why no data of a person goes to an address of a maker on this network.
pub(crate) fn objection_to(url: &Url, network: Network) -> Option<String> {
    match (url.scheme(), network) {
        ("https" | "sandbox" | "http", Network::Private) => None,
        ("https", Network::Public) => check_url(url, Reach::Public)
            .err()
            .map(|refused| format!("{refused}; for a maker in the own house write `network = \"private\"` at the top")),
        ("http", Network::Public) => Some("personal data does not go over plain http; use https".to_owned()),
        ("sandbox", Network::Public) => {
            Some("the sandbox is at home; write `network = \"private\"` at the top".to_owned())
        }
        (other, _) => Some(format!("`{other}` is no scheme for a maker; use https")),
    }
}

fn check_auth(checker: &mut Checker<'_>, auth: &AuthFile, in_sandbox: bool) {
    let mut secret = |kind: &str, key: &str, secret: &SecretRef| {
        if let Some(problem) = secret.problem(in_sandbox) {
            checker.mistake(&["api", "auth", kind, key], format!("this secret {problem}"));
        }
    };
    match auth {
        AuthFile::None => {}
        AuthFile::ApiKey(file) => {
            secret("api_key", "secret", &file.secret);
            check_api_key(checker, file);
        }
        AuthFile::Bearer(file) => secret("bearer", "secret", &file.secret),
        AuthFile::Basic(file) => {
            secret("basic", "user", &file.user);
            secret("basic", "secret", &file.secret);
        }
        AuthFile::Oauth2(file) => {
            secret("oauth2", "client_id", &file.client_id);
            secret("oauth2", "secret", &file.secret);
            if !(file.token_url.starts_with('/') || file.token_url.starts_with("https://")) {
                checker.mistake(
                    &["api", "auth", "oauth2", "token_url"],
                    "write a path below `base_url`, or a whole https address",
                );
            }
        }
    }
}

fn check_api_key(checker: &mut Checker<'_>, file: &ApiKeyFile) {
    let path = ["api", "auth", "api_key"];
    match (&file.header, &file.query) {
        (Some(name), None) => {
            // what is wrong with the name is noted; nothing else hangs on it
            let _ = header(checker, &["api", "auth", "api_key", "header"], name);
        }
        (None, Some(_)) => {}
        (None, None) => _ = checker.mistake(&path, "the key needs a place; write `header` or `query`"),
        (Some(_), Some(_)) => _ = checker.mistake(&path, "the key has two places; keep `header` or `query`"),
    }
}

fn method(checker: &mut Checker<'_>, name: &str) -> Result<reqwest::Method, Noted> {
    match name {
        "POST" => Ok(reqwest::Method::POST),
        "PUT" => Ok(reqwest::Method::PUT),
        "PATCH" => Ok(reqwest::Method::PATCH),
        other => {
            Err(checker.mistake(&["api", "method"], format!("`{other}` registers nothing; use POST, PUT or PATCH")))
        }
    }
}

fn header(checker: &mut Checker<'_>, path: &[&str], name: &str) -> Result<HeaderName, Noted> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| checker.mistake(path, format!("`{name}` is no name of a header")))
}

fn body(checker: &mut Checker<'_>, file: BodyFile) -> Result<Body, Noted> {
    let (kind, compiled) = match file {
        BodyFile::Json(table) => ("json", Node::compile(&toml::Value::Table(table)).map(Body::Json)),
        BodyFile::Form(table) => ("form", compile_form(&table)),
    };
    checker.templates_below(&["api", "body", kind])?;
    compiled.map_err(|(path, problem)| {
        let below = path.iter().map(String::as_str);
        let path: Vec<&str> = ["api", "body", kind].into_iter().chain(below).collect();
        checker.mistake(&path, problem)
    })
}

fn lookup(checker: &mut Checker<'_>, file: &LookupFile) -> Result<Lookup, Noted> {
    let path = checker.url_template(&["api", "lookup", "path"], &file.path);
    let confirmation = checker.answer(&["api", "lookup", "confirmation"], &file.confirmation);
    let (path, confirmation) = (path?, confirmation?);
    let uses = uses(path.expressions()).iter().map(String::as_str).collect();
    Ok(Lookup { path, uses, confirmation })
}

/// The parts of the section that read answers.
struct Rules {
    success: AnswerFile,
    already: Option<AnswerFile>,
    errors: Vec<ErrorFile>,
    message: Option<String>,
}

impl Rules {
    fn compile(
        self,
        checker: &mut Checker<'_>,
        field_names: std::collections::BTreeMap<String, String>,
    ) -> Result<AnswerRules, Noted> {
        for (theirs, ours) in &field_names {
            checker.field(&["api", "field_names", theirs], ours);
        }
        let success = answer_rule(checker, &["api", "success"], &self.success);
        let already = self.already.map(|file| answer_rule(checker, &["api", "already_registered"], &file)).transpose();
        let errors: Vec<_> =
            self.errors.iter().enumerate().map(|(place, file)| error_rule(checker, place, file)).collect();
        let message = checker.optional_answer(&["api", "message"], self.message.as_deref());
        Ok(AnswerRules {
            success: success?,
            already: already?,
            errors: errors.into_iter().collect::<Result<_, _>>()?,
            field_names,
            message: message?,
        })
    }
}

fn answer_rule(checker: &mut Checker<'_>, path: &[&str], file: &AnswerFile) -> Result<AnswerRule, Noted> {
    let when = checker.optional_answer(&[path, &["when"]].concat(), file.when.as_deref());
    let confirmation = checker.optional_answer(&[path, &["confirmation"]].concat(), file.confirmation.as_deref());
    check_status(checker, path, &file.status)?;
    Ok(AnswerRule { status: file.status.clone(), when: when?, confirmation: confirmation? })
}

fn error_rule(checker: &mut Checker<'_>, place: usize, file: &ErrorFile) -> Result<ErrorRule, Noted> {
    let place = place.to_string();
    let at = |key: &'static str| ["api", "errors", place.as_str(), key];
    if let Some(field) = &file.field {
        checker.field(&at("field"), field);
    }
    if file.kind != ErrorKind::Validation && (file.field.is_some() || file.each.is_some()) {
        checker.mistake(&at("kind"), format!("only `validation` is about fields, not `{}`", file.kind));
    }
    if file.each.is_some() != file.name.is_some() {
        checker.mistake(&at("each"), "`each` and `name` go together: a list, and the name of the field of each `item`");
    }
    let when = checker.optional_answer(&at("when"), file.when.as_deref());
    let each = checker.optional_answer(&at("each"), file.each.as_deref());
    let name = checker.optional_answer(&at("name"), file.name.as_deref());
    let text = checker.optional_answer(&at("text"), file.text.as_deref());
    check_status(checker, &["api", "errors", &place], &file.status)?;
    let matches = AnswerRule { status: file.status.clone(), when: when?, confirmation: None };
    Ok(ErrorRule { matches, kind: file.kind, field: file.field.clone(), each: each?, name: name?, text: text? })
}

fn check_status(checker: &mut Checker<'_>, path: &[&str], status: &[u16]) -> Result<(), Noted> {
    let path = [path, &["status"]].concat();
    match status.iter().find(|status| !(200..=599).contains(*status)) {
        Some(status) => Err(checker.mistake(&path, format!("{status} is no HTTP status of an answer"))),
        None if status.is_empty() => Err(checker.mistake(&path, "name at least one HTTP status")),
        None => Ok(()),
    }
}
