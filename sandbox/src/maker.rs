//! Who the simulated makers are: one profile each, and the rule their serial numbers obey.

use crate::makers;

/// One simulated maker; the order is the order of the index page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// Norrland Appliances: a JSON API with a key.
    Norrland,
    /// Brightwell Audio: a JSON API with a bearer token, and a form of one page.
    Brightwell,
    /// Kestrel Tools: OAuth2 and form-encoded bodies.
    Kestrel,
    /// Castello Cucina: a form in three steps.
    Castello,
    /// Veloce Bikes: a form behind a captcha.
    Veloce,
    /// Aurora Baby: a JSON API with a password, and a form of one page.
    Aurora,
    /// Hartmann & Söhne: a page and a phone number.
    Hartmann,
}

impl Maker {
    /// All makers of the sandbox.
    pub const ALL: [Maker; 7] = [
        Maker::Norrland,
        Maker::Brightwell,
        Maker::Kestrel,
        Maker::Castello,
        Maker::Veloce,
        Maker::Aurora,
        Maker::Hartmann,
    ];

    /// The maker whose folder of addresses is `slug`.
    pub fn from_slug(slug: &str) -> Option<Maker> {
        Maker::ALL.into_iter().find(|maker| maker.slug() == slug)
    }

    /// The first folder of the maker's addresses, also the connector's id: `norrland`.
    pub fn slug(self) -> &'static str {
        self.profile().slug
    }

    /// The name on the maker's pages.
    pub fn name(self) -> &'static str {
        self.profile().name
    }

    pub(crate) fn profile(self) -> &'static Profile {
        match self {
            Maker::Norrland => &makers::norrland::PROFILE,
            Maker::Brightwell => &makers::brightwell::PROFILE,
            Maker::Kestrel => &makers::kestrel::PROFILE,
            Maker::Castello => &makers::castello::PROFILE,
            Maker::Veloce => &makers::veloce::PROFILE,
            Maker::Aurora => &makers::aurora::PROFILE,
            Maker::Hartmann => &makers::hartmann::PROFILE,
        }
    }
}

/// What the shared parts need to know of a maker.
pub(crate) struct Profile {
    pub slug: &'static str,
    pub name: &'static str,
    pub tagline: &'static str,
    /// The path of the page with the form, when there is one.
    pub form: Option<&'static str>,
    /// The path that takes a registration by API, when there is one.
    pub api: Option<&'static str>,
    /// Where the serial stands in the fields of the API, as a JSON pointer.
    pub api_serial: &'static str,
    /// The name of the form's field that takes the serial.
    pub form_serial: &'static str,
    /// What confirmation codes begin with: `NR` for `NR-4K2ZQ7MB`.
    pub code_prefix: &'static str,
    pub serial: SerialRule,
}

/// How a maker's serial numbers look, for the check, for browsers and for people.
pub(crate) struct SerialRule {
    /// One character each: `a` a capital, `9` a digit, `x` a capital or a digit, `h` a capital hexadecimal digit, else itself.
    pub mask: &'static str,
    /// The same rule as a regular expression, for the forms' `pattern` attribute and for messages.
    pub pattern: &'static str,
    pub example: &'static str,
}

impl SerialRule {
    pub(crate) fn accepts(&self, serial: &str) -> bool {
        serial.len() == self.mask.len() && serial.bytes().zip(self.mask.bytes()).all(|(byte, rule)| fits(byte, rule))
    }
}

fn fits(byte: u8, rule: u8) -> bool {
    match rule {
        b'a' => byte.is_ascii_uppercase(),
        b'9' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        b'h' => byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte),
        literal => byte == literal,
    }
}

#[cfg(test)]
mod tests {
    use super::Maker;

    #[test]
    fn every_example_obeys_its_own_rule() {
        for maker in Maker::ALL {
            let rule = &maker.profile().serial;
            assert!(rule.accepts(rule.example), "{maker:?} refuses {}", rule.example);
        }
    }

    #[test]
    fn a_serial_of_another_shape_is_refused() {
        let rules = [
            (Maker::Norrland, ["no12345678", "NO1234567", "NO123456789", "N012345678", ""]),
            (Maker::Brightwell, ["BW2-4123456", "BX24-123456", "BW24123456", "BW24-12345", "bw24-123456"]),
            (Maker::Kestrel, ["K12345678", "123456789", "K12345678X", "k123456789", "Κ12345678"]),
            (Maker::Castello, ["1234-abc-12345", "1234ABC12345", "123-ABC-12345", "1234-ABC-1234", "12345-ABC-1234"]),
            (Maker::Aurora, ["AB12345678G0", "AB123456789", "AB12345678901", "AC1234567890", "ab1234567890"]),
        ];
        for (maker, serials) in rules {
            for serial in serials {
                assert!(!maker.profile().serial.accepts(serial), "{maker:?} took {serial}");
            }
        }
    }

    #[test]
    fn a_maker_is_found_by_its_slug() {
        for maker in Maker::ALL {
            assert_eq!(Maker::from_slug(maker.slug()), Some(maker));
        }
        assert_eq!(Maker::from_slug("nobody"), None);
    }
}
