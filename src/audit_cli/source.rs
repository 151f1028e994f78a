//! Where the log is read: behind a service, or directly. Directly there is no engine, no browser, no mailer, no lease and no
//! key: only a connection to NATS.

use std::path::Path;

use anyhow::Context;
use bus::{Embedded, EmbeddedOptions, ReadOnlyLog, ReadOptions, Topology};
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use proto::v1;
use proto::v1::audit_client::AuditClient;
use tokio_util::sync::CancellationToken;

use crate::catalog::NO_SANDBOX;
use crate::cli::{ClientTls, SourceArgs};
use crate::client::{self, ClientError, Wire};
use crate::grpc::audit as service;
use crate::{serve, settings};

/// Largest chunk that is taken: a quarter of a megabyte and one line more.
const CHUNK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A way to the log.
pub enum Source {
    /// A running service.
    Service(Box<AuditClient<Wire>>),
    /// A server, perhaps our own.
    Direct(Box<Direct>),
}

/// A server that is asked without any service.
pub struct Direct {
    log: ReadOnlyLog,
    shards: u16,
    /// Ours, on a data folder.
    embedded: Option<Embedded>,
}

impl Direct {
    async fn replay(&self, request: &v1::ReplayRequest) -> Result<audit::Replay, tonic::Status> {
        service::open(&self.log, request, self.shards).await
    }
}

impl Source {
    /// The way that the command line names.
    pub async fn open(args: &SourceArgs) -> Result<Self, ClientError> {
        if let Some(folder) = &args.data {
            return Ok(Self::of_folder(folder).await?);
        }
        match &args.nats {
            Some(url) => {
                let options = ReadOptions {
                    credentials_file: args.credentials.clone(),
                    nkey_seed: crate::secrets::secret("REGFLOW_NATS_NKEY")?,
                    ca_file: args.tls.ca.clone(),
                };
                Ok(Self::of_nats(url, options, None).await?)
            }
            None => Self::of_service(&args.server, &args.tls).await,
        }
    }

    /// A running service.
    pub async fn of_service(server: &str, tls: &ClientTls) -> Result<Self, ClientError> {
        let client = AuditClient::new(client::connect_to(server, tls).await?);
        Ok(Self::Service(Box::new(client.max_decoding_message_size(CHUNK_BYTES_MAX))))
    }

    async fn of_nats(url: &str, options: ReadOptions, embedded: Option<Embedded>) -> anyhow::Result<Self> {
        let shards = Topology::committed()?.shards;
        let log = ReadOnlyLog::open(url, options).await.with_context(|| format!("failed to read the log at {url}"))?;
        Ok(Self::Direct(Box::new(Direct { log, shards, embedded })))
    }

    /// Starts the server of a data folder, which nobody else may use meanwhile.
    async fn of_folder(folder: &Path) -> anyhow::Result<Self> {
        let data_dir = folder.join(serve::NATS_FOLDER);
        anyhow::ensure!(
            data_dir.is_dir(),
            "{} holds no log; name the folder that server.data names in the service's settings",
            folder.display()
        );
        let binary = serve::path(&settings(None)?.nats.binary);
        let options = EmbeddedOptions { data_dir, binary, ..EmbeddedOptions::default() };
        let embedded = Embedded::start(options).await.context("failed to start NATS on the data folder")?;
        let url = embedded.client_url();
        Self::of_nats(&url, ReadOptions::default(), Some(embedded)).await
    }

    /// Decoded records.
    pub async fn records(
        &self,
        request: v1::ReplayRequest,
    ) -> Result<BoxStream<'static, Result<v1::RecordView, ClientError>>, ClientError> {
        Ok(match self {
            Self::Service(client) => {
                let records = client.clone().replay(request).await?.into_inner();
                records.map_err(ClientError::from).boxed()
            }
            Self::Direct(direct) => service::records(direct.replay(&request).await?, CancellationToken::new())
                .map_err(ClientError::from)
                .boxed(),
        })
    }

    /// Lines, in chunks.
    pub async fn chunks(
        &self,
        request: v1::ReplayRequest,
    ) -> Result<BoxStream<'static, Result<v1::ExportChunk, ClientError>>, ClientError> {
        Ok(match self {
            Self::Service(client) => {
                let chunks = client.clone().export(request).await?.into_inner();
                chunks.map_err(ClientError::from).boxed()
            }
            Self::Direct(direct) => service::chunks(direct.replay(&request).await?, CancellationToken::new())
                .map_err(ClientError::from)
                .boxed(),
        })
    }

    /// How everything was. The makers come from the settings when no service is asked.
    pub async fn as_of(
        &self,
        request: v1::AsOfRequest,
        config: Option<std::path::PathBuf>,
    ) -> Result<v1::AsOfResponse, ClientError> {
        match self {
            Self::Service(client) => Ok(client.clone().as_of(request).await?.into_inner()),
            Self::Direct(direct) => {
                let mut settings = settings(config)?;
                if settings.catalog.sandbox.is_empty() {
                    // nothing is sent there; without it the sandbox's makers would have no methods
                    NO_SANDBOX.clone_into(&mut settings.catalog.sandbox);
                }
                let catalog = serve::catalog(&settings)?;
                Ok(service::as_of(&direct.log, &catalog, request).await?)
            }
        }
    }

    /// Lets go of the log, and stops the server if it was started for it.
    pub async fn close(self) {
        if let Self::Direct(direct) = self {
            let Direct { log, embedded, .. } = *direct;
            drop(log);
            if let Some(embedded) = embedded {
                embedded.stop().await;
            }
        }
    }
}
