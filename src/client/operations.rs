//! The commands of operators, over gRPC: makers, pauses, circuits, redrives.

use std::time::Duration;

use proto::v1::operations_client::OperationsClient;
use proto::v1::{self, CircuitPosition};

use super::{ClientError, Outcome, Wire, bounded, connect, method_of, state_of};
use crate::cli::{CircuitArgs, CircuitWish, Client, MakersArgs, MethodArg, PauseArgs, RedriveArgs, Why};
use crate::show::{self, Paint};

/// How long a redrive of ten thousand may take.
const REDRIVE_TIMEOUT: Duration = Duration::from_secs(300);

pub(super) async fn operations(client: &Client) -> Result<OperationsClient<Wire>, ClientError> {
    Ok(OperationsClient::new(connect(client).await?))
}

/// The operator's name: as given, else the user's.
pub(super) fn operator(why: &Why) -> Result<String, ClientError> {
    let user = || std::env::var("USER").ok();
    let name = why.operator.clone().or_else(user).filter(|name| !name.trim().is_empty());
    name.ok_or(ClientError::Usage("nobody knows who you are; say so with --operator NAME or REGFLOW_OPERATOR"))
}

pub async fn makers(args: MakersArgs) -> Outcome {
    let mut service = operations(&args.client).await?;
    let request = v1::ListMakersRequest { maker: args.maker.clone().unwrap_or_default() };
    let makers = service.list_makers(bounded(request)).await?.into_inner().makers;
    if args.client.json {
        for maker in &makers {
            show::say(&show::json(maker))?;
        }
        return Ok(());
    }
    let (paint, now) = (Paint::stdout(), handlers::system_clock());
    let text = match (&args.maker, makers.as_slice()) {
        (Some(_), [maker]) => show::maker(maker, now, paint),
        (Some(_) | None, all) => show::makers(all, now, paint),
    };
    Ok(show::say(text.trim_end())?)
}

pub async fn pause(args: PauseArgs) -> Outcome {
    let (what, operator) = (whole_or_method(&args, "paused"), operator(&args.why)?);
    let request = v1::PauseRequest {
        maker: args.maker,
        method: method_of(args.method).into(),
        reason: args.why.reason,
        operator,
    };
    let mut service = operations(&args.client).await?;
    let done = service.pause(bounded(request)).await?.into_inner();
    stored(&args.client, done, &what)
}

pub async fn resume(args: PauseArgs) -> Outcome {
    let (what, operator) = (whole_or_method(&args, "resumed"), operator(&args.why)?);
    let request = v1::ResumeRequest {
        maker: args.maker,
        method: method_of(args.method).into(),
        reason: args.why.reason,
        operator,
    };
    let mut service = operations(&args.client).await?;
    let done = service.resume(bounded(request)).await?.into_inner();
    stored(&args.client, done, &what)
}

fn whole_or_method(args: &PauseArgs, done: &str) -> String {
    match args.method {
        Some(method) => format!("{}: the {} is {done}", args.maker, in_short(method)),
        None => format!("{} is {done}", args.maker),
    }
}

const fn in_short(method: MethodArg) -> &'static str {
    show::method_in_short(method_of(Some(method)))
}

pub async fn circuit(args: CircuitArgs) -> Outcome {
    let (operator, reason) = (operator(&args.why)?, args.why.reason);
    let mut service = operations(&args.client).await?;
    let (maker, method) = (args.maker.clone(), method_of(Some(args.method)).into());
    let position = match args.wish {
        CircuitWish::Open => Some(CircuitPosition::Open),
        CircuitWish::Closed => Some(CircuitPosition::Closed),
        CircuitWish::Release => None,
    };
    let done = match position {
        Some(position) => {
            let position = position.into();
            let request = v1::ForceCircuitRequest { maker, method, position, reason, operator };
            service.force_circuit(bounded(request)).await?
        }
        None => {
            let request = v1::ReleaseCircuitRequest { maker, method, reason, operator };
            service.release_circuit(bounded(request)).await?
        }
    };
    let what = match args.wish {
        CircuitWish::Open => "is held open",
        CircuitWish::Closed => "is held closed",
        CircuitWish::Release => "is left to itself again",
    };
    let text = format!("{}: the circuit of the {} {what}", args.maker, in_short(args.method));
    stored(&args.client, done.into_inner(), &text)
}

fn stored(client: &Client, done: v1::OperationResponse, text: &str) -> Outcome {
    if client.json {
        return Ok(show::say(&show::json(&done))?);
    }
    Ok(show::say(&format!("{text} {}", Paint::stdout().dim(&format!("(sequence {})", done.sequence))))?)
}

pub async fn redrive(args: RedriveArgs) -> Outcome {
    let operator = operator(&args.why)?;
    let mut service = operations(&args.client).await?;
    let mut request = tonic::Request::new(v1::RedriveRequest {
        states: args.state.iter().map(|state| state_of(*state).into()).collect(),
        maker: args.maker,
        from_method: method_of(args.from).into(),
        reason: args.why.reason,
        operator,
        dry_run: !args.yes,
        limit: args.limit,
    });
    request.set_timeout(REDRIVE_TIMEOUT);
    let done = service.redrive(request).await?.into_inner();
    if args.client.json {
        show::say(&show::json(&done))?;
    } else {
        show::say(show::redrive(&done, args.yes, Paint::stdout()).trim_end())?;
    }
    if args.yes && !done.refused.is_empty() {
        return Err(ClientError::NotAll { refused: done.refused.len(), matched: done.matched });
    }
    Ok(())
}
