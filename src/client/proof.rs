//! `regflow proof` and `regflow person`: what was sent, as a file that proves it and as a report.

use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;
use events::NoteVerifier;
use proto::v1::persons_client::PersonsClient;
use proto::v1::proofs_client::ProofsClient;
use proto::v1::{self, ProofFormat};
use serde_json::json;

use super::{ClientError, Outcome, bounded, connect};
use crate::cli::{PersonArgs, ProofCommand, ProofGetArgs, ProofVerifyArgs};
use crate::proof::{NOTE_BYTES_MAX, Verified, verify};
use crate::show::{self, Paint};

pub async fn proof(command: ProofCommand) -> Outcome {
    match command {
        ProofCommand::Get(args) => get(args).await,
        ProofCommand::Verify(args) => check(&args),
    }
}

async fn get(args: ProofGetArgs) -> Outcome {
    let mut service = ProofsClient::new(connect(&args.client).await?);
    let format = if args.pdf { ProofFormat::Pdf } else { ProofFormat::Note };
    let request = v1::GetProofRequest { id: args.id, format: format.into(), without_values: args.without_values };
    let file = service.get_proof(bounded(request)).await?.into_inner();
    if args.client.json {
        return Ok(show::say(&show::json(&file))?);
    }
    match &args.output {
        Some(path) => {
            std::fs::write(path, &file.content).with_context(|| format!("failed to write {}", path.display()))?;
            show::say(&format!("{} ({} bytes)", path.display(), file.content.len()))?;
        }
        None => std::io::stdout().write_all(&file.content)?,
    }
    eprintln!("signed by {}", file.key);
    Ok(())
}

fn check(args: &ProofVerifyArgs) -> Outcome {
    let key = args.key.as_deref().map(str::parse::<NoteVerifier>).transpose();
    let key = key.map_err(|_| ClientError::Usage("--key is no public key; it looks like NAME+HEX+BASE64"))?;
    let file = read(&args.file)?;
    match verify(&file, key.as_ref()) {
        Ok(verified) if args.json => Ok(show::say(&as_json(&verified).to_string())?),
        Ok(verified) => Ok(show::say(show::verified(&verified, Paint::stdout()).trim_end())?),
        Err(fault) => {
            if args.json {
                show::say(&json!({ "holds": false, "problem": fault.to_string() }).to_string())?;
            }
            Err(anyhow::anyhow!("the proof does not hold: {fault}").into())
        }
    }
}

/// No more than a proof can have.
fn read(path: &Path) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    let most = NOTE_BYTES_MAX as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("failed to read {}", path.display()))?;
    Ok(bytes)
}

fn as_json(verified: &Verified) -> serde_json::Value {
    let account = &verified.account;
    json!({
        "holds": true,
        "registration": account.id.to_string(),
        "maker": account.maker,
        "product": account.product(),
        "status": account.registration.stage.status().as_str(),
        "confirmation": account.confirmation,
        "deliveries": account.deliveries.len(),
        "records": verified.records,
        "lastSequence": account.registration.last.sequence,
        "lastHash": hex::encode(account.registration.last.hash.0),
        "asOfTime": verified.written_at.to_jiff().to_string(),
        "key": verified.signer.to_string(),
        "keyWasGiven": verified.key_was_given,
    })
}

pub async fn report(args: PersonArgs) -> Outcome {
    let mut service = PersonsClient::new(connect(&args.client).await?);
    let who = match (args.email, args.owner) {
        (Some(email), _) => v1::person_ref::Who::Email(email),
        (None, Some(owner)) => v1::person_ref::Who::OwnerRef(owner),
        (None, None) => return Err(ClientError::Usage("name the person by --email or --owner")),
    };
    let request = v1::PersonRef { tenant: args.tenant, who: Some(who) };
    let mut registrations = service.report(request).await?.into_inner();
    let (paint, mut count) = (Paint::stdout(), 0_usize);
    while let Some(registration) = registrations.message().await? {
        count += 1;
        if args.client.json {
            show::say(&show::json(&registration))?;
        } else {
            show::say(&show::reported(&registration, paint))?;
        }
    }
    if count == 0 {
        eprintln!("nothing is known of this person, and nothing was sent");
    }
    Ok(())
}
