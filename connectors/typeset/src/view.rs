//! What the template reads: the data plus the few things that are easier said in Rust (dates in words, names of fields).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use packet::{PacketData, parse_link};
use serde::Serialize;

/// Characters of a link that are printed; the QR code and the click carry the whole.
const LINK_SHOWN_CHARS_MAX: usize = 90;

/// The JSON file that the template loads.
#[derive(Serialize)]
pub(crate) struct View<'a> {
    data: &'a PacketData,
    prepared: String,
    bought: Option<String>,
    register_by: Option<RegisterBy>,
    link: Option<ShownLink>,
    website: Option<String>,
    has_qr: bool,
    unprintable: Vec<String>,
}

#[derive(Serialize)]
struct RegisterBy {
    date: String,
    weekday: String,
    remark: String,
}

#[derive(Serialize)]
struct ShownLink {
    url: String,
    shown: String,
}

impl<'a> View<'a> {
    /// `missing` are the names of fields whose text the fonts cannot carry.
    pub(crate) fn new(
        data: &'a PacketData,
        url: Option<&url::Url>,
        has_qr: bool,
        at: Timestamp,
        missing: &[String],
    ) -> Self {
        let today = at.to_zoned(TimeZone::UTC).date();
        View {
            data,
            prepared: in_words(today),
            bought: data.purchase.date.map(in_words),
            register_by: data.register_by.map(|date| RegisterBy::new(date, today)),
            link: url.map(ShownLink::new),
            website: data.maker.website.as_deref().and_then(|site| parse_link(site).ok()).map(String::from),
            has_qr,
            unprintable: human_names(data, missing),
        }
    }
}

impl RegisterBy {
    fn new(date: Date, today: Date) -> Self {
        // whole days between two civil dates: cannot overflow within jiff's range, 0 would only soften the remark
        let days = today.until(date).map_or(0, |span| span.get_days());
        let remark = match days {
            i32::MIN..0 => "it has passed, and is still worth trying".to_owned(),
            0 => "that is today".to_owned(),
            1 => "that is tomorrow".to_owned(),
            _ => format!("{days} days from this letter"),
        };
        RegisterBy { date: in_words(date), weekday: date.strftime("%A").to_string(), remark }
    }
}

impl ShownLink {
    fn new(url: &url::Url) -> Self {
        let bare = url.as_str().split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let bare = bare.strip_suffix('/').unwrap_or(bare);
        let mut shown: String = bare.chars().take(LINK_SHOWN_CHARS_MAX).collect();
        if shown.len() < bare.len() {
            shown.push('…');
        }
        ShownLink { url: url.to_string(), shown }
    }
}

fn in_words(date: Date) -> String {
    date.strftime("%-d %B %Y").to_string()
}

/// `owner.name` becomes "owner name"; a field of the form goes by its own label.
fn human_names(data: &PacketData, missing: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in missing {
        let human = human_name(data, name);
        if !names.contains(&human) {
            names.push(human);
        }
    }
    names
}

fn human_name(data: &PacketData, name: &str) -> String {
    let labelled = name.strip_prefix("fields[").and_then(|rest| rest.split_once(']'));
    if let Some((index, part)) = labelled {
        let field = index.parse().ok().and_then(|index: usize| data.fields.get(index));
        let label = field.map(|field| field.label.clone());
        return label.filter(|_| part != ".label").unwrap_or_else(|| format!("field {index} of the form"));
    }
    let bare = name.split('[').next().unwrap_or(name);
    bare.replace(['.', '_'], " ")
}
