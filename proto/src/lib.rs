//! The gRPC contract regflow.v1 and its generated types, with their protobuf JSON form as serde.

/// The types, clients and servers of `regflow.v1`.
pub mod regflow {
    /// Version 1.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        clippy::wildcard_enum_match_arm,
        clippy::large_futures,
        reason = "generated"
    )]
    pub mod v1 {
        tonic::include_proto!("regflow.v1");
        include!(concat!(env!("OUT_DIR"), "/regflow.v1.serde.rs"));
    }
}

pub use pbjson_types::{Struct, Timestamp, Value};
pub use regflow::v1;

/// All files of the contract and what they import, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/regflow.v1.fds"));

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn a_registration_has_the_json_form_of_protobuf() {
        let registration = v1::Registration {
            id: "7".into(),
            state: v1::RegistrationState::ManualRequired.into(),
            owner_ref: "ab".into(),
            submit_time: Some(Timestamp { seconds: 0, nanos: 0 }),
            ..Default::default()
        };
        let json = serde_json::to_string(&registration).expect("serializes");
        let text = r#"{"id":"7","state":"REGISTRATION_STATE_MANUAL_REQUIRED","ownerRef":"ab","submitTime":"1970-01-01T00:00:00+00:00"}"#;
        assert_eq!(json, text);
        assert_eq!(serde_json::from_str::<v1::Registration>(&json).expect("parses"), registration);
    }

    #[test]
    fn the_fields_of_an_event_become_a_struct() {
        let json = serde_json::json!({"attempt": 1, "kind": "server", "fields": [{"field": "product.serial"}]});
        let fields: Struct = serde_json::from_value(json.clone()).expect("a struct");
        let event = serde_json::to_value(v1::EventView { fields: Some(fields), ..Default::default() }).expect("json");
        assert_eq!(event["fields"]["fields"], json["fields"]);
        assert_eq!(event["fields"]["attempt"], serde_json::json!(1.0));
    }

    #[test]
    fn reflection_finds_all_services_and_what_they_import() {
        let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("a descriptor set");
        let mut services: Vec<_> = set.file.iter().flat_map(|file| &file.service).map(|one| one.name()).collect();
        services.sort_unstable();
        assert_eq!(services, ["Analytics", "Audit", "Catalog", "Operations", "Persons", "Registrations"]);
        assert!(set.file.iter().any(|file| file.name() == "google/rpc/status.proto"));
    }

    #[test]
    fn a_maker_has_the_json_form_of_protobuf() {
        let last_hour = v1::LastHour { attempts: 40, succeeded: 18, success_percent: Some(45.0), ..Default::default() };
        let maker = v1::MakerStatus {
            maker: "norrland".into(),
            health: v1::Health::Degraded.into(),
            last_hour: Some(last_hour),
            ..Default::default()
        };
        let json = serde_json::to_string(&maker).expect("serializes");
        let text = r#"{"maker":"norrland","health":"HEALTH_DEGRADED","lastHour":{"attempts":40,"succeeded":18,"successPercent":45.0}}"#;
        assert_eq!(json, text);
    }

    #[test]
    fn a_batch_answers_with_a_registration_or_a_rich_error() {
        let error = tonic_types::pb::Status { code: 3, message: "owner.email: is missing".into(), details: vec![] };
        let result = v1::SubmitResult { result: Some(v1::submit_result::Result::Error(error)) };
        let decoded = v1::SubmitResult::decode(result.encode_to_vec().as_slice()).expect("decodes");
        assert_eq!(decoded, result);
    }
}
