//! A proof that was checked, and what was sent about a person, in a terminal.

use std::fmt::Write as _;

use proto::v1::{self, Arrival, DeliveryReason};

use super::{Facts, Paint, Tone, method_in_short, printable, time};
use crate::proof::{Account, Verified};

/// A proof that holds, a fact a line.
pub fn verified(verified: &Verified, paint: Paint) -> String {
    let Account { id, maker, registration, confirmation, deliveries, .. } = &verified.account;
    let mut facts = Facts::new(paint);
    let word = if verified.key_was_given {
        paint.tone("it holds", Tone::Good)
    } else {
        paint.tone("it holds together", Tone::Odd)
    };
    facts.add("proof", word);
    facts.add("registration", format!("{}  {id}", paint.bold(&id.reference())));
    facts.add("status", registration.stage.status().as_str().to_owned());
    facts.add("product", printable(&verified.account.product()));
    facts.add("maker", printable(maker));
    facts.add("confirmation", printable(confirmation.as_deref().unwrap_or_default()));
    facts.add("deliveries", deliveries.len().to_string());
    facts.add("records", format!("{}, up to {}", verified.records, registration.last.sequence));
    facts.add("as of", verified.written_at.to_string());
    facts.add("signed by", printable(&verified.signer.to_string()));
    if !verified.key_was_given {
        facts.add("", "that key stands in the file itself: this says nothing about who signed it.".to_owned());
        facts.add("", "Give the key that you trust with --key.".to_owned());
    }
    facts.into_text()
}

/// One registration of a person: each delivery with its values.
pub fn reported(one: &v1::ReportedRegistration, paint: Paint) -> String {
    let mut text = String::new();
    let handed_over = one.submit_time.map(time).unwrap_or_default();
    let _ = writeln!(
        text,
        "{}  {}  {}  {}\n  handed over {handed_over} by {}",
        paint.bold(&one.reference),
        printable(&one.product),
        printable(&one.maker),
        paint.state(one.state(), 0),
        printable(&one.asked_by),
    );
    if one.deliveries.is_empty() {
        let _ = writeln!(text, "  nothing was sent to the maker");
    }
    one.deliveries.iter().for_each(|delivery| add_delivery(&mut text, delivery, paint));
    for mail in &one.mails {
        let at = mail.time.map(time).unwrap_or_default();
        let _ = writeln!(text, "  {at}  mailed {} to {}", printable(&mail.what), printable(&mail.address));
    }
    for file in &one.files {
        let _ = writeln!(
            text,
            "  kept, sealed: {} {} ({} bytes)",
            printable(&file.what),
            printable(&file.object),
            file.size_bytes
        );
    }
    text
}

fn add_delivery(text: &mut String, delivery: &v1::Delivery, paint: Paint) {
    let at = delivery.time.map(time).unwrap_or_default();
    let what = match delivery.reason() {
        DeliveryReason::Unspecified | DeliveryReason::Attempt => "attempt",
        DeliveryReason::Repeat => "the same again, attempt",
        DeliveryReason::Question => "a question about attempt",
    };
    let (way, host) = (method_in_short(delivery.method()), printable(&delivery.host));
    let _ = writeln!(text, "  {at}  {what} {} by {way} to {} {host}", delivery.attempt, delivery.maker);
    for sent in &delivery.values {
        let _ = writeln!(text, "    {} {}", paint.dim(&format!("{:<26}", sent.field)), printable(&sent.value));
    }
    if !delivery.recorded {
        let _ = writeln!(text, "    which values was not recorded then");
    }
    let arrived = match delivery.arrived() {
        Arrival::Yes => "it arrived",
        Arrival::No => "nothing arrived",
        Arrival::Unspecified => "whether it arrived is not known",
    };
    let _ = writeln!(text, "    {} ({arrived})", printable(&delivery.came_back));
}

#[cfg(test)]
mod tests {
    use super::super::state_word;
    use super::*;

    #[test]
    fn a_report_names_what_was_sent_to_whom_and_obeys_no_terminal_code() {
        let values = vec![v1::SentValue { field: "owner.email".into(), value: "a@b.c\u{1b}[31m".into() }];
        let delivery = v1::Delivery {
            attempt: 2,
            reason: DeliveryReason::Attempt.into(),
            method: v1::Method::Api.into(),
            maker: "norrland".into(),
            host: "api.example.org".into(),
            recorded: true,
            values,
            arrived: Arrival::Yes.into(),
            came_back: "registered".into(),
            ..Default::default()
        };
        let one = v1::ReportedRegistration {
            reference: "1A2B3C4D".into(),
            state: v1::RegistrationState::Success.into(),
            deliveries: vec![delivery],
            ..Default::default()
        };
        let text = reported(&one, Paint::plain());
        assert!(text.contains("attempt 2 by API to norrland api.example.org"), "{text}");
        assert!(text.contains("owner.email") && text.contains("registered (it arrived)"), "{text}");
        assert!(!text.contains('\u{1b}') && text.contains(state_word(one.state())), "{text}");
    }
}
