//! Why an attempt stopped, and what that means before and after the last click.

use events::{ErrorKind, Failure};
use outbound::Refused;
use thirtyfour::error::{WebDriverError, WebDriverErrorInner};

use crate::BrowserError;

/// What the browser says of a script that took longer than it may.
const CUT_OFF: &str = "Execution was terminated";
/// What the browser says when the proxy does not connect it.
const NOT_LET_THROUGH: &str = "ERR_SOCKS_CONNECTION_FAILED";

/// The end of an attempt that did not come to an outcome of the maker's.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The page says so.
    Failed(Failure),
    /// The driver could not do what was asked.
    Driver(WebDriverError),
    /// The browser is not there.
    Browser(BrowserError),
}

impl From<WebDriverError> for Stop {
    fn from(error: WebDriverError) -> Self {
        Self::Driver(error)
    }
}

impl From<BrowserError> for Stop {
    fn from(error: BrowserError) -> Self {
        Self::Browser(error)
    }
}

impl Stop {
    /// A failure that the page shows.
    pub(crate) fn failed(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self::Failed(Failure::new(kind, detail))
    }

    /// A page that could not be loaded because where it is may not be reached is the recipe's fault, not the network's.
    pub(crate) fn because_of(self, refused: Option<Refused>) -> Self {
        match (&self, refused) {
            (Self::Driver(error), Some(refused)) if net_code(&message(error)).as_deref() == Some(NOT_LET_THROUGH) => {
                Self::failed(ErrorKind::FormChanged, format!("the page may not be loaded: {refused}"))
            }
            // a page went on to one that may not be loaded
            (Self::Failed(failure), Some(refused)) if failure.kind == ErrorKind::Network => {
                Self::failed(ErrorKind::FormChanged, format!("the page leads elsewhere than it may: {refused}"))
            }
            (Self::Failed(_) | Self::Driver(_) | Self::Browser(_), _) => self,
        }
    }

    /// For the ladder: after the last click only what the page itself says is known.
    pub(crate) fn into_failure(self, clicked_submit: bool) -> (Failure, Option<BrowserError>) {
        let (failure, trouble) = match self {
            // judged with the click in mind already
            Self::Failed(failure) => return (failure, None),
            Self::Driver(error) => explain(&error),
            Self::Browser(error) => (Failure::new(ErrorKind::Internal, "our browser could not be used"), Some(error)),
        };
        if clicked_submit {
            let detail = format!("after the last click: {}", failure.detail);
            return (Failure::new(ErrorKind::UnknownOutcome, detail), trouble);
        }
        (failure, trouble)
    }
}

/// Whether a page was on its way out when it was asked: ask the next one.
pub(crate) fn is_between_pages(error: &WebDriverError) -> bool {
    const SIGNS: &[&str] = &[
        "aborted by navigation",
        "document unloaded",
        "context was destroyed",
        "Cannot find context",
        "frame was detached",
        "target frame detached",
        "uniqueContextId not found",
        "Inspected target navigated or closed",
    ];
    let message = message(error);
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// Whether the driver says that a click did not reach the page.
pub(crate) fn never_clicked(error: &WebDriverError) -> bool {
    matches!(
        error.as_inner(),
        WebDriverErrorInner::ElementClickIntercepted(_) | WebDriverErrorInner::ElementNotInteractable(_)
    )
}

// The driver's own words stay out of the detail: they may quote addresses and values.
fn explain(error: &WebDriverError) -> (Failure, Option<BrowserError>) {
    let inner = error.as_inner();
    if matches!(inner, WebDriverErrorInner::WebDriverTimeout(_) | WebDriverErrorInner::ScriptTimeout(_)) {
        return (Failure::new(ErrorKind::Timeout, "the page did not load in time"), None);
    }
    if matches!(inner, WebDriverErrorInner::UnexpectedAlertOpen(_)) {
        return (Failure::new(ErrorKind::FormChanged, "the page opened a dialog that the recipe does not know"), None);
    }
    if message(error).contains(CUT_OFF) {
        return (Failure::new(ErrorKind::Timeout, "a script of the page does not end"), None);
    }
    if let Some(code) = net_code(&message(error)) {
        return (Failure::new(kind_of_net(&code), format!("the page could not be loaded ({code})")), None);
    }
    let reason = if matches!(inner, WebDriverErrorInner::HttpError(_)) {
        "the driver does not answer"
    } else if matches!(inner, WebDriverErrorInner::InvalidSessionId(_) | WebDriverErrorInner::NoSuchWindow(_)) {
        "the browser ended"
    } else {
        "the driver refused a command"
    };
    (Failure::new(ErrorKind::Internal, format!("our browser failed: {reason}")), Some(BrowserError::Broken { reason }))
}

fn message(error: &WebDriverError) -> String {
    error.to_string()
}

fn net_code(message: &str) -> Option<String> {
    let (_, rest) = message.split_once("net::")?;
    Some(rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').collect())
}

fn kind_of_net(code: &str) -> ErrorKind {
    match code {
        "ERR_TIMED_OUT" | "ERR_CONNECTION_TIMED_OUT" => ErrorKind::Timeout,
        // a download, or nothing at all, where a page should be
        "ERR_ABORTED" => ErrorKind::FormChanged,
        _ => ErrorKind::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver_says(error: &str, message: &str) -> WebDriverError {
        let body = format!(r#"{{"value":{{"error":"{error}","message":"{message}","stacktrace":""}}}}"#);
        WebDriverError::parse(500, body)
    }

    #[test]
    fn before_the_last_click_the_cause_decides() {
        for (error, message, want) in [
            ("timeout", "timeout: Timed out receiving message from renderer", ErrorKind::Timeout),
            ("unknown error", "unknown error: net::ERR_CONNECTION_REFUSED", ErrorKind::Network),
            ("unknown error", "unknown error: net::ERR_CONNECTION_TIMED_OUT", ErrorKind::Timeout),
            ("unexpected alert open", "{Alert text : Ada}", ErrorKind::FormChanged),
        ] {
            let (failure, trouble) = Stop::Driver(driver_says(error, message)).into_failure(false);
            assert_eq!(failure.kind, want, "{message}");
            assert!(trouble.is_none() && !failure.detail.contains("Ada"));
        }
    }

    #[test]
    fn after_the_last_click_nothing_but_the_page_is_believed() {
        let (failure, _) = Stop::Driver(driver_says("timeout", "timeout")).into_failure(true);
        assert_eq!(failure.kind, ErrorKind::UnknownOutcome);
        let (failure, _) = Stop::failed(ErrorKind::Validation, "refused").into_failure(true);
        assert_eq!(failure.kind, ErrorKind::Validation);
    }

    #[test]
    fn a_broken_browser_is_our_trouble_and_not_the_makers() {
        let (_, trouble) = Stop::Driver(driver_says("invalid session id", "gone")).into_failure(false);
        assert!(trouble.is_some());
    }
}
