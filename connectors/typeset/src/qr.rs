//! The QR code of a link.

use std::fmt::Write;

use qrcode::{EcLevel, QrCode};
use url::Url;

/// Light modules around a code (ISO/IEC 18004).
const QUIET: usize = 4;

/// The code as SVG; none when the address is longer than a code can hold (the printed link remains).
pub(crate) fn svg(url: &Url) -> Option<String> {
    let code = QrCode::with_error_correction_level(url.as_str(), EcLevel::M).ok()?;
    let width = code.width();
    let modules = code.into_colors();
    // one path of as few and as short strokes as can be had cheaply: the compiler reads each, and the file carries them
    let mut path = String::new();
    for (row, modules) in modules.chunks(width).enumerate() {
        for (column, length) in dark_runs(modules) {
            let (left, top) = (column + QUIET, row + QUIET);
            // writing into a string does not fail
            let _ = write!(path, "M{left} {top}h{length}v1h-{length}z");
        }
    }
    let side = width + 2 * QUIET;
    Some(format!(
        concat!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" shape-rendering="crispEdges">"##,
            r##"<path fill="#fff" d="M0 0h{side}v{side}h-{side}z"/><path d="{path}"/></svg>"##,
        ),
        side = side,
        path = path,
    ))
}

/// Where dark modules of a row begin, and how many there are.
fn dark_runs(modules: &[qrcode::Color]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut column = 0;
    for run in modules.chunk_by(|left, right| left == right) {
        if run.first() == Some(&qrcode::Color::Dark) {
            runs.push((column, run.len()));
        }
        column += run.len();
    }
    runs
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use qrcode::Color;

    use super::*;

    #[test]
    fn the_drawn_code_is_dark_where_the_code_is() {
        let url = Url::parse("https://veloce.example/register?lang=en").unwrap();
        let code = QrCode::with_error_correction_level(url.as_str(), EcLevel::M).unwrap();
        let svg = svg(&url).unwrap();
        let path = svg.rsplit_once(r#"<path d=""#).unwrap().1.split('"').next().unwrap();
        let side = code.width();
        let mut drawn = vec![Color::Light; side * side];
        for run in path.split('M').skip(1) {
            let (place, length) = run.split_once('h').unwrap();
            let (left, top) = place.split_once(' ').unwrap();
            let number = |text: &str| text.parse::<usize>().unwrap();
            let length = number(length.split('v').next().unwrap());
            let first = (number(top) - QUIET) * side + number(left) - QUIET;
            drawn[first..first + length].fill(Color::Dark);
        }
        assert!(drawn == code.into_colors());
    }

    #[test]
    fn an_address_that_is_too_long_for_a_code_has_none() {
        let url = Url::parse(&format!("https://veloce.example/{}", "a".repeat(4_000))).unwrap();
        assert_eq!(svg(&url), None);
    }
}
