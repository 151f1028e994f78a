//! `regflow audit`: what happened, from a running service, from a NATS server, or from a data folder. Data goes to standard
//! output, the rest to standard error.

mod export;
mod inspect;
mod source;

use futures::TryStreamExt;
use proto::v1;

use self::source::Source;
use crate::cli::{AsOfArgs, AuditArgs, AuditCommand, MomentArg, ShowArgs, WishArgs};
use crate::client::{ClientError, state_of};
use crate::show::{self, Paint};

type Outcome = Result<(), ClientError>;

/// Does what is asked; false when a file was checked and something is wrong with it.
pub async fn run(args: AuditArgs) -> Result<bool, ClientError> {
    match args.command {
        Some(AuditCommand::Show(args)) => show(args).await?,
        Some(AuditCommand::Export(args)) => Box::pin(export::run(args)).await?,
        Some(AuditCommand::Inspect(args)) => return inspect::run(&args),
        Some(AuditCommand::AsOf(args)) => as_of(args).await?,
        None => {
            let id = args.id.ok_or(ClientError::Usage("name a registration, or see `regflow audit --help`"))?;
            let source = Source::of_service(&args.client.server, &args.client.tls).await?;
            print(source, v1::ReplayRequest { id, ..Default::default() }, args.client.json).await?;
        }
    }
    Ok(true)
}

async fn show(args: ShowArgs) -> Outcome {
    let source = Source::open(&args.source).await?;
    print(source, request(&args.wish), args.json).await
}

async fn print(source: Source, request: v1::ReplayRequest, json: bool) -> Outcome {
    let paint = Paint::stdout();
    let mut records = source.records(request).await?;
    let printed = async {
        while let Some(record) = records.try_next().await? {
            let text = if json { show::json(&record) } else { show::replayed(&record, paint) };
            show::say(text.trim_end())?;
        }
        Ok(())
    };
    let printed = printed.await;
    drop(records);
    source.close().await;
    printed
}

/// What is wished, as the service takes it. Without anything it is the whole log.
fn request(wish: &WishArgs) -> v1::ReplayRequest {
    let mut request = v1::ReplayRequest {
        id: wish.id.clone(),
        owner_ref: wish.owner.clone(),
        tenant: wish.tenant.clone(),
        maker: wish.maker.clone(),
        with_registrations: wish.with_registrations,
        ..Default::default()
    };
    match wish.from {
        Some(MomentArg::Sequence(sequence)) => request.from_sequence = sequence,
        Some(MomentArg::Time(time)) => request.from_time = Some(show::wire_time(time)),
        None => request.from_sequence = 1,
    }
    match wish.until {
        Some(MomentArg::Sequence(sequence)) => request.until_sequence = sequence,
        Some(MomentArg::Time(time)) => request.until_time = Some(show::wire_time(time)),
        None => {}
    }
    request
}

async fn as_of(args: AsOfArgs) -> Outcome {
    let source = Source::open(&args.source).await?;
    let answer = source.as_of(past_request(&args), args.config.clone()).await;
    source.close().await;
    let answer = answer?;
    let text = if args.json { show::json(&answer) } else { show::as_of(&answer, Paint::stdout()) };
    Ok(show::say(text.trim_end())?)
}

fn past_request(args: &AsOfArgs) -> v1::AsOfRequest {
    let mut request = v1::AsOfRequest {
        id: args.id.clone(),
        page_size: args.list.into(),
        states: args.state.iter().map(|state| state_of(*state).into()).collect(),
        maker: args.maker.clone(),
        owner_ref: args.owner.clone(),
        window_seconds: args.window.as_secs(),
        ..Default::default()
    };
    match args.moment {
        MomentArg::Sequence(sequence) => request.sequence = sequence,
        MomentArg::Time(time) => request.time = Some(show::wire_time(time)),
    }
    request
}
