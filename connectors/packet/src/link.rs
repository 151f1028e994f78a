//! Links that a packet may carry, and the QR code of one.

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use url::Url;

use crate::PacketError;

/// Side of the drawn code in its own units; typst scales it.
const QR_SIDE_MIN: u32 = 200;

/// An absolute http or https address without user or password (`https://maker.example@evil.example` reads like another host).
pub(crate) fn parse(link: &str) -> Result<Url, PacketError> {
    let url = Url::parse(link).map_err(|_| PacketError::BadLink)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none();
    if plain { Ok(url) } else { Err(PacketError::BadLink) }
}

/// The code as SVG; none when the address is longer than a code can hold (the printed link remains).
pub(crate) fn qr_svg(url: &Url) -> Option<String> {
    let code = QrCode::with_error_correction_level(url.as_str(), EcLevel::M).ok()?;
    Some(code.render::<svg::Color>().min_dimensions(QR_SIDE_MIN, QR_SIDE_MIN).quiet_zone(true).build())
}
