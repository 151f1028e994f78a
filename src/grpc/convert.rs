//! Between the wire's messages and our own words.

use events::details::{Address, Owner, Product, Purchase};
use events::record::TraceContext;
use events::{Actor, Details, FieldProblem, MailPreference, Method, Priority, RegistrationId, Timestamp};
use handlers::intake::Submission;
use proto::v1;
use tonic::Status;

use super::errors;

/// The tenant of clients that name none.
pub const DEFAULT_TENANT: &str = "default";

/// The seconds that a timestamp of protobuf may have: the years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// An id in a request.
pub fn id(text: &str) -> Result<RegistrationId, Status> {
    text.parse().map_err(|error: events::id::BadId| errors::invalid_field("id", &format!("is {error}")))
}

/// The sequence that an etag names; nothing for an empty one.
pub fn etag(text: &str) -> Result<Option<u64>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let sequence = text.trim_matches('"').parse();
    sequence.map(Some).map_err(|_| errors::invalid_field("etag", "is not an etag that this service gave"))
}

/// A text, or nothing when it is empty.
pub fn optional(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A client as an actor.
pub fn client(name: &str) -> Actor {
    Actor::Client(name.to_owned())
}

/// The pseudonym of an owner, 32 hex digits.
pub fn owner_ref(text: &str) -> Result<[u8; 16], Status> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        errors::invalid_field("owner_ref", "is no pseudonym; it has 32 hex digits, as a status shows it")
    })
}

/// Refuses a free text that is too long or has unprintable characters.
pub fn check_text(field: &str, text: Option<&str>) -> Result<(), Status> {
    match text.and_then(|text| events::details::text_problem(field, text)) {
        Some(problem) => Err(errors::invalid(&[problem])),
        None => Ok(()),
    }
}

/// A priority; regular when none is named.
pub fn priority(number: i32) -> Result<Priority, Status> {
    match v1::Priority::try_from(number) {
        Ok(v1::Priority::High) => Ok(Priority::High),
        Ok(v1::Priority::Normal | v1::Priority::Unspecified) => Ok(Priority::Normal),
        Ok(v1::Priority::Low) => Ok(Priority::Low),
        Err(_) => Err(errors::invalid_field("priority", "is unknown; use HIGH, NORMAL or LOW")),
    }
}

/// Which mails the person wants; nothing when the client does not say.
fn mail_preference(number: i32) -> Result<Option<MailPreference>, Status> {
    match v1::MailPreference::try_from(number) {
        Ok(v1::MailPreference::Unspecified) => Ok(None),
        Ok(v1::MailPreference::All) => Ok(Some(MailPreference::All)),
        Ok(v1::MailPreference::ManualOnly) => Ok(Some(MailPreference::ManualOnly)),
        Ok(v1::MailPreference::None) => Ok(Some(MailPreference::None)),
        Err(_) => Err(errors::invalid_field("mail_preference", "is unknown; use ALL, MANUAL_ONLY or NONE")),
    }
}

/// The method that `field` names; nothing when it names none.
pub fn method(field: &str, number: i32) -> Result<Option<Method>, Status> {
    match v1::Method::try_from(number) {
        Ok(v1::Method::Unspecified) => Ok(None),
        Ok(v1::Method::Api) => Ok(Some(Method::Api)),
        Ok(v1::Method::AutomationReliable) => Ok(Some(Method::AutomationReliable)),
        Ok(v1::Method::AssistedManual) => Ok(Some(Method::AssistedManual)),
        Err(_) => Err(errors::invalid_field(field, "is unknown; use API, AUTOMATION_RELIABLE or ASSISTED_MANUAL")),
    }
}

/// A moment of a request, if it names one.
pub fn moment(field: &str, at: Option<proto::Timestamp>) -> Result<Option<Timestamp>, FieldProblem> {
    let Some(at) = at else { return Ok(None) };
    if !SECONDS.contains(&at.seconds) || !(0..1_000_000_000).contains(&at.nanos) {
        return Err(FieldProblem::new(field, "is no timestamp; use a time from the year 1 to 9999"));
    }
    Ok(Some(Timestamp(at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000)))
}

/// A submission as the intake takes it.
pub fn submission(request: v1::SubmitRequest, trace: Option<TraceContext>) -> Result<Submission, Status> {
    let tenant = optional(request.tenant).unwrap_or_else(|| DEFAULT_TENANT.to_owned());
    Ok(Submission {
        actor: Actor::Client(tenant.clone()),
        tenant,
        request_id: optional(request.request_id),
        priority: priority(request.priority)?,
        details: details(request.product, request.purchase, request.owner, request.marketing_consent, request.extra)?,
        proof: request.proof_of_purchase.map(|proof| proof.content),
        mail: mail_preference(request.mail_preference)?,
        trace,
    })
}

/// Corrected details: what the correction leaves out stays as it was in `before`.
pub fn corrected(correction: v1::Correction, before: Details) -> Result<Details, Status> {
    let extra = if correction.extra.is_empty() { before.extra } else { correction.extra };
    let given = details(
        correction.product,
        correction.purchase,
        correction.owner,
        correction.marketing_consent.unwrap_or(before.marketing_consent),
        extra,
    )?;
    if !given.product.brand.is_empty() && given.product.brand != before.product.brand {
        let text = "cannot be corrected, because it decides the maker; cancel this one and submit the product anew";
        return Err(errors::invalid_field("product.brand", text));
    }
    let address = before.owner.address;
    Ok(Details {
        product: Product {
            brand: before.product.brand,
            model: or(given.product.model, before.product.model),
            serial: or(given.product.serial, before.product.serial),
        },
        purchase: Purchase {
            date: given.purchase.date.or(before.purchase.date),
            shop: given.purchase.shop.or(before.purchase.shop),
            price: given.purchase.price.or(before.purchase.price),
            installed_on: given.purchase.installed_on.or(before.purchase.installed_on),
            delivered_on: given.purchase.delivered_on.or(before.purchase.delivered_on),
        },
        owner: Owner {
            name: or(given.owner.name, before.owner.name),
            email: or(given.owner.email, before.owner.email),
            phone: given.owner.phone.or(before.owner.phone),
            address: Address {
                street: given.owner.address.street.or(address.street),
                postal_code: given.owner.address.postal_code.or(address.postal_code),
                city: given.owner.address.city.or(address.city),
                country: given.owner.address.country.or(address.country),
            },
        },
        ..given
    })
}

fn or(given: String, before: String) -> String {
    if given.is_empty() { before } else { given }
}

fn details(
    product: Option<v1::Product>,
    purchase: Option<v1::Purchase>,
    owner: Option<v1::Owner>,
    marketing_consent: bool,
    extra: std::collections::BTreeMap<String, String>,
) -> Result<Details, Status> {
    let (product, purchase, owner) =
        (product.unwrap_or_default(), purchase.unwrap_or_default(), owner.unwrap_or_default());
    let address = owner.address.unwrap_or_default();
    Ok(Details {
        product: Product { brand: product.brand, model: product.model, serial: product.serial },
        purchase: Purchase {
            date: date("purchase.date", &purchase.date)?,
            shop: optional(purchase.shop),
            price: optional(purchase.price),
            installed_on: date("purchase.installation_date", &purchase.installation_date)?,
            delivered_on: date("purchase.delivery_date", &purchase.delivery_date)?,
        },
        owner: Owner {
            name: owner.name,
            email: owner.email,
            phone: optional(owner.phone),
            address: Address {
                street: optional(address.street),
                postal_code: optional(address.postal_code),
                city: optional(address.city),
                country: optional(address.country),
            },
        },
        marketing_consent,
        extra,
    })
}

fn date(field: &str, text: &str) -> Result<Option<jiff::civil::Date>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    let problem = "is no date; write it as YYYY-MM-DD, for example 2026-11-02";
    text.parse().map(Some).map_err(|_| errors::invalid_field(field, problem))
}

/// Problems on the wire.
pub fn problems(problems: &[FieldProblem]) -> Vec<v1::FieldProblem> {
    problems
        .iter()
        .map(|p| v1::FieldProblem { field: p.field.clone(), problem: p.problem.clone(), ..Default::default() })
        .collect()
}
