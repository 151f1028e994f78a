//! What a packet says: plain values, printed literally, never read as markup.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Everything that one packet shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PacketData {
    /// The registration's full id; also the seed of the PDF's document identifier.
    pub registration_id: String,
    /// A short reference that a person can say on the phone.
    pub reference: String,
    /// Who takes the registration.
    pub maker: PacketMaker,
    /// Why it ended here, in one human sentence.
    pub reason: String,
    /// What is registered.
    pub product: PacketProduct,
    /// Where and when it was bought.
    pub purchase: PacketPurchase,
    /// Whom it is registered for.
    pub owner: PacketOwner,
    /// The pre-filled data, in the order of the maker's form.
    pub fields: Vec<PacketField>,
    /// The guide, one step an entry; the packet numbers them.
    pub steps: Vec<String>,
    /// The maker's form; http or https only.
    pub link: Option<String>,
    /// Last day on which the registration counts.
    pub register_by: Option<Date>,
    /// How to tell us that it is done.
    pub done_hint: String,
    /// Anything else worth a line.
    pub notes: Vec<String>,
}

/// The manufacturer, as someone would reach it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PacketMaker {
    /// The name that people know.
    pub name: String,
    /// Its website; a link when it is an http or https address.
    pub website: Option<String>,
    /// The phone number of its customer service.
    pub phone: Option<String>,
    /// Its postal address; lines are separated by newlines.
    pub postal: Option<String>,
}

/// The product.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PacketProduct {
    /// Brand as printed on the product.
    pub brand: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
}

/// The purchase.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PacketPurchase {
    /// Day of purchase.
    pub date: Option<Date>,
    /// Shop.
    pub shop: Option<String>,
    /// Price with its currency, as on the receipt.
    pub price: Option<String>,
}

/// The owner.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PacketOwner {
    /// Full name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Phone number.
    pub phone: Option<String>,
    /// Postal address, one line an entry.
    pub address: Vec<String>,
}

/// One field of the maker's form with the value to enter.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PacketField {
    /// The form's own label.
    pub label: String,
    /// What to enter.
    pub value: String,
    /// A hint, for example the format that the form wants.
    pub note: Option<String>,
}

impl PacketData {
    /// Every text with its name, so that one list serves bounds, checks and missing glyphs.
    pub fn texts_mut(&mut self) -> Vec<(String, &mut String)> {
        let mut texts: Texts<'_> = vec![
            ("registration_id".into(), &mut self.registration_id),
            ("reference".into(), &mut self.reference),
            ("reason".into(), &mut self.reason),
            ("done_hint".into(), &mut self.done_hint),
        ];
        self.maker.push_texts(&mut texts);
        self.product.push_texts(&mut texts);
        push_optional(&mut texts, "purchase.shop", &mut self.purchase.shop);
        push_optional(&mut texts, "purchase.price", &mut self.purchase.price);
        self.owner.push_texts(&mut texts);
        for (index, field) in self.fields.iter_mut().enumerate() {
            field.push_texts(index, &mut texts);
        }
        push_list(&mut texts, "steps", &mut self.steps);
        push_optional(&mut texts, "link", &mut self.link);
        push_list(&mut texts, "notes", &mut self.notes);
        texts
    }
}

type Texts<'a> = Vec<(String, &'a mut String)>;

impl PacketMaker {
    fn push_texts<'a>(&'a mut self, texts: &mut Texts<'a>) {
        texts.push(("maker.name".into(), &mut self.name));
        push_optional(texts, "maker.website", &mut self.website);
        push_optional(texts, "maker.phone", &mut self.phone);
        push_optional(texts, "maker.postal", &mut self.postal);
    }
}

impl PacketProduct {
    fn push_texts<'a>(&'a mut self, texts: &mut Texts<'a>) {
        texts.push(("product.brand".into(), &mut self.brand));
        texts.push(("product.model".into(), &mut self.model));
        texts.push(("product.serial".into(), &mut self.serial));
    }
}

impl PacketOwner {
    fn push_texts<'a>(&'a mut self, texts: &mut Texts<'a>) {
        texts.push(("owner.name".into(), &mut self.name));
        push_optional(texts, "owner.email", &mut self.email);
        push_optional(texts, "owner.phone", &mut self.phone);
        push_list(texts, "owner.address", &mut self.address);
    }
}

impl PacketField {
    fn push_texts<'a>(&'a mut self, index: usize, texts: &mut Texts<'a>) {
        texts.push((format!("fields[{index}].label"), &mut self.label));
        texts.push((format!("fields[{index}].value"), &mut self.value));
        push_optional(texts, &format!("fields[{index}].note"), &mut self.note);
    }
}

fn push_optional<'a>(texts: &mut Texts<'a>, name: &str, text: &'a mut Option<String>) {
    if let Some(text) = text {
        texts.push((name.into(), text));
    }
}

fn push_list<'a>(texts: &mut Texts<'a>, name: &str, list: &'a mut [String]) {
    for (index, text) in list.iter_mut().enumerate() {
        texts.push((format!("{name}[{index}]"), text));
    }
}
