//! Signed notes (c2sp.org/signed-note, Ed25519): a text that people can read, with a signature below it that a machine checks.
//! The format is that of the crate `signed_note`; here it has the words of this program, and one signer.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use signed_note::{Note, NoteError as Format, Signer, StandardSigner, StandardVerifier, VerifierList};
use zeroize::Zeroizing;

/// The number of Ed25519 among the kinds of signatures.
const ED25519: u8 = 1;

/// Signs notes under a name.
#[derive(Clone)]
pub struct NoteSigner {
    signer: StandardSigner,
    verifier: NoteVerifier,
}

/// Checks the notes of one signer; whoever knows it can check, and nobody can sign with it. As a text it is
/// `NAME+HEX+BASE64`, the form that other programs for such notes take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteVerifier(String);

/// A note or a key that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A name with a plus sign, white space, or none at all.
    #[error("the name of a key must not be empty, nor hold white space or a plus sign")]
    BadName,
    /// A text that is no verifier.
    #[error("this is no public key: want NAME+HEX+BASE64")]
    BadKey,
    /// Not a text with signatures below it.
    #[error("this is no signed note: a text, an empty line, and signatures are wanted")]
    Malformed,
    /// No signature by the wanted key.
    #[error("this is not signed by the key that was given")]
    OtherKey,
    /// A signature by that key for another text.
    #[error("the signature does not fit the text: one of them was changed")]
    Forged,
}

impl NoteSigner {
    /// A signer whose key is made of 32 random bytes.
    ///
    /// # Errors
    /// [`NoteError::BadName`].
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        let public = SigningKey::from_bytes(seed).verifying_key();
        let verifier = NoteVerifier(signed_note::new_ed25519_verifier_key(name, &public));
        let id = verifier.0.split('+').nth(1).ok_or(NoteError::BadName)?;
        let private = Zeroizing::new([&[ED25519][..], seed].concat());
        let private = Zeroizing::new(format!("PRIVATE+KEY+{name}+{id}+{}", STANDARD.encode(&*private)));
        let signer = StandardSigner::new(&private).map_err(|_| NoteError::BadName)?;
        Ok(Self { signer, verifier })
    }

    /// Who can check what this one signs.
    #[must_use]
    pub const fn verifier(&self) -> &NoteVerifier {
        &self.verifier
    }

    /// The note of `text`, which gets a line end when it has none.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] when the text has over a million bytes, or a control character that is no line end.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        let mut note = Note::new(format!("{text}{end}").as_bytes(), &[]).map_err(|_| NoteError::Malformed)?;
        note.add_sigs(&[&self.signer]).map_err(|_| NoteError::BadName)?;
        String::from_utf8(note.to_bytes()).map_err(|_| NoteError::Malformed)
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoteSigner").field(&self.signer.name()).finish()
    }
}

impl NoteVerifier {
    /// The name of the signer.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.split('+').next().unwrap_or_default()
    }

    /// The text of a note, with its last line end, once a signature of this key fits it.
    ///
    /// # Errors
    /// [`NoteError`] when there is none, or it does not fit.
    pub fn open(&self, note: &str) -> Result<String, NoteError> {
        let known = StandardVerifier::new(&self.0).map_err(|_| NoteError::BadKey)?;
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| NoteError::Malformed)?;
        note.verify(&VerifierList::new(vec![Box::new(known)])).map_err(|error| match error {
            Format::UnverifiedNote | Format::MismatchedVerifier => NoteError::OtherKey,
            Format::InvalidSignature { .. } | Format::SignatureError(_) => NoteError::Forged,
            Format::MalformedNote | Format::InvalidSigner | Format::VerificationError(_) => NoteError::Malformed,
        })?;
        String::from_utf8(note.text().to_vec()).map_err(|_| NoteError::Malformed)
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NoteVerifier {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let text = text.trim();
        StandardVerifier::new(text).map_err(|_| NoteError::BadKey)?;
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "regflow.invalid/log\n5\nAAAA\n";

    fn signer() -> NoteSigner {
        NoteSigner::new("regflow.invalid/log", &[7; 32]).expect("a good name")
    }

    #[test]
    fn what_other_programs_signed_is_read() {
        // published with the Elixir package signed_note 1.0.0
        let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let note = "This is an example message.\n\n— example.com/foo \
            Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        let read = key.parse::<NoteVerifier>().expect("a key").open(note);
        assert_eq!(read.as_deref(), Ok("This is an example message.\n"));
    }

    #[test]
    fn a_note_opens_with_its_own_key_only() {
        let note = signer().sign(TEXT).expect("signed");
        assert_eq!(signer().verifier().open(&note), Ok(TEXT.to_owned()));
        let other = NoteSigner::new("regflow.invalid/log", &[8; 32]).expect("a good name");
        assert_eq!(other.verifier().open(&note), Err(NoteError::OtherKey));
        assert_eq!(signer().verifier().open(TEXT), Err(NoteError::Malformed));
    }

    #[test]
    fn a_verifier_reads_back_and_a_misread_one_is_refused() {
        let verifier = signer().verifier().clone();
        let text = verifier.to_string();
        assert_eq!(text.parse(), Ok(verifier));
        assert_eq!(text.replace("log+", "lag+").parse::<NoteVerifier>(), Err(NoteError::BadKey));
        assert_eq!(NoteSigner::new("a b", &[7; 32]).map(drop), Err(NoteError::BadName));
        assert_eq!("nonsense".parse::<NoteVerifier>(), Err(NoteError::BadKey));
    }

    #[test]
    fn no_byte_can_be_changed() {
        let note = signer().sign(TEXT).expect("signed");
        for place in 0..note.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = note.clone().into_bytes();
                changed[place] ^= flip;
                let Ok(changed) = String::from_utf8(changed) else { continue };
                assert!(signer().verifier().open(&changed).is_err(), "byte {place}: {changed}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_no_note_is_refused(text in "[a-z\n— ]{0,200}") {
            prop_assert!(signer().verifier().open(&text).is_err());
        }
    }
}
