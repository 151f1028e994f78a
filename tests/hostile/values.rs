//! Hostile values for every room that turns data into something else: HTML, scripts, templates, formulas, headers, escapes.

/// All values of `values.json`: what a stranger may write into any field.
pub fn all() -> Vec<String> {
    let list: serde_json::Value = serde_json::from_str(include_str!("values.json")).expect("valid JSON");
    let value = |entry: &serde_json::Value| {
        let times = entry["times"].as_u64().map_or(1, |times| usize::try_from(times).expect("few"));
        entry["value"].as_str().expect("a text").repeat(times)
    };
    let values: Vec<String> = list.as_array().expect("a list").iter().map(value).collect();
    assert!(values.len() >= 300, "only {} values", values.len());
    values
}
