//! Tokens of people: signed in this file, with keys that a provider would have.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proto::v1;
use serde_json::{Value, json};
use tonic::Code;

use super::{House, SHOP};
use crate::support::{PATIENCE, POLL};

const ISSUER: &str = "https://id.example";
const AUDIENCE: &str = "regflow";
const EMAIL: &str = "zoe@example.org";

/// The settings that take tokens signed by the keys of `jwks`.
pub fn settings(jwks: &str) -> Vec<(&'static str, String)> {
    vec![
        ("REGFLOW__ACCESS__JWT_JWKS", jwks.to_owned()),
        ("REGFLOW__ACCESS__JWT_ISSUER", ISSUER.to_owned()),
        ("REGFLOW__ACCESS__JWT_AUDIENCE", AUDIENCE.to_owned()),
    ]
}

async fn house(jwks: &str) -> House {
    let settings = settings(jwks);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    House::with(&settings).await
}

fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// What a provider says of somebody with a role.
pub fn claims(role: &str) -> Value {
    let (now, tenant) = (now_s(), SHOP);
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "u-17", "iat": now, "nbf": now - 5, "exp": now + 600,
        "regflow_role": role, "regflow_tenant": tenant, "email": EMAIL, "email_verified": true,
    })
}

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let body = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
    let signature = sign(body.as_bytes());
    format!("{body}.{}", base64(signature))
}

pub fn sign_ed25519(key: &Ed25519KeyPair, kid: &str, claims: &Value) -> String {
    signed(&json!({ "alg": "EdDSA", "kid": kid }), claims, |body| key.sign(body).as_ref().to_vec())
}

/// A token that says itself that it needs no signature.
pub fn unsigned(claims: &Value) -> String {
    signed(&json!({ "alg": "none", "kid": "k" }), claims, |_| Vec::new())
}

pub fn jwk_of_ed25519(kid: &str, public: &[u8]) -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": kid, "x": base64(public) })
}

/// The provider's keys, one of each kind.
struct Provider {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
    rsa: RsaKeyPair,
}

impl Provider {
    fn new() -> Self {
        Self {
            ed: Ed25519KeyPair::generate().unwrap(),
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    fn set(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        let ec = json!({
            "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": base64(&point[1..33]), "y": base64(&point[33..]),
        });
        // RSAPublicKey in DER: a sequence of the modulus (with a zero before its 256 bytes) and the exponent
        let modulus = &self.rsa.public_key().as_ref()[9..9 + 256];
        let rsa = json!({ "kty": "RSA", "kid": "rsa", "n": base64(modulus), "e": "AQAB" });
        json!({ "keys": [jwk_of_ed25519("ed", self.ed.public_key().as_ref()), ec, rsa] })
    }

    fn ec(&self, claims: &Value) -> String {
        let sign = |body: &[u8]| self.ec.sign(&SystemRandom::new(), body).unwrap().as_ref().to_vec();
        signed(&json!({ "alg": "ES256", "kid": "ec" }), claims, sign)
    }

    fn rsa(&self, claims: &Value) -> String {
        let sign = |body: &[u8]| {
            let mut signature = vec![0; self.rsa.public_modulus_len()];
            self.rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), body, &mut signature).unwrap();
            signature
        };
        signed(&json!({ "alg": "RS256", "kid": "rsa" }), claims, sign)
    }
}

/// A change of the claims, and a name for it.
fn but(change: impl Fn(&mut Value)) -> Value {
    let mut claims = claims("operator");
    change(&mut claims);
    claims
}

/// The code with which listing registrations is refused; nothing when it is not.
async fn refused(house: &House, token: &str) -> Option<Code> {
    house.rpc("Registrations/List", &v1::ListRequest::default(), Some(token)).await.err().map(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_lets_in_when_everything_about_it_is_right_and_else_not() {
    let provider = Provider::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, provider.set().to_string()).unwrap();
    let house = house(path.to_str().unwrap()).await;
    let ed = |claims: &Value| sign_ed25519(&provider.ed, "ed", claims);
    let good = claims("operator");
    for token in [ed(&good), provider.ec(&good), provider.rsa(&good)] {
        assert_eq!(refused(&house, &token).await, None, "{token}");
    }
    let wrong = [
        ("expired", but(|c| c["exp"] = json!(now_s() - 600))),
        ("without an end", but(|c| drop(c.as_object_mut().unwrap().remove("exp")))),
        ("not yet", but(|c| c["nbf"] = json!(now_s() + 600))),
        ("of another issuer", but(|c| c["iss"] = json!("https://evil.example"))),
        ("without an issuer", but(|c| drop(c.as_object_mut().unwrap().remove("iss")))),
        ("for another audience", but(|c| c["aud"] = json!(["billing"]))),
        ("without an audience", but(|c| drop(c.as_object_mut().unwrap().remove("aud")))),
        ("with an unknown role", but(|c| c["regflow_role"] = json!("root"))),
        (
            "of a service without a tenant",
            but(|c| {
                c["regflow_role"] = json!("service");
                c.as_object_mut().unwrap().remove("regflow_tenant");
            }),
        ),
        (
            "of an owner whose address nobody verified",
            but(|c| {
                c["regflow_role"] = json!("owner");
                c["email_verified"] = json!(false);
            }),
        ),
        ("of an operator without a name", but(|c| drop(c.as_object_mut().unwrap().remove("sub")))),
    ];
    for (why, claims) in &wrong {
        assert_eq!(refused(&house, &ed(claims)).await, Some(Code::Unauthenticated), "a token {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_somebody_made_up_lets_nobody_in() {
    let provider = Provider::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, provider.set().to_string()).unwrap();
    let house = house(path.to_str().unwrap()).await;
    let good = claims("operator");
    let public = provider.ed.public_key().as_ref().to_vec();
    let hmac = |body: &[u8]| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
        aws_lc_rs::hmac::sign(&key, body).as_ref().to_vec()
    };
    let sign = |body: &[u8]| provider.ed.sign(body).as_ref().to_vec();
    let token = sign_ed25519(&provider.ed, "ed", &good);
    assert_eq!(refused(&house, &token).await, None, "the one that the others are made of");
    let (body, signature) = token.rsplit_once('.').unwrap();
    let other = sign_ed25519(&provider.ed, "ed", &claims("admin"));
    let forged = [
        ("without a signature", unsigned(&good)),
        ("signed with the public key as a secret", signed(&json!({ "alg": "HS256", "kid": "ed" }), &good, hmac)),
        ("that names another algorithm than its key's", signed(&json!({ "alg": "ES256", "kid": "ed" }), &good, sign)),
        ("that names a key which there is not", sign_ed25519(&provider.ed, "other", &good)),
        ("that names no key", signed(&json!({ "alg": "EdDSA" }), &good, sign)),
        ("with a critical header", signed(&json!({ "alg": "EdDSA", "kid": "ed", "crit": ["b64"] }), &good, sign)),
        ("with another's signature", format!("{}.{signature}", other.rsplit_once('.').unwrap().0)),
        ("cut short", body.to_owned()),
        ("that is too long", format!("{token}{}", "A".repeat(9_000))),
    ];
    for (why, token) in &forged {
        assert_eq!(refused(&house, token).await, Some(Code::Unauthenticated), "a token {why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_token_sees_and_hands_over_only_their_own() {
    let provider = Provider::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, provider.set().to_string()).unwrap();
    let house = house(path.to_str().unwrap()).await;
    let own = house.submit(house.key("service"), "", EMAIL).await;
    house.submit(house.key("service"), "", "somebody.else@example.org").await;
    house.submit(house.key("admin"), "another", EMAIL).await;
    let person = sign_ed25519(&provider.ed, "ed", &{
        let mut claims = claims("owner");
        // without the claim somebody is an owner
        claims.as_object_mut().unwrap().remove("regflow_role");
        claims["email"] = json!("Zoe@Example.org");
        claims
    });
    let listed = async || {
        let list = v1::ListRequest::default();
        let page: v1::ListResponse = house.ask("Registrations/List", &list, Some(&person)).await.unwrap();
        page.registrations.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [own.id.as_str()]);
    let mine = house.submit(&person, "another", EMAIL).await;
    assert_eq!((mine.tenant.as_str(), &mine.owner_ref), (SHOP, &own.owner_ref));
    let foreign = super::of(SHOP, "somebody.else@example.org");
    let refused = house.rpc("Registrations/Submit", &foreign, Some(&person)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("owner.email must be your own"), "{refused}");
}

/// A provider on this machine, whose keys change.
async fn serve(set: Arc<Mutex<Value>>) -> String {
    let keys = move || {
        let set = set.lock().unwrap().to_string();
        async move { set }
    };
    let router = axum::Router::new().route("/keys", axum::routing::get(keys));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_behind_a_url_may_change_while_the_service_runs() {
    let keys: HashMap<&str, Ed25519KeyPair> =
        ["old", "new"].into_iter().map(|name| (name, Ed25519KeyPair::generate().unwrap())).collect();
    let set = |name: &str| json!({ "keys": [jwk_of_ed25519(name, keys[name].public_key().as_ref())] });
    let served = Arc::new(Mutex::new(set("old")));
    let house = house(&serve(served.clone()).await).await;
    let until_let_in = async |name: &str| {
        let (token, deadline) = (sign_ed25519(&keys[name], name, &claims("operator")), Instant::now() + PATIENCE);
        while refused(&house, &token).await.is_some() {
            assert!(Instant::now() < deadline, "the {name} key is never known");
            tokio::time::sleep(POLL).await;
        }
    };
    until_let_in("old").await;
    *served.lock().unwrap() = set("new");
    until_let_in("new").await;
    let old = sign_ed25519(&keys["old"], "old", &claims("operator"));
    assert_eq!(refused(&house, &old).await, Some(Code::Unauthenticated));
}
