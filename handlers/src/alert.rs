//! Alert: operators are mailed what became of a maker's health. The Message-ID comes from the record, so that a letter
//! that a crash makes us send twice is known as one.

use events::{MakerEvent, Sequence};
use mail::{AlertLetter, AlertLine, Letter};

use crate::world::World;

/// Why operators were not mailed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AlertError {
    #[error("the letter cannot be written: {0}")]
    Letter(#[from] mail::TemplateError),
    #[error("the mail cannot be sent: {0}")]
    Mail(#[from] mail::MailError),
}

/// Mails every operator what the record at `sequence` says.
///
/// # Errors
/// [`AlertError`]; some operators may have their mail then, and get the same one again.
pub(crate) async fn mail(
    world: &World,
    connector: &str,
    sequence: Sequence,
    told: &[MakerEvent],
) -> Result<(), AlertError> {
    let maker = world.catalog.get(connector).map_or(connector, |known| known.name()).to_owned();
    let words = world.letters.render_alert(&AlertLetter {
        maker,
        connector: connector.to_owned(),
        headline: headline(told).to_owned(),
        lines: told.iter().filter_map(line).collect(),
        reference: format!("record {sequence}"),
    })?;
    let mut passing = None;
    for operator in &world.options.operators {
        let purpose = format!("alert/{sequence}/{operator}");
        let message_id = mail::message_id(connector, &purpose, &world.options.mail_domain);
        match world.mailer.send(&letter(world, &words, message_id, operator)).await {
            Ok(()) => {}
            // it would never arrive, and must not keep the others from what comes next
            Err(error) if error.is_permanent() => {
                tracing::error!(connector, %error, "an address of alerts.to cannot be mailed");
            }
            Err(error) => passing = Some(error),
        }
    }
    passing.map_or(Ok(()), |error| Err(error.into()))
}

fn letter(world: &World, words: &mail::Rendered, message_id: String, operator: &str) -> Letter {
    Letter {
        message_id,
        written_at: world.now().to_jiff(),
        to_name: String::new(),
        to_address: operator.to_owned(),
        subject: words.subject.clone(),
        text: words.text.clone(),
        html: words.html.clone(),
        attachments: Vec::new(),
    }
}

/// The most important of it in a few words.
fn headline(told: &[MakerEvent]) -> &'static str {
    let has = |wanted: fn(&MakerEvent) -> bool| told.iter().any(wanted);
    if has(|event| matches!(event, MakerEvent::IncidentOpened(_))) {
        "an incident began"
    } else if has(|event| matches!(event, MakerEvent::IncidentClosed(_))) {
        "the incident is over"
    } else if has(|event| matches!(event, MakerEvent::AlertRaised(_))) {
        "something is wrong"
    } else {
        "it is better again"
    }
}

fn line(event: &MakerEvent) -> Option<AlertLine> {
    let (label, text, bad) = match event {
        MakerEvent::AlertRaised(alert) => (format!("Alert, {}", alert.kind.severity()), sentence(&alert.detail), true),
        MakerEvent::AlertCleared(alert) => ("Over".to_owned(), sentence(&alert.kind.as_str().replace('_', " ")), false),
        MakerEvent::IncidentOpened(incident) => {
            (format!("Incident, {}", incident.state), sentence(&incident.detail), true)
        }
        MakerEvent::IncidentClosed(incident) => {
            ("Incident over".to_owned(), format!("It began at {}.", incident.opened_at), false)
        }
        MakerEvent::CircuitOpened(_)
        | MakerEvent::CircuitHalfOpened(_)
        | MakerEvent::CircuitClosed(_)
        | MakerEvent::CircuitForced(_)
        | MakerEvent::CircuitReleased(_)
        | MakerEvent::Paused(_)
        | MakerEvent::Resumed(_)
        | MakerEvent::HealthChecked(_)
        | MakerEvent::OperatorsMailed(_) => return None,
    };
    Some(AlertLine { label, text, bad })
}

/// A detail as a sentence: our details begin in lower case and have no full stop.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}
