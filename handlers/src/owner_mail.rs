//! Owner mail: the person is told that it is registered. The Message-ID comes from the registration, so that a letter that a
//! crash makes us send twice is known as one.

use events::event::{OwnerMailFailed, OwnerMailed};
use events::{Command, Details, OwnerMail, Registration, Stage};
use jiff::tz::TimeZone;
use mail::{Letter, SuccessLetter};

use crate::manual_fallback::maker_name;
use crate::world::{PrivateError, World};

/// What stops the mail on its way.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the letter cannot be written: {0}")]
    Letter(#[from] mail::TemplateError),
    #[error("the mail cannot be sent: {0}")]
    Mail(#[from] mail::MailError),
}

impl SendError {
    /// Whether another try may help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Mail(error) => !error.is_permanent(),
            Self::Letter(_) => false,
        }
    }
}

/// Sends the mail and tells what to record.
///
/// # Errors
/// [`PrivateError`] when the person's data cannot be read now; nothing was sent then.
pub(crate) async fn send(world: &World, registration: &Registration) -> Result<Command, PrivateError> {
    let (Some(due), Stage::Succeeded { confirmation, .. }) = (registration.owner_mail, &registration.stage) else {
        let detail = "no mail to its owner is due".to_owned();
        return Ok(Command::RecordOwnerMailFailure(OwnerMailFailed { detail, retry_at: None }));
    };
    let details = match world.open(registration).await {
        // whoever asked to be forgotten wants no mail either, and waiting would not bring the address back
        Err(error @ PrivateError::KeyGone) => {
            let failed = OwnerMailFailed { detail: error.to_string(), retry_at: None };
            return Ok(Command::RecordOwnerMailFailure(failed));
        }
        details => details?,
    };
    let message_id = mail::message_id(&registration.id.to_string(), "registered", &world.options.mail_domain);
    Ok(match write_and_mail(world, registration, &details, due, confirmation.clone(), message_id.clone()).await {
        Ok(()) => Command::RecordOwnerMailed(OwnerMailed { message_id }),
        Err(error) => Command::RecordOwnerMailFailure(failure(world, due, &error)),
    })
}

/// Tried again by the packet's policy: it is the same mail server that does not take it.
fn failure(world: &World, due: OwnerMail, error: &SendError) -> OwnerMailFailed {
    let next = world.options.packet_retry.next(due.failures + 1, rand::random::<f64>(), world.now());
    OwnerMailFailed { detail: error.to_string(), retry_at: next.filter(|_| error.is_passing()) }
}

async fn write_and_mail(
    world: &World,
    registration: &Registration,
    details: &Details,
    due: OwnerMail,
    confirmation: Option<String>,
    message_id: String,
) -> Result<(), SendError> {
    let words = world.letters.render_success(&SuccessLetter {
        owner_name: details.owner.name.clone(),
        product: format!("{} {}", details.product.brand, details.product.model),
        serial: details.product.serial.clone(),
        maker: maker_name(&world.connector(registration), details),
        reference: registration.id.reference(),
        registered_on: due.registered_at.to_jiff().to_zoned(TimeZone::UTC).date(),
        confirmation,
    })?;
    let letter = Letter {
        message_id,
        written_at: world.now().to_jiff(),
        to_name: details.owner.name.clone(),
        to_address: details.owner.email.clone(),
        subject: words.subject,
        text: words.text,
        html: words.html,
        attachments: Vec::new(),
    };
    crate::crash_point("before_owner_mail");
    world.mailer.send(&letter).await?;
    crate::crash_point("after_owner_mail");
    Ok(())
}
