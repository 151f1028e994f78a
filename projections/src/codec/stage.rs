//! The stage inside a stored row.

use std::borrow::Cow;

use events::{ErrorKind, FieldProblem, ManualReason, Method, Stage, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) enum StageV1<'a> {
    Fresh { from: Option<Method> },
    Attempting { method: Method },
    Backoff { method: Method, until_us: i64, after: ErrorKind },
    MethodFailed { method: Method, kind: ErrorKind },
    Unknown { attempt: u32 },
    PacketDue { reason: ManualReason, not_before_us: Option<i64>, failures: u32 },
    PacketStuck { reason: ManualReason },
    PacketSent { reason: ManualReason },
    NeedsCorrection { fields: Cow<'a, [FieldProblem]> },
    Succeeded { method: Method, confirmation: Option<&'a str> },
    Completed { confirmation: Option<&'a str> },
    Cancelled,
}

impl<'a> StageV1<'a> {
    pub(super) fn of(stage: &'a Stage) -> Self {
        match stage {
            Stage::Fresh { from } => Self::Fresh { from: *from },
            Stage::Attempting { method } => Self::Attempting { method: *method },
            Stage::Backoff { method, until, after } => {
                Self::Backoff { method: *method, until_us: until.0, after: *after }
            }
            Stage::MethodFailed { method, kind } => Self::MethodFailed { method: *method, kind: *kind },
            Stage::Unknown { attempt } => Self::Unknown { attempt: *attempt },
            Stage::PacketDue { reason, not_before, failures } => {
                Self::PacketDue { reason: *reason, not_before_us: not_before.map(|at| at.0), failures: *failures }
            }
            Stage::PacketStuck { reason } => Self::PacketStuck { reason: *reason },
            Stage::PacketSent { reason } => Self::PacketSent { reason: *reason },
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
            Self::Unknown { attempt } => Stage::Unknown { attempt },
            Self::PacketDue { reason, not_before_us, failures } => {
                Stage::PacketDue { reason, not_before: not_before_us.map(Timestamp), failures }
            }
            Self::PacketStuck { reason } => Stage::PacketStuck { reason },
            Self::PacketSent { reason } => Stage::PacketSent { reason },
            Self::NeedsCorrection { fields } => Stage::NeedsCorrection { fields: fields.into_owned() },
            Self::Succeeded { method, confirmation } => {
                Stage::Succeeded { method, confirmation: confirmation.map(str::to_owned) }
            }
            Self::Completed { confirmation } => Stage::Completed { confirmation: confirmation.map(str::to_owned) },
            Self::Cancelled => Stage::Cancelled,
        }
    }
}
