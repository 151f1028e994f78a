//! The letter that a packet goes out with: the guide in words, the packet, and a calendar entry for the last day.

use jiff::Timestamp;
use jiff::civil::Date;
use mail::{Attachment, Letter, PacketLetter, RegisterByEvent, TemplateError, Templates};
use packet::PacketData;

/// What such a letter is made of.
#[derive(Debug)]
pub struct PacketMail<'a> {
    /// What the packet says, and whose it is.
    pub data: &'a PacketData,
    /// The packet's file.
    pub pdf: &'a [u8],
    /// The page on which the owner says that it is done.
    pub done_link: String,
    /// The same each time that the same packet is mailed.
    pub message_id: String,
    /// When the registration came in, which is when its calendar entry counts as written.
    pub submitted_at: Timestamp,
    /// The letter's date.
    pub written_at: Timestamp,
}

impl PacketMail<'_> {
    /// The letter, to the owner.
    ///
    /// # Errors
    /// [`TemplateError`]; without the data.
    pub fn letter(self, letters: &Templates) -> Result<Letter, TemplateError> {
        let data = self.data;
        let words = letters.render_packet(&PacketLetter {
            owner_name: data.owner.name.clone(),
            product: self.product(),
            maker: data.maker.name.clone(),
            reference: data.reference.clone(),
            reason: data.reason.clone(),
            steps: data.steps.clone(),
            link: data.link.clone(),
            register_by: data.register_by,
            done_link: Some(self.done_link.clone()),
            done_hint: data.done_hint.clone(),
        })?;
        let mut attachments = vec![Attachment {
            filename: format!("{}.pdf", data.reference),
            content_type: "application/pdf".to_owned(),
            bytes: self.pdf.to_vec(),
        }];
        attachments.extend(data.register_by.map(|date| self.calendar(date)));
        Ok(Letter {
            message_id: self.message_id,
            written_at: self.written_at,
            to_name: data.owner.name.clone(),
            // without one the mailer refuses it as an address
            to_address: data.owner.email.clone().unwrap_or_default(),
            subject: words.subject,
            text: words.text,
            html: words.html,
            attachments,
        })
    }

    fn product(&self) -> String {
        format!("{} {}", self.data.product.brand, self.data.product.model)
    }

    fn calendar(&self, date: Date) -> Attachment {
        let file = mail::register_by_event(&RegisterByEvent {
            uid: &self.data.registration_id,
            written_at: self.submitted_at,
            date,
            summary: &format!("Last day to register {} ({})", self.product(), self.data.reference),
            description: &self.data.done_hint,
            url: self.data.link.as_deref(),
        });
        Attachment {
            filename: "register-by.ics".to_owned(),
            content_type: "text/calendar; charset=utf-8; method=PUBLISH".to_owned(),
            bytes: file.into_bytes(),
        }
    }
}
