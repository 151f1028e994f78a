//! Expressions of catalog files, compiled once: what most of them are is read directly, anything else by the template engine.

use std::sync::LazyLock;

use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior};

use crate::filters;

/// What one expression may burn: instructions and the data that it makes. The longest of the catalog needs under a hundred.
const FUEL: u64 = 20_000;

/// Our filters that take nothing beside the value.
const PLAIN_FILTERS: [(&str, PlainFilter); 3] =
    [("first_name", filters::first_name), ("last_name", filters::last_name), ("digits", filters::digits)];

type PlainFilter = fn(&Value) -> Value;

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_fuel(Some(FUEL));
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    for (name, filter) in PLAIN_FILTERS {
        engine.add_filter(name, move |value: Value| filter(&value));
    }
    engine.add_filter("date", |day: Value, format: String| filters::date(&day, &format));
    engine
});

/// Why an expression gave nothing. Its text holds the expression and the engine's short reason, never a value of the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("evaluating `{expression}`: {reason}")]
pub struct TemplateError {
    /// The expression as the catalog file has it.
    pub expression: String,
    /// What the engine said.
    pub reason: String,
}

/// What an expression can see.
pub(crate) trait Names {
    /// The value at a dotted path; undefined when there is none.
    fn get(&self, path: &str) -> Value;
    /// A table with at least these, which are dotted paths; for what is more than a path.
    fn root(&self, paths: &[String]) -> Value;
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression {
    source: String,
    program: Program,
}

#[derive(Debug)]
enum Program {
    /// Most leaves of a body are just a field: no engine, no context.
    Path,
    /// `path | filter`.
    Filtered(String, PlainFilter),
    /// `path == 'text'`, as an answer's status is told.
    Is(String, String),
    Engine {
        expression: minijinja::Expression<'static, 'static>,
        /// The paths that it reads.
        reads: Vec<String>,
    },
}

impl Expression {
    /// Compiles; the text of a failure fits after "the expression".
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let source = source.trim().to_owned();
        let program = if is_path(&source) {
            Program::Path
        } else if let Some(program) = filtered(&source).or_else(|| is_text(&source)) {
            program
        } else {
            let compiled = ENGINE.compile_expression_owned(source.clone());
            let expression = compiled.map_err(|error| format!("`{source}` cannot be read: {error}"))?;
            let mut reads: Vec<String> = expression.undeclared_variables(true).into_iter().collect();
            reads.sort();
            Program::Engine { expression, reads }
        };
        Ok(Self { source, program })
    }

    /// The names that it reads, dotted.
    pub(crate) fn variables(&self) -> Vec<String> {
        match &self.program {
            Program::Path => vec![self.source.clone()],
            Program::Filtered(path, _) | Program::Is(path, _) => vec![path.clone()],
            Program::Engine { reads, .. } => reads.clone(),
        }
    }

    pub(crate) fn eval(&self, names: &dyn Names) -> Result<Value, TemplateError> {
        match &self.program {
            Program::Path => Ok(names.get(&self.source)),
            Program::Filtered(path, filter) => Ok(filter(&names.get(path))),
            Program::Is(path, text) => Ok(Value::from(names.get(path).as_str() == Some(text))),
            // `{}` only: the long form of the engine's errors prints the context, and with it the person's data
            Program::Engine { expression, reads } => {
                expression.eval(names.root(reads)).map_err(|error| self.error(&error.to_string()))
            }
        }
    }

    /// Why it could never be evaluated, whatever the data: a filter, test or function that does not exist.
    pub(crate) fn unknown_word(&self) -> Option<String> {
        use minijinja::ErrorKind::{UnknownFilter, UnknownFunction, UnknownTest};
        let Program::Engine { expression, .. } = &self.program else { return None };
        let error = expression.eval(Value::from_pairs([("status", Value::from(0))])).err()?;
        let kind = error.kind();
        (kind == UnknownFilter || kind == UnknownFunction || kind == UnknownTest)
            .then(|| format!("`{}` cannot work: {error}", self.source))
    }

    pub(crate) fn error(&self, reason: &str) -> TemplateError {
        TemplateError { expression: self.source.clone(), reason: reason.to_owned() }
    }
}

fn filtered(source: &str) -> Option<Program> {
    let (path, name) = source.split_once('|')?;
    let (path, name) = (path.trim(), name.trim());
    let (_, filter) = PLAIN_FILTERS.iter().find(|(known, _)| *known == name)?;
    is_path(path).then(|| Program::Filtered(path.to_owned(), *filter))
}

fn is_text(source: &str) -> Option<Program> {
    let (path, literal) = source.split_once("==")?;
    let (path, text) = (path.trim(), literal.trim().strip_prefix('\'')?.strip_suffix('\'')?);
    let is_plain = is_path(path) && !text.contains(['\'', '\\']);
    is_plain.then(|| Program::Is(path.to_owned(), text.to_owned()))
}

fn is_path(source: &str) -> bool {
    let word = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let literal = matches!(source, "true" | "false" | "none" | "True" | "False" | "None");
    !literal && source.split('.').all(word)
}

/// Whether there is nothing to send: an absent field leaves no trace in a body.
pub(crate) fn is_absent(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct One;

    impl Names for One {
        fn get(&self, path: &str) -> Value {
            if path == "owner.name" { Value::from("Ada Lovelace") } else { Value::UNDEFINED }
        }
        fn root(&self, _: &[String]) -> Value {
            Value::from_pairs([("owner", Value::from_pairs([("name", Value::from("Ada Lovelace"))]))])
        }
    }

    fn eval(source: &str) -> Result<Value, TemplateError> {
        Expression::compile(source).unwrap_or_else(|text| panic!("{text}")).eval(&One)
    }

    #[test]
    fn a_path_and_a_filter_give_the_same_field() {
        assert_eq!(eval("owner.name"), Ok(Value::from("Ada Lovelace")));
        assert_eq!(eval("owner.name | last_name"), Ok(Value::from("Lovelace")));
        assert_eq!(eval("true"), Ok(Value::from(true)));
    }

    #[test]
    fn what_is_read_directly_is_what_the_engine_reads() {
        for source in [
            "owner.name | last_name",
            "owner.name|digits",
            "owner.phone | first_name",
            "owner.name == 'Ada Lovelace'",
            "owner.name=='Ada'",
            "owner.phone == ''",
        ] {
            let direct = Expression::compile(source).unwrap_or_else(|text| panic!("{text}"));
            assert!(!matches!(direct.program, Program::Engine { .. }), "{source}");
            // in brackets it is nothing that is read directly
            let engine = Expression::compile(&format!("({source})")).unwrap_or_else(|text| panic!("{text}"));
            assert!(matches!(engine.program, Program::Engine { .. }), "{source}");
            assert_eq!(direct.eval(&One), engine.eval(&One), "{source}");
            assert_eq!(direct.variables(), engine.variables(), "{source}");
        }
    }

    #[test]
    fn an_endless_expression_runs_out_of_fuel() {
        assert!(eval("range(9000) | map('string') | join | length").is_err());
    }

    #[test]
    fn an_error_does_not_hold_the_value() {
        let text = eval("owner.name | date('%d')").map_err(|error| error.to_string());
        assert!(text.as_ref().is_err_and(|text| text.contains("no date") && !text.contains("Ada")), "{text:?}");
    }

    #[test]
    fn a_filter_that_does_not_exist_is_found_without_data() {
        let expression = Expression::compile("body.code | shout").unwrap_or_else(|text| panic!("{text}"));
        assert!(expression.unknown_word().is_some_and(|text| text.contains("shout")));
    }
}
