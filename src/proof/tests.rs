//! A proof of a registration with retries, a crash, a question and a correction; and what becomes of it when it is touched.

use std::collections::HashMap;

use bytes::Bytes;
use events::event::{
    AttemptFailed, AttemptRepeated, AttemptStarted, AttemptSucceeded, Corrected, CorrectionNeeded, Dispatched,
    FoundUnregistered, LookupGivenUp, LookupScheduled, OutcomeUnknown, OwnerMailed, RegistrationSucceeded,
    RetryRequested, RetryScheduled, Submitted,
};
use events::record::hash_of;
use events::seal::{NONCE_BYTES, PersonKey};
use events::{
    Actor, Details, ErrorKind, Event, FieldProblem, MailPreference, Method, NoteSigner, NoteVerifier, ObjectRef,
    PersonKeyId, Priority, Received, Record, RecordId, RegistrationId, Sending, Sequence, Shard, Stored, Timestamp,
};

use super::account::{Account, Arrived, Delivery, Sent, What};
use super::gather::{Show, Vault, salted};
use super::text::{self, Head};
use super::verify::{ProofFault, verify};

/// A proof that a service of version 0.1.0 gave: it must hold for ever.
const GIVEN_OUT: &str = include_str!("given-out-v1.txt");
const AT: Timestamp = Timestamp(1_790_000_000_000_000);

/// A history that grows, as the log would hold it.
#[derive(Default)]
struct Tale(Vec<(Stored, Bytes)>);

impl Tale {
    fn tell(&mut self, events: Vec<Event>) {
        let sequence = self.0.len() as Sequence * 3 + 7;
        let record = Record {
            id: uuid(sequence).parse::<RecordId>().expect("an id"),
            at: Timestamp(AT.0 + i64::try_from(sequence).unwrap_or(0) * 1_000),
            actor: Actor::Client("shop".into()),
            cause: None,
            trace: None,
            previous: self.0.last().map(|(stored, _)| stored.link()),
            events,
        };
        let bytes = record.encode().expect("encodes");
        let hash = hash_of(&bytes);
        self.0.push((Stored { sequence, shard: Shard(1), registration: id(), record, hash }, bytes));
    }

    fn records(&self) -> Vec<(Sequence, Bytes)> {
        self.0.iter().map(|(stored, bytes)| (stored.sequence, bytes.clone())).collect()
    }

    fn account(&self, show: Show) -> Account {
        let history: Vec<Stored> = self.0.iter().map(|(stored, _)| stored.clone()).collect();
        let data = vec![Some((key(), details("WRONG"))), Some((key(), details("NO12345678")))];
        let mut vault = Vault { id: id(), show, data, opened: HashMap::new() };
        Account::of(&history, "Norrland Appliances".into(), &mut vault).expect("a history")
    }

    fn note(&self, show: Show) -> String {
        let head = Head { signer: signer().verifier().to_string(), written_at: AT, show };
        signer().sign(&text::write(&head, &self.account(show), &self.records())).expect("signed")
    }
}

fn uuid(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

fn id() -> RegistrationId {
    uuid(7).parse().expect("an id")
}

fn key() -> PersonKey {
    PersonKey::new([5; 32])
}

fn signer() -> NoteSigner {
    NoteSigner::new("regflow.invalid/log", &[7; 32]).expect("a good name")
}

fn details(serial: &str) -> Details {
    let mut details = Details::default();
    details.product.serial = serial.into();
    details.owner.name = "Zoë Canary".into();
    details.owner.email = "zoe.canary@example.org".into();
    details
}

fn sealed(serial: &str) -> Vec<u8> {
    key().seal(id(), &[9; NONCE_BYTES], &details(serial)).expect("sealed")
}

fn sends() -> Option<Sending> {
    let fields = ["product.serial", "owner.name", "owner.email", "marketing_consent"].into_iter().collect();
    Some(Sending { to: "api.norrland.example".into(), fields })
}

fn started(attempt: u32) -> Event {
    AttemptStarted { attempt, method: Method::Api, connector: "norrland".into(), sends: sends() }.into()
}

fn failed(attempt: u32, kind: ErrorKind, detail: &str) -> Event {
    AttemptFailed { attempt, kind, detail: detail.into(), latency_ms: 5, evidence: None }.into()
}

/// Refused, corrected, failed, repeated after a crash, registered, mailed.
fn tale(confirmation: &str) -> Tale {
    let mut tale = Tale::default();
    let person_key = uuid(5).parse::<PersonKeyId>().expect("an id");
    tale.tell(vec![
        Submitted {
            tenant: "default".into(),
            request_id: None,
            connector: "norrland".into(),
            brand: "Norrland".into(),
            model: "VK 200".into(),
            purchased_on: None,
            priority: Priority::Normal,
            owner_ref: [1; 16],
            person_key,
            sealed: sealed("WRONG"),
            proof: Some(ObjectRef { name: "proof/1".into(), sha256: vec![7; 32], size_bytes: 1234 }),
            register_by: None,
            mail: MailPreference::All,
        }
        .into(),
    ]);
    tale.tell(vec![Dispatched { method: Method::Api }.into(), started(1)]);
    let fields = vec![FieldProblem::new("product.serial", "is wrong")];
    tale.tell(vec![failed(1, ErrorKind::Validation, "the maker answered 422"), CorrectionNeeded { fields }.into()]);
    let (model, sealed) = ("VK 200".to_owned(), sealed("NO12345678"));
    tale.tell(vec![
        Corrected { model, purchased_on: None, person_key, sealed, register_by: None, owner_ref: None }.into(),
        RetryRequested { from: None, reason: None }.into(),
    ]);
    tale.tell(vec![Dispatched { method: Method::Api }.into(), started(2)]);
    let again = RetryScheduled { method: Method::Api, at: AT };
    tale.tell(vec![failed(2, ErrorKind::Server, "the maker answered 503"), again.into()]);
    tale.tell(vec![started(3)]);
    tale.tell(vec![AttemptRepeated { attempt: 3, sends: sends() }.into()]);
    let received = Some(Received::new(201, br#"{"status":"registered"}"#));
    tale.tell(vec![
        AttemptSucceeded { attempt: 3, already_registered: false, latency_ms: 9, evidence: None, received }.into(),
        RegistrationSucceeded { method: Method::Api, confirmation: Some(confirmation.into()) }.into(),
    ]);
    tale.tell(vec![OwnerMailed { message_id: "<m@example.org>".into() }.into()]);
    tale
}

fn holds(note: &str) -> bool {
    verify(note.as_bytes(), Some(signer().verifier())).is_ok()
}

#[test]
fn a_proof_tells_each_delivery_with_its_values_and_what_came_back() {
    let account = tale("NR-1").account(Show::Values);
    let told: Vec<_> = account.deliveries.iter().map(|one| (one.what, one.attempt, one.arrived)).collect();
    let (yes, perhaps) = (Arrived::Yes, Arrived::Perhaps);
    let wanted =
        [(What::Attempt, 1, yes), (What::Attempt, 2, yes), (What::Attempt, 3, perhaps), (What::Repeat, 3, yes)];
    assert_eq!(told, wanted);
    let serials: Vec<&str> = account
        .deliveries
        .iter()
        .flat_map(|one| one.sent.iter().flat_map(|sent| &sent.values))
        .filter(|(name, _)| name == "product.serial")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(serials, ["WRONG", "NO12345678", "NO12345678", "NO12345678"]);
    assert_eq!(account.mails[0].to, "zoe.canary@example.org");
}

#[test]
fn a_proof_holds_with_its_key_and_says_when_the_key_came_from_the_file() {
    let note = tale("NR-1").note(Show::Values);
    let verified = verify(note.as_bytes(), Some(signer().verifier())).expect("it holds");
    assert!(verified.key_was_given);
    assert_eq!((verified.records, verified.account.confirmation.as_deref()), (10, Some("NR-1")));
    assert!(!verify(note.as_bytes(), None).expect("it holds together").key_was_given);
    let other = NoteSigner::new("regflow.invalid/log", &[8; 32]).expect("a good name");
    let refused = verify(note.as_bytes(), Some(other.verifier()));
    assert_eq!(refused, Err(ProofFault::Note(events::NoteError::OtherKey)));
}

/// Every byte, each to two other values; with the key that is trusted, and once with the key that the file names.
fn no_byte_of(note: &str, key: Option<&NoteVerifier>, flips: &[u8]) {
    for place in 0..note.len() {
        for flip in flips {
            let mut changed = note.as_bytes().to_vec();
            changed[place] ^= flip;
            assert!(verify(&changed, key).is_err(), "byte {place} of {:?}", String::from_utf8_lossy(&changed));
        }
    }
}

#[test]
fn every_byte_of_a_proof_that_a_service_gave_out_is_guarded() {
    let given_out = verify(GIVEN_OUT.as_bytes(), None).expect("what was given out holds");
    no_byte_of(GIVEN_OUT, Some(&given_out.signer), &[0x01, 0x80]);
    no_byte_of(GIVEN_OUT, None, &[0x20]);
}

#[test]
fn no_byte_can_be_taken_out_or_doubled() {
    let note = tale("NR-1").note(Show::Values);
    for place in 0..note.len() {
        let (before, after) = note.as_bytes().split_at(place);
        let without = [before, &after[1..]].concat();
        let doubled = [before, &after[..1], after].concat();
        for changed in [without, doubled] {
            // of two equal bytes either may be the one
            let same = changed == note.as_bytes();
            assert!(same || verify(&changed, Some(signer().verifier())).is_err(), "byte {place}");
        }
    }
}

#[test]
fn a_text_that_says_other_than_its_records_is_found_even_when_it_is_signed() {
    let (note, key) = (tale("NR-1").note(Show::Values), signer());
    let text = key.verifier().open(&note).expect("opens");
    for (from, to) in [
        ("confirmation: NR-1", "confirmation: NR-2"),
        ("status: SUCCESS", "status: EXPIRED"),
        ("to api.norrland.example", "to api.other.example"),
        ("   - owner.name", "   - owner.phone"),
        ("arrived: yes", "arrived: no"),
        ("HTTP 201", "HTTP 200"),
        ("Message-ID <m@", "Message-ID <n@"),
        ("1234 bytes", "1235 bytes"),
        ("record 10,", "record 11,"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let forged = key.sign(&text.replacen(from, to, 1)).expect("signed");
        assert!(!holds(&forged), "{from}");
    }
}

#[test]
fn a_record_that_is_left_out_or_changed_breaks_the_chain() {
    let tale = tale("NR-1");
    let head = Head { signer: signer().verifier().to_string(), written_at: AT, show: Show::Values };
    let signed = |records: &[(Sequence, Bytes)]| {
        signer().sign(&text::write(&head, &tale.account(Show::Values), records)).expect("signed")
    };
    let whole = tale.records();
    assert!(holds(&signed(&whole)));
    for place in 0..whole.len() - 1 {
        let mut without = whole.clone();
        without.remove(place);
        assert!(!holds(&signed(&without)), "without record {place}");
        let mut changed = whole.clone();
        let mut record = Record::<Event>::decode(&changed[place].1).expect("decodes");
        record.at = Timestamp(record.at.0 + 1);
        changed[place].1 = record.encode().expect("encodes");
        let fault = verify(signed(&changed).as_bytes(), Some(signer().verifier())).expect_err("broken");
        assert!(matches!(fault, ProofFault::Chain { .. }), "{fault}");
    }
    let mut swapped = whole;
    swapped.swap(3, 4);
    assert!(!holds(&signed(&swapped)));
}

#[test]
fn a_proof_without_values_shows_none_and_one_value_can_be_shown_by_its_salt() {
    let (full, bare) = (tale("NR-1").note(Show::Values), tale("NR-1").note(Show::Hashes));
    assert!(holds(&full) && holds(&bare));
    for value in ["Zoë Canary", "zoe.canary@example.org", "NO12345678", "   salt "] {
        assert!(full.contains(value) && !bare.contains(value), "{value}");
    }
    let salt = full.lines().find_map(|line| line.strip_prefix("   salt 0 owner.email: ")).expect("a salt");
    let salt = hex::decode(salt).expect("hex digits");
    assert!(bare.contains(&salted(&salt, "owner.email", "zoe.canary@example.org")));
}

#[test]
fn what_a_maker_says_cannot_forge_a_line_or_a_signature() {
    let hostile = "NR-1\nstatus: EXPIRED\n\n\u{2014} regflow.invalid/log AAAA\u{202e}\u{1b}[31m";
    let tale = tale(hostile);
    let note = tale.note(Show::Values);
    assert!(holds(&note));
    assert!(!note.contains("\nstatus: EXPIRED") && !note.contains('\u{1b}') && !note.contains('\u{202e}'));
}

#[test]
fn what_is_no_proof_is_told_so() {
    let key = signer();
    let fault = |bytes: &[u8]| verify(bytes, Some(key.verifier())).expect_err("no proof").to_string();
    assert!(fault(b"").contains("signed note"));
    assert!(fault(&[0xFF, 0xFE]).contains("UTF-8"));
    assert!(fault(&vec![b'a'; super::NOTE_BYTES_MAX + 1]).contains("no proof has more"));
    let other_note = key.sign("regflow.invalid/log\n5\nAAAA\n").expect("signed");
    assert!(fault(other_note.as_bytes()).contains("line 1"));
    let note = tale("NR-1").note(Show::Values);
    let other = NoteSigner::new("other.invalid", &[8; 32]).expect("a good name");
    let text = key.verifier().open(&note).expect("opens");
    let second = other.sign(&text).expect("signed");
    let twice = format!("{note}{}", second.lines().last().unwrap_or_default());
    assert!(fault(format!("{twice}\n").as_bytes()).contains("2 signatures"));
}

/// How one attempt that failed is told.
fn told(method: Method, kind: ErrorKind, detail: &str) -> Arrived {
    let mut tale = tale("NR-1");
    tale.0.truncate(1);
    let started = AttemptStarted { attempt: 1, method, connector: "norrland".into(), sends: sends() };
    tale.tell(vec![Dispatched { method }.into(), started.into()]);
    tale.tell(vec![failed(1, kind, detail), RetryScheduled { method, at: AT }.into()]);
    tale.account(Show::Hashes).deliveries[0].arrived
}

#[test]
fn only_what_the_maker_answered_arrived_and_only_an_api_that_was_not_called_has_nothing() {
    let (yes, no, perhaps) = (Arrived::Yes, Arrived::No, Arrived::Perhaps);
    for (kind, detail, by_api) in [
        (ErrorKind::Server, "the maker answered 503", yes),
        (ErrorKind::RateLimited, "the maker answered 429", yes),
        (ErrorKind::Network, "the maker answered 502", yes),
        (ErrorKind::Server, "the token endpoint answered 503", no),
        (ErrorKind::RateLimited, "the token endpoint answered 429", no),
        (ErrorKind::Auth, "the secret env:KEY is not set", no),
        (ErrorKind::Network, "the maker could not be reached", no),
        (ErrorKind::Internal, "another process took over before anything was sent", no),
        (ErrorKind::Network, "the connection broke before the maker answered", perhaps),
        (ErrorKind::Timeout, "the maker did not answer in time", perhaps),
    ] {
        assert_eq!(told(Method::Api, kind, detail), by_api, "{kind}: {detail}");
        assert_eq!(told(Method::AutomationReliable, kind, detail), perhaps, "{kind} of a form: {detail}");
    }
}

#[test]
fn a_question_arrived_when_its_answer_says_how_it_stands() {
    let unknown = OutcomeUnknown { attempt: 1, detail: "no answer".into() };
    let lookup: Event = LookupScheduled { attempt: 1, at: AT, sends: sends() }.into();
    let answers: [(Event, Arrived); 3] = [
        (lookup.clone(), Arrived::Perhaps),
        (LookupGivenUp { attempt: 1, detail: "the maker cannot tell".into() }.into(), Arrived::Perhaps),
        (FoundUnregistered { attempt: 1 }.into(), Arrived::Yes),
    ];
    for (answer, wanted) in answers {
        let mut tale = tale("NR-1");
        tale.0.truncate(2);
        let doubt = failed(1, ErrorKind::UnknownOutcome, "the maker did not answer in time");
        tale.tell(vec![doubt, unknown.clone().into(), lookup.clone()]);
        tale.tell(vec![answer]);
        let account = tale.account(Show::Hashes);
        let question = account.deliveries.last().expect("a question");
        assert_eq!((question.what, question.arrived), (What::Question, wanted), "{}", question.came_back);
    }
}

#[test]
fn the_longest_text_that_is_signed_verifies_and_a_longer_one_is_refused() {
    let tale = tale("NR-1");
    let head = Head { signer: signer().verifier().to_string(), written_at: AT, show: Show::Values };
    let mut account = tale.account(Show::Values);
    let mut text = text::write(&head, &account, &tale.records());
    account.maker.push_str(&"m".repeat(text::TEXT_BYTES_MAX - text.len()));
    text = text::write(&head, &account, &tale.records());
    assert_eq!(text.len(), text::TEXT_BYTES_MAX);
    assert!(holds(&super::signed(&signer(), &text).expect("signed")));
    account.maker.push('m');
    text = text::write(&head, &account, &tale.records());
    let refused = super::signed(&signer(), &text);
    assert!(matches!(refused, Err(super::ProofError::TooLong { bytes }) if bytes == text::TEXT_BYTES_MAX + 1));
}

/// The characters of a printed document, all texts together.
fn chars_of(document: &packet::ProofDocument) -> usize {
    serde_json::to_string(document).expect("encodes").chars().count()
}

#[test]
fn what_is_printed_holds_no_sign_that_is_refused_and_no_more_than_fits() {
    let mut account = tale("NR\u{200f}-\u{feff}1\n\u{fdd0}.").account(Show::Values);
    let values = vec![("owner.name".to_owned(), "Z\u{202e}oë".repeat(200)); 5];
    let sent = Sent { to: "api.norrland.example".into(), values };
    let long = Delivery { sent: Some(sent), ..account.deliveries[0].clone() };
    account.deliveries = vec![long; 40];
    let proof = super::Proof { note: String::new(), account };
    let document = super::document(&proof, "key");
    assert_eq!(document.confirmation.as_deref(), Some("NR - 1  ."));
    let printed = document.deliveries.len();
    assert!((4..20).contains(&printed), "{printed}");
    assert!(chars_of(&document) < packet::TEXT_CHARS_TOTAL_MAX);
    assert!(document.deliveries[0].values[0].value.chars().all(packet::ProofDocument::prints));
    assert!(document.notes.contains(&format!("{} more deliveries are in the file.", 40 - printed)));
}
