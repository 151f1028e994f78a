//! Links that a packet may carry.

use url::Url;

use crate::PacketError;

/// An absolute http or https address without user or password (`https://maker.example@evil.example` reads like another host).
///
/// # Errors
/// [`PacketError::BadLink`].
pub fn parse(link: &str) -> Result<Url, PacketError> {
    let url = Url::parse(link).map_err(|_| PacketError::BadLink)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if plain { Ok(url) } else { Err(PacketError::BadLink) }
}
