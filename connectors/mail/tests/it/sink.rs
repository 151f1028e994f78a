//! A small SMTP server that misbehaves on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the server does with a letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Accept,
    /// Greets with this line instead of 220.
    Greets(&'static str),
    /// Answers RCPT so.
    AnswersRecipient(&'static str),
    /// Answers the letter so.
    AnswersLetter(&'static str),
    /// Closes the connection at this command.
    DropsAt(&'static str),
    /// Closes the connection after the whole letter, without a reply.
    DropsAfterLetter,
    /// Never answers the letter.
    SilentAfterLetter,
    /// Never greets.
    SilentFromTheStart,
    /// Accepts, then closes the connection.
    AcceptsAndCloses,
}

/// A letter as the server got it.
pub struct Received {
    pub recipient: String,
    pub bytes: Vec<u8>,
}

pub struct Sink {
    pub port: u16,
    pub received: mpsc::UnboundedReceiver<Received>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    pub async fn start(manner: Manner) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, received) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let sender = sender.clone();
                // a conversation that breaks is what these tests are about
                tokio::spawn(async move { converse(stream, manner, sender).await.ok() });
            }
        });
        Sink { port, received, connections, task }
    }

    /// How many connections were opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn converse(stream: TcpStream, manner: Manner, sender: mpsc::UnboundedSender<Received>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut recipient = String::new();
    let mut line = String::new();
    if manner == Manner::SilentFromTheStart {
        return stream.read_line(&mut line).await.map(drop);
    }
    let greeting = if let Manner::Greets(line) = manner { line } else { "220 sink ESMTP" };
    reply(&mut stream, greeting).await?;
    while stream.read_line(&mut line).await? > 0 {
        let verb = line.split_whitespace().next().unwrap_or_default().to_uppercase();
        if manner_drops_at(manner, &verb) {
            return Ok(());
        }
        if verb == "RCPT" {
            recipient = line.trim_end().trim_start_matches("RCPT TO:").to_owned();
        }
        reply(&mut stream, answer(manner, &verb)).await?;
        if verb == "DATA" {
            let bytes = read_letter(&mut stream).await?;
            let letter = Received { recipient: recipient.clone(), bytes };
            if !take_letter(&mut stream, manner, letter, &sender).await? {
                return Ok(());
            }
        }
        line.clear();
    }
    Ok(())
}

fn manner_drops_at(manner: Manner, verb: &str) -> bool {
    matches!(manner, Manner::DropsAt(at) if at == verb)
}

fn answer(manner: Manner, verb: &str) -> &'static str {
    match verb {
        "EHLO" => "250-sink\r\n250 8BITMIME",
        "RCPT" => {
            if let Manner::AnswersRecipient(line) = manner {
                line
            } else {
                "250 ok"
            }
        }
        "DATA" => "354 go on",
        _ => "250 ok",
    }
}

/// Whether the conversation goes on.
async fn take_letter(
    stream: &mut BufReader<TcpStream>,
    manner: Manner,
    letter: Received,
    sender: &mpsc::UnboundedSender<Received>,
) -> std::io::Result<bool> {
    if manner == Manner::DropsAfterLetter {
        return Ok(false);
    }
    if manner == Manner::SilentAfterLetter {
        return Ok(true);
    }
    if let Manner::AnswersLetter(line) = manner {
        reply(stream, line).await?;
        return Ok(true);
    }
    sender.send(letter).ok();
    reply(stream, "250 queued").await?;
    Ok(manner != Manner::AcceptsAndCloses)
}

async fn reply(stream: &mut BufReader<TcpStream>, line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await
}

/// Reads up to the lone dot and takes the stuffed dots out (RFC 5321, section 4.5.2).
async fn read_letter(stream: &mut BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut letter = Vec::new();
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 || line == b".\r\n" {
            return Ok(letter);
        }
        letter.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
