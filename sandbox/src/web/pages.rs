//! The HTML pages: minijinja templates compiled at start, escaped, and changed by the faults that a page can have.

use axum::http::StatusCode;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::edits::{Edit, rename};
use crate::maker::Maker;

/// The templates; `.html` names escape what they print.
const TEMPLATES: [(&str, &str); 17] = [
    ("console.html", include_str!("../../templates/console.html")),
    ("index.html", include_str!("../../templates/index.html")),
    ("ledger.html", include_str!("../../templates/ledger.html")),
    ("mail_list.html", include_str!("../../templates/mail_list.html")),
    ("mail_view.html", include_str!("../../templates/mail_view.html")),
    ("maker.html", include_str!("../../templates/maker.html")),
    ("captcha.html", include_str!("../../templates/captcha.html")),
    ("login.html", include_str!("../../templates/login.html")),
    ("trouble.html", include_str!("../../templates/trouble.html")),
    ("info.html", include_str!("../../templates/info.html")),
    ("thanks.html", include_str!("../../templates/thanks.html")),
    ("brightwell.html", include_str!("../../templates/brightwell.html")),
    ("aurora.html", include_str!("../../templates/aurora.html")),
    ("veloce.html", include_str!("../../templates/veloce.html")),
    ("castello.html", include_str!("../../templates/castello.html")),
    ("castello_thanks.html", include_str!("../../templates/castello_thanks.html")),
    ("hartmann.html", include_str!("../../templates/hartmann.html")),
];

/// What faults make of a form page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Guise {
    pub captcha: bool,
    pub login_wall: bool,
    /// The usual and today's name of a field.
    pub renamed: Option<(String, String)>,
    pub edit: Option<Edit>,
}

/// All templates, ready to print.
pub(crate) struct Pages {
    environment: Environment<'static>,
}

impl Pages {
    pub(crate) fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        environment.add_global("countries", value_of(crate::countries::ALL));
        Ok(Pages { environment })
    }

    /// Prints a template. The templates are ours, so a failure is a defect: the page then says so instead of being empty.
    pub(crate) fn print(&self, name: &str, values: Value) -> String {
        let printed = self.environment.get_template(name).and_then(|template| template.render(values));
        printed.unwrap_or_else(|error| {
            tracing::error!(template = name, %error, "a sandbox page cannot be printed");
            "<!doctype html><title>Sandbox defect</title><p>This page cannot be printed; see the log.".to_owned()
        })
    }

    /// A page of a form, or what stands in its place.
    pub(crate) fn form(&self, maker: Maker, name: &str, guise: &Guise, values: Value) -> String {
        if guise.login_wall {
            return self.print("login.html", context! { maker => card(maker) });
        }
        let values = context! { maker => card(maker), captcha => guise.captcha, ..values };
        let page = self.print(name, values);
        let page = match &guise.renamed {
            Some((from, to)) => rename(&page, from, to),
            None => page,
        };
        match &guise.edit {
            Some(edit) => edit.apply(page),
            None => page,
        }
    }

    /// The page of a maker whose server is unwell.
    pub(crate) fn trouble(&self, maker: Maker, status: StatusCode) -> String {
        let reason = status.canonical_reason().unwrap_or("Error");
        self.print("trouble.html", context! { maker => card(maker), status => status.as_u16(), reason })
    }
}

/// Anything of ours as a template sees it.
pub(crate) fn value_of(anything: impl Serialize) -> Value {
    Value::from(Serde(anything))
}

/// What the templates know of a maker.
pub(crate) fn card(maker: Maker) -> Value {
    let profile = maker.profile();
    context! {
        slug => profile.slug,
        name => profile.name,
        tagline => profile.tagline,
        form => profile.form.map(path),
        api => profile.api.map(path),
        pattern => html_pattern(profile.serial.pattern),
        example => profile.serial.example,
    }
}

/// A path of ours as a template prints it: without the escapes that would spell its slashes `&#x2f;`.
pub(crate) fn path(path: &'static str) -> Value {
    Value::from_safe_string(path.to_owned())
}

/// The `pattern` attribute is anchored by itself.
fn html_pattern(pattern: &str) -> &str {
    pattern.trim_start_matches('^').trim_end_matches('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_values_are_escaped() -> Result<(), minijinja::Error> {
        let hostile = "\"><script>alert(1)</script>";
        let page = Pages::new()?.form(
            Maker::Brightwell,
            "brightwell.html",
            &Guise::default(),
            context! { values => context! { name => hostile }, problems => Vec::<String>::new(), csrf => "x" },
        );
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;script&gt;alert"), "{page}");
        Ok(())
    }
}
