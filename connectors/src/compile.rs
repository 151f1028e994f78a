//! From the text of a catalog file to a [`Plan`], with every mistake named.

use events::sending::MARKETING_CONSENT;
use events::words::Method;
use regex::Regex;

use crate::brand;
use crate::checker::{Checker, Noted};
use crate::compile_api;
use crate::compile_form;
use crate::compile_guards::{self, Guards};
use crate::file::{File, ManualFieldFile, ManualFile, SerialFile};
use crate::manual::{FieldTemplate, Manual};
use crate::plan::{Brand, Plan};
use crate::retention;
use crate::sample;
use crate::sent::Declared;
use crate::serial::{SerialGuide, SerialRule};
use crate::source::{Mistake, Source};

/// The connector that takes all brands that no other has.
pub(crate) const GENERIC_ID: &str = "generic";
/// Compiled size of one serial pattern; a larger one is no pattern of a serial number.
const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Reads and checks one file. Its id is the file's name without `.toml`.
pub(crate) fn plan(file_name: &str, text: &str) -> Result<Plan, Vec<Mistake>> {
    let source = Source::parse(file_name, text).map_err(|mistake| vec![mistake])?;
    let file: File = source.read().map_err(|mistake| vec![mistake])?;
    let declared = Declared::new(file.sends.clone());
    let serial = file.serial.as_ref().map_or(sample::SERIAL, |serial| serial.example.as_str());
    let mut checker = Checker::new(&source, declared.clone(), &file.requires, serial);
    let plan = build(&mut checker, file_name, file, declared);
    match (plan, checker.into_mistakes()) {
        (Ok(plan), mistakes) if mistakes.is_empty() => Ok(plan),
        (_, mistakes) => Err(mistakes),
    }
}

fn build(checker: &mut Checker<'_>, file_name: &str, file: File, declared: Declared) -> Result<Plan, Noted> {
    let id = id_of(checker, file_name);
    check_fields(checker, &file);
    check_ladder(checker, &file);
    let brands = brands(checker, file_name, &file);
    let serial = file.serial.map(|serial| serial_rule(checker, serial)).transpose();
    let register_by = compile_guards::register_by(checker, file.register_by_days, file.register_by);
    let retention = file.retention.map(|file| retention::retention(checker, file)).transpose();
    let policy = compile_guards::policy(
        checker,
        &Guards { circuit: file.circuit, limits: file.limits, concurrency: file.concurrency, health: file.health },
    );
    let api = file.api.map(|api| compile_api::api(checker, api, file.network)).transpose();
    let form = file.form.map(|form| compile_form::form(checker, form, file.network)).transpose();
    let manual = manual(checker, file.manual);
    Ok(Plan {
        id: id?,
        name: file.name,
        brands,
        network: file.network,
        declared,
        requires: file.requires,
        register_by: register_by?,
        retention: retention?,
        ladder: file.ladder,
        serial: serial?,
        retry_api: file.retry.api,
        retry_form: file.retry.form,
        policy: policy?,
        api: api?,
        form: form?,
        manual: manual?,
    })
}

fn id_of(checker: &mut Checker<'_>, file_name: &str) -> Result<String, Noted> {
    let stem = stem_of(file_name);
    let good = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if good {
        Ok(stem.to_owned())
    } else {
        Err(checker
            .mistake(&[], "the file's name is the connector's id; use lower-case letters, digits and _ before .toml"))
    }
}

fn stem_of(file_name: &str) -> &str {
    file_name.rsplit(['/', '\\']).next().unwrap_or_default().trim_end_matches(".toml")
}

fn check_fields(checker: &mut Checker<'_>, file: &File) {
    if file.name.trim().is_empty() {
        checker.mistake(&["name"], "the maker needs a name");
    }
    for (place, name) in file.sends.iter().enumerate() {
        checker.field(&["sends", &place.to_string()], name);
    }
    for (place, name) in file.requires.iter().enumerate() {
        let place = place.to_string();
        checker.field(&["requires", &place], name);
        if name == MARKETING_CONSENT {
            checker
                .mistake(&["requires", &place], "consent is a yes or a no, so nobody can be asked for it; take it out");
        }
        if !file.sends.contains(name) {
            checker.mistake(
                &["requires", &place],
                format!("`{name}` is required but not declared in `sends`; add it there"),
            );
        }
    }
    for (key, retry) in [("api", file.retry.api), ("form", file.retry.form)] {
        if retry.tries_max == 0 {
            checker.mistake(
                &["retry", key, "tries_max"],
                "a method is tried at least once; take it out of the ladder instead",
            );
        }
    }
}

fn check_ladder(checker: &mut Checker<'_>, file: &File) {
    for (place, method) in file.ladder.iter().enumerate() {
        let (there, section) = match method {
            Method::Api => (file.api.is_some(), "api"),
            Method::AutomationReliable => (file.form.is_some(), "form"),
            Method::AssistedManual => (true, "manual"),
        };
        let path = ["ladder", &place.to_string()];
        if !there {
            checker.mistake(
                &path,
                format!("the ladder names {method}, but the file has no [{section}] section; write one or take it out"),
            );
        }
        if file.ladder[..place].contains(method) {
            checker.mistake(&path, format!("the ladder names {method} twice; keep one"));
        }
    }
    if file.ladder.last() != Some(&Method::AssistedManual) {
        checker.mistake(&["ladder"], "the ladder must end with ASSISTED_MANUAL, so that nobody is left without a way");
    }
}

fn brands(checker: &mut Checker<'_>, file_name: &str, file: &File) -> Vec<Brand> {
    if file.brands.is_empty() && stem_of(file_name) != GENERIC_ID {
        checker.mistake(&["brands"], "a maker needs at least one brand; only generic.toml has none");
    }
    let mut brands = Vec::with_capacity(file.brands.len());
    for (place, name) in file.brands.iter().enumerate() {
        let path = ["brands", &place.to_string()];
        let keys = brand::keys(name);
        if keys.is_empty() {
            checker.mistake(&path, "a brand needs a letter or a digit");
        }
        let Mistake { file, line, column, .. } = checker.place(&path);
        brands.push(Brand { name: name.clone(), keys, file, line, column });
    }
    brands
}

fn serial_rule(checker: &mut Checker<'_>, file: SerialFile) -> Result<SerialRule, Noted> {
    let mut patterns = Vec::with_capacity(file.patterns.len());
    for (place, pattern) in file.patterns.iter().enumerate() {
        // a pattern is for the whole serial, whether or not its writer thought of the anchors
        let whole = regex::RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(PATTERN_BYTES_MAX).build();
        match whole {
            Ok(pattern) => patterns.push(pattern),
            Err(error) => {
                return Err(checker.mistake(&["serial", "patterns", &place.to_string()], bad_pattern(pattern, &error)));
            }
        }
    }
    let rule =
        SerialRule { patterns, guide: SerialGuide { example: file.example, hint: file.hint, location: file.location } };
    if rule.fits(&rule.guide.example) {
        Ok(rule)
    } else {
        Err(checker.mistake(&["serial", "example"], "the example fits none of the patterns"))
    }
}

/// The regex crate draws its errors over several lines, around a pattern that is not quite the writer's.
pub(crate) fn bad_pattern(pattern: &str, error: &regex::Error) -> String {
    let of_writer = Regex::new(pattern).err().map_or_else(|| error.to_string(), |error| error.to_string());
    let reason = of_writer.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    format!("this is no regular expression: {reason}")
}

fn manual(checker: &mut Checker<'_>, file: ManualFile) -> Result<Manual, Noted> {
    if file.steps.is_empty() {
        checker.mistake(&["manual", "steps"], "the guide needs at least one step");
    }
    for (key, link) in [("website", &file.website), ("link", &file.link)] {
        let good = link.as_ref().is_none_or(|link| link.starts_with("https://") || link.starts_with("sandbox:///"));
        if !good {
            checker.mistake(&["manual", key], "write a whole address that begins with https://");
        }
    }
    let steps: Vec<_> = file
        .steps
        .iter()
        .enumerate()
        .map(|(place, step)| checker.template(&["manual", "steps", &place.to_string()], step))
        .collect();
    let fields: Vec<_> =
        file.fields.into_iter().enumerate().map(|(place, field)| manual_field(checker, place, field)).collect();
    Ok(Manual {
        website: file.website,
        phone: file.phone,
        postal: file.postal,
        link: file.link,
        steps: steps.into_iter().collect::<Result<_, _>>()?,
        fields: fields.into_iter().collect::<Result<_, _>>()?,
    })
}

fn manual_field(checker: &mut Checker<'_>, place: usize, field: ManualFieldFile) -> Result<FieldTemplate, Noted> {
    let value = checker.template(&["manual", "fields", &place.to_string(), "value"], &field.value)?;
    Ok(FieldTemplate { label: field.label, value, note: field.note })
}
