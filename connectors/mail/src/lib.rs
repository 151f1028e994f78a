//! Mail to owners: letters from templates, calendar entries, and an SMTP client that knows whether a lost mail may have arrived.

mod config;
mod error;
mod ics;
mod letter;
mod mailer;
mod session;
mod templates;

pub use config::{SmtpConfig, Tls};
pub use error::MailError;
pub use ics::{RegisterByEvent, register_by_event};
pub use letter::{
    ATTACHMENT_BYTES_MAX, ATTACHMENTS_MAX, Attachment, BODY_BYTES_MAX, HEADER_CHARS_MAX, Letter, message_id,
};
pub use mailer::Mailer;
pub use session::IDLE_FOR_MAX;
pub use templates::{AlertLetter, AlertLine, PacketLetter, Rendered, SuccessLetter, TemplateError, Templates};
