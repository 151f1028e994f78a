//! Collects the mistakes of one catalog file, so that all are shown at once, each at its place.

use events::Details;
use events::details::{ALWAYS, FIELDS};

use crate::answer::ANSWER_NAMES;
use crate::expression::Expression;
use crate::sample;
use crate::sent::{Declared, Sent, unknown_field};
use crate::source::{Mistake, Source, nearest};
use crate::template::Template;

/// A mistake was found and noted; the part cannot be built.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted;

/// The file under check.
pub(crate) struct Checker<'s> {
    source: &'s Source<'s>,
    declared: Declared,
    /// Templates must work with everything that is declared and with as little as is required.
    samples: [Details; 2],
    mistakes: Vec<Mistake>,
}

impl<'s> Checker<'s> {
    pub(crate) fn new(source: &'s Source<'s>, declared: Declared, requires: &[String], serial: &str) -> Self {
        let least: Vec<String> = ALWAYS.map(str::to_owned).into_iter().chain(requires.iter().cloned()).collect();
        let samples = [sample::details(declared.names(), serial), sample::details(&least, serial)];
        Self { source, declared, samples, mistakes: Vec::new() }
    }

    pub(crate) fn mistake(&mut self, path: &[&str], problem: impl Into<String>) -> Noted {
        let mistake = self.source.mistake(path, problem);
        if !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
        Noted
    }

    /// All that was noted, in the order of the file.
    pub(crate) fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        self.mistakes
    }

    /// Where a value stands: line and column.
    pub(crate) fn place(&self, path: &[&str]) -> Mistake {
        self.source.mistake(path, "")
    }

    /// The name of one of our fields.
    pub(crate) fn field(&mut self, path: &[&str], name: &str) {
        if let Some(problem) = unknown_field(name) {
            self.mistake(path, problem);
        }
    }

    /// A text over the declared fields.
    pub(crate) fn template(&mut self, path: &[&str], text: &str) -> Result<Template, Noted> {
        let template = self.compile(path, text)?;
        for sample in &self.samples {
            let sent = Sent::new(sample, &self.declared, "sample-key");
            if let Err(error) = template.text(&sent) {
                return Err(self.mistake(path, format!("this template does not work: {error}")));
            }
        }
        Ok(template)
    }

    /// A part of an address over the declared fields.
    pub(crate) fn url_template(&mut self, path: &[&str], text: &str) -> Result<Template, Noted> {
        if !text.starts_with('/') {
            return Err(self.mistake(path, "a path begins with `/`"));
        }
        self.address_template(path, text)
    }

    /// An address, or a part of one, over the declared fields.
    pub(crate) fn address_template(&mut self, path: &[&str], text: &str) -> Result<Template, Noted> {
        let template = self.compile(path, text)?;
        let [all, required] = self.samples.each_ref().map(|sample| {
            let sent = Sent::new(sample, &self.declared, "sample-key");
            template.url(&sent).err()
        });
        let problem = match (all, required) {
            (None, None) => return Ok(template),
            (Some(error), _) => format!("this template does not work: {error}"),
            (None, Some(error)) => format!(
                "this template does not work with what `requires` names alone: {error}; require the field, or give it a default"
            ),
        };
        Err(self.mistake(path, problem))
    }

    /// Every text of a section whose shape somebody else knows.
    pub(crate) fn templates_below(&mut self, path: &[&str]) -> Result<(), Noted> {
        let mut result = Ok(());
        for (path, text) in self.source.strings_below(path) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Err(noted) = self.template(&path, &text) {
                result = Err(noted);
            }
        }
        result
    }

    /// An expression over a maker's answer.
    pub(crate) fn answer(&mut self, path: &[&str], text: &str) -> Result<Expression, Noted> {
        let expression =
            Expression::compile(text).map_err(|problem| self.mistake(path, format!("the expression {problem}")))?;
        for variable in expression.variables() {
            let first = variable.split('.').next().unwrap_or_default();
            if !ANSWER_NAMES.contains(&first) {
                let hint = if FIELDS.contains(&variable.as_str()) { "this is about the maker's answer: " } else { "" };
                return Err(
                    self.mistake(path, format!("unknown variable `{variable}`; {hint}use `body`, `status` or `item`"))
                );
            }
        }
        match expression.unknown_word() {
            Some(problem) => Err(self.mistake(path, format!("the expression {problem}"))),
            None => Ok(expression),
        }
    }

    /// The same where the key may be missing.
    pub(crate) fn optional_answer(&mut self, path: &[&str], text: Option<&str>) -> Result<Option<Expression>, Noted> {
        text.map(|text| self.answer(path, text)).transpose()
    }

    fn compile(&mut self, path: &[&str], text: &str) -> Result<Template, Noted> {
        let template =
            Template::compile(text).map_err(|problem| self.mistake(path, format!("the template {problem}")))?;
        let variables = template.expressions().flat_map(Expression::variables);
        let objections: Vec<String> = variables.filter_map(|variable| self.objection(&variable)).collect();
        match objections.first() {
            Some(_) => Err(self.mistake(path, format!("the template uses {}", objections.join("; ")))),
            None => Ok(template),
        }
    }

    fn objection(&self, variable: &str) -> Option<String> {
        let objection = self.declared.objection(variable)?;
        // a variable may be the misspelling of one that is declared under extra
        let declared = nearest(variable, self.declared.names().iter().map(String::as_str));
        match declared {
            Some(name) if name.starts_with("extra.") => Some(format!("unknown `{variable}`; did you mean `{name}`?")),
            Some(_) | None => Some(objection),
        }
    }
}
