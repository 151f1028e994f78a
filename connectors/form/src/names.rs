//! Which of our fields the maker speaks of, learned while filling.

use std::collections::HashMap;

use crate::Recipe;

/// What a problem is filed under when nobody says which field it concerns.
const WHOLE_FORM: &str = "form";

/// The maker's names and ids of fields, and our dotted names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    ours: HashMap<String, String>,
}

impl Names {
    /// What the recipe says outright.
    pub(crate) fn new(recipe: &Recipe) -> Self {
        Self { ours: recipe.field_names.clone().into_iter().collect() }
    }

    /// Remembers that the element with this name and id holds `field`; what the recipe says goes first.
    pub(crate) fn learn(&mut self, name: &str, id: &str, field: Option<&str>) {
        let Some(field) = field else { return };
        for key in [name, id].into_iter().filter(|key| !key.is_empty()) {
            self.ours.entry(key.to_owned()).or_insert_with(|| field.to_owned());
        }
    }

    /// Our name of the maker's field, by its name or its id.
    pub(crate) fn ours(&self, name: &str, id: &str) -> &str {
        self.ours.get(name).or_else(|| self.ours.get(id)).map_or(WHOLE_FORM, String::as_str)
    }
}
