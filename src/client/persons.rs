//! The commands about persons, over gRPC.

use std::time::Duration;

use proto::v1;
use proto::v1::person_ref::Who;
use proto::v1::persons_client::PersonsClient;

use super::{ClientError, Outcome, Wire, connect};
use crate::cli::{Client, ForgetArgs, ReasonArg, RotateArgs};
use crate::show::{self, Paint};

/// How long ten thousand registrations may take, and the keys of a million persons.
const LONG_TIMEOUT: Duration = Duration::from_secs(3_600);

async fn persons(client: &Client) -> Result<PersonsClient<Wire>, ClientError> {
    Ok(PersonsClient::new(connect(client).await?))
}

fn long<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(LONG_TIMEOUT);
    request
}

pub async fn forget(args: ForgetArgs) -> Outcome {
    let mut service = persons(&args.client).await?;
    let who = args.email.map(Who::Email).or(args.owner.map(Who::OwnerRef));
    let person = Some(v1::PersonRef { tenant: args.tenant, who });
    let request = v1::ForgetRequest { person, reason: reason(args.reason).into(), dry_run: !args.yes };
    let answer = service.forget(long(request)).await?.into_inner();
    if args.client.json {
        show::say(&show::json(&answer))?;
    } else {
        show::say(show::forget(&answer, args.yes, Paint::stdout()).trim_end())?;
    }
    if !answer.failed.is_empty() {
        return Err(ClientError::SomeFailed { failed: answer.failed.len() });
    }
    if args.yes && !answer.kept.is_empty() {
        return Err(ClientError::SomeKept { kept: answer.kept.len() });
    }
    Ok(())
}

pub async fn rotate(args: RotateArgs) -> Outcome {
    let mut service = persons(&args.client).await?;
    let done = service.rotate_master_key(long(v1::RotateMasterKeyRequest {})).await?.into_inner();
    if args.client.json {
        return Ok(show::say(&show::json(&done))?);
    }
    let paint = Paint::stdout();
    let text = format!("the master key is {} now; {} keys are wrapped anew", paint.bold(&done.fingerprint), done.keys);
    show::say(&text)?;
    let remedy = "back the new key file up, and destroy the copies of the old one once no backup of the data needs it";
    Ok(show::say(&paint.dim(remedy))?)
}

const fn reason(reason: ReasonArg) -> v1::ForgetReason {
    match reason {
        ReasonArg::PersonAsked => v1::ForgetReason::PersonAsked,
        ReasonArg::Ordered => v1::ForgetReason::Ordered,
        ReasonArg::ConsentWithdrawn => v1::ForgetReason::ConsentWithdrawn,
        ReasonArg::NoLongerNeeded => v1::ForgetReason::NoLongerNeeded,
        ReasonArg::WrongData => v1::ForgetReason::WrongData,
    }
}
