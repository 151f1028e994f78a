//! The SMTP server around the conversations: connections, limits, the mail's lines, and faults.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::smtp::{MAIL_BYTES_MAX, Session, Step};
use crate::desk::Desk;
use crate::faults::{Fault, Mode, Target};
use crate::ledger::Method;

/// More than this many conversations at once wait for their greeting.
const CONNECTIONS_MAX: usize = 128;
/// RFC 5321 asks for 512; SMTPUTF8 and AUTH need more.
const LINE_BYTES_MAX: usize = 12 * 1024;
/// A client that is silent for this long is let go (RFC 5321 asks for five minutes).
const SILENCE_MAX: Duration = Duration::from_secs(300);

/// Takes connections until the shutdown.
pub(crate) async fn serve(listener: TcpListener, desk: Arc<Desk>, tasks: TaskTracker) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = desk.shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the mailbox cannot take a connection");
                    continue;
                }
            },
        };
        let desk = Arc::clone(&desk);
        tasks.spawn(async move {
            let shutdown = desk.shutdown.clone();
            tokio::select! {
                () = shutdown.cancelled() => {}
                ended = converse(stream, &desk) => if let Err(error) = ended {
                    tracing::debug!(%error, "a mail client went away");
                },
            }
            drop(seat);
        });
    }
}

struct Wire {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

async fn converse(stream: TcpStream, desk: &Desk) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, writer) = stream.into_split();
    let mut wire = Wire { reader: BufReader::new(reader), writer };
    let mut session = Session::default();
    wire.say("220 sandbox ESMTP regflow mailbox").await?;
    while let Some(line) = wire.line().await? {
        match session.line(&String::from_utf8_lossy(&line)) {
            Step::Reply(text) => wire.say(&text).await?,
            Step::AddRecipient(address) => {
                let Some(text) = add(desk, &mut session, address).await else { return Ok(()) };
                wire.say(&text).await?;
            }
            Step::ReadMail => {
                if !take_mail(&mut wire, &mut session, desk).await? {
                    return Ok(());
                }
            }
            Step::Close(text) => return wire.say(&text).await,
        }
    }
    Ok(())
}

/// The reply to a recipient, after the faults that refuse or delay one; nothing when the client must hang.
async fn add(desk: &Desk, session: &mut Session, address: String) -> Option<String> {
    match take_fault(desk, |fault| fault.mode.at_the_door()) {
        Some(Mode::Status { status, .. }) => Some(refusal(status)),
        Some(Mode::RateLimited { .. }) => Some("450 4.7.1 Too many mails, try again later".to_owned()),
        Some(Mode::Hang) => {
            desk.shutdown.cancelled().await;
            None
        }
        Some(Mode::Latency { ms }) => {
            tokio::time::sleep(Duration::from_millis(ms).min(SILENCE_MAX)).await;
            Some(session.add_recipient(address))
        }
        Some(
            Mode::DropAfterCommit
            | Mode::Captcha
            | Mode::RenameField { .. }
            | Mode::AddField { .. }
            | Mode::RemoveField { .. }
            | Mode::ToggleRequired { .. }
            | Mode::AlreadyRegistered
            | Mode::LoginWall
            | Mode::None,
        )
        | None => Some(session.add_recipient(address)),
    }
}

fn refusal(code: u16) -> String {
    match code {
        500.. => format!("{code} 5.1.1 Mailbox unavailable"),
        _ => format!("{code} 4.3.0 Try again later"),
    }
}

/// False when the connection is to be dropped without an answer.
async fn take_mail(wire: &mut Wire, session: &mut Session, desk: &Desk) -> io::Result<bool> {
    wire.say("354 End with a lonely dot").await?;
    let Some(raw) = wire.mail().await? else {
        session.take_envelope();
        wire.say("552 5.3.4 Mail too large").await?;
        return Ok(true);
    };
    let number = desk.mailbox.deliver(session.take_envelope(), raw);
    if take_fault(desk, |fault| fault.mode == Mode::DropAfterCommit).is_some() {
        return Ok(false);
    }
    wire.say(&format!("250 2.0.0 Ok: kept as {number}")).await?;
    Ok(true)
}

fn take_fault(desk: &Desk, hits: impl Fn(&Fault) -> bool) -> Option<Mode> {
    // The mailbox has one door only, so any method serves.
    desk.faults.take(Target::Smtp, Method::Api, hits)
}

impl Wire {
    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(format!("{text}\r\n").as_bytes()).await
    }

    /// The next line without its end; nothing when the client is gone.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX as u64);
        tokio::time::timeout(SILENCE_MAX, bounded.read_until(b'\n', &mut line)).await.map_err(io::Error::other)??;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    /// The mail up to the lonely dot, dots unstuffed; nothing when it was too large (it is read to its end anyway).
    async fn mail(&mut self) -> io::Result<Option<Bytes>> {
        let mut mail = Vec::new();
        let mut fits = true;
        loop {
            let line = self.mail_line().await?;
            if line == b".\r\n" || line == b".\n" {
                return Ok(fits.then(|| mail.into()));
            }
            fits = fits && mail.len() + line.len() <= MAIL_BYTES_MAX;
            if fits {
                mail.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
    }

    async fn mail_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.reader).take(MAIL_BYTES_MAX as u64);
        let read = bounded.read_until(b'\n', &mut line);
        tokio::time::timeout(SILENCE_MAX, read).await.map_err(io::Error::other)??;
        if line.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
    }
}
