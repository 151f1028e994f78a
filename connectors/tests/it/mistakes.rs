//! A broken catalog file: each mistake with its file, line and column, and what to do.

use regflow_connectors::Connector;

const GOOD: &str = r#"name = "Acme"
brands = ["Acme", "Acme Home"]
network = "private"
sends = ["product.model", "product.serial", "owner.email"]
requires = ["product.serial"]
ladder = ["API", "ASSISTED_MANUAL"]

[serial]
patterns = ['A\d{3}']
example = "A123"
hint = "A and three digits"

[api]
base_url = "https://api.example.com/v1"
path = "/register"
timeout_ms = 5000
auth.bearer.secret = { env = "ACME_TOKEN" }

[api.body.json]
model = "{{ product.model }}"
serial = "{{ product.serial | upper }}"

[api.success]
status = [200]
when = "body.ok"

[[api.errors]]
status = [400]
kind = "validation"
each = "body.errors"
name = "item.field"

[api.field_names]
sn = "product.serial"

[manual]
link = "https://example.com/register"
steps = ["Go there."]

[[manual.fields]]
label = "Serial"
value = "{{ product.serial }}"
"#;

fn mistakes(text: &str) -> Vec<String> {
    match Connector::parse("acme.toml", text) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_good_file_has_none() {
    assert_eq!(mistakes(GOOD), Vec::<String>::new());
}

/// What is replaced, by what, and the line that is shown.
const CASES: &[(&str, &str, &str)] = &[
    ("name = \"Acme\"", "name = Acme", "1:8: string values must be quoted, expected literal string"),
    ("brands =", "brandz =", "2:1: unknown key `brandz`; did you mean `brands`?"),
    ("timeout_ms = 5000", "timeout = 5000", "16:1: unknown key `timeout`; did you mean `timeout_ms`?"),
    (
        "[\"API\", \"AS",
        "[\"FAX\", \"AS",
        "6:10: unknown value `FAX`, want one of API, AUTOMATION_RELIABLE, ASSISTED_MANUAL",
    ),
    (
        "\"API\", \"ASSISTED_MANUAL\"",
        "\"API\", \"AUTOMATION_RELIABLE\", \"ASSISTED_MANUAL\"",
        "6:18: the ladder names AUTOMATION_RELIABLE, but the file has no [form] section; write one or take it out",
    ),
    (
        ", \"ASSISTED_MANUAL\"",
        "",
        "6:10: the ladder must end with ASSISTED_MANUAL, so that nobody is left without a way",
    ),
    ("\"owner.email\"]", "\"owner.mail\"]", "4:45: unknown field `owner.mail`; did you mean `owner.email`?"),
    (
        "requires = [\"product.serial\"]",
        "requires = [\"owner.phone\"]",
        "5:13: `owner.phone` is required but not declared in `sends`; add it there",
    ),
    ("'A\\d{3}'", "'A(\\d{3}'", "9:13: this is no regular expression: unclosed group"),
    ("example = \"A123\"", "example = \"A12\"", "10:11: the example fits none of the patterns"),
    (
        "https://api",
        "http//api",
        "14:12: this is no address: relative URL without a base; write it like https://api.example.com/v1",
    ),
    ("network = \"private\"\n", "network = \"public\"\n", ""),
    (
        "{{ product.model }}",
        "{{ product.modell }}",
        "20:9: the template uses unknown field `product.modell`; did you mean `product.model`?",
    ),
    (
        "{{ product.model }}",
        "{{ owner.phone }}",
        "20:9: the template uses `owner.phone`, which `sends` does not declare; add it there or take it out here",
    ),
    (
        "| upper",
        "| shout",
        "21:10: this template does not work: evaluating `product.serial | shout`: unknown filter: filter shout is unknown (in <expression>:1)",
    ),
    ("| upper }}", "| upper", "21:10: the template opens an expression with {{ and never closes it with }}"),
    (
        "when = \"body.ok\"",
        "when = \"answer.ok\"",
        "25:8: unknown variable `answer.ok`; use `body`, `status` or `item`",
    ),
    ("status = [200]", "status = []", "24:10: name at least one HTTP status"),
    (
        "kind = \"validation\"",
        "kind = \"invalid\"",
        "29:8: unknown value `invalid`, want one of network, timeout, server, rate_limited, auth, validation, captcha, form_changed, login_required, unknown_outcome",
    ),
    (
        "sn = \"product.serial\"",
        "sn = \"product.serials\"",
        "34:6: unknown field `product.serials`; did you mean `product.serial`?",
    ),
    (
        "{ env = \"ACME_TOKEN\" }",
        "{ env = \"ACME_TOKEN\", sandbox_value = \"x\" }",
        "17:22: this secret has a `sandbox_value`, which only a connector of the sandbox may have; take it out",
    ),
    (
        "{ env = \"ACME_TOKEN\" }",
        "\"s3cret\"",
        "17:22: a text cannot stand here, expected the place of a secret, such as { env = \"NAME\" }",
    ),
    (
        "\"https://example.com/register\"",
        "\"example.com/register\"",
        "37:8: write a whole address that begins with https://",
    ),
    (
        "value = \"{{ product.serial }}\"",
        "value = \"{{ prodct.serial }}\"",
        "42:9: the template uses unknown field `prodct.serial`; did you mean `product.serial`?",
    ),
];

#[test]
fn each_mistake_is_named_with_its_place_and_what_to_do() {
    let mut wrong = Vec::new();
    for (from, to, shown) in CASES {
        assert!(GOOD.contains(from), "{from}");
        let wanted: Vec<String> =
            Some(format!("acme.toml:{shown}")).filter(|_| !shown.is_empty()).into_iter().collect();
        let found = mistakes(&GOOD.replacen(from, to, 1));
        if found != wanted {
            wrong.push(format!("{to}\n  wanted {wanted:?}\n  found  {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_mistakes_of_a_file_are_shown_at_once_in_its_order() {
    let broken = GOOD.replace("product.model }}", "product.modell }}").replace("A123", "B123").replace("= 5000", "= 1");
    let places: Vec<String> =
        mistakes(&broken).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(places, ["acme.toml:10:11", "acme.toml:16:14", "acme.toml:20:9"]);
}

#[test]
fn a_secret_in_the_catalog_is_not_repeated_by_the_error() {
    let broken = GOOD.replace("{ env = \"ACME_TOKEN\" }", "\"s3cret\"");
    assert!(!mistakes(&broken).join("\n").contains("s3cret"), "{:?}", mistakes(&broken));
}

#[test]
fn a_public_connector_of_the_sandbox_or_without_tls_is_refused() {
    for (url, wanted) in [("http://api.example.com", "plain http"), ("sandbox:///acme", "network = \"private\"")] {
        let broken = GOOD.replace("https://api.example.com/v1", url).replace("network = \"private\"\n", "");
        assert!(mistakes(&broken)[0].contains(wanted), "{:?}", mistakes(&broken));
    }
}

#[test]
fn a_file_whose_name_is_no_id_is_refused() {
    let mistakes = Connector::parse("Acme Inc.toml", GOOD).unwrap_err();
    assert_eq!(
        mistakes[0].to_string(),
        "Acme Inc.toml:1:1: the file's name is the connector's id; use lower-case letters, digits and _ before .toml"
    );
}
