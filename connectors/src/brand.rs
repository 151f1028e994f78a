//! Brands as people write them: case, accents, punctuation and the many words for "and" do not matter.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The keys under which a brand is stored and looked for: umlauts as their base letter, and written out ("Söhne": `sohne`, `soehne`).
///
/// Both sides are spelled both ways, so "Soehne" finds "Söhne", and "Blue" never becomes "Blu".
pub(crate) fn keys(brand: &str) -> Vec<String> {
    let composed: String = brand.nfc().flat_map(char::to_lowercase).collect();
    let mut keys = vec![key(&composed), key(&spelled_out(&composed))];
    keys.dedup();
    keys.retain(|key| !key.is_empty());
    keys
}

/// Words joined without what stands between them; `&`, `+`, "und" and their like are one word.
fn key(brand: &str) -> String {
    let spaced = brand.replace(['&', '+'], " and ");
    let plain: String = spaced.nfd().filter(|c| !is_combining_mark(*c)).flat_map(base_letters).collect();
    plain.split(|c: char| !c.is_alphanumeric() && !is_elision(c)).map(word).collect()
}

fn word(word: &str) -> String {
    match word {
        "und" | "and" | "et" | "og" | "och" | "en" | "y" | "e" => "and".to_owned(),
        other => other.chars().filter(|c| c.is_alphanumeric()).collect(),
    }
}

/// Apostrophes join ("O'Neill" is "ONeill"), everything else separates.
fn is_elision(c: char) -> bool {
    matches!(c, '\'' | '’' | '.')
}

/// Letters that Unicode does not take apart into a base and a mark.
fn base_letters(c: char) -> impl Iterator<Item = char> {
    let text: &'static str = match c {
        'ß' => "ss",
        'ø' => "o",
        'æ' => "ae",
        'œ' => "oe",
        'ł' => "l",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ı' => "i",
        _ => "",
    };
    let same = if text.is_empty() { Some(c) } else { None };
    text.chars().chain(same)
}

/// Umlauts in the spelling of those who have no such key.
fn spelled_out(composed: &str) -> String {
    composed.replace('ä', "ae").replace(['ö', 'ø'], "oe").replace('ü', "ue").replace('å', "aa")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(left: &str, right: &str) -> bool {
        keys(left).iter().any(|key| keys(right).contains(key))
    }

    #[test]
    fn spellings_of_one_brand_meet() {
        for (left, right) in [
            ("Norrland", "NORRLAND"),
            ("Norrland Home", "norrland-home"),
            ("Hartmann & Söhne", "Hartmann und Soehne"),
            ("Hartmann & Söhne", "hartmann + sohne"),
            ("Hartmann & Söhne", "HARTMANN AND SO\u{308}HNE"),
            ("Brøndby", "Brondby"),
            ("Brøndby", "Broendby"),
            ("Weiß", "WEISS"),
            ("B.W.A.", "BWA"),
            ("O'Neill", "ONeill"),
            ("  La   Castello ", "la castello"),
        ] {
            assert!(same(left, right), "{left} / {right}: {:?} / {:?}", keys(left), keys(right));
        }
    }

    #[test]
    fn different_brands_stay_apart() {
        for (left, right) in
            [("Blue", "Blu"), ("Norrland", "Norland"), ("Hartmann", "Hartmann & Söhne"), ("Aurora", "Aurora Baby")]
        {
            assert!(!same(left, right), "{left} / {right}");
        }
    }

    #[test]
    fn punctuation_alone_is_no_brand() {
        assert_eq!(keys(" -!- "), Vec::<String>::new());
    }
}
