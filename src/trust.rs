//! Verification of the log as the service runs it, and the word to operators when it fails.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::{Trust, TrustFolder, TrustOptions, WholeLog};
use events::NoteSigner;
use handlers::{World, system_clock};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::serve::TRUST_FOLDER;

/// Compares the log with what was verified of it before; see [`Trust::open`].
pub async fn open(settings: &Settings, log: WholeLog, signer: &NoteSigner) -> anyhow::Result<Trust> {
    let witness = &settings.audit.witness;
    let options = TrustOptions {
        folder: TrustFolder::at(settings.server.data.join(TRUST_FOLDER)),
        witness: (!witness.is_empty()).then(|| PathBuf::from(witness)),
        signer: signer.clone(),
        sign_every: Duration::from_secs(settings.audit.checkpoint_s),
        clock: system_clock,
    };
    Trust::open(log, options).await.context("failed to compare the log with what was verified of it")
}

/// Verifies what comes until `shutdown`, and mails operators when the log turns out to be another one.
pub async fn run(world: Arc<World>, shutdown: CancellationToken) {
    let telling = async {
        let mut gate = world.trust.gate().watch();
        let Ok(Some(trouble)) = gate.wait_for(Option::is_some).await.map(|trouble| trouble.clone()) else { return };
        handlers::tell_of_trouble(&world, &trouble).await;
    };
    tokio::select! {
        // a head is signed at the end, so the verifier is waited for; a mail is not
        () = world.trust.clone().run(shutdown) => {}
        () = async { telling.await; std::future::pending().await } => {}
    }
}
