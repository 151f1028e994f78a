//! What people hand in that was signed here: links of mails, short codes, notes and their keys. None is ours, so none opens.
#![no_main]

use events::seal::PersonKey;
use events::secrets::{OwnerSecrets, SECRETS_BYTES};
use events::tlog::TreeHead;
use events::{NoteSigner, NoteVerifier, RegistrationId, Timestamp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let id = "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d".parse::<RegistrationId>().expect("an id");
    assert!(PersonKey::new([7; 32]).open(id, data).is_err());
    let Ok(text) = std::str::from_utf8(data) else { return };
    let links = OwnerSecrets::new(&[7; SECRETS_BYTES]).link_key();
    assert!(links.open(text, Timestamp(0)).is_err());
    let _ = links.is_code(id, text);
    let ours = NoteSigner::new("fuzz", &[7; 32]).expect("a good name");
    assert!(ours.verifier().open(text).is_err());
    // what we sign is read, too, whatever it says
    if let Ok(note) = ours.sign(text) {
        let _ = TreeHead::open(&note, ours.verifier());
    }
    if let Ok(key) = text.parse::<NoteVerifier>() {
        assert_eq!(key.to_string().parse(), Ok(key));
    }
});
