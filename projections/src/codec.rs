//! The bytes of a row: a frozen postcard struct. Any change of it is a new `SCHEMA` and rebuilds the view.

mod stage;

use std::borrow::Cow;

use events::event::PacketSent;
use events::record::TraceContext;
use events::{
    ErrorKind, Forgetting, Link, MailPreference, ManualReason, Method, ObjectRef, OwnerMail, PersonKeyId, Priority,
    RecordHash, RecordId, Registration, RegistrationId, Shard, Timestamp,
};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::stage::StageV2;
use crate::error::ViewError;
use crate::row::{LastError, Row};

/// Bytes to begin with; a happy row has about 200.
const ROW_BYTES_USUAL: usize = 256;

#[derive(Serialize, Deserialize)]
struct RowV4<'a> {
    id: [u8; 16],
    shard: u16,
    tenant: &'a str,
    request_id: Option<&'a str>,
    connector: &'a str,
    brand: &'a str,
    model: &'a str,
    purchased_on: Option<Date>,
    register_by: Option<Date>,
    deadline_alerted: bool,
    priority: Priority,
    owner_ref: [u8; 16],
    person_key: [u8; 16],
    proof: Option<Cow<'a, ObjectRef>>,
    submitted_at_us: i64,
    updated_at_us: i64,
    attempts: u32,
    tries: u32,
    in_doubt: bool,
    mail: MailPreference,
    owner_mail: Option<(i64, Option<i64>, u32)>,
    #[serde(borrow)]
    stage: StageV2<'a>,
    /// Nothing, or whether what was to be erased is gone.
    erased: Option<bool>,
    last_sequence: u64,
    last_hash: [u8; 32],
    last_record: [u8; 16],
    trace: Option<([u8; 16], [u8; 8], u8)>,
    submission: u64,
    method: Option<Method>,
    already_registered: bool,
    manual_reason: Option<ManualReason>,
    last_error: Option<(ErrorKind, &'a str)>,
    packet: Option<Cow<'a, PacketSent>>,
    evidence: Option<&'a str>,
}

/// The stored bytes of `row`.
pub(crate) fn encode(row: &Row) -> Result<Vec<u8>, ViewError> {
    let bytes = Vec::with_capacity(ROW_BYTES_USUAL);
    postcard::to_extend(&RowV4::of(row), bytes)
        .map_err(|source| ViewError::Store { doing: "write a row of", source: source.into() })
}

/// The row that stored bytes say.
pub(crate) fn decode(bytes: &[u8]) -> Result<Row, ViewError> {
    match postcard::take_from_bytes::<RowV4<'_>>(bytes) {
        Ok((row, [])) => Ok(row.into_row()),
        Ok(_) | Err(_) => Err(ViewError::Undecodable),
    }
}

impl<'a> RowV4<'a> {
    fn of(row: &'a Row) -> Self {
        let registration = &row.registration;
        Self {
            id: registration.id.0.into_bytes(),
            shard: registration.shard.0,
            tenant: &registration.tenant,
            request_id: registration.request_id.as_deref(),
            connector: &registration.connector,
            brand: &registration.brand,
            model: &registration.model,
            purchased_on: registration.purchased_on,
            register_by: registration.register_by,
            deadline_alerted: registration.deadline_alerted,
            priority: registration.priority,
            owner_ref: registration.owner_ref,
            person_key: registration.person_key.0.into_bytes(),
            proof: registration.proof.as_ref().map(Cow::Borrowed),
            submitted_at_us: registration.submitted_at.0,
            updated_at_us: registration.updated_at.0,
            attempts: registration.attempts,
            tries: registration.tries,
            in_doubt: registration.in_doubt,
            mail: registration.mail,
            owner_mail: registration
                .owner_mail
                .map(|mail| (mail.registered_at.0, mail.not_before.map(|at| at.0), mail.failures)),
            stage: StageV2::of(&registration.stage),
            erased: registration.forgetting.map(|how_far| how_far == Forgetting::Done),
            last_sequence: registration.last.sequence,
            last_hash: registration.last.hash.0,
            last_record: registration.last_record.0.into_bytes(),
            trace: registration.trace.map(|trace| (trace.trace_id, trace.span_id, trace.flags)),
            submission: row.submission,
            method: row.method,
            already_registered: row.already_registered,
            manual_reason: row.manual_reason,
            last_error: row.last_error.as_ref().map(|error| (error.kind, error.detail.as_str())),
            packet: row.packet.as_ref().map(Cow::Borrowed),
            evidence: row.evidence.as_deref(),
        }
    }

    fn into_row(self) -> Row {
        let registration = Registration {
            id: RegistrationId(Uuid::from_bytes(self.id)),
            shard: Shard(self.shard),
            tenant: self.tenant.to_owned(),
            request_id: self.request_id.map(str::to_owned),
            connector: self.connector.to_owned(),
            brand: self.brand.to_owned(),
            model: self.model.to_owned(),
            purchased_on: self.purchased_on,
            register_by: self.register_by,
            deadline_alerted: self.deadline_alerted,
            priority: self.priority,
            owner_ref: self.owner_ref,
            person_key: PersonKeyId(Uuid::from_bytes(self.person_key)),
            sealed: Default::default(),
            proof: self.proof.map(Cow::into_owned),
            submitted_at: Timestamp(self.submitted_at_us),
            updated_at: Timestamp(self.updated_at_us),
            attempts: self.attempts,
            tries: self.tries,
            in_doubt: self.in_doubt,
            mail: self.mail,
            owner_mail: self.owner_mail.map(|(registered_at, not_before, failures)| OwnerMail {
                registered_at: Timestamp(registered_at),
                not_before: not_before.map(Timestamp),
                failures,
            }),
            stage: self.stage.into_stage(),
            forgetting: self.erased.map(|done| if done { Forgetting::Done } else { Forgetting::Due }),
            last: Link { sequence: self.last_sequence, hash: RecordHash(self.last_hash) },
            last_record: RecordId(Uuid::from_bytes(self.last_record)),
            trace: self.trace.map(|(trace_id, span_id, flags)| TraceContext { trace_id, span_id, flags }),
        };
        Row {
            registration,
            submission: self.submission,
            method: self.method,
            already_registered: self.already_registered,
            manual_reason: self.manual_reason,
            last_error: self.last_error.map(|(kind, detail)| LastError { kind, detail: detail.to_owned() }),
            packet: self.packet.map(Cow::into_owned),
            evidence: self.evidence.map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::SCHEMA;
    use events::{FieldProblem, HoldReason, SkipReason, Stage};
    use jiff::civil::date;

    const METHOD: Method = Method::Api;
    const REASON: ManualReason = ManualReason::Captcha;
    const KIND: ErrorKind = ErrorKind::Server;
    const AT: Timestamp = Timestamp(1_790_000_000_000_000);

    fn object() -> ObjectRef {
        ObjectRef { name: "object".into(), sha256: vec![1; 32], size_bytes: 10 }
    }

    /// A row in which each field has another value.
    fn row(stage: Stage) -> Row {
        let registration = Registration {
            id: RegistrationId(Uuid::from_u128(1)),
            shard: Shard(2),
            tenant: "tenant".into(),
            request_id: Some("request".into()),
            connector: "connector".into(),
            brand: "brand".into(),
            model: "model".into(),
            purchased_on: Some(date(2026, 11, 2)),
            register_by: Some(date(2026, 12, 2)),
            deadline_alerted: true,
            priority: Priority::High,
            owner_ref: [3; 16],
            person_key: PersonKeyId(Uuid::from_u128(4)),
            sealed: Default::default(),
            proof: Some(object()),
            submitted_at: Timestamp(5),
            updated_at: Timestamp(6),
            attempts: 7,
            tries: 8,
            in_doubt: true,
            mail: MailPreference::All,
            owner_mail: Some(OwnerMail { registered_at: AT, not_before: Some(AT), failures: 15 }),
            stage,
            forgetting: Some(Forgetting::Done),
            last: Link { sequence: 9, hash: RecordHash([10; 32]) },
            last_record: RecordId(Uuid::from_u128(11)),
            trace: Some(TraceContext { trace_id: [12; 16], span_id: [13; 8], flags: 1 }),
        };
        Row {
            registration,
            submission: 14,
            method: Some(METHOD),
            already_registered: true,
            manual_reason: Some(REASON),
            last_error: Some(LastError { kind: KIND, detail: "detail".into() }),
            packet: Some(PacketSent { pdf: object(), message_id: "m".into(), missing_glyphs: vec!["g".into()] }),
            evidence: Some("evidence".into()),
        }
    }

    fn rows() -> Vec<Row> {
        let confirmation = Some("code".to_owned());
        let stages = [
            Stage::Fresh { from: Some(METHOD) },
            Stage::Attempting { method: METHOD },
            Stage::Backoff { method: METHOD, until: AT, after: KIND },
            Stage::MethodFailed { method: METHOD, kind: KIND },
            Stage::Held { method: METHOD, reason: HoldReason::RateLimit, until: Some(AT), retry_after: Some(KIND) },
            Stage::Skipped { method: METHOD, reason: SkipReason::CircuitOpen },
            Stage::Unknown { attempt: 1, method: METHOD, ask_at: Some(AT), asked: 2 },
            Stage::PacketDue { reason: REASON, not_before: Some(AT), failures: 2 },
            Stage::PacketStuck { reason: REASON },
            Stage::PacketSent { reason: REASON, opened: true },
            Stage::NeedsCorrection { fields: vec![FieldProblem::new("field", "problem")] },
            Stage::Succeeded { method: METHOD, confirmation: confirmation.clone() },
            Stage::Completed { confirmation },
            Stage::Cancelled,
            Stage::Expired { last_day: date(2026, 12, 2) },
        ];
        stages.into_iter().map(row).collect()
    }

    #[test]
    fn a_row_of_every_stage_reads_back_and_a_cut_or_longer_one_is_refused() {
        for row in rows() {
            let mut bytes = encode(&row).expect("encodes");
            assert_eq!(decode(&bytes).expect("decodes"), row);
            assert!(decode(&bytes[..bytes.len() - 1]).is_err());
            bytes.push(0);
            assert!(decode(&bytes).is_err());
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_schema() {
        let mut hasher = blake3::Hasher::new();
        for row in rows() {
            hasher.update(&encode(&row).expect("encodes"));
        }
        let hash = hasher.finalize().to_hex();
        // when it changes, old rows would be misread: give SCHEMA a new number and write the new hash here
        assert_eq!((SCHEMA, &hash[..16]), (6, "443aff11e0d26a89"));
    }
}
