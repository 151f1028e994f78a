//! Manual fallback: the packet is made, kept, and mailed to the owner who wants mail.

use connectors::{Connector, ManualView};
use events::event::{PacketFailed, PacketSent};
use events::{Command, Details, ManualReason, ObjectRef, Registration, Stage};
use packet::{Packet, PacketData, PacketField, PacketMaker, PacketOwner, PacketProduct, PacketPurchase};
use tracing::{Instrument, info_span};

use crate::forget::packet_name;
use crate::packet_letter::PacketMail;
use crate::trace;
use crate::world::{PrivateError, World};

/// What stops a packet on its way.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error("the packet cannot be made: {0}")]
    Render(#[from] packet::PacketError),
    #[error("the guide cannot be filled in: {0}")]
    Guide(#[from] connectors::TemplateError),
    #[error("the letter cannot be written: {0}")]
    Letter(#[from] mail::TemplateError),
    #[error("the mail cannot be sent: {0}")]
    Mail(#[from] mail::MailError),
    #[error("the packet cannot be kept: {0}")]
    Private(#[from] PrivateError),
}

impl SendError {
    /// Whether another try may help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Mail(error) => !error.is_permanent(),
            Self::Render(error) => error.is_passing(),
            Self::Private(_) => true,
            Self::Guide(_) | Self::Letter(_) => false,
        }
    }
}

/// Sends the packet and tells what to record.
///
/// # Errors
/// [`PrivateError`] when the person's data cannot be read now; nothing was sent then.
pub(crate) async fn send(world: &World, registration: &Registration) -> Result<Command, PrivateError> {
    let Stage::PacketDue { reason, failures, .. } = registration.stage else {
        return Ok(Command::RecordPacketFailure(PacketFailed { detail: "no packet is due".into(), retry_at: None }));
    };
    let details = world.open(registration).await?;
    Ok(match make_and_mail(world, registration, &details, reason).await {
        Ok(sent) => Command::RecordPacketSent(sent),
        Err(error) => {
            let next = world.options.packet_retry.next(failures + 1, rand::random::<f64>(), world.now());
            let retry_at = next.filter(|_| error.is_passing());
            Command::RecordPacketFailure(PacketFailed { detail: error.to_string(), retry_at })
        }
    })
}

async fn make_and_mail(
    world: &World,
    registration: &Registration,
    details: &Details,
    reason: ManualReason,
) -> Result<PacketSent, SendError> {
    let connector = world.connector(registration);
    let view = connector.manual_view(details)?;
    let data = packet_data(world, registration, &connector, &view, details, reason);
    let rendering = info_span!(target: trace::TARGET, "render packet", otel.kind = "internal");
    let written_at = registration.submitted_at.to_jiff();
    let packet = world.packets.render(data.clone(), written_at).instrument(rendering).await?;
    let pdf = keep(world, registration, &packet).await?;
    if !registration.mail.wants_packet() {
        let missing_glyphs = packet.missing_glyphs;
        return Ok(PacketSent { pdf, message_id: String::new(), missing_glyphs });
    }
    let message_id = mail::message_id(&registration.id.to_string(), "packet", &world.options.mail_domain);
    let mail = PacketMail {
        data: &data,
        pdf: &packet.pdf,
        done_link: world.done_link(registration.id),
        message_id: message_id.clone(),
        submitted_at: written_at,
        written_at: world.now().to_jiff(),
    };
    let letter = mail.letter(&world.letters)?;
    crate::crash_point("before_mail");
    let mailing = info_span!(target: trace::TARGET, "send mail", otel.kind = "client");
    world.mailer.send(&letter).instrument(mailing).await?;
    crate::crash_point("after_mail");
    Ok(PacketSent { pdf, message_id, missing_glyphs: packet.missing_glyphs })
}

async fn keep(world: &World, registration: &Registration, packet: &Packet) -> Result<ObjectRef, PrivateError> {
    let key = world.key(registration).await?;
    world.keep_sealed(&key, registration.id, &packet_name(registration.id), &packet.pdf).await
}

fn packet_data(
    world: &World,
    registration: &Registration,
    connector: &Connector,
    view: &ManualView,
    details: &Details,
    reason: ManualReason,
) -> PacketData {
    let (owner, purchase, product) = (&details.owner, &details.purchase, &details.product);
    PacketData {
        registration_id: registration.id.to_string(),
        reference: registration.id.reference(),
        maker: PacketMaker {
            name: maker_name(connector, details),
            website: view.website.clone(),
            phone: view.phone.clone(),
            postal: view.postal.clone(),
        },
        reason: reason_in_words(reason, &maker_name(connector, details)),
        product: PacketProduct {
            brand: product.brand.clone(),
            model: product.model.clone(),
            serial: product.serial.clone(),
        },
        purchase: PacketPurchase { date: purchase.date, shop: purchase.shop.clone(), price: purchase.price.clone() },
        owner: PacketOwner {
            name: owner.name.clone(),
            email: Some(owner.email.clone()),
            phone: owner.phone.clone(),
            address: address_lines(details),
        },
        fields: view
            .fields
            .iter()
            .map(|field| PacketField {
                label: field.label.clone(),
                value: field.value.clone(),
                note: field.note.clone(),
            })
            .collect(),
        steps: view.steps.clone(),
        link: view.link.clone(),
        register_by: connector.register_by(details),
        done_hint: world.done_hint(registration.id),
        notes: Vec::new(),
    }
}

/// The generic connector has no name of its own: there it is the brand.
pub(crate) fn maker_name(connector: &Connector, details: &Details) -> String {
    if connector.is_generic() { details.product.brand.clone() } else { connector.name().to_owned() }
}

fn address_lines(details: &Details) -> Vec<String> {
    let address = &details.owner.address;
    let town = [&address.postal_code, &address.city].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ");
    let lines = [address.street.clone(), Some(town), address.country.clone()];
    lines.into_iter().flatten().filter(|line| !line.is_empty()).collect()
}

fn reason_in_words(reason: ManualReason, maker: &str) -> String {
    match reason {
        ManualReason::MakerIsManualOnly => format!("{maker} takes registrations by hand only."),
        ManualReason::UnknownBrand => {
            format!("We do not know yet how {maker} takes registrations, so we prepared all that it will ask for.")
        }
        ManualReason::Captcha => {
            format!("{maker} asks for proof that a person fills in its form, so this is yours to do.")
        }
        ManualReason::FormChanged => {
            format!("{maker} has changed how it takes registrations, and we would rather not guess.")
        }
        ManualReason::LoginRequired => {
            format!("{maker} asks for an account of your own before it takes a registration.")
        }
        ManualReason::DeadlineNear => {
            format!("{maker} cannot be reached at the moment, and waiting longer could make you miss its last day.")
        }
        ManualReason::MethodsExhausted => format!("We tried to register it for you, but {maker} did not take it."),
    }
}
