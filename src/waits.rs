//! The longest waits that follow from the settings, as comments below them.

use std::time::Duration;

use handlers::{LongestWait, longest_waits};

use crate::config::Settings;
use crate::serve;

const HEADING: &str =
    "# The longest that a registration waits for its turn, whatever else comes in, while its maker takes
# registrations (no circuit open, no pause, no Retry-After); HIGH goes first and has no bound of its own:";

/// A comment line for each maker, method and class that has a bound.
pub fn in_words(settings: &Settings) -> anyhow::Result<String> {
    let (catalog, options) = (serve::catalog(settings)?, serve::engine_options(settings));
    let waits = longest_waits(&catalog, &options, Duration::from_secs(settings.browser.form_timeout_s));
    if waits.is_empty() {
        return Ok("# No maker has an automatic method here: catalog.sandbox and catalog.folder are empty.".to_owned());
    }
    let lines: Vec<String> = waits.iter().map(line).collect();
    Ok(format!("{HEADING}\n{}", lines.join("\n")))
}

fn line(wait: &LongestWait) -> String {
    let LongestWait { connector, method, class, first, each_before } = wait;
    let (method, class) = (method.as_str(), class.as_str());
    let (first, more) = (minutes(*first), minutes(*each_before));
    format!("#   {connector:<12} {method:<20} {class:<7} {first:>11}, and {more} for each {class} before it")
}

fn minutes(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{} min {:02} s", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_tell_how_long_anybody_can_wait() {
        let mut settings = Settings::load(None).expect("the defaults are valid");
        settings.catalog.sandbox = "http://127.0.0.1:1/".to_owned();
        let text = in_words(&settings).expect("the built-in catalog is whole");
        // 15 minutes until it has its share, then one turn in eight of at most 15 seconds each (the slowest API's timeout)
        assert!(text.contains("norrland     API                  LOW     17 min 00 s, and 2 min 00 s"), "{text}");
        assert!(text.lines().any(|line| line.contains("brightwell") && line.contains("AUTOMATION_RELIABLE")), "{text}");
    }
}
