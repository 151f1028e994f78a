//! The stage inside a stored row.

use std::borrow::Cow;

use events::{ErrorKind, FieldProblem, HoldReason, ManualReason, Method, SkipReason, Stage, Timestamp};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) enum StageV2<'a> {
    Fresh { from: Option<Method> },
    Attempting { method: Method },
    Backoff { method: Method, until_us: i64, after: ErrorKind },
    Held { method: Method, reason: HoldReason, until_us: Option<i64>, retry_after: Option<ErrorKind> },
    MethodFailed { method: Method, kind: ErrorKind },
    Skipped { method: Method, reason: SkipReason },
    Unknown { attempt: u32, method: Method, ask_at_us: Option<i64>, asked: u32 },
    PacketDue { reason: ManualReason, not_before_us: Option<i64>, failures: u32 },
    PacketStuck { reason: ManualReason },
    PacketSent { reason: ManualReason, opened: bool },
    NeedsCorrection { fields: Cow<'a, [FieldProblem]> },
    Succeeded { method: Method, confirmation: Option<&'a str> },
    Completed { confirmation: Option<&'a str> },
    Cancelled,
    Expired { last_day: Date },
}

impl<'a> StageV2<'a> {
    pub(super) fn of(stage: &'a Stage) -> Self {
        match stage {
            Stage::Fresh { from } => Self::Fresh { from: *from },
            Stage::Attempting { method } => Self::Attempting { method: *method },
            Stage::Backoff { method, until, after } => {
                Self::Backoff { method: *method, until_us: until.0, after: *after }
            }
            Stage::MethodFailed { method, kind } => Self::MethodFailed { method: *method, kind: *kind },
            Stage::Held { method, reason, until, retry_after } => Self::Held {
                method: *method,
                reason: *reason,
                until_us: until.map(|at| at.0),
                retry_after: *retry_after,
            },
            Stage::Skipped { method, reason } => Self::Skipped { method: *method, reason: *reason },
            Stage::Unknown { attempt, method, ask_at, asked } => {
                Self::Unknown { attempt: *attempt, method: *method, ask_at_us: ask_at.map(|at| at.0), asked: *asked }
            }
            Stage::Expired { last_day } => Self::Expired { last_day: *last_day },
            Stage::PacketDue { reason, not_before, failures } => {
                Self::PacketDue { reason: *reason, not_before_us: not_before.map(|at| at.0), failures: *failures }
            }
            Stage::PacketStuck { reason } => Self::PacketStuck { reason: *reason },
            Stage::PacketSent { reason, opened } => Self::PacketSent { reason: *reason, opened: *opened },
            Stage::NeedsCorrection { fields } => Self::NeedsCorrection { fields: fields.into() },
            Stage::Succeeded { method, confirmation } => {
                Self::Succeeded { method: *method, confirmation: confirmation.as_deref() }
            }
            Stage::Completed { confirmation } => Self::Completed { confirmation: confirmation.as_deref() },
            Stage::Cancelled => Self::Cancelled,
        }
    }

    pub(super) fn into_stage(self) -> Stage {
        match self {
            Self::Fresh { from } => Stage::Fresh { from },
            Self::Attempting { method } => Stage::Attempting { method },
            Self::Backoff { method, until_us, after } => Stage::Backoff { method, until: Timestamp(until_us), after },
            Self::MethodFailed { method, kind } => Stage::MethodFailed { method, kind },
            Self::Held { method, reason, until_us, retry_after } => {
                Stage::Held { method, reason, until: until_us.map(Timestamp), retry_after }
            }
            Self::Skipped { method, reason } => Stage::Skipped { method, reason },
            Self::Unknown { attempt, method, ask_at_us, asked } => {
                Stage::Unknown { attempt, method, ask_at: ask_at_us.map(Timestamp), asked }
            }
            Self::Expired { last_day } => Stage::Expired { last_day },
            Self::PacketDue { reason, not_before_us, failures } => {
                Stage::PacketDue { reason, not_before: not_before_us.map(Timestamp), failures }
            }
            Self::PacketStuck { reason } => Stage::PacketStuck { reason },
            Self::PacketSent { reason, opened } => Stage::PacketSent { reason, opened },
            Self::NeedsCorrection { fields } => Stage::NeedsCorrection { fields: fields.into_owned() },
            Self::Succeeded { method, confirmation } => {
                Stage::Succeeded { method, confirmation: confirmation.map(str::to_owned) }
            }
            Self::Completed { confirmation } => Stage::Completed { confirmation: confirmation.map(str::to_owned) },
            Self::Cancelled => Stage::Cancelled,
        }
    }
}
