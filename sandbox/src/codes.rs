//! Confirmation codes: short, sayable on the phone, and the same for the same product, so that a demo prints the same page twice.

use crate::maker::Maker;

/// Crockford's alphabet: no I, L, O or U, which people misread.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARS: usize = 8;

/// The code that `maker` gives for `serial`: `NR-4K2ZQ7MB`.
pub(crate) fn confirmation(maker: Maker, serial: &str) -> Box<str> {
    let prefix = maker.profile().code_prefix;
    let mut bits = fingerprint(prefix, serial);
    let mut code = String::with_capacity(prefix.len() + 1 + CODE_CHARS);
    code.push_str(prefix);
    code.push('-');
    for _ in 0..CODE_CHARS {
        code.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    code.into()
}

/// FNV-1a, then the finalizer of MurmurHash3, because FNV alone leaves neighbours alike.
fn fingerprint(prefix: &str, serial: &str) -> u64 {
    let mut hash = prefix
        .bytes()
        .chain([b'/'])
        .chain(serial.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_same_product_has_the_same_code() {
        assert_eq!(confirmation(Maker::Norrland, "NO12345678"), confirmation(Maker::Norrland, "NO12345678"));
        assert_ne!(confirmation(Maker::Norrland, "NO12345678"), confirmation(Maker::Norrland, "NO12345679"));
    }

    #[test]
    fn neighbouring_serials_have_codes_of_their_own() {
        let codes: HashSet<_> =
            (0..20_000).map(|number| confirmation(Maker::Kestrel, &format!("K{number:09}"))).collect();
        assert_eq!(codes.len(), 20_000);
    }
}
