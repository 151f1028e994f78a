//! The form section of a catalog file, checked.

use events::sending::PROOF_OF_PURCHASE;
use form::{FormShape, Recipe};
use url::Url;

use crate::checker::{Checker, Noted};
use crate::compile_api::objection_to;
use crate::file::Network;

/// Checks the section: its templates, its address, the names of our fields, and whether its baseline can be compared with anything.
/// What its selectors find is for the browser to say.
pub(crate) fn form(checker: &mut Checker<'_>, recipe: Recipe, network: Network) -> Result<Recipe, Noted> {
    let templates = checker.templates_below(&["form"]);
    check_url(checker, &recipe.url, network);
    for (step, fields) in recipe.steps.iter().map(|step| &step.fields).enumerate() {
        for (place, field) in fields.iter().enumerate() {
            let (step, place) = (step.to_string(), place.to_string());
            if let Some(name) = &field.field {
                check_field(checker, &["form", "steps", &step, "fields", &place, "field"], name);
            }
        }
    }
    for (theirs, ours) in &recipe.field_names {
        check_field(checker, &["form", "field_names", theirs], ours);
    }
    if let Some(baseline) = &recipe.baseline {
        check_baseline(checker, baseline);
    }
    templates.map(|()| recipe)
}

/// One of our fields, or the file that a form may take.
fn check_field(checker: &mut Checker<'_>, path: &[&str], name: &str) {
    if name != PROOF_OF_PURCHASE {
        checker.field(path, name);
    }
}

fn check_url(checker: &mut Checker<'_>, url: &str, network: Network) {
    let path = ["form", "url"];
    let host = url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?', '#']).next();
    if host.is_some_and(|host| host.contains("{{")) {
        checker.mistake(&path, "the host must not hold a template: data would decide who gets it");
        return;
    }
    let problem = match Url::parse(url) {
        Err(error) => Some(format!("this is no address: {error}; write it like https://www.example.com/register")),
        Ok(url) => objection_to(&url, network),
    };
    match problem {
        Some(problem) => _ = checker.mistake(&path, problem),
        // what is wrong with its templates is noted; nothing else hangs on it
        None => _ = checker.address_template(&path, url),
    }
}

fn check_baseline(checker: &mut Checker<'_>, baseline: &FormShape) {
    if !baseline.action.starts_with('/') {
        let problem = "write the path that the form is sent to, such as /register; //host/path for another host";
        checker.mistake(&["form", "baseline", "action"], problem);
    }
    if baseline.fields.is_empty() {
        checker.mistake(&["form", "baseline"], "the form has no fields; write one [[form.baseline.fields]] for each");
    }
    for (place, field) in baseline.fields.iter().enumerate() {
        let key = place.to_string();
        if field.name.is_empty() && field.label.is_empty() {
            let problem = "a field is known by its `name`, or else by its `label`; write one of them";
            checker.mistake(&["form", "baseline", "fields", &key], problem);
        }
        let before = &baseline.fields[..place];
        if !field.name.is_empty() && before.iter().any(|other| other.name == field.name && other.kind == field.kind) {
            let problem = format!("the field `{}` stands here twice; keep one", field.name);
            checker.mistake(&["form", "baseline", "fields", &key, "name"], problem);
        }
    }
}
