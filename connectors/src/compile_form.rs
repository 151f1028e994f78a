//! The form section of a catalog file, checked.

use form::{FormShape, Recipe};

use crate::checker::{Checker, Noted};

/// Checks the section: its templates, and whether its baseline can be compared with anything.
pub(crate) fn form(checker: &mut Checker<'_>, recipe: Recipe) -> Result<Recipe, Noted> {
    let templates = checker.templates_below(&["form"]);
    let host = recipe.url.split_once("://").map_or(recipe.url.as_str(), |(_, rest)| rest).split('/').next();
    if host.is_some_and(|host| host.contains("{{")) {
        checker.mistake(&["form", "url"], "the host must not hold a template: data would decide who gets it");
    }
    if let Some(baseline) = &recipe.baseline {
        check_baseline(checker, baseline);
    }
    templates.map(|()| recipe)
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
