//! Bodies of HTTP requests (JSON) and of gRPC calls (protobuf): the first byte chooses the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use proto::v1;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn there_and_back<M: Message + Default + PartialEq + Serialize + DeserializeOwned>(data: &[u8]) {
    if let Ok(message) = M::decode(data) {
        assert!(M::decode(message.encode_to_vec().as_slice()).is_ok());
    }
    if let Ok(message) = serde_json::from_slice::<M>(data) {
        let text = serde_json::to_string(&message).expect("what was read can be written");
        assert!(serde_json::from_str::<M>(&text).is_ok(), "{text}");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&which, data)) = data.split_first() else { return };
    match which % 8 {
        0 => there_and_back::<v1::SubmitRequest>(data),
        1 => there_and_back::<v1::CompleteRequest>(data),
        2 => there_and_back::<v1::CancelRequest>(data),
        3 => there_and_back::<v1::RetryRequest>(data),
        4 => there_and_back::<v1::PauseRequest>(data),
        5 => there_and_back::<v1::ForceCircuitRequest>(data),
        6 => there_and_back::<v1::RedriveRequest>(data),
        _ => there_and_back::<v1::ListRequest>(data),
    }
});
