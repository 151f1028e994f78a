//! Intake: takes a product in. When it answers with an id, the registration is in the log.

use std::sync::Arc;
use std::time::Duration;

use bus::{AppendError, KeyVault, ObjectStore};
use bytes::Bytes;
use connectors::Connector;
use events::event::Submitted;
use events::record::TraceContext;
use events::seal::PersonKey;
use events::{
    Actor, Details, FieldProblem, MailPreference, ObjectRef, PersonKeyId, Priority, Record, RecordId, Refusal,
    Registration, RegistrationId, Shard,
};
use uuid::Uuid;

use crate::arrival::{self, Arrived};
use crate::engine::EngineHandle;
use crate::journal::JournalError;
use crate::trace;
use crate::world::{PrivateError, World, fresh_nonce};

/// Longest request id, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Longest tenant name, in bytes.
pub const TENANT_BYTES_MAX: usize = 64;
/// Largest proof of purchase, in bytes.
pub const PROOF_BYTES_MAX: usize = 3 * 1024 * 1024;
/// The kinds of files that are taken.
const FILE_KINDS: [FileKind; 3] = [
    FileKind { begins: b"%PDF", extension: "pdf", media_type: "application/pdf" },
    FileKind { begins: b"\x89PNG", extension: "png", media_type: "image/png" },
    FileKind { begins: b"\xFF\xD8\xFF", extension: "jpg", media_type: "image/jpeg" },
];
/// How often it is tried to erase what a refused request left; with pauses that double, some four minutes.
const DISCARD_TRIES: u32 = 8;
/// The first of those pauses.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);

/// A kind of file, told by its first bytes whatever somebody says that it is.
#[derive(Debug)]
pub struct FileKind {
    begins: &'static [u8],
    /// How the name of such a file ends, without a dot.
    pub extension: &'static str,
    /// What HTTP calls it (RFC 6838).
    pub media_type: &'static str,
}

/// A product that somebody hands over.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Whose service it comes through.
    pub tenant: String,
    /// The client's own id for the request: the same id gives the same registration.
    pub request_id: Option<String>,
    /// The class.
    pub priority: Priority,
    /// Product, purchase, owner.
    pub details: Details,
    /// Receipt or invoice (PDF, PNG or JPEG).
    pub proof: Option<Bytes>,
    /// Which mails the person wants; the server's default when absent.
    pub mail: Option<MailPreference>,
    /// The client's trace.
    pub trace: Option<TraceContext>,
    /// Who asks.
    pub actor: Actor,
}

/// A registration that is in the log.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// It.
    pub registration: Registration,
    /// True when the same request had been accepted before.
    pub repeated: bool,
    /// What may be wrong though nobody refused it, for example an unusual serial number.
    pub warnings: Vec<FieldProblem>,
}

/// A product was not taken in; nothing is stored.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Mistakes in the data.
    #[error("the submission has mistakes")]
    Invalid(Vec<FieldProblem>),
    /// The request id was used for something else.
    #[error("the request id was used before for another submission; they differ in {}", .0.join(", "))]
    Reused(Vec<String>),
    /// The log does not take it, or may have and did not say so.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The data cannot be sealed.
    #[error(transparent)]
    Private(#[from] PrivateError),
}

/// Checks a submission and says what is wrong with it, and what may be.
///
/// # Errors
/// [`IntakeError::Invalid`] with every mistake.
pub fn check(world: &World, submission: &Submission) -> Result<Vec<FieldProblem>, IntakeError> {
    let details = &submission.details;
    let connector = world.catalog.find_brand(&details.product.brand);
    let today = world.now().to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut problems = details.problems(today);
    for missing in connector.missing(details) {
        if problems.iter().all(|known| known.field != missing.field) {
            problems.push(missing);
        }
    }
    problems.extend(request_problems(submission));
    if problems.is_empty() { Ok(connector.warnings(details)) } else { Err(IntakeError::Invalid(problems)) }
}

impl IntakeError {
    /// Whether the submission is certainly not in the log, now or later.
    #[must_use]
    pub fn surely_not_stored(&self) -> bool {
        match self {
            Self::Invalid(_) | Self::Private(_) => true,
            Self::Journal(JournalError::Append(error)) => !matches!(error, AppendError::Unknown),
            Self::Reused(_) | Self::Journal(_) => false,
        }
    }
}

/// The shard that a submission belongs to, by its brand.
#[must_use]
pub fn shard_of(world: &World, submission: &Submission) -> Shard {
    let connector = world.catalog.find_brand(&submission.details.product.brand);
    Shard::of(connector.id(), world.options.shards)
}

/// Takes a product in. `known` is where an earlier registration of the same request stands, if the caller knows of one.
///
/// # Errors
/// [`IntakeError`]; nothing is stored then, and what was kept before is erased, except that a log which did not answer may
/// still store it: the same request id then finds it.
pub async fn submit(
    world: &World,
    engine: &EngineHandle,
    submission: Submission,
    known: Option<Shard>,
) -> Result<Accepted, IntakeError> {
    let warnings = check(world, &submission)?;
    let connector = world.catalog.find_brand(&submission.details.product.brand).clone();
    let id = match &submission.request_id {
        Some(request) => RegistrationId::of_request(&submission.tenant, request),
        None => RegistrationId(Uuid::now_v7()),
    };
    let shard = shard_of(world, &submission);
    // boxed, like all that is rare: a batch has hundreds of these futures
    if let Some(known) = known {
        return Box::pin(repeated(world, known, id, &submission, warnings)).await;
    }
    check_writable(world)?;
    let (person_key, key) = world.keys.lease().await.map_err(PrivateError::from)?;
    let error = match keep(world, engine, (shard, id), &connector, &submission, (person_key, &key)).await {
        Ok(registration) => return Ok(Accepted { registration, repeated: false, warnings }),
        Err(error) => error,
    };
    if error.surely_not_stored() && submission.proof.is_some() {
        // no history will ever name them, so nobody would find them when the person is to be forgotten
        discard(world, Some(person_key), proof_name(id, person_key));
    }
    if matches!(error, IntakeError::Journal(JournalError::Append(AppendError::Conflict { .. }))) {
        return Box::pin(repeated(world, shard, id, &submission, warnings)).await;
    }
    Err(error)
}

/// Keeps the proof, and then the first record, which names it. If its turn has come already, that record begins the first
/// attempt as well.
async fn keep(
    world: &World,
    engine: &EngineHandle,
    (shard, id): (Shard, RegistrationId),
    connector: &Connector,
    submission: &Submission,
    (person_key, key): (PersonKeyId, &PersonKey),
) -> Result<Registration, IntakeError> {
    let proof = match &submission.proof {
        Some(bytes) => Some(Box::pin(world.keep_sealed(key, id, &proof_name(id, person_key), bytes)).await?),
        None => None,
    };
    let (span, trace) = trace::append(id, submission.trace);
    let mut record = first_record(world, id, connector, submission, (person_key, key), proof)?;
    record.trace = trace;
    match engine.arrive((shard, id), record, &submission.details, span).await? {
        Arrived::Begun(stored) => Ok((*stored)?),
        Arrived::MustWait(record, span) => Ok(Box::pin(arrival::store(world, (shard, id), *record, span)).await?),
    }
}

/// Named by the key as well: a repeat, which has another key, must not take the place of the first one's.
fn proof_name(id: RegistrationId, person_key: PersonKeyId) -> String {
    format!("proof/{id}/{person_key}")
}

/// Says before anything is kept what an append to a log that takes nothing would say after it.
pub(crate) fn check_writable(world: &World) -> Result<(), JournalError> {
    match world.trust.gate().trouble() {
        Some(trouble) => Err(JournalError::Append(AppendError::ReadOnly(trouble))),
        None => Ok(()),
    }
}

/// Erases a file that no record names, and destroys the key that is its alone. Nobody waits for it: whoever asked is told at
/// once, and an outage that refused the record may last.
pub(crate) fn discard(world: &World, key: Option<PersonKeyId>, file: String) {
    let (keys, objects) = (Arc::clone(&world.keys), Arc::clone(&world.objects));
    // only who does the work destroys keys
    let key = key.filter(|_| world.lease.is_held());
    tokio::spawn(async move {
        let mut pause = DISCARD_PAUSE;
        for _ in 0..DISCARD_TRIES {
            match discard_once(&keys, &*objects, key, &file).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "what a refused request left cannot be erased yet"),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        tracing::warn!(?key, file, "what a refused request left stays in the stores, and no history names it");
    });
}

async fn discard_once(
    keys: &KeyVault,
    objects: &dyn ObjectStore,
    key: Option<PersonKeyId>,
    file: &str,
) -> Result<(), PrivateError> {
    // the key first: without it the file cannot be read
    if let Some(key) = key {
        keys.destroy(key).await?;
    }
    objects.erase(file).await?;
    Ok(())
}

fn first_record(
    world: &World,
    id: RegistrationId,
    connector: &Connector,
    submission: &Submission,
    (person_key, key): (PersonKeyId, &PersonKey),
    proof: Option<ObjectRef>,
) -> Result<Record, IntakeError> {
    let details = &submission.details;
    let submitted = Submitted {
        tenant: submission.tenant.clone(),
        request_id: submission.request_id.clone(),
        connector: connector.id().to_owned(),
        brand: details.product.brand.clone(),
        model: details.product.model.clone(),
        purchased_on: details.purchase.date,
        priority: submission.priority,
        owner_ref: world.keys.pseudonym(&submission.tenant, &details.owner.email),
        person_key,
        sealed: key.seal(id, &fresh_nonce(), details).map_err(PrivateError::from)?,
        proof,
        register_by: connector.register_by(details),
        mail: submission.mail.unwrap_or(world.options.mail_preference),
    };
    Ok(Record {
        id: RecordId(Uuid::now_v7()),
        at: world.now(),
        actor: submission.actor.clone(),
        cause: None,
        trace: submission.trace,
        previous: None,
        events: vec![submitted.into()],
    })
}

/// The request id was seen before: the same submission gets the same answer, another one a list of differences.
async fn repeated(
    world: &World,
    shard: Shard,
    id: RegistrationId,
    submission: &Submission,
    warnings: Vec<FieldProblem>,
) -> Result<Accepted, IntakeError> {
    let history = world.log.load(shard, id).await.map_err(JournalError::from)?;
    // taken by a submission that is still on its way
    let first = history.first().ok_or(JournalError::LostRace)?;
    let registration = Registration::replay(&history).map_err(JournalError::from)?.ok_or(JournalError::NotFound)?;
    if registration.forgetting.is_some() {
        // nothing is left to compare with: who comes again needs an id of its own
        return Err(JournalError::Refused(Refusal::Forgotten).into());
    }
    let as_submitted = Registration::begin(first).map_err(JournalError::from)?;
    let mut differences = world.open(&as_submitted).await?.differences(&submission.details);
    if as_submitted.priority != submission.priority {
        differences.push("priority".to_owned());
    }
    if submission.mail.is_some_and(|mail| mail != as_submitted.mail) {
        differences.push("mail_preference".to_owned());
    }
    let proof = match &as_submitted.proof {
        Some(proof) => Some(world.fetch_sealed(&as_submitted, &proof.name).await?),
        None => None,
    };
    if proof.as_deref() != submission.proof.as_deref() {
        differences.push("proof_of_purchase".to_owned());
    }
    if !differences.is_empty() {
        return Err(IntakeError::Reused(differences));
    }
    Ok(Accepted { registration, repeated: true, warnings })
}

fn request_problems(submission: &Submission) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let printable = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if let Some(id) = &submission.request_id
        && (id.is_empty() || id.len() > REQUEST_ID_BYTES_MAX || !printable(id))
    {
        let text = format!("must be 1 to {REQUEST_ID_BYTES_MAX} printable ASCII characters");
        problems.push(FieldProblem::new("request_id", text));
    }
    let tenant = &submission.tenant;
    let token = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if tenant.is_empty() || tenant.len() > TENANT_BYTES_MAX || !tenant.bytes().all(token) {
        let text = format!("must be 1 to {TENANT_BYTES_MAX} characters of a-z, 0-9, - and _");
        problems.push(FieldProblem::new("tenant", text));
    }
    problems.extend(submission.proof.as_deref().and_then(|bytes| file_problem("proof_of_purchase", bytes)));
    problems
}

/// The kind of a file; none when it is of no kind that is taken.
#[must_use]
pub fn kind_of_file(bytes: &[u8]) -> Option<&'static FileKind> {
    FILE_KINDS.iter().find(|kind| bytes.starts_with(kind.begins))
}

/// What is wrong with a file that a person hands over under the name `field`: its size, or its kind by its first bytes.
pub(crate) fn file_problem(field: &str, bytes: &[u8]) -> Option<FieldProblem> {
    if bytes.len() > PROOF_BYTES_MAX {
        let text = format!("has {} bytes; at most {PROOF_BYTES_MAX} are taken", bytes.len());
        Some(FieldProblem::new(field, text))
    } else if kind_of_file(bytes).is_none() {
        Some(FieldProblem::new(field, "is neither PDF, PNG nor JPEG; send one of these"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use bus::MemoryObjects;
    use events::seal::MasterKey;

    #[tokio::test]
    async fn what_a_refused_submission_left_is_erased() {
        let (keys, objects) = (KeyVault::in_memory(MasterKey::new([1; 32])), MemoryObjects::default());
        let (key, _) = keys.lease().await.unwrap();
        objects.put("proof/1", Bytes::from_static(b"x")).await.unwrap();
        discard_once(&keys, &objects, Some(key), "proof/1").await.unwrap();
        assert!(keys.get(key).await.unwrap().is_none());
        assert!(objects.get("proof/1").await.is_err());
    }

    #[test]
    fn only_one_that_may_be_in_the_log_keeps_what_it_left() {
        let surely = |error| IntakeError::Journal(JournalError::Append(error)).surely_not_stored();
        assert!(surely(AppendError::TooLarge) && surely(AppendError::Conflict { last: None }));
        assert!(!surely(AppendError::Unknown));
    }
}
