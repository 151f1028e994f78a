//! What a catalog file says of a maker's form: where it is, what to fill, how to read the page that follows.

use std::collections::BTreeMap;
use std::fmt;

use outbound::Reach;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::FormShape;

/// One form. Its strings may hold templates until [`Recipe::render`] has filled them in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Where the form starts.
    pub url: String,
    /// How far its pages may go: the public internet, or the form's own host and port alone, which then may be at home.
    /// Said by the maker's file as a whole, not by its form.
    #[serde(skip)]
    pub reach: Reach,
    /// Its pages in order; the button of the last one registers the product.
    #[serde(deserialize_with = "not_empty")]
    pub steps: Vec<Step>,
    /// What to click away if it is there (cookie banners): CSS selectors.
    #[serde(default)]
    pub dismiss: Vec<String>,
    /// How the page looks when the maker has accepted.
    #[serde(deserialize_with = "some_sign")]
    pub success: Signs,
    /// Where the maker's code stands on that page.
    #[serde(default)]
    pub confirmation: Option<Confirmation>,
    /// Where the maker lists what it refuses.
    #[serde(default)]
    pub errors: Option<ErrorList>,
    /// How the page looks when the product had been registered before.
    #[serde(default, deserialize_with = "some_sign_if_any")]
    pub already_registered: Option<Signs>,
    /// Selectors that only a login page matches, beside the built-in look for a password field.
    #[serde(default)]
    pub login_signs: Vec<String>,
    /// Selectors that only a captcha matches, beside the built-in ones.
    #[serde(default)]
    pub captcha_signs: Vec<String>,
    /// The maker's names of fields and ours, where a field of a step does not say it.
    #[serde(default)]
    pub field_names: BTreeMap<String, String>,
    /// How the form on the first page looked when the recipe was written; health checks compare it.
    #[serde(default)]
    pub baseline: Option<FormShape>,
}

/// One page of a form.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What people call it.
    pub name: String,
    /// What to fill, in this order.
    #[serde(default)]
    pub fields: Vec<Field>,
    /// The button: alternative selectors, the first that is found.
    #[serde(deserialize_with = "not_empty")]
    pub submit: Vec<String>,
    /// A selector of the page that follows; without it, that page is known by its first field.
    #[serde(default)]
    pub wait_for: Option<String>,
}

/// One field to fill.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Alternative CSS selectors, the first that is found.
    #[serde(deserialize_with = "not_empty")]
    pub selectors: Vec<String>,
    /// How it is filled.
    #[serde(default)]
    pub kind: FieldKind,
    /// What goes in; empty leaves the field alone. A checkbox is ticked by `true` and unticked by anything else; a
    /// file is named as its [`crate::FormFile`], with or without extension.
    #[serde(default)]
    pub value: String,
    /// Our dotted name of it, for problems that the maker reports.
    #[serde(default)]
    pub field: Option<String>,
    /// Whether a page without it is still the page that we know.
    #[serde(default)]
    pub optional: bool,
}

// Without the value: it is the owner's.
impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field")
            .field("selectors", &self.selectors)
            .field("kind", &self.kind)
            .field("field", &self.field)
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}

impl Field {
    /// What to call it in a line for people.
    pub(crate) fn label(&self) -> &str {
        self.field.as_deref().or(self.selectors.first().map(String::as_str)).unwrap_or("a field")
    }
}

/// How a field is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// A line or a paragraph.
    #[default]
    Text,
    /// A list to choose from, by value or visible label.
    Select,
    /// A date field (`YYYY-MM-DD`); dates split into selects are several fields.
    Date,
    /// A box to tick.
    Checkbox,
    /// A file to upload.
    File,
    /// One of several buttons, by value or visible label.
    Radio,
    /// Text typed key by key, for the rare page that insists on it: five times slower.
    Typed,
}

/// How to know a page: all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Signs {
    /// It has such an element.
    #[serde(default)]
    pub selector: Option<String>,
    /// Its visible text holds this; case and white space do not matter.
    #[serde(default)]
    pub text_contains: Option<String>,
    /// Its address holds this.
    #[serde(default)]
    pub url_contains: Option<String>,
}

/// Where the maker's code stands.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The element whose text holds it.
    pub selector: String,
    /// What part of the text it is: the first group, or the whole match. Never a template.
    #[serde(default, deserialize_with = "a_regex")]
    pub regex: Option<String>,
}

/// Where the maker lists what it refuses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorList {
    /// One element per problem.
    pub selector: String,
    /// Its attribute that names the maker's field.
    #[serde(default)]
    pub field_attribute: Option<String>,
}

impl Recipe {
    /// The recipe with this address, where values are spelled otherwise than in texts, and every other template filled in by `fill`; it
    /// gets each string but regular expressions and names.
    ///
    /// # Errors
    /// The first one of `fill`.
    pub fn render<E>(&self, url: String, fill: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Self, E> {
        let confirmation = self.confirmation.as_ref().map(|found| found.render(fill)).transpose()?;
        Ok(Self {
            url,
            reach: self.reach,
            steps: self.steps.iter().map(|step| step.render(fill)).collect::<Result<_, E>>()?,
            dismiss: each(&self.dismiss, fill)?,
            success: self.success.render(fill)?,
            confirmation,
            errors: self.errors.clone(),
            already_registered: self.already_registered.as_ref().map(|signs| signs.render(fill)).transpose()?,
            login_signs: each(&self.login_signs, fill)?,
            captcha_signs: each(&self.captcha_signs, fill)?,
            field_names: self.field_names.clone(),
            baseline: self.baseline.clone(),
        })
    }
}

impl Step {
    fn render<E>(&self, fill: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Self, E> {
        Ok(Self {
            name: self.name.clone(),
            fields: self.fields.iter().map(|field| field.render(fill)).collect::<Result<_, E>>()?,
            submit: each(&self.submit, fill)?,
            wait_for: self.wait_for.as_deref().map(fill).transpose()?,
        })
    }
}

impl Field {
    fn render<E>(&self, fill: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Self, E> {
        Ok(Self { selectors: each(&self.selectors, fill)?, value: fill(&self.value)?, ..self.clone() })
    }
}

impl Signs {
    fn render<E>(&self, fill: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Self, E> {
        Ok(Self {
            selector: self.selector.as_deref().map(&mut *fill).transpose()?,
            text_contains: self.text_contains.as_deref().map(&mut *fill).transpose()?,
            url_contains: self.url_contains.as_deref().map(&mut *fill).transpose()?,
        })
    }
}

impl Confirmation {
    fn render<E>(&self, fill: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Self, E> {
        Ok(Self { selector: fill(&self.selector)?, regex: self.regex.clone() })
    }
}

fn each<E>(texts: &[String], fill: &mut dyn FnMut(&str) -> Result<String, E>) -> Result<Vec<String>, E> {
    texts.iter().map(|text| fill(text)).collect()
}

fn not_empty<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() { Err(D::Error::custom("an empty list; give at least one")) } else { Ok(list) }
}

fn some_sign<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Signs, D::Error> {
    let signs = Signs::deserialize(deserializer)?;
    if signs == Signs::default() {
        return Err(D::Error::custom("no sign; give at least one of selector, text_contains, url_contains"));
    }
    Ok(signs)
}

fn some_sign_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Signs>, D::Error> {
    some_sign(deserializer).map(Some)
}

fn a_regex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    regex::Regex::new(&text).map_err(D::Error::custom)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    const ONE_PAGE: &str = r##"
        url = "{{ base }}/register"
        success = { selector = ".done" }
        confirmation = { selector = ".code", regex = 'BW-\d{4}' }
        [[steps]]
        name = "product"
        submit = ["button"]
        [[steps.fields]]
        selectors = ["#serial"]
        value = "{{ product.serial }}"
    "##;

    #[test]
    fn every_template_is_rendered_but_regular_expressions() {
        let recipe: Recipe = toml::from_str(ONE_PAGE).unwrap();
        let mut seen = Vec::new();
        let rendered = recipe.render::<()>("/register".to_owned(), &mut |text| {
            seen.push(text.to_owned());
            Ok(text.replace("{{ product.serial }}", "BW12-123456"))
        });
        let rendered = rendered.unwrap();
        assert_eq!((rendered.url.as_str(), rendered.steps[0].fields[0].value.as_str()), ("/register", "BW12-123456"));
        assert!(seen.contains(&".code".to_owned()) && !seen.contains(&recipe.url), "{seen:?}");
        assert!(!seen.iter().any(|text| text.contains(r"\d")));
    }

    #[test]
    fn an_error_of_the_renderer_is_handed_on() {
        let recipe: Recipe = toml::from_str(ONE_PAGE).unwrap();
        let rendered = recipe.render(String::new(), &mut |_| Err("no such variable"));
        assert_eq!(rendered, Err("no such variable"));
    }

    #[test]
    fn unknown_keys_empty_lists_and_signless_pages_are_refused() {
        for (from, to, want) in [
            ("name =", "title =", "unknown field `title`"),
            (r#"submit = ["button"]"#, "submit = []", "an empty list"),
            (r#"{ selector = ".done" }"#, "{}", "no sign"),
            (r"BW-\d{4}", "BW-(", "regex parse error"),
        ] {
            let refused = toml::from_str::<Recipe>(&ONE_PAGE.replace(from, to)).unwrap_err().to_string();
            assert!(refused.contains(want), "{refused}");
        }
    }

    #[test]
    fn a_field_printed_for_debugging_keeps_its_value_to_itself() {
        let recipe: Recipe = toml::from_str(&ONE_PAGE.replace("{{ product.serial }}", "SECRET-1")).unwrap();
        assert!(!format!("{recipe:?}").contains("SECRET-1"));
    }
}
