//! How a form differs from the one that its recipe was written for. Pure: two shapes in, the differences out.
//!
//! Fields are paired by name, then by label and type, then by their place between fields that are paired already. What is
//! paired by anything but its name was renamed; what is left over is gone, or new.

use events::{Drift, DriftKind};

use crate::{FormField, FormShape};

/// Most differences that are named; a form with more is another form.
pub const DRIFTS_MAX: usize = 40;

/// What of `seen` a recipe for `baseline` would stumble over; empty when nothing.
#[must_use]
pub fn drift(baseline: &FormShape, seen: &FormShape) -> Vec<Drift> {
    if seen.login && !baseline.login {
        // everything else that differs follows from it
        return vec![whole(DriftKind::LoginWall, "a login page stands where the form was")];
    }
    let captcha = (seen.captcha && !baseline.captcha)
        .then(|| whole(DriftKind::CaptchaAdded, "a captcha stands before the form now"));
    if captcha.is_some() && seen.fields.is_empty() {
        return captcha.into_iter().collect();
    }
    let pairs = Pairs::of(&baseline.fields, &seen.fields);
    let mut found: Vec<Drift> = action(baseline, seen).into_iter().collect();
    found.extend(pairs.changes());
    found.extend(captcha);
    found.truncate(DRIFTS_MAX);
    found
}

fn action(baseline: &FormShape, seen: &FormShape) -> Option<Drift> {
    let (was, is) = (&baseline.action, &seen.action);
    (was != is).then(|| whole(DriftKind::ActionChanged, format!("the form is sent to `{is}` now, was `{was}`")))
}

fn whole(kind: DriftKind, detail: impl Into<String>) -> Drift {
    Drift { kind, field: String::new(), detail: detail.into() }
}

/// Which field of one form is which of the other.
struct Pairs<'a> {
    before: &'a [FormField],
    now: &'a [FormField],
    /// For each field before, its place now.
    places: Vec<Option<usize>>,
}

impl<'a> Pairs<'a> {
    fn of(before: &'a [FormField], now: &'a [FormField]) -> Self {
        let mut pairs = Self { before, now, places: vec![None; before.len()] };
        pairs.pair(|was, is| !was.name.is_empty() && was.name == is.name);
        pairs.pair(|was, is| was.kind == is.kind && same_label(was, is));
        pairs.pair_by_place();
        pairs
    }

    fn pair(&mut self, alike: impl Fn(&FormField, &FormField) -> bool) {
        for index in 0..self.before.len() {
            if self.places[index].is_none() {
                let found = (0..self.now.len())
                    .find(|place| self.is_free(*place) && alike(&self.before[index], &self.now[*place]));
                self.places[index] = found;
            }
        }
    }

    /// A field whose neighbour before it is paired, and the field of its type that now follows that neighbour.
    fn pair_by_place(&mut self) {
        for index in 0..self.before.len() {
            if self.places[index].is_some() {
                continue;
            }
            let place = match index.checked_sub(1) {
                None => Some(0),
                Some(neighbour) => self.places[neighbour].map(|place| place + 1),
            };
            let fits = |place: &usize| {
                self.now.get(*place).is_some_and(|is| is.kind == self.before[index].kind) && self.is_free(*place)
            };
            self.places[index] = place.filter(fits);
        }
    }

    fn is_free(&self, place: usize) -> bool {
        !self.places.contains(&Some(place))
    }

    fn changes(&self) -> Vec<Drift> {
        let mut found = Vec::new();
        for (was, place) in self.before.iter().zip(&self.places) {
            match place.and_then(|place| self.now.get(place)) {
                Some(is) => found.extend(differences(was, is)),
                None => found.push(of(DriftKind::Removed, was, format!("{} is gone", shown(was)))),
            }
        }
        let new = (0..self.now.len()).filter(|place| self.is_free(*place)).map(|place| added(&self.now[place]));
        found.extend(new);
        found
    }
}

fn added(is: &FormField) -> Drift {
    let must = if is.required { " and must be filled in" } else { "" };
    of(DriftKind::Added, is, format!("{} is new{must}", shown(is)))
}

/// How a field differs from what it was.
fn differences(was: &FormField, is: &FormField) -> Vec<Drift> {
    let mut found = Vec::new();
    // what never had a name of its own cannot lose it
    if was.name != is.name && !was.name.is_empty() && !is.name.is_empty() {
        found.push(of(DriftKind::Renamed, was, format!("`{}` is now named `{}`", was.name, is.name)));
    }
    if was.required != is.required {
        let must = if is.required { "must be filled in now" } else { "need not be filled in any more" };
        found.push(of(DriftKind::RequiredChanged, was, format!("{} {must}", shown(was))));
    }
    if was.kind != is.kind {
        let detail = format!("{} is of type `{}` now, was `{}`", shown(was), is.kind, was.kind);
        found.push(of(DriftKind::TypeChanged, was, detail));
    }
    found
}

fn of(kind: DriftKind, field: &FormField, detail: String) -> Drift {
    Drift { kind, field: field.name.clone(), detail }
}

fn shown(field: &FormField) -> String {
    match (field.name.as_str(), field.label.as_str()) {
        ("", "") => format!("a field of type `{}`", field.kind),
        ("", label) => format!("the field \"{label}\""),
        (name, _) => format!("`{name}`"),
    }
}

/// Stars, colons and case are decoration; a field without a label has none in common with another.
fn same_label(was: &FormField, is: &FormField) -> bool {
    let plain = |label: &str| label.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    let (was, is): (String, String) = (plain(&was.label), plain(&is.label));
    !was.is_empty() && was == is
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, kind: &str, label: &str, required: bool) -> FormField {
        FormField { name: name.into(), kind: kind.into(), label: label.into(), required }
    }

    fn form() -> FormShape {
        FormShape {
            action: "/register".into(),
            fields: vec![
                field("model", "text", "Model *", true),
                field("serial", "text", "Serial number", true),
                field("bought", "date", "Bought on", true),
                field("news", "checkbox", "News", false),
            ],
            ..FormShape::default()
        }
    }

    /// Kind, field and sentence of what a change makes of the form.
    fn found(change: impl FnOnce(&mut FormShape)) -> Vec<(DriftKind, String, String)> {
        let mut seen = form();
        change(&mut seen);
        drift(&form(), &seen).into_iter().map(|drift| (drift.kind, drift.field, drift.detail)).collect()
    }

    fn one(kind: DriftKind, field: &str, detail: &str) -> Vec<(DriftKind, String, String)> {
        vec![(kind, field.to_owned(), detail.to_owned())]
    }

    #[test]
    fn labels_and_order_are_no_drift() {
        assert_eq!(found(|seen| seen.fields.iter_mut().for_each(|field| field.label = "Other".into())), []);
        assert_eq!(found(|seen| seen.fields.reverse()), []);
    }

    #[test]
    fn a_renamed_field_is_known_by_its_label_wherever_it_went() {
        let wanted = one(DriftKind::Renamed, "serial", "`serial` is now named `sn`");
        assert_eq!(found(|seen| seen.fields[1].name = "sn".into()), wanted);
        let moved = found(|seen| {
            seen.fields[1] = field("sn", "text", "serial NUMBER:", true);
            seen.fields.swap(1, 3);
        });
        assert_eq!(moved, wanted);
    }

    #[test]
    fn a_field_with_another_name_and_label_is_known_by_its_place() {
        let wanted = one(DriftKind::Renamed, "serial", "`serial` is now named `sn`");
        assert_eq!(found(|seen| seen.fields[1] = field("sn", "text", "Number on the plate", true)), wanted);
    }

    #[test]
    fn what_stands_in_a_place_but_is_of_another_type_is_another_field() {
        let kinds = found(|seen| seen.fields[1] = field("plate", "file", "Photo", false));
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, field, _)| (kind, field)).collect();
        assert_eq!(kinds, [(DriftKind::Removed, "serial".into()), (DriftKind::Added, "plate".into())]);
    }

    #[test]
    fn an_added_a_removed_a_demanded_and_a_retyped_field_are_named() {
        let added = found(|seen| seen.fields.insert(2, field("colour", "text", "Colour", true)));
        assert_eq!(added, one(DriftKind::Added, "colour", "`colour` is new and must be filled in"));
        let removed = found(|seen| drop(seen.fields.remove(3)));
        assert_eq!(removed, one(DriftKind::Removed, "news", "`news` is gone"));
        let demanded = found(|seen| seen.fields[3].required = true);
        assert_eq!(demanded, one(DriftKind::RequiredChanged, "news", "`news` must be filled in now"));
        let freed = found(|seen| seen.fields[0].required = false);
        assert_eq!(freed, one(DriftKind::RequiredChanged, "model", "`model` need not be filled in any more"));
        let retyped = found(|seen| seen.fields[2].kind = "text".into());
        assert_eq!(retyped, one(DriftKind::TypeChanged, "bought", "`bought` is of type `text` now, was `date`"));
    }

    #[test]
    fn another_address_a_captcha_and_a_login_are_about_the_whole_form() {
        let sent = found(|seen| seen.action = "/v2/register".into());
        assert_eq!(sent, one(DriftKind::ActionChanged, "", "the form is sent to `/v2/register` now, was `/register`"));
        let captcha = found(|seen| seen.captcha = true);
        assert_eq!(captcha, one(DriftKind::CaptchaAdded, "", "a captcha stands before the form now"));
        let challenge = found(|seen| *seen = FormShape { captcha: true, ..FormShape::default() });
        assert_eq!(challenge, captcha);
        let login = found(|seen| {
            *seen = FormShape { login: true, fields: vec![field("p", "password", "", true)], ..FormShape::default() }
        });
        assert_eq!(login, one(DriftKind::LoginWall, "", "a login page stands where the form was"));
    }

    #[test]
    fn a_captcha_that_is_known_or_gone_is_no_drift() {
        let known = FormShape { captcha: true, ..form() };
        assert_eq!(drift(&known, &known), []);
        assert_eq!(drift(&known, &form()), []);
    }

    #[test]
    fn a_field_without_a_name_is_known_by_its_label() {
        let unnamed = FormShape { fields: vec![field("", "text", "Serial", true)], ..FormShape::default() };
        let named = FormShape { fields: vec![field("sn", "text", "Serial", true)], ..FormShape::default() };
        assert_eq!(drift(&unnamed, &unnamed), []);
        assert_eq!(drift(&unnamed, &named), []);
        let gone = drift(&unnamed, &FormShape::default());
        assert_eq!(gone[0].detail, "the field \"Serial\" is gone");
    }

    #[test]
    fn a_form_that_is_another_one_is_not_listed_for_ever() {
        let many = |prefix: &str, kind: &str| FormShape {
            fields: (0..60).map(|n| field(&format!("{prefix}{n}"), kind, "", false)).collect(),
            ..FormShape::default()
        };
        assert_eq!(drift(&many("a", "text"), &many("b", "file")).len(), DRIFTS_MAX);
    }
}
