//! Words that all rooms that trace share, and the header `traceparent` of W3C Trace Context: read strictly, written as
//! version 00.

use crate::record::TraceContext;

/// The target of every span of ours, by which they are told from those of libraries.
pub const TARGET: &str = "regflow::span";
/// Bounds of the buckets of an HTTP request's or a call's duration, in seconds, as OpenTelemetry's semantic conventions
/// advise them.
pub const DURATION_BOUNDS_S: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Length of version 00.
const LENGTH: usize = 55;

impl TraceContext {
    /// What a header says; nothing for one that the specification calls invalid.
    #[must_use]
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let later = text.get(..2)? != "00";
        let known = text.get(..LENGTH)?;
        // a later version may say more behind it
        if text.len() > LENGTH && !(later && text.as_bytes().get(LENGTH) == Some(&b'-')) {
            return None;
        }
        let lower = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-');
        let mut parts = known.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || version.len() != 2 || version == "ff" || !known.bytes().all(lower) {
            return None;
        }
        let (mut trace_id, mut span_id, mut bits) = ([0; 16], [0; 8], [0; 1]);
        hex::decode_to_slice(version, &mut bits).ok()?;
        hex::decode_to_slice(trace, &mut trace_id).ok()?;
        hex::decode_to_slice(span, &mut span_id).ok()?;
        hex::decode_to_slice(flags, &mut bits).ok()?;
        (trace_id != [0; 16] && span_id != [0; 8]).then_some(Self { trace_id, span_id, flags: bits[0] })
    }

    /// As a header.
    #[must_use]
    pub fn to_traceparent(self) -> String {
        format!("00-{}-{}-{:02x}", hex::encode(self.trace_id), hex::encode(self.span_id), self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_is_read_and_written_alike() {
        let trace = TraceContext::from_traceparent(HEADER).expect("valid");
        assert_eq!((trace.span_id[1], trace.flags), (0xf0, 1));
        assert_eq!(trace.to_traceparent(), HEADER);
    }

    #[test]
    fn a_later_version_may_say_more_and_version_00_may_not() {
        let more = |version: &str| format!("{version}{}-what", &HEADER[2..]);
        assert!(TraceContext::from_traceparent(&more("cc")).is_some());
        assert_eq!(TraceContext::from_traceparent(&more("00")), None);
    }

    #[test]
    fn what_the_specification_calls_invalid_is_no_trace() {
        let bad = [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0ä",
        ];
        for text in bad {
            assert_eq!(TraceContext::from_traceparent(text), None, "{text}");
        }
    }
}
