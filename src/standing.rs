//! Whether the service can store anything at this moment, for whoever asks if it is ready; an embedded NATS server that stores nothing
//! any more is started again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bus::{Medic, ServerHealth, StoringState};
use tokio::sync::watch;

use crate::serve::ServiceFile;

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A server that has stored nothing for so long, though it was tried, is started again; twice as long the next time, up to the second.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

/// What says whether the service can work.
#[derive(Clone)]
pub struct Signs {
    /// Whether views and engine have caught up with the log.
    pub ready: watch::Receiver<bool>,
    /// Whether something can be stored at this moment.
    pub stores: watch::Receiver<bool>,
}

/// Who is looked after.
pub struct Standing {
    pub health: ServerHealth,
    /// Of our own server.
    pub medic: Option<Medic>,
    /// Whether something can be stored.
    pub told: watch::Sender<bool>,
    /// Rewritten when the server is another process.
    pub file: ServiceFile,
    pub data: PathBuf,
}

impl Standing {
    /// Looks after it for ever.
    pub async fn keep(mut self) {
        let mut patience = PATIENCE.0;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let state = self.health.storing(Instant::now());
            self.tell(self.health.is_connected() && !matches!(state, StoringState::FailingFor(_)));
            patience = match (state, &self.medic) {
                (StoringState::FailingFor(time), Some(medic)) if time >= patience => {
                    let seconds = time.as_secs();
                    tracing::error!(seconds, "nats-server has stored nothing although it was tried; starting it again");
                    medic.start_again();
                    self.health.give_time();
                    (patience * 2).min(PATIENCE.1)
                }
                (StoringState::Stores, _) => PATIENCE.0,
                (StoringState::FailingFor(_) | StoringState::Unknown, _) => patience,
            };
            self.keep_file();
        }
    }

    fn tell(&self, stores: bool) {
        self.told.send_if_modified(|told| std::mem::replace(told, stores) != stores);
    }

    fn keep_file(&mut self) {
        let pid = self.medic.as_ref().map(Medic::pid).filter(|pid| *pid != 0);
        if pid.is_some() && pid != self.file.nats_pid {
            self.file.nats_pid = pid;
            if let Err(error) = self.file.write(&self.data) {
                tracing::warn!(%error, "the service's file cannot be written");
            }
        }
    }
}
