//! Details as version 1 of the sealed bytes holds them: frozen, and only ever read.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Deserialize;

use crate::details::{Address, Details, Owner, Product, Purchase};

#[derive(Deserialize)]
pub(crate) struct DetailsV1 {
    product: ProductV1,
    purchase: PurchaseV1,
    owner: OwnerV1,
    marketing_consent: bool,
    extra: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ProductV1 {
    brand: String,
    model: String,
    serial: String,
}

#[derive(Deserialize)]
struct PurchaseV1 {
    date: Option<Date>,
    shop: Option<String>,
    price: Option<String>,
}

#[derive(Deserialize)]
struct OwnerV1 {
    name: String,
    email: String,
    phone: Option<String>,
    address: AddressV1,
}

#[derive(Deserialize)]
struct AddressV1 {
    street: Option<String>,
    postal_code: Option<String>,
    city: Option<String>,
    country: Option<String>,
}

impl From<DetailsV1> for Details {
    /// Version 1 knew neither the installation nor the delivery.
    fn from(old: DetailsV1) -> Self {
        let (product, purchase) = (old.product, old.purchase);
        Self {
            product: Product { brand: product.brand, model: product.model, serial: product.serial },
            purchase: Purchase {
                date: purchase.date,
                shop: purchase.shop,
                price: purchase.price,
                installed_on: None,
                delivered_on: None,
            },
            owner: old.owner.into(),
            marketing_consent: old.marketing_consent,
            extra: old.extra,
        }
    }
}

impl From<OwnerV1> for Owner {
    fn from(old: OwnerV1) -> Self {
        let AddressV1 { street, postal_code, city, country } = old.address;
        let address = Address { street, postal_code, city, country };
        Self { name: old.name, email: old.email, phone: old.phone, address }
    }
}
