//! The countries that the forms offer.

use serde::Serialize;

/// One choice of a country list.
#[derive(Serialize)]
pub(crate) struct Country {
    /// ISO 3166-1 alpha-2.
    code: &'static str,
    english: &'static str,
    italian: &'static str,
}

const fn country(code: &'static str, english: &'static str, italian: &'static str) -> Country {
    Country { code, english, italian }
}

/// By English name.
pub(crate) const ALL: &[Country] = &[
    country("AU", "Australia", "Australia"),
    country("AT", "Austria", "Austria"),
    country("BE", "Belgium", "Belgio"),
    country("BG", "Bulgaria", "Bulgaria"),
    country("CA", "Canada", "Canada"),
    country("HR", "Croatia", "Croazia"),
    country("CY", "Cyprus", "Cipro"),
    country("CZ", "Czechia", "Cechia"),
    country("DK", "Denmark", "Danimarca"),
    country("EE", "Estonia", "Estonia"),
    country("FI", "Finland", "Finlandia"),
    country("FR", "France", "Francia"),
    country("DE", "Germany", "Germania"),
    country("GR", "Greece", "Grecia"),
    country("HU", "Hungary", "Ungheria"),
    country("IS", "Iceland", "Islanda"),
    country("IE", "Ireland", "Irlanda"),
    country("IT", "Italy", "Italia"),
    country("LV", "Latvia", "Lettonia"),
    country("LT", "Lithuania", "Lituania"),
    country("LU", "Luxembourg", "Lussemburgo"),
    country("MT", "Malta", "Malta"),
    country("NL", "Netherlands", "Paesi Bassi"),
    country("NZ", "New Zealand", "Nuova Zelanda"),
    country("NO", "Norway", "Norvegia"),
    country("PL", "Poland", "Polonia"),
    country("PT", "Portugal", "Portogallo"),
    country("RO", "Romania", "Romania"),
    country("RS", "Serbia", "Serbia"),
    country("SK", "Slovakia", "Slovacchia"),
    country("SI", "Slovenia", "Slovenia"),
    country("ES", "Spain", "Spagna"),
    country("SE", "Sweden", "Svezia"),
    country("CH", "Switzerland", "Svizzera"),
    country("UA", "Ukraine", "Ucraina"),
    country("GB", "United Kingdom", "Regno Unito"),
    country("US", "United States", "Stati Uniti"),
];
