//! The commands that speak to a running service over gRPC. Data goes to standard output, the rest to standard error.

mod analytics;
mod connect;
mod error;
mod operations;
mod persons;
mod proof;
mod webhooks;

use std::time::Duration;

use anyhow::Context;
use proto::v1::registrations_client::RegistrationsClient;
use proto::v1::{self, RegistrationState as State};

use crate::cli::{
    CancelArgs, Client, CompleteArgs, ListArgs, MailArg, MethodArg, OneArgs, PriorityArg, RetryArgs, StateArg,
    SubmitArgs, WatchArgs,
};
use crate::show::{self, Paint};

pub use analytics::metrics;
pub use connect::{Wire, connect, connect_plainly, connect_to};
pub use error::ClientError;
pub use operations::{circuit, makers, pause, redrive, resume};
pub use persons::{forget, rotate};
pub use proof::{proof, report};
pub use webhooks::webhooks;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one answer may take; streams are not bound by it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows asked for at once.
const PAGE_ROWS: usize = 200;
/// Largest proof of purchase that is read.
const PROOF_BYTES_MAX: u64 = 3 * 1024 * 1024;

type Outcome = Result<(), ClientError>;

async fn registrations(client: &Client) -> Result<RegistrationsClient<Wire>, ClientError> {
    Ok(RegistrationsClient::new(connect(client).await?))
}

fn bounded<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(ANSWER_TIMEOUT);
    request
}

pub async fn submit(args: SubmitArgs) -> Outcome {
    let mut service = registrations(&args.client).await?;
    let (client, wait) = (args.client.clone(), args.wait);
    let answer = service.submit(bounded(request(args)?)).await?.into_inner();
    if answer.repeated_request {
        eprintln!("this request id was accepted before; here is what became of it");
    }
    let Some(registration) = answer.registration else {
        eprintln!("the submission is valid; nothing is stored");
        return Ok(());
    };
    if wait {
        return follow_to_the_end(&mut service, registration, &client).await;
    }
    print(&registration, &client)
}

fn request(args: SubmitArgs) -> anyhow::Result<v1::SubmitRequest> {
    Ok(v1::SubmitRequest {
        request_id: args.request_id,
        tenant: String::new(),
        product: Some(v1::Product { brand: args.brand, model: args.model, serial: args.serial }),
        purchase: Some(v1::Purchase {
            date: args.purchased,
            shop: args.shop,
            price: args.price,
            installation_date: args.installed,
            delivery_date: args.delivered,
        }),
        owner: Some(v1::Owner {
            name: args.name,
            email: args.email,
            phone: args.phone,
            address: Some(v1::Address {
                street: args.street,
                postal_code: args.postal_code,
                city: args.city,
                country: args.country,
            }),
        }),
        priority: priority(args.priority).into(),
        marketing_consent: args.marketing_consent,
        extra: args.extra.into_iter().collect(),
        proof_of_purchase: args.proof.as_deref().map(proof_of_purchase).transpose()?,
        validate_only: args.validate_only,
        mail_preference: args.mail.map_or(v1::MailPreference::Unspecified, mail_preference).into(),
    })
}

const fn priority(priority: PriorityArg) -> v1::Priority {
    match priority {
        PriorityArg::High => v1::Priority::High,
        PriorityArg::Normal => v1::Priority::Normal,
        PriorityArg::Low => v1::Priority::Low,
    }
}

const fn mail_preference(mail: MailArg) -> v1::MailPreference {
    match mail {
        MailArg::All => v1::MailPreference::All,
        MailArg::ManualOnly => v1::MailPreference::ManualOnly,
        MailArg::None => v1::MailPreference::None,
    }
}

fn proof_of_purchase(path: &std::path::Path) -> anyhow::Result<v1::ProofOfPurchase> {
    let size = std::fs::metadata(path).with_context(|| format!("failed to open {}", path.display()))?.len();
    anyhow::ensure!(
        size <= PROOF_BYTES_MAX,
        "{} has {size} bytes; at most {PROOF_BYTES_MAX} are taken",
        path.display()
    );
    let content = std::fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    let filename = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(v1::ProofOfPurchase { filename, content_type: String::new(), content: content.into() })
}

async fn follow_to_the_end(
    service: &mut RegistrationsClient<Wire>,
    registration: v1::Registration,
    client: &Client,
) -> Outcome {
    let (id, after_sequence) = (registration.id.clone(), Some(registration.sequence));
    let watch = v1::WatchRequest { id, after_sequence, ..Default::default() };
    let mut updates = service.watch(watch).await?.into_inner();
    let mut last = registration;
    while !is_settled(last.state()) {
        let Some(update) = updates.message().await? else { break };
        last = update.registration.unwrap_or(last);
        eprintln!("{}", show::state_word(last.state()));
    }
    print(&last, client)
}

/// Whether regflow has done its part.
pub const fn is_settled(state: State) -> bool {
    match state {
        State::Success
        | State::ManualRequired
        | State::UserCompleted
        | State::NeedsCorrection
        | State::OutcomeUnknown
        | State::Cancelled
        | State::Expired => true,
        State::Unspecified | State::Pending | State::Processing | State::Waiting => false,
    }
}

pub async fn status(args: OneArgs) -> Outcome {
    let mut service = registrations(&args.client).await?;
    let registration = service.get(bounded(v1::GetRequest { id: args.id, min_sequence: 0 })).await?.into_inner();
    print(&registration, &args.client)
}

pub async fn list(args: ListArgs) -> Outcome {
    let mut service = registrations(&args.client).await?;
    let mut request = v1::ListRequest {
        states: args.state.iter().map(|state| state_of(*state).into()).collect(),
        maker: args.maker,
        owner_ref: args.owner,
        page_size: i32::try_from(args.limit.min(PAGE_ROWS)).unwrap_or(i32::MAX),
        page_token: String::new(),
    };
    let mut rows: Vec<v1::Registration> = Vec::new();
    loop {
        let page = service.list(bounded(request.clone())).await?.into_inner();
        rows.extend(page.registrations);
        if page.next_page_token.is_empty() || rows.len() >= args.limit {
            break;
        }
        request.page_token = page.next_page_token;
    }
    rows.truncate(args.limit);
    if args.client.json {
        for row in &rows {
            show::say(&show::json(row))?;
        }
    } else if args.csv {
        show::sheet(&rows, &mut std::io::stdout())?;
    } else {
        show::say(&table(&rows).trim_fmt())?;
    }
    Ok(())
}

/// Registrations, one a line.
pub fn table(rows: &[v1::Registration]) -> comfy_table::Table {
    let mut table = show::table(["STATUS", "PRODUCT", "MAKER", "METHOD", "CONFIRMATION", "ID"]);
    for row in rows {
        table.add_row([
            show::state_word(row.state()).to_owned(),
            show::printable(&format!("{} {}", row.brand, row.model)),
            row.maker.clone(),
            show::method_in_words(row.method()).to_owned(),
            show::printable(row.confirmation()),
            row.id.clone(),
        ]);
    }
    table
}

pub async fn watch(args: WatchArgs) -> Outcome {
    let mut service = registrations(&args.client).await?;
    let one = args.id.is_some();
    let request =
        v1::WatchRequest { id: args.id.unwrap_or_default(), after_sequence: args.after, ..Default::default() };
    let mut updates = service.watch(request).await?.into_inner();
    let paint = Paint::stdout();
    while let Some(update) = updates.message().await? {
        let Some(registration) = &update.registration else { continue };
        if args.client.json {
            show::say(&show::json(&update))?;
        } else {
            show::say(&update_line(&update, registration, paint))?;
        }
        if one && is_settled(registration.state()) {
            break;
        }
    }
    Ok(())
}

fn update_line(update: &v1::Update, registration: &v1::Registration, paint: Paint) -> String {
    let names: Vec<&str> = update.events.iter().map(|event| event.name.as_str()).collect();
    format!(
        "{} {} {:<11} {:<32} {}",
        paint.dim(&format!("{:>6}", update.sequence)),
        paint.state(registration.state(), 16),
        registration.reference,
        show::printable(&format!("{} {}", registration.brand, registration.model)),
        paint.dim(&names.join(", ")),
    )
}

pub async fn complete(args: CompleteArgs) -> Outcome {
    let mut service = registrations(&args.client).await?;
    let request = v1::CompleteRequest { id: args.id, confirmation: args.code, etag: String::new() };
    let registration = service.complete(bounded(request)).await?.into_inner();
    print(&registration, &args.client)
}

pub async fn cancel(args: CancelArgs) -> Outcome {
    let mut service = registrations(&args.client).await?;
    let request = v1::CancelRequest { id: args.id, reason: args.reason, etag: String::new() };
    let registration = service.cancel(bounded(request)).await?.into_inner();
    print(&registration, &args.client)
}

pub async fn retry(args: RetryArgs) -> Outcome {
    let mut service = registrations(&args.client).await?;
    let client = args.client.clone();
    let registration = service.retry(bounded(retry_request(args))).await?.into_inner();
    print(&registration, &client)
}

fn retry_request(args: RetryArgs) -> v1::RetryRequest {
    let mended =
        [&args.serial, &args.model, &args.purchased, &args.installed, &args.delivered, &args.name, &args.email];
    let correction = mended.iter().any(|field| field.is_some()).then(|| v1::Correction {
        product: Some(v1::Product {
            brand: String::new(),
            model: args.model.unwrap_or_default(),
            serial: args.serial.unwrap_or_default(),
        }),
        purchase: Some(v1::Purchase {
            date: args.purchased.unwrap_or_default(),
            installation_date: args.installed.unwrap_or_default(),
            delivery_date: args.delivered.unwrap_or_default(),
            ..Default::default()
        }),
        owner: Some(v1::Owner {
            name: args.name.unwrap_or_default(),
            email: args.email.unwrap_or_default(),
            ..Default::default()
        }),
        ..Default::default()
    });
    v1::RetryRequest {
        id: args.id,
        from_method: method_of(args.from).into(),
        correction,
        etag: String::new(),
        reason: args.reason,
    }
}

pub async fn explain(args: OneArgs) -> Outcome {
    let mut service = registrations(&args.client).await?;
    let explained = service.explain(bounded(v1::ExplainRequest { id: args.id })).await?.into_inner();
    let text = if args.client.json {
        show::json(&explained)
    } else {
        show::explanation(&explained, handlers::system_clock(), Paint::stdout())
    };
    Ok(show::say(text.trim_end())?)
}

fn print(registration: &v1::Registration, client: &Client) -> Outcome {
    let text = if client.json { show::json(registration) } else { show::registration(registration, Paint::stdout()) };
    Ok(show::say(text.trim_end())?)
}

/// A state of the command line on the wire.
pub const fn state_of(state: StateArg) -> State {
    match state {
        StateArg::Pending => State::Pending,
        StateArg::Processing => State::Processing,
        StateArg::Waiting => State::Waiting,
        StateArg::OutcomeUnknown => State::OutcomeUnknown,
        StateArg::Success => State::Success,
        StateArg::ManualRequired => State::ManualRequired,
        StateArg::UserCompleted => State::UserCompleted,
        StateArg::NeedsCorrection => State::NeedsCorrection,
        StateArg::Cancelled => State::Cancelled,
        StateArg::Expired => State::Expired,
    }
}

const fn method_of(method: Option<MethodArg>) -> v1::Method {
    match method {
        None => v1::Method::Unspecified,
        Some(MethodArg::Api) => v1::Method::Api,
        Some(MethodArg::AutomationReliable) => v1::Method::AutomationReliable,
        Some(MethodArg::AssistedManual) => v1::Method::AssistedManual,
    }
}
