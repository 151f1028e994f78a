//! Runs the sandbox alone until Ctrl-C, for people who write connectors.

use std::net::SocketAddr;

use regflow_sandbox::{Options, SandboxError, start};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), SandboxError> {
    let options = Options {
        http: SocketAddr::from(([127, 0, 0, 1], 8090)),
        smtp: SocketAddr::from(([127, 0, 0, 1], 2525)),
        ..Options::default()
    };
    let shutdown = CancellationToken::new();
    let sandbox = start(options, shutdown.clone()).await?;
    println!("makers and mailbox  {}\nSMTP                {}", sandbox.url("/"), sandbox.smtp_addr);
    // Without a signal handler the sandbox ends as the system ends it, which is as well.
    let _ = tokio::signal::ctrl_c().await;
    shutdown.cancel();
    sandbox.stopped().await;
    Ok(())
}
