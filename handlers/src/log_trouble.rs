//! Log trouble: operators are mailed that the log is not the one that was written. Nothing can be stored about it, so the
//! Message-ID is made of the trouble itself: a letter that is sent again at the next start is known as the same one.

use bus::Trouble;
use mail::{AlertLetter, AlertLine, Letter};

use crate::world::World;

/// What stands where an alert names a maker.
const LOG: &str = "the log";

/// Mails every operator that the log is read-only, and why. What cannot be sent is logged: nothing else can be done.
pub async fn tell_of_trouble(world: &World, trouble: &Trouble) {
    let letter = AlertLetter {
        maker: LOG.to_owned(),
        connector: "log".to_owned(),
        headline: "regflow is read-only".to_owned(),
        lines: vec![AlertLine {
            label: "Trouble".to_owned(),
            text: format!("{trouble}; see `regflow verify`."),
            bad: true,
        }],
        reference: format!("sequence {}", trouble.first_bad()),
    };
    let words = match world.letters.render_alert(&letter) {
        Ok(words) => words,
        Err(error) => return tracing::error!(%error, "the letter to operators cannot be written"),
    };
    for operator in &world.options.operators {
        let purpose = format!("log/{}/{}/{operator}", trouble.word(), trouble.first_bad());
        let letter = Letter {
            message_id: mail::message_id("log", &purpose, &world.options.mail_domain),
            written_at: world.now().to_jiff(),
            to_name: String::new(),
            to_address: operator.clone(),
            subject: words.subject.clone(),
            text: words.text.clone(),
            html: words.html.clone(),
            attachments: Vec::new(),
        };
        if let Err(error) = world.mailer.send(&letter).await {
            tracing::error!(%error, "an operator cannot be mailed that the log is read-only");
        }
    }
}
