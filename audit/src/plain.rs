//! How the fields of an event are written as JSON: as they are stored, but bytes as hex digits, and what is sealed as its
//! length only.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// The field whose bytes are not shown.
const SEALED: &str = "sealed";

/// Writes `fact` behind what stands in `out`. Straight to bytes: a `Value` in between would cost five times as much.
///
/// # Errors
/// When it cannot be written, which no fact of ours should cause.
pub(crate) fn write(fact: &impl Serialize, out: &mut Vec<u8>) -> serde_json::Result<()> {
    fact.serialize(&mut Serializer::with_formatter(out, Plain::default()))
}

#[derive(Default)]
struct Plain {
    in_key: bool,
    /// The last key was that of something sealed.
    sealed: bool,
}

impl Formatter for Plain {
    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        (self.in_key, self.sealed) = (true, false);
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.in_key = false;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if self.in_key {
            self.sealed = fragment == SEALED;
        }
        writer.write_all(fragment.as_bytes())
    }

    fn write_byte_array<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()> {
        if self.sealed {
            return write!(writer, "\"{} bytes, sealed\"", value.len());
        }
        writer.write_all(b"\"")?;
        let mut digits = [0; 64];
        for chunk in value.chunks(digits.len() / 2) {
            for (place, byte) in digits.chunks_mut(2).zip(chunk) {
                place.copy_from_slice(&hex_of(*byte));
            }
            writer.write_all(&digits[..chunk.len() * 2])?;
        }
        writer.write_all(b"\"")
    }
}

/// A byte as two digits.
pub(crate) const fn hex_of(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::event::{Corrected, PacketSent};
    use events::{Event, ObjectRef, PersonKeyId};

    fn text(event: Event) -> String {
        let mut out = Vec::new();
        write(&event, &mut out).expect("writes");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn what_is_sealed_shows_its_length_and_a_hash_its_digits() {
        let corrected = Corrected {
            model: "sealed".into(),
            purchased_on: None,
            person_key: PersonKeyId("0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d".parse().expect("a UUID")),
            sealed: vec![7; 300],
            register_by: None,
            owner_ref: Some([7; 16]),
        };
        assert_eq!(
            text(corrected.into()),
            r#"{"model":"sealed","purchased_on":null,"person_key":"0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d","sealed":"300 bytes, sealed","register_by":null,"owner_ref":"07070707070707070707070707070707"}"#
        );
        let pdf = ObjectRef { name: "a\"b".into(), sha256: (0..40).collect(), size_bytes: 9 };
        let sent = PacketSent { pdf, message_id: "m\n".into(), missing_glyphs: vec!["é".into()] };
        let digits: String = (0..40).map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            text(sent.into()),
            format!(
                r#"{{"pdf":{{"name":"a\"b","sha256":"{digits}","size_bytes":9}},"message_id":"m\n","missing_glyphs":["é"]}}"#
            )
        );
    }
}
