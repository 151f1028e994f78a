//! Reads over HTTP/2 itself: what a channel puts around each call (its queue, its codec, its task) costs as much as the service's
//! answer, and would be missing there, since both share the processors.

use anyhow::{Context, ensure};
use axum::http::{Method, Request, Uri, Version};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use prost::Message;
use proto::v1;
use tokio::net::TcpStream;

use super::lean::{GET, Registration};

/// Flag and length before each message of gRPC.
const PREFIX: usize = 5;

/// A connection that reads; clones share it.
#[derive(Clone)]
pub struct Reader {
    send: SendRequest<Bytes>,
    method: Uri,
}

impl Reader {
    /// Connects to the service's gRPC address (`http://host:port`).
    pub async fn open(service: &str) -> anyhow::Result<Self> {
        let method: Uri = format!("{service}{GET}").parse()?;
        let authority = method.authority().context("the service's address has no host")?;
        let stream = TcpStream::connect(authority.as_str()).await?;
        stream.set_nodelay(true)?;
        let (send, connection) = h2::client::handshake(stream).await?;
        // ends with the last reader; what breaks it is seen by whoever asks next
        tokio::spawn(connection);
        Ok(Self { send, method })
    }

    /// `Registrations.Get`
    pub async fn get(&self, id: &str) -> anyhow::Result<Registration> {
        let mut send = self.send.clone().ready().await?;
        let request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(self.method.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (answer, mut body) = send.send_request(request, false)?;
        body.send_data(framed(&v1::GetRequest { id: id.to_owned(), min_sequence: 0 })?, true)?;
        let (head, mut stream) = answer.await?.into_parts();
        let mut told = BytesMut::new();
        while let Some(part) = stream.data().await {
            let part = part?;
            stream.flow_control().release_capacity(part.len())?;
            told.extend_from_slice(&part);
        }
        let trailers = stream.trailers().await?;
        let status =
            trailers.as_ref().unwrap_or(&head.headers).get("grpc-status").context("an answer has no status")?;
        ensure!(status == "0", "a read was answered with status {status:?}");
        ensure!(told.len() >= PREFIX, "an answer is shorter than its prefix");
        Ok(Registration::decode(&told[PREFIX..])?)
    }
}

/// A message as gRPC sends it: not compressed, its length, itself.
fn framed(message: &impl Message) -> anyhow::Result<Bytes> {
    let mut bytes = BytesMut::with_capacity(PREFIX + message.encoded_len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.encoded_len())?);
    message.encode(&mut bytes)?;
    Ok(bytes.freeze())
}
