//! The catalog as it is shipped and as people break it, and the API method against makers played by a small server.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod api_answers;
mod api_auth;
mod api_broken;
mod api_health;
mod api_requests;
mod catalog;
mod example;
mod forms;
mod guards;
mod makers;
mod mistakes;
mod sends;
mod support;
