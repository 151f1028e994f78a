//! What an attempt will send, and where to: known before anything leaves, from the templates and from what the details hold.
//!
//! A field is named when a template that reads it is sent and the details have it. What is made of a field, a first name or a
//! year, counts as the field. Keys and tokens are ours, not the person's; calls that fetch a token and health checks send
//! nothing of a person, so they are not told of.

use events::sending::{MARKETING_CONSENT, PROOF_OF_PURCHASE};
use events::{Details, Method, Sending, SentFields};
use form::FieldKind;
use url::Url;

use crate::connector::Connector;
use crate::expression::Expression;
use crate::sent::IDEMPOTENCY_KEY;
use crate::template::Template;

/// The value by which a box is ticked; any other leaves it alone, and an unticked box sends nothing.
const TICKED: &str = "true";

/// The fields that expressions read, sorted, each once.
pub(crate) fn uses<'e>(expressions: impl IntoIterator<Item = &'e Expression>) -> Vec<String> {
    let mut names: Vec<String> = expressions.into_iter().flat_map(Expression::variables).collect();
    names.retain(|name| name != IDEMPOTENCY_KEY);
    names.sort();
    names.dedup();
    names
}

impl Connector {
    /// What an attempt by `method` sends of these details; nothing when there is no such method here, or nothing to send to.
    ///
    /// `has_proof` says whether there is a proof of purchase, which some forms take as a file.
    #[must_use]
    pub fn sending(&self, method: Method, details: &Details, has_proof: bool) -> Option<Sending> {
        match method {
            Method::Api => {
                let (api, to) = (self.api()?, self.api_host()?.to_owned());
                let fields = api.uses.iter().map(String::as_str).filter(|name| is_there(details, name)).collect();
                Some(Sending { to, fields })
            }
            Method::AutomationReliable => self.sending_by_form(details, has_proof),
            Method::AssistedManual => None,
        }
    }

    /// What the question sends by which the API tells whether a product is registered; nothing when it cannot be asked.
    #[must_use]
    pub fn asking(&self) -> Option<Sending> {
        let lookup = self.api()?.lookup.as_ref()?;
        Some(Sending { to: self.api_host()?.to_owned(), fields: lookup.uses.clone() })
    }

    fn sending_by_form(&self, details: &Details, has_proof: bool) -> Option<Sending> {
        let recipe = self.plan().form.as_ref()?;
        let filled = self.form_recipe(details).ok()?;
        let mut fields = SentFields::default();
        let mut read = |texts: &[&str]| {
            for name in
                texts.iter().filter_map(|text| Template::compile(text).ok()).flat_map(|text| uses(text.expressions()))
            {
                if is_there(details, &name) {
                    fields.insert(&name);
                }
            }
        };
        read(&[&recipe.url]);
        let pairs =
            recipe.steps.iter().zip(&filled.steps).flat_map(|(step, filled)| step.fields.iter().zip(&filled.fields));
        let mut takes_files = false;
        for (field, filled) in pairs {
            let is_sent = match field.kind {
                FieldKind::Checkbox => filled.value == TICKED,
                FieldKind::Text
                | FieldKind::Select
                | FieldKind::Date
                | FieldKind::File
                | FieldKind::Radio
                | FieldKind::Typed => !filled.value.is_empty(),
            };
            if is_sent {
                takes_files |= field.kind == FieldKind::File;
                read(&[&field.value]);
                // one of several buttons may be chosen by its selector
                field.selectors.iter().for_each(|selector| read(&[selector]));
            }
        }
        if takes_files && has_proof {
            fields.insert(PROOF_OF_PURCHASE);
        }
        Some(Sending { to: host(&filled.url)?, fields })
    }
}

fn is_there(details: &Details, name: &str) -> bool {
    name == MARKETING_CONSENT || details.field(name).is_some()
}

/// The host of an address, with its port unless that is the usual one.
pub(crate) fn host(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_without_what_it_is_asked_for() {
        assert_eq!(host("https://api.example.org/v1?serial=1").as_deref(), Some("api.example.org"));
        assert_eq!(host("http://127.0.0.1:7470/x").as_deref(), Some("127.0.0.1:7470"));
        assert_eq!(host("no address"), None);
    }
}
