//! What stands behind the question mark: each name is known, and named when its value is wrong.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use proto::v1;

use super::problem::Problem;

/// Most parameters of one request.
const PARAMS_MAX: usize = 64;

/// The parameters that nobody has taken yet.
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let all: Vec<_> = url::form_urlencoded::parse(query).into_owned().take(PARAMS_MAX + 1).collect();
        if all.len() > PARAMS_MAX {
            return Err(Problem::field("query", format!("has more than {PARAMS_MAX} parameters")));
        }
        Ok(Self(all))
    }
}

impl Params {
    /// The value of a parameter that comes at most once; nothing when it is not there or empty.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(Problem::field(name, "is given more than once"));
        }
        Ok(values.pop().filter(|value| !value.is_empty()))
    }

    /// The values of a parameter that may come more than once.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(key, _)| key == name);
        self.0 = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }

    /// A number.
    pub fn number<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        match self.one(name)? {
            Some(text) => text.parse().map(Some).map_err(|_| Problem::field(name, "is no number of the expected size")),
            None => Ok(None),
        }
    }

    /// "true" or "false".
    pub fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.one(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::field(name, "must be true or false")),
        }
    }

    /// A method, written as API or METHOD_API.
    pub fn method(&mut self, name: &str) -> Result<v1::Method, Problem> {
        let Some(text) = self.one(name)? else { return Ok(v1::Method::Unspecified) };
        let found = by_name(&text, "METHOD_", v1::Method::from_str_name);
        found.ok_or_else(|| Problem::field(name, "is unknown; use API, AUTOMATION_RELIABLE or ASSISTED_MANUAL"))
    }

    /// States, written as SUCCESS or REGISTRATION_STATE_SUCCESS.
    pub fn states(&mut self, name: &str) -> Result<Vec<i32>, Problem> {
        let read = |text: String| {
            let state = by_name(&text, "REGISTRATION_STATE_", v1::RegistrationState::from_str_name);
            let text = "has an unknown state; use the words of a status, such as SUCCESS or WAITING";
            state.map(i32::from).ok_or_else(|| Problem::field(name, text))
        };
        self.all(name).into_iter().map(read).collect()
    }

    /// Refuses what nobody has taken.
    pub fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            Some((name, _)) => Err(Problem::field(name, "is no parameter of this request")),
            None => Ok(()),
        }
    }
}

/// An enum's value by its whole name or by what stands behind its prefix.
pub fn by_name<T>(text: &str, prefix: &str, find: fn(&str) -> Option<T>) -> Option<T> {
    let word = text.to_ascii_uppercase().replace('-', "_");
    find(&word).or_else(|| find(&format!("{prefix}{word}")))
}
