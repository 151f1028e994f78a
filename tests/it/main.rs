//! The flows from end to end: the real binary, a real nats-server, real Chromium, real SMTP; only the makers are simulated.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

mod access;
mod bad_input;
mod browser;
mod cli;
mod crashes;
mod demo;
mod done;
mod flow_1_api_success;
mod flow_2_web_form;
mod flow_3_manual;
mod flow_4_priorities;
mod flow_5_circuit;
mod flow_6_rate_limit;
mod flow_7_monitoring;
mod flow_8_health;
mod http;
mod live;
mod nats;
mod notifications;
mod openapi;
mod operate;
mod operations;
mod owner_mails;
mod pages;
mod reconcile;
mod restart;
mod schemas;
mod subscribers;
mod support;
mod takeover;
mod telemetry;
mod webhooks;
