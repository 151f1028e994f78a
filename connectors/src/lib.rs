//! Everything that talks to a maker: the catalog of connectors, their APIs, their web forms, and what a manual packet says.
//!
//! A connector is a file (`catalog/*.toml`), compiled once when it is loaded: a mistake in it is shown with line and column
//! then, not when a customer meets it.

mod answer;
mod api;
mod body;
mod brand;
mod catalog;
mod checker;
mod compile;
mod compile_api;
mod compile_form;
mod compile_guards;
mod connector;
mod expression;
mod file;
mod filters;
mod form_check;
mod form_recipe;
mod manual;
mod plan;
mod retention;
mod sample;
mod secret;
mod sending;
mod sent;
mod serial;
mod source;
mod template;

pub use api::{ApiClient, ApiOptions, ApiRequest, ClientError, Lookup};
pub use catalog::{Catalog, CatalogError, FILE_BYTES_MAX, brands_claimed_twice};
pub use connector::{Connector, check_serial};
pub use expression::TemplateError;
pub use file::Network;
pub use form_check::{baseline_toml, check_form};
pub use manual::{ManualField, ManualView};
pub use serial::{SUGGESTIONS_MAX, SerialGuide, SerialWarning};
pub use source::Mistake;
