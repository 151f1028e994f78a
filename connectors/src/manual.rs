//! The manual method's view of a connector: what its owner reads in the packet.

use events::Details;

use crate::expression::{TemplateError, is_absent};
use crate::sent::{Declared, Sent};
use crate::template::{Template, text_of};

/// The compiled manual section.
#[derive(Debug)]
pub(crate) struct Manual {
    pub(crate) website: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) postal: Option<String>,
    pub(crate) link: Option<String>,
    pub(crate) steps: Vec<Template>,
    pub(crate) fields: Vec<FieldTemplate>,
}

/// A line of the maker's form before it is filled.
#[derive(Debug)]
pub(crate) struct FieldTemplate {
    pub(crate) label: String,
    pub(crate) value: Template,
    pub(crate) note: Option<String>,
}

/// Everything of a maker that a packet shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualView {
    /// The maker's name as people know it.
    pub maker_name: String,
    /// Its website.
    pub website: Option<String>,
    /// Its customer service.
    pub phone: Option<String>,
    /// Its postal address; lines are separated by newlines.
    pub postal: Option<String>,
    /// The page where the registration is done.
    pub link: Option<String>,
    /// The guide, one step an entry.
    pub steps: Vec<String>,
    /// What to enter, in the order of the maker's form; fields that nobody gave are left out.
    pub fields: Vec<ManualField>,
}

/// One pre-filled line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualField {
    /// The form's own label.
    pub label: String,
    /// What to enter.
    pub value: String,
    /// A hint, for example the format that the form wants.
    pub note: Option<String>,
}

impl Manual {
    /// Fills the section; `resolve` turns an address of the sandbox into a real one.
    pub(crate) fn view(
        &self,
        maker_name: &str,
        details: &Details,
        declared: &Declared,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<ManualView, TemplateError> {
        let sent = Sent::new(details, declared, "");
        let fields = self.fields.iter().map(|field| field.fill(&sent));
        Ok(ManualView {
            maker_name: maker_name.to_owned(),
            website: self.website.as_deref().and_then(&resolve),
            phone: self.phone.clone(),
            postal: self.postal.clone(),
            link: self.link.as_deref().and_then(&resolve),
            steps: self.steps.iter().map(|step| step.text(&sent)).collect::<Result<_, _>>()?,
            fields: fields.filter_map(Result::transpose).collect::<Result<_, _>>()?,
        })
    }
}

impl FieldTemplate {
    /// Nothing when nobody gave the value.
    fn fill(&self, sent: &Sent<'_>) -> Result<Option<ManualField>, TemplateError> {
        let value = self.value.value(sent)?;
        let value = if is_absent(&value) { String::new() } else { text_of(&value) };
        let filled = ManualField { label: self.label.clone(), value, note: self.note.clone() };
        Ok(Some(filled).filter(|field| !field.value.is_empty()))
    }
}
