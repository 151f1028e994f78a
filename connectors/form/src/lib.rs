//! Fills a maker's web form in a real browser: a recipe says what to fill, a report says what came of it.
//!
//! The parts: [`Recipe`] (what a catalog file says of a form), [`Browsers`] (chromedriver and its pooled sessions),
//! `attempt` (one try, step by step), `judge` (what a page means, pure), `captcha` (what stands before a form), `look`
//! (a form's shape, read without touching it), [`drift()`] (how two shapes differ, pure).
//! Nothing is hidden from the maker (`navigator.webdriver` stays true) and no captcha is solved.

mod attempt;
mod browsers;
mod captcha;
mod discover;
mod drift;
mod driver;
mod error;
mod judge;
mod look;
mod names;
mod options;
mod page;
mod pool;
mod recipe;
mod report;
mod scrub;
mod session;
mod shape;
mod trouble;
mod uploads;
mod watch;

pub use attempt::MaySend;
pub use browsers::Browsers;
pub use discover::{Found, discover};
pub use drift::{DRIFTS_MAX, drift};
pub use error::BrowserError;
pub use look::{FormLook, LookError};
pub use options::BrowserOptions;
pub use recipe::{Confirmation, ErrorList, Field, FieldKind, Recipe, Signs, Step};
pub use report::{FormFile, FormReport};
pub use shape::{FormField, FormShape};
