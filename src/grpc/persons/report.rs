//! What was sent about a person, one registration after the other.

use std::time::Duration;

use projections::{Filter, Page};
use proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{Person, PersonsService};
use crate::grpc::audit::timestamp;
use crate::grpc::proofs::of_proof;
use crate::grpc::{errors, wire};
use crate::proof::{self, Account, Arrived, Delivery, Show, What};

/// Registrations that are read ahead of a slow reader.
const AHEAD: usize = 4;
/// How long a reader may take for one of them; then the report is broken off.
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// What such a reader is told.
const SLOW: &str = "the report was broken off, because it was not read for 30 seconds; ask again";
/// Rows of the view that are looked at together.
const PAGE_ROWS: usize = 200;

/// Reports on a task of its own; it ends when the reader leaves: nobody takes what is sent then.
pub(super) fn start(
    service: PersonsService,
    person: Option<Person>,
) -> ReceiverStream<Result<v1::ReportedRegistration, Status>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let Some(person) = person else { return ReceiverStream::new(receiver) };
    tokio::spawn(async move {
        if let Err(status) = service.tell(&person, &sender).await {
            let _ = tokio::time::timeout(READER_PATIENCE, sender.send(Err(status))).await;
        }
    });
    ReceiverStream::new(receiver)
}

impl PersonsService {
    async fn tell(
        &self,
        person: &Person,
        reader: &mpsc::Sender<Result<v1::ReportedRegistration, Status>>,
    ) -> Result<(), Status> {
        let mut token = None;
        loop {
            let page = self.page(person, token.as_deref())?;
            for row in page.rows.iter().map(|row| &row.registration) {
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
        let (tenant, owner_ref) = (Some(person.tenant.clone()), Some(person.owner_ref));
        let filter = Filter { tenant, owner_ref, ..Filter::default() };
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
