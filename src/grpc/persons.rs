//! regflow.v1.Persons: what was sent about a person.

use std::sync::Arc;
use std::time::Duration;

use handlers::World;
use projections::{Filter, Page};
use proto::v1;
use proto::v1::persons_server::Persons;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::audit::timestamp;
use super::proofs::of_proof;
use super::views::Views;
use super::{convert, errors, wire};
use crate::proof::{self, Account, Arrived, Delivery, Show, What};

/// Registrations that are read ahead of a slow reader.
const AHEAD: usize = 4;
/// How long a reader may take for one of them; then the report is broken off.
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// What such a reader is told.
const SLOW: &str = "the report was broken off, because it was not read for 30 seconds; ask again";
/// Rows of the view that are looked at together.
const PAGE_ROWS: usize = 200;

/// The persons service; clones share everything.
#[derive(Clone)]
pub struct PersonsService {
    pub world: Arc<World>,
    pub views: Arc<Views>,
}

#[tonic::async_trait]
impl Persons for PersonsService {
    type ReportStream = ReceiverStream<Result<v1::ReportedRegistration, Status>>;

    async fn report(&self, request: Request<v1::PersonRef>) -> Result<Response<Self::ReportStream>, Status> {
        self.views.check_ready()?;
        let person = self.person(request.into_inner())?;
        let (sender, receiver) = mpsc::channel(AHEAD);
        let service = self.clone();
        // ends when the reader leaves: nobody takes what is sent then
        tokio::spawn(async move {
            if let Err(status) = service.tell(&person, &sender).await {
                let _ = tokio::time::timeout(READER_PATIENCE, sender.send(Err(status))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// A person of a tenant.
struct Person {
    tenant: String,
    owner_ref: [u8; 16],
}

impl PersonsService {
    fn person(&self, asked: v1::PersonRef) -> Result<Person, Status> {
        let tenant = convert::optional(asked.tenant).unwrap_or_else(|| convert::DEFAULT_TENANT.to_owned());
        let owner_ref = match asked.who {
            Some(v1::person_ref::Who::Email(email)) if !email.trim().is_empty() => {
                self.world.master.pseudonym(&tenant, &email)
            }
            Some(v1::person_ref::Who::OwnerRef(text)) => convert::owner_ref(&text)?,
            Some(v1::person_ref::Who::Email(_)) | None => {
                return Err(errors::invalid_field("email", "is missing; name the person by it or by owner_ref"));
            }
        };
        Ok(Person { tenant, owner_ref })
    }

    async fn tell(
        &self,
        person: &Person,
        reader: &mpsc::Sender<Result<v1::ReportedRegistration, Status>>,
    ) -> Result<(), Status> {
        let mut token = None;
        loop {
            let page = self.page(person, token.as_deref())?;
            for row in page.rows.iter().map(|row| &row.registration).filter(|row| row.tenant == person.tenant) {
                let gathered = proof::gather(&self.world, row.shard, row.id, Show::Values, false).await;
                let account = gathered.map_err(|error| of_proof(&error))?.account;
                match tokio::time::timeout(READER_PATIENCE, reader.send(Ok(registration(&account)))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Ok(()),
                    // an error, so that a report that was broken off does not look whole
                    Err(_) => return Err(errors::passing(Code::Aborted, "READER_TOO_SLOW", SLOW)),
                }
            }
            match page.next_token {
                Some(next) => token = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Some of the person's registrations, newest first.
    fn page(&self, person: &Person, token: Option<&str>) -> Result<Page, Status> {
        let filter = Filter { owner_ref: Some(person.owner_ref), ..Filter::default() };
        let page = self.views.status.list(&filter, PAGE_ROWS, token);
        page.map_err(|error| errors::passing(Code::Unavailable, "VIEW_UNAVAILABLE", error.to_string()))
    }
}

fn registration(account: &Account) -> v1::ReportedRegistration {
    let registration = &account.registration;
    v1::ReportedRegistration {
        id: account.id.to_string(),
        reference: account.id.reference(),
        maker: account.maker.clone(),
        product: account.product(),
        state: wire::state(registration.stage.status()).into(),
        submit_time: Some(timestamp(registration.submitted_at)),
        asked_by: account.asked_by.to_string(),
        confirmation: account.confirmation.clone().unwrap_or_default(),
        deliveries: account.deliveries.iter().map(delivery).collect(),
        mails: account
            .mails
            .iter()
            .map(|mail| v1::MailToOwner {
                what: mail.what.to_owned(),
                time: Some(timestamp(mail.at)),
                message_id: mail.message_id.clone(),
                address: mail.to.clone(),
            })
            .collect(),
        files: account
            .kept
            .iter()
            .map(|kept| v1::KeptFile {
                what: kept.what.to_owned(),
                object: kept.object.name.clone(),
                size_bytes: kept.object.size_bytes,
            })
            .collect(),
    }
}

fn delivery(delivery: &Delivery) -> v1::Delivery {
    let reason = match delivery.what {
        What::Attempt => v1::DeliveryReason::Attempt,
        What::Repeat => v1::DeliveryReason::Repeat,
        What::Question => v1::DeliveryReason::Question,
    };
    let arrived = match delivery.arrived {
        Arrived::Yes => v1::Arrival::Yes,
        Arrived::No => v1::Arrival::No,
        Arrived::Perhaps => v1::Arrival::Unspecified,
    };
    let sent = delivery.sent.as_ref();
    let values = sent.map(|sent| sent.values.as_slice()).unwrap_or_default();
    v1::Delivery {
        attempt: delivery.attempt,
        reason: reason.into(),
        sequence: delivery.sequence,
        time: Some(timestamp(delivery.at)),
        method: wire::method(Some(delivery.method)).into(),
        maker: delivery.connector.clone(),
        host: sent.map(|sent| sent.to.clone()).unwrap_or_default(),
        recorded: sent.is_some(),
        values: values
            .iter()
            .map(|(field, value)| v1::SentValue { field: field.clone(), value: value.clone() })
            .collect(),
        arrived: arrived.into(),
        came_back: delivery.came_back.clone(),
    }
}
