//! The few bytes of SOCKS 5 (RFC 1928) that a browser speaks: no login, CONNECT, a name or an address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::Host;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const CONNECT: u8 = 1;

/// What a browser wants to be connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// A name as URLs spell it, or an address however it was spelled.
    pub(crate) host: Host<String>,
    pub(crate) port: u16,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Connected,
    NotAllowed,
    Unreachable,
    Refused,
    NoSuchCommand,
}

/// Reads the greeting and the request.
pub(crate) async fn read_target(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<Target> {
    greet(stream).await?;
    let [version, command, _, kind] = read(stream).await?;
    if version != VERSION {
        return Err(bad("another version"));
    }
    let host = match kind {
        1 => Host::Ipv4(Ipv4Addr::from(read::<4>(stream).await?)),
        3 => read_name(stream).await?,
        4 => Host::Ipv6(Ipv6Addr::from(read::<16>(stream).await?)),
        _ => return Err(bad("an unknown kind of address")),
    };
    let port = u16::from_be_bytes(read(stream).await?);
    if command != CONNECT {
        answer(stream, Answer::NoSuchCommand).await?;
        return Err(bad("an unknown command"));
    }
    Ok(Target { host, port })
}

/// Says what became of the request.
pub(crate) async fn answer(stream: &mut (impl AsyncWrite + Unpin), answer: Answer) -> io::Result<()> {
    // the address that was connected from is nobody's business
    let code = match answer {
        Answer::Connected => 0,
        Answer::NotAllowed => 2,
        Answer::Unreachable => 4,
        Answer::Refused => 5,
        Answer::NoSuchCommand => 7,
    };
    stream.write_all(&[VERSION, code, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

async fn greet(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let [version, methods] = read(stream).await?;
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered).await?;
    if version != VERSION || !offered.contains(&NO_LOGIN) {
        return Err(bad("another version or login"));
    }
    stream.write_all(&[VERSION, NO_LOGIN]).await
}

async fn read_name(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Host<String>> {
    let [length] = read(stream).await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    let text = String::from_utf8(bytes).map_err(|_| bad("a name that is no text"))?;
    host(&text).ok_or_else(|| bad("a name that is none"))
}

/// As a URL would read it, and IPv6 without its brackets as well.
fn host(text: &str) -> Option<Host<String>> {
    match text.parse() {
        Ok(IpAddr::V4(address)) => Some(Host::Ipv4(address)),
        Ok(IpAddr::V6(address)) => Some(Host::Ipv6(address)),
        Err(_) => Host::parse(text).ok(),
    }
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_an_address_is_spelled_it_is_one() {
        let loopback = Some(Host::Ipv4(Ipv4Addr::LOCALHOST));
        for text in ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "127.0.0.1."] {
            assert_eq!(host(text), loopback, "{text}");
        }
        for text in ["::1", "[::1]", "0:0:0:0:0:0:0:1"] {
            assert_eq!(host(text), Some(Host::Ipv6(Ipv6Addr::LOCALHOST)), "{text}");
        }
        assert_eq!(host("MAKER.example"), Some(Host::Domain("maker.example".to_owned())));
        assert_eq!(host("fe80::1%eth0"), None);
        assert_eq!(host("a b"), None);
        assert_eq!(host(""), None);
    }
}
