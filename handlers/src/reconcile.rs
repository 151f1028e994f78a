//! Reconcile: the maker is asked what became of an attempt whose outcome nobody knows.

use connectors::Lookup;
use events::{Answer, Details, Registration, Says, Stage};

use crate::api_attempt;
use crate::world::World;

/// The pause between questions doubles so often.
const DOUBLINGS_MAX: u32 = 10;

/// Asks once, and says what is to be recorded.
pub(crate) async fn ask(world: &World, registration: &Registration, details: &Details) -> Answer {
    let connector = world.connector(registration);
    let said = world.api.lookup(&connector, &api_attempt::request(registration, details)).await;
    Answer { attempt: registration.attempts, says: says(world, registration, said) }
}

fn says(world: &World, registration: &Registration, said: Lookup) -> Says {
    let policy = &world.options.lookup;
    let asked = if let Stage::Unknown { asked, .. } = registration.stage { asked } else { 0 };
    let again = world.now().plus(policy.again_after * 2_u32.saturating_pow(asked.min(DOUBLINGS_MAX)));
    let asks = world.connector(registration).asking();
    match said {
        Lookup::Registered { confirmation } => Says::Registered { confirmation },
        // a maker that is slow may still be about to take it
        Lookup::NotRegistered if asked == 0 => Says::NotYet { ask_at: again, asks },
        Lookup::NotRegistered => Says::NotRegistered { retry_at: retry_at(world, registration) },
        Lookup::Failed(failure) if failure.kind.is_retryable() && asked + 1 < policy.asks_max => {
            tracing::info!(id = %registration.id, detail = failure.detail, "the maker cannot say yet, asking again");
            Says::NotYet { ask_at: again, asks }
        }
        Lookup::Failed(failure) => Says::Nothing { detail: format!("the maker cannot tell: {}", failure.detail) },
    }
}

/// Nothing is registered, so the method may go on, as long as it has tries left.
fn retry_at(world: &World, registration: &Registration) -> Option<events::Timestamp> {
    let connector = world.connector(registration);
    let policy = connector.retry(registration.method()?);
    (registration.tries < policy.tries_max).then(|| world.now())
}
