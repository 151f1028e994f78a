//! The letters' words: two to owners and one to operators, each as text and as HTML, from templates that escape every value.

use jiff::civil::Date;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use url::Url;

/// Steps one rendering may take; an ordinary letter takes some hundreds.
const RENDER_FUEL: u64 = 200_000;
/// Longest product name in a subject, in characters.
const SUBJECT_PRODUCT_CHARS_MAX: usize = 80;

const SOURCES: [(&str, &str); 8] = [
    ("macros.html.j2", include_str!("../templates/macros.html.j2")),
    ("base.html.j2", include_str!("../templates/base.html.j2")),
    ("alert.html.j2", include_str!("../templates/alert.html.j2")),
    ("alert.txt.j2", include_str!("../templates/alert.txt.j2")),
    ("packet.html.j2", include_str!("../templates/packet.html.j2")),
    ("packet.txt.j2", include_str!("../templates/packet.txt.j2")),
    ("success.html.j2", include_str!("../templates/success.html.j2")),
    ("success.txt.j2", include_str!("../templates/success.txt.j2")),
];

/// A letter's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Subject: names the product and the reference, never the person.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
}

/// The last step is the owner's; the letter says that the packet is attached.
#[derive(Clone, Debug, Serialize)]
pub struct PacketLetter {
    /// Whom the letter greets.
    pub owner_name: String,
    /// Brand and model.
    pub product: String,
    /// The maker's name.
    pub maker: String,
    /// Short reference.
    pub reference: String,
    /// Why it ended here, in one human sentence.
    pub reason: String,
    /// The guide, one step an entry.
    pub steps: Vec<String>,
    /// The maker's form.
    pub link: Option<String>,
    /// Last day on which the registration counts; the letter then says that a calendar entry is attached.
    pub register_by: Option<Date>,
    /// Page on which the owner says that it is done (a button there, because mail scanners follow links).
    pub done_link: Option<String>,
    /// How else to say that it is done.
    pub done_hint: String,
}

/// It is registered, and nothing is left to do.
#[derive(Clone, Debug, Serialize)]
pub struct SuccessLetter {
    /// Whom the letter greets.
    pub owner_name: String,
    /// Brand and model.
    pub product: String,
    /// Serial number; empty when there is none.
    pub serial: String,
    /// The maker's name.
    pub maker: String,
    /// Short reference.
    pub reference: String,
    /// The day.
    pub registered_on: Date,
    /// The maker's code for it, if it gave one.
    pub confirmation: Option<String>,
}

/// Operators are told how a maker is doing.
#[derive(Clone, Debug, Serialize)]
pub struct AlertLetter {
    /// The maker's name.
    pub maker: String,
    /// Its connector, as commands name it.
    pub connector: String,
    /// The news in a few words, lower case.
    pub headline: String,
    /// What happened, the worst first; at least one.
    pub lines: Vec<AlertLine>,
    /// Stands in the letter's head.
    pub reference: String,
}

/// One thing that happened to a maker.
#[derive(Clone, Debug, Serialize)]
pub struct AlertLine {
    /// What kind of thing, for example `Alert, critical`.
    pub label: String,
    /// One sentence.
    pub text: String,
    /// False when it is good news.
    pub bad: bool,
}

/// Why a letter could not be written; without the data, which the template engine's own errors quote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A link that is not http or https.
    #[error("{field} is not an http or https address")]
    BadLink {
        /// Which field.
        field: &'static str,
    },
    /// The template itself is wrong, or the data make it too long.
    #[error("writing the letter from {template} failed at line {line}")]
    Template {
        /// Its file.
        template: &'static str,
        /// Line, 0 when unknown.
        line: usize,
    },
}

/// All templates, parsed once.
pub struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    /// Parses the templates that are compiled in.
    pub fn new() -> Result<Templates, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .map_err(|error| failed("base.html.j2", &error))?,
        );
        environment.set_fuel(Some(RENDER_FUEL));
        environment.add_filter("in_words", |date: &str| in_words(date));
        for (name, source) in SOURCES {
            environment.add_template(name, source).map_err(|error| failed(name, &error))?;
        }
        Ok(Templates { environment })
    }

    /// The letter that comes with a packet.
    pub fn render_packet(&self, letter: &PacketLetter) -> Result<Rendered, TemplateError> {
        check_link("link", letter.link.as_deref())?;
        check_link("done_link", letter.done_link.as_deref())?;
        let subject = subject(&letter.product, "one step is left for you", &letter.reference);
        self.render(subject, "packet.txt.j2", "packet.html.j2", letter)
    }

    /// The letter that tells the owner that it is registered.
    pub fn render_success(&self, letter: &SuccessLetter) -> Result<Rendered, TemplateError> {
        let subject = subject(&letter.product, "it is registered", &letter.reference);
        self.render(subject, "success.txt.j2", "success.html.j2", letter)
    }

    /// The letter to operators about a maker.
    pub fn render_alert(&self, letter: &AlertLetter) -> Result<Rendered, TemplateError> {
        let subject = subject(&letter.maker, &letter.headline, &letter.reference);
        self.render(subject, "alert.txt.j2", "alert.html.j2", letter)
    }

    fn render<L: Serialize>(
        &self,
        subject: String,
        text: &'static str,
        html: &'static str,
        letter: &L,
    ) -> Result<Rendered, TemplateError> {
        let written = |name: &'static str| {
            let template = self.environment.get_template(name);
            template.and_then(|template| template.render(Serde(letter))).map_err(|error| failed(name, &error))
        };
        Ok(Rendered { subject, text: written(text)?, html: written(html)? })
    }
}

fn failed(template: &'static str, error: &minijinja::Error) -> TemplateError {
    TemplateError::Template { template, line: error.line().unwrap_or_default() }
}

fn check_link(field: &'static str, link: Option<&str>) -> Result<(), TemplateError> {
    let is_http = |url: Url| matches!(url.scheme(), "http" | "https");
    let good = link.is_none_or(|link| Url::parse(link).is_ok_and(is_http));
    if good { Ok(()) } else { Err(TemplateError::BadLink { field }) }
}

/// One line whatever the product is called: control characters would be refused by the mailer, a long name would push out the news.
fn subject(product: &str, news: &str, reference: &str) -> String {
    let mut name: String = product.chars().take(SUBJECT_PRODUCT_CHARS_MAX).collect();
    if name.len() < product.len() {
        name.push('…');
    }
    let name = name.replace(char::is_control, " ");
    format!("{name}: {news} ({reference})")
}

fn in_words(date: &str) -> String {
    date.parse::<Date>().map_or_else(|_| date.to_owned(), |date| date.strftime("%-d %B %Y").to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    const HOSTILE: &str = r#"<script>alert("1")</script>{{ 7*7 }}' onload='x"#;

    fn packet() -> PacketLetter {
        PacketLetter {
            owner_name: "Zoë Müller".to_owned(),
            product: "Veloce Strada 3 Disc".to_owned(),
            maker: "Veloce Bikes".to_owned(),
            reference: "RF-7K4M-2Q9T".to_owned(),
            reason: "The form asks for a human.".to_owned(),
            steps: vec!["Open the form.".to_owned(), "Copy the entries.".to_owned()],
            link: Some("https://veloce.example/register?a=1&b=2".to_owned()),
            register_by: Some(jiff::civil::date(2027, 1, 13)),
            done_link: Some("https://regflow.example/done/abc".to_owned()),
            done_hint: "Press the button, or phone us.".to_owned(),
        }
    }

    #[test]
    fn a_packet_letter_says_what_to_do_until_when_and_where() {
        let letter = Templates::new().unwrap().render_packet(&packet()).unwrap();
        assert_eq!(letter.subject, "Veloce Strada 3 Disc: one step is left for you (RF-7K4M-2Q9T)");
        for words in ["Zoë Müller", "13 January 2027", "Open the form.", "Press the button", "RF-7K4M-2Q9T"] {
            assert!(letter.text.contains(words) && letter.html.contains(words), "{words}");
        }
        assert!(letter.text.contains("\nhttps://veloce.example/register?a=1&b=2\n"));
        assert!(letter.html.contains("a=1&amp;b=2\""));
    }

    fn success() -> SuccessLetter {
        SuccessLetter {
            owner_name: "Zoë Müller".to_owned(),
            product: "Norrland VK 200".to_owned(),
            serial: "NL00000001".to_owned(),
            maker: "Norrland Home".to_owned(),
            reference: "RF-7K4M-2Q9T".to_owned(),
            registered_on: jiff::civil::date(2026, 11, 25),
            confirmation: Some("NR-000001".to_owned()),
        }
    }

    #[test]
    fn a_success_letter_says_what_was_registered_with_whom_and_when_and_has_nothing_to_click() {
        let letter = Templates::new().unwrap().render_success(&success()).unwrap();
        assert_eq!(letter.subject, "Norrland VK 200: it is registered (RF-7K4M-2Q9T)");
        for words in ["Zoë Müller", "Norrland Home", "NL00000001", "25 November 2026", "NR-000001", "Keep this letter"]
        {
            assert!(letter.text.contains(words) && letter.html.contains(words), "{words}");
        }
        assert!(!letter.html.contains("href") && !letter.text.contains("http"));
    }

    #[test]
    fn a_success_letter_without_a_code_or_a_serial_number_is_whole_and_escapes_the_rest() {
        let bare =
            SuccessLetter { serial: String::new(), confirmation: None, product: HOSTILE.to_owned(), ..success() };
        let letter = Templates::new().unwrap().render_success(&bare).unwrap();
        assert!(!letter.text.contains("Confirmation") && !letter.html.contains("Confirmation"));
        assert!(!letter.text.contains("Serial") && !letter.text.contains("\n\n\n"), "{}", letter.text);
        assert!(!letter.html.contains("<script") && letter.text.contains(HOSTILE));
    }

    #[test]
    fn hostile_values_are_escaped_in_html_and_literal_in_text() {
        let templates = Templates::new().unwrap();
        let hostile = || HOSTILE.to_owned();
        let letter = PacketLetter {
            owner_name: hostile(),
            product: hostile(),
            maker: hostile(),
            reference: hostile(),
            reason: hostile(),
            steps: vec![hostile()],
            done_hint: hostile(),
            link: Some("https://a.example/\"onclick=\"x".to_owned()),
            ..packet()
        };
        let rendered = templates.render_packet(&letter).unwrap();
        assert!(!rendered.html.contains("<script") && !rendered.html.contains("onload='"));
        assert!(!rendered.html.contains("\"onclick"));
        assert!(rendered.html.contains("{{ 7*7 }}") && rendered.text.contains(HOSTILE));
    }

    #[test]
    fn subjects_are_one_short_line_without_the_owner() {
        let mut letter = packet();
        letter.product = format!("Veloce\r\nBcc: x@y.example {}", "very ".repeat(100));
        let subject = Templates::new().unwrap().render_packet(&letter).unwrap().subject;
        assert!(subject.chars().count() < 150 && !subject.contains(char::is_control));
        assert!(!subject.contains("Müller"));
    }

    #[test]
    fn operators_read_what_happened_to_which_maker() {
        let line = |text: &str, bad| AlertLine { label: "Alert, critical".to_owned(), text: text.to_owned(), bad };
        let letter = AlertLetter {
            maker: "Brightwell <Audio>".to_owned(),
            connector: "brightwell".to_owned(),
            headline: "an incident began".to_owned(),
            lines: vec![line("the circuit of API is open", true), line("and it is over", false)],
            reference: "alert 42".to_owned(),
        };
        let rendered = Templates::new().unwrap().render_alert(&letter).unwrap();
        assert_eq!(rendered.subject, "Brightwell <Audio>: an incident began (alert 42)");
        assert!(rendered.text.contains("Alert, critical: the circuit of API is open\n"), "{}", rendered.text);
        assert!(rendered.html.contains("Brightwell &lt;Audio&gt;") && !rendered.html.contains("<Audio>"));
        assert!(!rendered.html.contains("Hello") && rendered.html.contains("alerts.to"));
    }

    #[test]
    fn links_must_be_http() {
        let templates = Templates::new().unwrap();
        let letter = PacketLetter { done_link: Some("javascript:alert(1)".to_owned()), ..packet() };
        assert_eq!(templates.render_packet(&letter), Err(TemplateError::BadLink { field: "done_link" }));
    }

    #[test]
    fn letters_without_their_optional_parts_are_whole() {
        let templates = Templates::new().unwrap();
        let bare = PacketLetter { link: None, register_by: None, done_link: None, steps: Vec::new(), ..packet() };
        let rendered = templates.render_packet(&bare).unwrap();
        assert!(!rendered.text.contains("Register by") && !rendered.html.contains("href"));
        assert!(!rendered.text.contains("\n\n\n"), "{}", rendered.text);
    }
}
