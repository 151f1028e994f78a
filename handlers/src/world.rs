//! What handlers work with: the log, the keys, the makers, the mail; and the only clock.

use std::sync::Arc;
use std::time::Duration;

use bus::{EventLog, KeyVault, Lease, MasterFile, ObjectStore, Trust};
use connectors::{ApiClient, Catalog, Connector};
use events::seal::{NONCE_BYTES, Nonce, PersonKey};
use events::{Details, MailPreference, NoteSigner, ObjectRef, Registration, RegistrationId, RetryPolicy, Timestamp};
use form::Browsers;
use mail::{Mailer, Templates};
use packet::Press;

/// Tells the time.
pub type Clock = fn() -> Timestamp;

/// The machine's clock.
#[must_use]
pub fn system_clock() -> Timestamp {
    jiff::Timestamp::now().into()
}

/// Settings that handlers need.
#[derive(Debug, Clone)]
pub struct WorldOptions {
    /// Number of shards of the stream.
    pub shards: u16,
    /// The domain in Message-IDs.
    pub mail_domain: String,
    /// How often a packet that could not be sent is tried again.
    pub packet_retry: RetryPolicy,
    /// How makers are asked what became of an attempt.
    pub lookup: LookupOptions,
    /// Who is mailed when a maker is ill; nobody when empty.
    pub operators: Vec<String>,
    /// Which mails a person gets whose client does not say.
    pub mail_preference: MailPreference,
    /// How the owner tells that it is done; `{page}` stands for the page where one types the code, `{code}` for that code,
    /// `{reference}` and `{id}` for the registration's own.
    pub done_hint: String,
    /// Where people reach the pages, without a slash at its end.
    pub public_url: String,
    /// How long the link in a packet's mail works.
    pub link_lasts: Duration,
}

/// When a maker is asked what became of an attempt whose outcome nobody knows.
#[derive(Debug, Clone, Copy)]
pub struct LookupOptions {
    /// After the attempt.
    pub first_after: Duration,
    /// After the first question; twice as long each time. "Not registered" is believed from then on: a slow maker may take it
    /// until then.
    pub again_after: Duration,
    /// Questions altogether before a person is asked.
    pub asks_max: u32,
}

/// Everything outside of the rules that a handler may touch.
pub struct World {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Whether the log is the one that was written.
    pub trust: Trust,
    /// Whether this process does the work.
    pub lease: Lease,
    /// Person keys.
    pub keys: Arc<KeyVault>,
    /// Packets, screenshots, proofs.
    pub objects: Arc<dyn ObjectStore>,
    /// What is known of makers.
    pub catalog: Arc<Catalog>,
    /// Makers' APIs.
    pub api: ApiClient,
    /// Makers' forms.
    pub browsers: Browsers,
    /// The packet's renderer.
    pub packets: Press,
    /// Mail.
    pub mailer: Mailer,
    /// The words of letters.
    pub letters: Templates,
    /// Where the master key stands; nothing when others have it, too.
    pub master_file: Option<MasterFile>,
    /// Signs heads of the log and proofs.
    pub signer: NoteSigner,
    /// Settings.
    pub options: WorldOptions,
    /// The clock.
    pub clock: Clock,
}

/// The person's data cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// The key is not in the vault (any more).
    #[error("the person's key is gone")]
    KeyGone,
    /// The vault cannot be asked.
    #[error("failed to fetch the person's key")]
    Keys(#[from] bus::KeyError),
    /// The key does not fit.
    #[error("failed to open the sealed data")]
    Seal(#[from] events::seal::SealError),
    /// The object store cannot be asked.
    #[error("failed to reach the object store")]
    Objects(#[from] bus::ObjectError),
}

impl World {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The registration's connector; the generic one when its own has left the catalog.
    #[must_use]
    pub fn connector(&self, registration: &Registration) -> Arc<Connector> {
        self.catalog.get(&registration.connector).unwrap_or_else(|| self.catalog.generic()).clone()
    }

    /// The link by which an owner says that it is done; it works from now on for as long as the settings say.
    #[must_use]
    pub fn done_link(&self, id: RegistrationId) -> String {
        let token = self.keys.link_key().token(id, self.now().plus(self.options.link_lasts));
        format!("{}/done/{token}", self.options.public_url)
    }

    /// How an owner without the link says that it is done, in words for paper.
    #[must_use]
    pub fn done_hint(&self, id: RegistrationId) -> String {
        let page = format!("{}/done", self.options.public_url);
        let code = self.keys.link_key().code(id);
        let hint = self.options.done_hint.replace("{page}", &page).replace("{code}", &code);
        hint.replace("{reference}", &id.reference()).replace("{id}", &id.to_string())
    }

    /// The person's key.
    ///
    /// # Errors
    /// [`PrivateError`] when it is gone or cannot be fetched.
    pub async fn key(&self, registration: &Registration) -> Result<PersonKey, PrivateError> {
        self.keys.get(registration.person_key).await?.ok_or(PrivateError::KeyGone)
    }

    /// The registration's details in clear.
    ///
    /// # Errors
    /// [`PrivateError`] when the key is gone or does not fit.
    pub async fn open(&self, registration: &Registration) -> Result<Details, PrivateError> {
        Ok(self.key(registration).await?.open(registration.id, &registration.sealed)?)
    }

    /// Seals bytes with the person's key and keeps them under `name`.
    ///
    /// # Errors
    /// [`PrivateError`] when they cannot be sealed or kept.
    pub async fn keep_sealed(
        &self,
        key: &PersonKey,
        id: RegistrationId,
        name: &str,
        bytes: &[u8],
    ) -> Result<ObjectRef, PrivateError> {
        let sealed = key.seal_bytes(id, &fresh_nonce(), bytes)?;
        Ok(self.objects.put(name, sealed.into()).await?)
    }

    /// What [`Self::keep_sealed`] kept, in clear.
    ///
    /// # Errors
    /// [`PrivateError`] when it is not there or does not open.
    pub async fn fetch_sealed(&self, registration: &Registration, name: &str) -> Result<Vec<u8>, PrivateError> {
        if registration.forgetting.is_some() {
            return Err(PrivateError::KeyGone);
        }
        let sealed = self.objects.get(name).await?;
        Ok(self.key(registration).await?.open_bytes(registration.id, &sealed)?)
    }
}

/// A nonce that was never used before (192 random bits).
pub(crate) fn fresh_nonce() -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut nonce);
    nonce
}
