//! The recipe of a form, behind the rest of a file that is good.
#![no_main]

use connectors::{Catalog, Connector};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|recipe: &str| {
    let file = Catalog::built_in_file("castello").expect("a connector with a form");
    let (rest, _) = file.split_once("[form]").expect("its recipe");
    if let Err(mistakes) = Connector::parse("fuzz.toml", &format!("{rest}{recipe}")) {
        assert!(!mistakes.is_empty());
    }
});
