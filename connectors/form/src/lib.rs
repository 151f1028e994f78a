//! Fills a maker's web form in a real browser: a recipe says what to fill, a report says what came of it.
//!
//! The parts: [`Recipe`] (what a catalog file says of a form), [`Browsers`] (chromedriver and its pooled sessions),
//! `attempt` (one try, step by step), `judge` (what a page means, pure), `captcha` (what stands before a form).
//! Nothing is hidden from the maker (`navigator.webdriver` stays true) and no captcha is solved.

mod attempt;
mod browsers;
mod captcha;
mod discover;
mod driver;
mod error;
mod judge;
mod names;
mod options;
mod page;
mod pool;
mod recipe;
mod report;
mod scrub;
mod session;
mod trouble;
mod uploads;
mod watch;

pub use browsers::Browsers;
pub use discover::{Found, discover};
pub use error::BrowserError;
pub use options::BrowserOptions;
pub use recipe::{Confirmation, ErrorList, Field, FieldKind, Recipe, Signs, Step};
pub use report::{FormFile, FormReport};
