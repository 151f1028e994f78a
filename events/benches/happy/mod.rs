//! A happy registration, as the benches of the rules and of the views write it.

use events::details::{Address, Details, Owner, Product, Purchase};
use events::event::{AttemptStarted, AttemptSucceeded, Dispatched, RegistrationSucceeded, Submitted};
use events::{Event, MailPreference, Method, PersonKeyId, Priority, Received, Sending};

/// The three records of a registration, its details sealed as they are given.
pub fn story(number: u64, person_key: PersonKeyId, sealed: Vec<u8>) -> [Vec<Event>; 3] {
    let connector = || "norrland".to_owned();
    let submitted = Submitted {
        tenant: "default".into(),
        request_id: None,
        connector: connector(),
        brand: "Norrland".into(),
        model: "VK 200 Combi".into(),
        purchased_on: Some(jiff::civil::date(2026, 11, 2)),
        priority: Priority::Normal,
        owner_ref: u128::from(number).to_be_bytes(),
        person_key,
        sealed,
        proof: None,
        register_by: Some(jiff::civil::date(2026, 12, 2)),
        mail: MailPreference::None,
    };
    let fields = ["product.serial", "owner.name", "owner.email"].into_iter().collect();
    let sends = Some(Sending { to: "api.norrland.example".into(), fields });
    let started = AttemptStarted { attempt: 1, method: Method::Api, connector: connector(), sends };
    let received = Some(Received { status: 201, body: [7; 32] });
    let succeeded =
        AttemptSucceeded { attempt: 1, already_registered: false, latency_ms: 41, evidence: None, received };
    let confirmation = Some(format!("NL-2026-{number:06}"));
    [
        vec![submitted.into()],
        vec![Dispatched { method: Method::Api }.into(), started.into()],
        vec![succeeded.into(), RegistrationSucceeded { method: Method::Api, confirmation }.into()],
    ]
}

/// What a person hands over, of the usual size.
pub fn details() -> Details {
    Details {
        product: Product { brand: "Norrland".into(), model: "VK 200 Combi".into(), serial: "NL00000001".into() },
        purchase: Purchase {
            date: Some(jiff::civil::date(2026, 11, 2)),
            shop: Some("Elgiganten Malmö".into()),
            price: Some("8 990 kr".into()),
            ..Purchase::default()
        },
        owner: Owner {
            name: "Åsa Öberg".into(),
            email: "owner1@example.org".into(),
            phone: Some("+46 40 123456".into()),
            address: Address {
                street: Some("Östra Förstadsgatan 12".into()),
                postal_code: Some("211 31".into()),
                city: Some("Malmö".into()),
                country: Some("SE".into()),
            },
        },
        ..Details::default()
    }
}
