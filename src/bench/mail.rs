//! How fast letters with a packet go out, by the service's own mailer, into a mail server that does nothing but take them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use handlers::PacketMail;
use jiff::Timestamp;
use mail::{Attachment, Mailer, SmtpConfig, Templates, Tls, message_id};
use packet::{PacketData, PacketOwner};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::figures::{memory_mb, millis, per_second, quantiles, round3};
use super::packet as packets;
use crate::config::Settings;
use crate::press;

/// Letters that are sent before anything is measured, unless fewer are.
const WARM_UP: usize = 50;

/// What is attached beside the packet, so that a mail has 137 KB: that of a packet of more pages.
const PHOTO_BYTES: usize = 39_000;

/// What every letter is made of.
struct Office {
    mailer: Mailer,
    words: Templates,
    data: PacketData,
    pdf: Vec<u8>,
}

/// Sends `mails` letters as fast as `connections` take them, then as many at `rate` a second; gives one JSON object.
///
/// # Errors
/// A letter that does not go out.
pub async fn run(mails: usize, connections: usize, rate: u32) -> anyhow::Result<Value> {
    ensure!(
        mails >= 1 && connections >= 1 && rate >= 1,
        "at least one mail, one connection and one a second are needed"
    );
    let (sink, taken) = Sink::start().await?;
    let office = Arc::new(open(sink.port, connections).await?);
    send_at_once(&office, WARM_UP.min(mails).max(connections), connections).await?;
    let before = (memory_mb()?, taken.bytes.load(Ordering::Relaxed), taken.mails.load(Ordering::Relaxed));
    let begun = Instant::now();
    let closed_ms = send_at_once(&office, mails, connections).await?;
    let peak = per_second(mails, begun.elapsed());
    let (bytes, count) =
        (taken.bytes.load(Ordering::Relaxed) - before.1, taken.mails.load(Ordering::Relaxed) - before.2);
    ensure!(count == mails, "{count} mails of {mails} arrived");
    let open_ms = send_when_due(&office, mails, rate).await?;
    let after = memory_mb()?;
    Ok(json!({
        "scenario": "mail",
        "mails": mails,
        "connections": connections,
        "bytes_each": bytes / count,
        "as_fast_as_they_go": { "mails_per_second": round3(peak), "ms": quantiles(&closed_ms) },
        "at_a_rate": { "mails_per_second": rate, "ms": quantiles(&open_ms) },
        "rss_mb": { "before": before.0, "after": after },
    }))
}

async fn open(port: u16, connections: usize) -> anyhow::Result<Office> {
    let settings = Settings::load(None)?;
    let config = SmtpConfig {
        host: Ipv4Addr::LOCALHOST.to_string(),
        port,
        tls: Tls::None,
        username: None,
        password: None,
        from: settings.smtp.from.clone(),
        timeout: Duration::from_secs(settings.smtp.timeout_s),
        pool_size: connections,
    };
    let pdf = packets::draw(&press::packets(&settings.packet).await?, 0).await?.pdf;
    Ok(Office { mailer: Mailer::new(&config)?, words: Templates::new()?, data: packets::data(0)?, pdf })
}

impl Office {
    /// As the handler of packets writes and sends it.
    async fn send(&self, number: usize) -> anyhow::Result<()> {
        let mail = PacketMail {
            data: &PacketData { owner: owner(number), ..self.data.clone() },
            pdf: &self.pdf,
            done_link: format!("https://regflow.example/done/{number}"),
            message_id: message_id(&number.to_string(), "packet", "regflow.example"),
            submitted_at: Timestamp::UNIX_EPOCH,
            written_at: Timestamp::now(),
        };
        let mut letter = mail.letter(&self.words)?;
        letter.attachments.push(Attachment {
            filename: "photo.bin".to_owned(),
            content_type: "application/octet-stream".to_owned(),
            bytes: vec![7; PHOTO_BYTES],
        });
        self.mailer.send(&letter).await.context("a letter did not go out")
    }
}

fn owner(number: usize) -> PacketOwner {
    PacketOwner {
        name: format!("Karoline Bærøe-Lindqvist {number}"),
        email: Some(format!("owner{number}@lindqvist.example")),
        ..PacketOwner::default()
    }
}

/// A closed loop of `at_once`; the milliseconds of each.
async fn send_at_once(office: &Arc<Office>, mails: usize, at_once: usize) -> anyhow::Result<Vec<f64>> {
    let (next, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for _ in 0..at_once {
        let (office, next) = (office.clone(), next.clone());
        tasks.spawn(async move {
            let mut took_ms = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= mails {
                    return anyhow::Ok(took_ms);
                }
                let begun = Instant::now();
                office.send(number).await?;
                took_ms.push(millis(begun));
            }
        });
    }
    let mut took_ms = Vec::with_capacity(mails);
    while let Some(ended) = tasks.join_next().await {
        took_ms.extend(ended??);
    }
    Ok(took_ms)
}

/// An open loop: each is counted from when it was due.
async fn send_when_due(office: &Arc<Office>, mails: usize, rate: u32) -> anyhow::Result<Vec<f64>> {
    let (begun, mut tasks) = (Instant::now(), JoinSet::new());
    for number in 0..mails {
        let due = super::load::arrival(begun, number, rate).await;
        let office = office.clone();
        tasks.spawn(async move { office.send(number).await.map(|()| millis(due)) });
    }
    let mut took_ms = Vec::with_capacity(mails);
    while let Some(ended) = tasks.join_next().await {
        took_ms.push(ended??);
    }
    Ok(took_ms)
}

/// A mail server (RFC 5321) that takes everything and keeps nothing.
struct Sink {
    port: u16,
    accepting: tokio::task::AbortHandle,
}

/// What it took.
#[derive(Debug, Default)]
struct Taken {
    mails: AtomicUsize,
    bytes: AtomicUsize,
}

impl Sink {
    async fn start() -> anyhow::Result<(Self, Arc<Taken>)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (port, taken) = (listener.local_addr()?.port(), Arc::<Taken>::default());
        let counted = taken.clone();
        let accepting = tokio::spawn(async move {
            let mut visits = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                visits.spawn(serve(stream, counted.clone()));
            }
        });
        Ok((Self { port, accepting: accepting.abort_handle() }, taken))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, taken: Arc<Taken>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    stream.write_all(b"220 sink.example\r\n").await?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            b"EHLO" => b"250-sink.example\r\n250 8BITMIME\r\n",
            b"DATA" => {
                stream.write_all(b"354 go on\r\n").await?;
                taken.bytes.fetch_add(swallow(&mut stream, &mut line).await?, Ordering::Relaxed);
                taken.mails.fetch_add(1, Ordering::Relaxed);
                b"250 taken\r\n"
            }
            b"QUIT" => return stream.write_all(b"221 bye\r\n").await,
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer).await?;
    }
}

/// Reads up to the lone dot; gives the number of bytes.
async fn swallow(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut bytes = 0;
    loop {
        line.clear();
        let read = stream.read_until(b'\n', line).await?;
        if read == 0 || line == b".\r\n" {
            return Ok(bytes);
        }
        bytes += read;
    }
}
