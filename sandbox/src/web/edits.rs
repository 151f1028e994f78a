//! What faults change in the markup of a form: a field renamed, added, removed, demanded or no longer demanded.
//!
//! The markup is our own templates': names stand in double quotes, values are escaped, so nothing a visitor wrote is hit.

use std::ops::Range;

use crate::faults::{Fault, Mode};

/// A change of a form's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    /// One more field, which must be filled in.
    Added { name: String },
    /// A field and its label are gone.
    Removed { name: String },
    /// What had to be filled in need not be, or the other way round.
    RequiredToggled { name: String },
}

impl Edit {
    /// Whether a fault is such a change.
    pub(crate) fn hits(fault: &Fault) -> bool {
        Self::of(&fault.mode).is_some()
    }

    /// The change that a fault makes.
    pub(crate) fn of(mode: &Mode) -> Option<Self> {
        match mode {
            Mode::AddField { name } => Some(Self::Added { name: name.clone() }),
            Mode::RemoveField { name } => Some(Self::Removed { name: name.clone() }),
            Mode::ToggleRequired { name } => Some(Self::RequiredToggled { name: name.clone() }),
            Mode::Status { .. }
            | Mode::Latency { .. }
            | Mode::Hang
            | Mode::DropAfterCommit
            | Mode::RateLimited { .. }
            | Mode::Captcha
            | Mode::RenameField { .. }
            | Mode::AlreadyRegistered
            | Mode::LoginWall
            | Mode::None => None,
        }
    }

    /// The page with the change; as it is where there is no such field.
    pub(crate) fn apply(&self, page: String) -> String {
        match self {
            Self::Added { name } => add(&page, name),
            Self::Removed { name } => remove(page, name),
            Self::RequiredToggled { name } => toggle(page, name),
        }
    }
}

/// Renames a field with its id and its label.
pub(crate) fn rename(page: &str, from: &str, to: &str) -> String {
    ["name", "id", "for"].iter().fold(page.to_owned(), |page, attribute| {
        page.replace(&format!(" {attribute}=\"{from}\""), &format!(" {attribute}=\"{to}\""))
    })
}

fn add(page: &str, name: &str) -> String {
    let field = format!("<p><label for=\"{name}\">{name}</label><input id=\"{name}\" name=\"{name}\" required></p>");
    page.replacen("</form>", &format!("{field}</form>"), 1)
}

fn remove(mut page: String, name: &str) -> String {
    if let Some(field) = element(&page, name) {
        page.replace_range(field, "");
    }
    let label = format!("<label for=\"{name}\">");
    let end = |from: usize| page[from..].find("</label>").map(|length| from + length + "</label>".len());
    if let Some(from) = page.find(&label)
        && let Some(end) = end(from)
    {
        page.replace_range(from..end, "");
    }
    page
}

fn toggle(mut page: String, name: &str) -> String {
    let Some(tag) = opening_tag(&page, name) else { return page };
    match page[tag.clone()].find(" required") {
        Some(place) => page.replace_range(tag.start + place..tag.start + place + " required".len(), ""),
        None => page.insert_str(tag.end - 1, " required"),
    }
    page
}

fn opening_tag(page: &str, name: &str) -> Option<Range<usize>> {
    let place = page.find(&format!(" name=\"{name}\""))?;
    let start = page[..place].rfind('<')?;
    Some(start..place + page[place..].find('>')? + 1)
}

/// The whole element: lists and text areas have an end of their own.
fn element(page: &str, name: &str) -> Option<Range<usize>> {
    let tag = opening_tag(page, name)?;
    let closing = ["select", "textarea"].into_iter().find(|kind| page[tag.start + 1..].starts_with(kind));
    let Some(kind) = closing else { return Some(tag) };
    let closing = format!("</{kind}>");
    let end = tag.end + page[tag.end..].find(&closing)? + closing.len();
    Some(tag.start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<form><label for="serial">S</label><input id="serial" name="serial" required value="&quot; name=&quot;x"><label for="place">P</label><select id="place" name="place"><option>a</option></select></form>"#;

    fn edited(edit: impl FnOnce(String) -> Edit, name: &str) -> String {
        edit(name.to_owned()).apply(PAGE.to_owned())
    }

    #[test]
    fn a_renamed_field_changes_its_name_id_and_label() {
        let page = r#"<label for="serial">S</label><input id="serial" name="serial" value="&quot; name=&quot;serial">"#;
        let expected = r#"<label for="sn">S</label><input id="sn" name="sn" value="&quot; name=&quot;serial">"#;
        assert_eq!(rename(page, "serial", "sn"), expected);
    }

    #[test]
    fn a_field_is_added_before_the_end_of_the_form() {
        let page = edited(|name| Edit::Added { name }, "fax");
        assert!(page.ends_with(r#"<input id="fax" name="fax" required></p></form>"#), "{page}");
    }

    #[test]
    fn a_field_is_removed_with_its_label_and_its_options() {
        let page = edited(|name| Edit::Removed { name }, "place");
        assert!(page.ends_with(r#"name=&quot;x"></form>"#), "{page}");
        let page = edited(|name| Edit::Removed { name }, "serial");
        assert!(page.starts_with(r#"<form><label for="place">"#), "{page}");
    }

    #[test]
    fn what_is_demanded_is_turned_round() {
        let page = edited(|name| Edit::RequiredToggled { name }, "serial");
        assert!(!page.contains("required"), "{page}");
        let page = edited(|name| Edit::RequiredToggled { name }, "place");
        assert!(page.contains(r#"name="place" required>"#), "{page}");
    }

    #[test]
    fn a_page_without_the_field_stays_as_it_is() {
        assert_eq!(edited(|name| Edit::Removed { name }, "x"), PAGE);
        assert_eq!(edited(|name| Edit::RequiredToggled { name }, "x"), PAGE);
    }
}
