//! The signed link in the owner's mail, and the short code beside it: whoever has one may say that a registration is done.
//!
//! A token is base64url of the registration's id (16 bytes), the second in which it expires (8 bytes, big-endian, since
//! 1970) and keyed BLAKE3 of both (32 bytes). A code is 40 bits of keyed BLAKE3 of the id in Crockford's base 32, which has
//! no letters that look like digits.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::RegistrationId;
use crate::time::Timestamp;

/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a code, without the hyphen in its middle.
const CODE_CHARS: usize = 8;
const SIGNED_BYTES: usize = 24;
const TOKEN_BYTES: usize = SIGNED_BYTES + blake3::OUT_LEN;

/// Signs links and codes. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkKey([u8; 32]);

/// A token that opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not one of ours.
    #[error("this link is not complete, or it was changed")]
    Forged,
    /// Its time is over.
    #[error("this link has expired")]
    Expired,
}

impl LinkKey {
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The token that names `registration` until `expires_at` (whole seconds).
    #[must_use]
    pub fn token(&self, registration: RegistrationId, expires_at: Timestamp) -> String {
        let mut bytes = registration.0.as_bytes().to_vec();
        bytes.extend_from_slice(&expires_at.0.div_euclid(1_000_000).to_be_bytes());
        let mac = blake3::keyed_hash(&self.0, &bytes);
        bytes.extend_from_slice(mac.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The registration that a token names at `now`.
    ///
    /// # Errors
    /// [`LinkError`] when it is not ours or has expired.
    pub fn open(&self, token: &str, now: Timestamp) -> Result<RegistrationId, LinkError> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| LinkError::Forged)?;
        let bytes: [u8; TOKEN_BYTES] = bytes.try_into().map_err(|_| LinkError::Forged)?;
        let (signed, mac) = bytes.split_at(SIGNED_BYTES);
        // compares in constant time
        if blake3::keyed_hash(&self.0, signed) != *mac {
            return Err(LinkError::Forged);
        }
        let (id, expires) = signed.split_at(16);
        let (id, expires) = (Uuid::from_slice(id), expires.try_into().map(i64::from_be_bytes));
        match (id, expires) {
            (Ok(_), Ok(expires)) if now.0.div_euclid(1_000_000) >= expires => Err(LinkError::Expired),
            (Ok(id), Ok(_)) => Ok(RegistrationId(id)),
            (_, Err(_)) | (Err(_), _) => Err(LinkError::Forged),
        }
    }

    /// The short code of a registration, for example `K7QF-2M9X`. It does not expire; it is of use only together with the
    /// registration's reference, and while that is its owner's turn.
    #[must_use]
    pub fn code(&self, registration: RegistrationId) -> String {
        let code = self.code_chars(registration);
        let (head, tail) = code.split_at(CODE_CHARS / 2);
        format!("{head}-{tail}")
    }

    /// Whether `text` is the code of `registration`, however it is spaced and written: O is read as 0, I and L as 1.
    #[must_use]
    pub fn is_code(&self, registration: RegistrationId, text: &str) -> bool {
        let read: Option<String> = text.chars().filter(|c| !matches!(c, ' ' | '-')).map(as_digit).collect();
        let hash = |text: &str| blake3::keyed_hash(&self.0, text.as_bytes());
        // hashes are compared in constant time
        read.is_some_and(|read| hash(&read) == hash(&self.code_chars(registration)))
    }

    fn code_chars(&self, registration: RegistrationId) -> String {
        let mac = blake3::keyed_hash(&self.0, registration.0.as_bytes());
        let bits = mac.as_bytes().iter().take(5).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let digit = |place: usize| char::from(DIGITS[(bits >> (5 * place)) as usize % DIGITS.len()]);
        (0..CODE_CHARS).rev().map(digit).collect()
    }
}

fn as_digit(written: char) -> Option<char> {
    let digit = match written.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    DIGITS.contains(&u8::try_from(digit).ok()?).then_some(digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOON: Timestamp = Timestamp(1_790_000_000_000_000);

    fn key() -> LinkKey {
        LinkKey::new([7; 32])
    }

    fn id(number: u128) -> RegistrationId {
        RegistrationId(Uuid::from_u128(number))
    }

    #[test]
    fn a_token_opens_until_its_second_has_come_and_not_with_another_key() {
        let token = key().token(id(1), NOON);
        assert_eq!(key().open(&token, Timestamp(NOON.0 - 1)), Ok(id(1)));
        assert_eq!(key().open(&token, NOON), Err(LinkError::Expired));
        let other = LinkKey::new([8; 32]);
        assert_eq!(other.open(&token, Timestamp(0)), Err(LinkError::Forged));
    }

    #[test]
    fn a_code_is_read_however_it_is_written() {
        let code = key().code(id(3));
        assert_eq!((code.len(), &code[4..5]), (9, "-"));
        let written = code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert!(key().is_code(id(3), &code) && key().is_code(id(3), &written), "{written}");
        assert!(!key().is_code(id(4), &code) && !key().is_code(id(3), "") && !key().is_code(id(3), "Ü"));
    }

    proptest! {
        #[test]
        fn any_other_text_is_forged(number: u128, place in 0usize..75, to in "[A-Za-z0-9_-]") {
            let token = key().token(id(number), NOON);
            let mut changed = token.clone();
            let place = place % token.len();
            changed.replace_range(place..=place, &to);
            let opened = key().open(&changed, Timestamp(0));
            prop_assert!(changed == token || opened == Err(LinkError::Forged), "{opened:?}");
        }

        #[test]
        fn what_is_no_token_is_refused(text in ".{0,100}") {
            prop_assert_eq!(key().open(&text, Timestamp(0)), Err(LinkError::Forged));
        }
    }
}
