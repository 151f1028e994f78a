//! Bounds and unprintable characters: what is refused before the compiler sees it.

use crate::{PacketData, PacketError};

/// Longest single text, in characters.
pub const TEXT_CHARS_MAX: usize = 2_000;
/// All texts together, in characters: keeps one packet's layout well under a second.
pub const TEXT_CHARS_TOTAL_MAX: usize = 30_000;
/// Most fields of a form.
pub const FIELDS_MAX: usize = 60;
/// Most steps of a guide.
pub const STEPS_MAX: usize = 30;
/// Most extra notes.
pub const NOTES_MAX: usize = 20;
/// Most lines of the owner's address.
pub const ADDRESS_LINES_MAX: usize = 10;

impl PacketData {
    /// Refuses what passes a bound or could make the page lie.
    ///
    /// # Errors
    /// [`PacketError`] naming the field.
    pub fn check(&mut self) -> Result<(), PacketError> {
        check_count("fields", self.fields.len(), FIELDS_MAX)?;
        check_count("steps", self.steps.len(), STEPS_MAX)?;
        check_count("notes", self.notes.len(), NOTES_MAX)?;
        check_count("owner.address", self.owner.address.len(), ADDRESS_LINES_MAX)?;
        check_texts(self.texts_mut())
    }
}

/// Refuses texts that are too long, alone or together, or could make the page lie.
pub(crate) fn check_texts(texts: Vec<(String, &mut String)>) -> Result<(), PacketError> {
    let mut total_chars = 0;
    for (field, text) in texts {
        let chars = text.chars().take(TEXT_CHARS_MAX + 1).count();
        total_chars += chars;
        if chars > TEXT_CHARS_MAX {
            return Err(PacketError::TooLong { field, max_chars: TEXT_CHARS_MAX });
        }
        if text.chars().any(is_unprintable) {
            return Err(PacketError::BadText { field });
        }
    }
    if total_chars > TEXT_CHARS_TOTAL_MAX {
        let field = "the packet's data".to_owned();
        return Err(PacketError::TooLong { field, max_chars: TEXT_CHARS_TOTAL_MAX });
    }
    Ok(())
}

pub(crate) fn check_count(field: &'static str, count: usize, max: usize) -> Result<(), PacketError> {
    if count > max { Err(PacketError::TooMany { field, max }) } else { Ok(()) }
}

/// Controls but the newline, direction controls (UAX #9), the line separators that act as controls, and non-characters.
pub(crate) fn is_unprintable(c: char) -> bool {
    let code = u32::from(c);
    (c.is_control() && c != '\n')
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{FDD0}'..='\u{FDEF}' | '\u{FEFF}')
        || code & 0xFFFE == 0xFFFE
}
