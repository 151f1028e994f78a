//! A proof for paper: the same account as data of the packet's renderer, with how to check the file that it was printed from.

use events::{Method, Status};
use packet::{ProofDelivery, ProofDocument, ProofFile, ProofValue};
use sha2::{Digest, Sha256};

use super::Proof;
use super::account::{Account, Arrived, Delivery, What};

/// Deliveries that are printed; the file has all.
const DELIVERIES_MAX: usize = 30;
/// Characters of all deliveries together that are printed: with them the other texts stay below the renderer's bound.
const DELIVERIES_CHARS_MAX: usize = 20_000;
/// Mails to the owner that are printed.
const MAILS_MAX: usize = 10;
/// Files that are printed.
const FILES_MAX: usize = 30;
/// Characters of one text that are printed.
const CHARS_MAX: usize = 400;

/// What is printed of a proof that this key signed.
pub fn document(proof: &Proof, signer: &str) -> ProofDocument {
    let Account { registration, deliveries, mails, kept, .. } = &proof.account;
    let mut notes: Vec<String> = mails
        .iter()
        .take(MAILS_MAX)
        .map(|mail| short(&format!("At {} to {}: {}", mail.at, mail.to, mail.what)))
        .collect();
    let printed = printed(deliveries);
    for (what, all, max) in [
        ("deliveries", deliveries.len(), printed.len()),
        ("mails", mails.len(), MAILS_MAX),
        ("files", kept.len(), FILES_MAX),
    ] {
        let left_out = all.saturating_sub(max);
        if left_out > 0 {
            notes.push(format!("{left_out} more {what} are in the file."));
        }
    }
    ProofDocument {
        registration_id: proof.account.id.to_string(),
        reference: proof.account.id.reference(),
        maker: short(&proof.account.maker),
        product: short(&proof.account.product()),
        status: status(registration.stage.status()).to_owned(),
        confirmation: proof.account.confirmation.as_deref().map(short),
        handed_over: short(&format!("{} by {}", registration.submitted_at, proof.account.asked_by)),
        last_change: registration.updated_at.to_string(),
        deliveries: printed,
        notes,
        files: kept
            .iter()
            .take(FILES_MAX)
            .map(|kept| ProofFile { name: kept.what.to_owned(), sha256: kept.opened.clone() })
            .collect(),
        last_record: registration.last.sequence,
        last_hash: hex::encode(registration.last.hash.0),
        note_sha256: hex::encode(Sha256::digest(proof.note.as_bytes())),
        key: signer.to_owned(),
        command: format!("regflow proof verify {}.proof.txt --key '{signer}'", proof.account.id.reference()),
    }
}

/// The first deliveries, as many as there is room for.
fn printed(deliveries: &[Delivery]) -> Vec<ProofDelivery> {
    let mut chars_left = DELIVERIES_CHARS_MAX;
    let fitting = deliveries.iter().take(DELIVERIES_MAX).map(delivery).map_while(|delivery| {
        chars_left = chars_left.checked_sub(chars_of(&delivery))?;
        Some(delivery)
    });
    fitting.collect()
}

fn chars_of(delivery: &ProofDelivery) -> usize {
    let ProofDelivery { title, when, to, came_back, values } = delivery;
    let values = values.iter().flat_map(|ProofValue { name, value }| [name, value]);
    [title, when, to, came_back].into_iter().chain(values).map(|text| text.chars().count()).sum()
}

fn delivery(delivery: &Delivery) -> ProofDelivery {
    let way = match delivery.method {
        Method::Api => "by its API",
        Method::AutomationReliable => "by its web form",
        Method::AssistedManual => "by packet",
    };
    let what = match delivery.what {
        What::Attempt => format!("Attempt {}", delivery.attempt),
        What::Repeat => format!("Attempt {} again", delivery.attempt),
        What::Question => format!("Question about attempt {}", delivery.attempt),
    };
    let sent = delivery.sent.as_ref();
    let values = sent.map(|sent| sent.values.as_slice()).unwrap_or_default();
    let arrived = match delivery.arrived {
        Arrived::Yes => "it arrived",
        Arrived::No => "nothing arrived",
        Arrived::Perhaps => "whether it arrived is not known",
    };
    ProofDelivery {
        title: format!("{what} {way}"),
        when: delivery.at.to_string(),
        to: sent.map_or_else(|| "not recorded".to_owned(), |sent| short(&sent.to)),
        came_back: short(&format!("{} ({arrived})", delivery.came_back)),
        values: values.iter().map(|(name, value)| ProofValue { name: short(name), value: short(value) }).collect(),
    }
}

/// Bounded, and without what no page can show.
fn short(text: &str) -> String {
    text.chars().map(|c| if c != '\n' && ProofDocument::prints(c) { c } else { ' ' }).take(CHARS_MAX).collect()
}

const fn status(status: Status) -> &'static str {
    match status {
        Status::Success => "Registered",
        Status::UserCompleted => "Registered by its owner",
        Status::Pending => "Handed over, nothing sent yet",
        Status::Processing => "Under way",
        Status::Waiting => "Waiting for another try",
        Status::OutcomeUnknown => "Sent; not known whether it was accepted",
        Status::ManualRequired => "Its owner's turn",
        Status::NeedsCorrection => "The maker refused the data",
        Status::Cancelled => "Cancelled",
        Status::Expired => "The last day passed",
    }
}
