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

[circuit]
failures = 4
open_s = 30
successes = 2
when_open = "wait"

[[limits]]
max = 60
per_s = 61
[[limits]]
max = 1_000
per_s = 3_600
refill = "interval"

[concurrency]
api = 8
form = 1

[health]
every_s = 120
attempts_min = 20
down_below_percent = 40
degraded_below_percent = 75
checks_failed = 4
critical_below_percent = 60
warning_below_percent = 90
latency_p95_max_ms = 30_000
failures_in_a_row = 6
alert_after = 3
recover_after = 5

[register_by]
days = 28
from = "delivery"
alert_days = 5
manual_days = 3

[register_by.countries]
DE = 62
AU = 90

[retention]
keep_years = 12
from = "submission"
law = "the Toy Act"
models = ['seat \d+']
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
    (
        "\"owner.email\"]\nrequires = [\"product.serial\"]",
        "\"owner.email\", \"marketing_consent\"]\nrequires = [\"product.serial\", \"marketing_consent\"]",
        "5:31: consent is a yes or a no, so nobody can be asked for it; take it out",
    ),
    ("keep_years = 12", "keep_years = 0", "86:14: `keep_years` is 0; write a number from 1 to 50"),
    ("\"submission\"", "\"birth\"", "87:8: unknown value `birth`, expected `purchase` or `submission`"),
    (
        "\"the Toy Act\"",
        "\" \"",
        "88:7: whoever is refused is told the law; name it in 1 to 200 characters on one line",
    ),
    ("'seat \\d+'", "'seat \\d+('", "89:11: this is no regular expression: unclosed group"),
    ("status = [200]", "status = []", "24:10: name at least one HTTP status"),
    (
        "kind = \"validation\"",
        "kind = \"invalid\"",
        "29:8: unknown value `invalid`, want one of network, timeout, server, rate_limited, auth, validation, captcha, form_changed, login_required, unknown_outcome, internal",
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
    ("failures = 4", "failures = 0", "45:12: `failures` is 0; write a number from 1 to 1000"),
    ("open_s = 30", "open_for = 30", "46:1: unknown key `open_for`; did you mean `open_s`?"),
    ("open_s = 30", "open_s = \"1m\"", "46:10: a text cannot stand here, expected a whole number"),
    ("open_s = 30", "open_s = 1.5", "46:10: invalid type: floating point `1.5`, expected a whole number"),
    ("\"wait\"", "\"waits\"", "48:13: unknown value `waits`; did you mean `wait`?"),
    ("\"wait\"", "\"later\"", "48:13: unknown value `later`, expected `next_rung` or `wait`"),
    ("max = 60", "max = -60", "51:7: `max` is -60; write a number from 1 to 100000"),
    ("max = 60\n", "", "50:1: the key `max` is missing; add it"),
    ("per_s = 61", "per_s = 90_000", "52:9: `per_s` is 90000; write a number from 1 to 86400"),
    ("\"interval\"", "\"intervall\"", "56:10: unknown value `intervall`; did you mean `interval`?"),
    ("api = 8", "api = 0", "59:7: `api` is 0; write a number from 1 to 10000"),
    ("every_s = 120", "every_s = 0", "63:11: `every_s` is 0; write a number from 1 to 86400"),
    ("percent = 90", "percent = 101", "69:25: `warning_below_percent` is 101; write a number from 0 to 100"),
    ("percent = 40", "percent = 75", "65:22: down begins below 75 %, degraded below 75 %; down must be the lower one"),
    (
        "percent = 90",
        "percent = 50",
        "68:26: critical begins below 60 %, the warning below 50 %; critical must not be the higher one",
    ),
    ("alert_after = 3", "alert_after = 0", "72:15: `alert_after` is 0; write a number from 1 to 1000"),
    ("days = 28", "days = 0", "76:8: `days` is 0; write a number from 1 to 3650"),
    ("\"delivery\"", "\"birth\"", "77:8: unknown value `birth`, want one of purchase, installation, delivery"),
    (
        "manual_days = 3",
        "manual_days = 28",
        "79:15: of 28 days to register, 28 are for the owner to finish by hand; leave us at least one",
    ),
    ("DE = 62", "de = 62", "82:6: `de` is no country code; write ISO 3166-1 alpha-2 in capitals, such as DE"),
    ("DE = 62", "DE = 0", "82:6: `DE` is 0; write a number from 1 to 3650"),
    (
        "requires =",
        "register_by_days = 28\nrequires =",
        "5:20: `register_by_days` is a section now; write [register_by] and below it days = 28",
    ),
];

#[test]
fn a_ninth_limit_is_refused_at_its_place() {
    let limits = "[[limits]]\nmax = 1\nper_s = 1\n".repeat(7);
    let shown = mistakes(&GOOD.replace("[concurrency]", &format!("{limits}[concurrency]")));
    assert_eq!(shown, ["acme.toml:76:1: 9 limits; at most 8 are kept, take the others out"]);
}

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

/// A form for the good file; its first line is the 84th.
const FORM: &str = r#"[form]
url = "https://example.com/register"
success = { selector = "h1" }
steps = [{ name = "one", submit = ["button"] }]

[form.baseline]
action = "/register"
fields = [
    { name = "serial", kind = "text", label = "Serial", required = true },
    { kind = "text", label = "Colour" },
    { name = "news", kind = "checkbox" },
]
"#;

#[test]
fn a_baseline_that_nothing_can_be_compared_with_is_refused() {
    let shown = |from: &str, to: &str| {
        assert!(FORM.contains(from), "{from}");
        mistakes(&format!("{GOOD}{}", FORM.replacen(from, to, 1)))
    };
    assert_eq!(shown("", ""), Vec::<String>::new());
    for (from, to, wanted) in [
        (
            "\"/register\"\n",
            "\"register\"\n",
            "96:10: write the path that the form is sent to, such as /register; //host/path for another host",
        ),
        (", label = \"Colour\"", "", "99:5: a field is known by its `name`, or else by its `label`; write one of them"),
        (
            "\"news\", kind = \"checkbox\"",
            "\"serial\", kind = \"text\"",
            "100:14: the field `serial` stands here twice; keep one",
        ),
        (
            "kind = \"checkbox\"",
            "type = \"checkbox\"",
            "100:22: unknown key `type`, expected one of `name`, `kind`, `label`, `required`",
        ),
        ("action = \"/register\"\n", "", "95:1: the key `action` is missing; add it"),
    ] {
        assert_eq!(shown(from, to), [format!("acme.toml:{wanted}")]);
    }
}

#[test]
fn a_forms_address_and_our_names_of_fields_are_judged_when_the_file_is_loaded() {
    let shown = |good: &str, from: &str, to: &str| {
        assert!(FORM.contains(from), "{from}");
        mistakes(&format!("{good}{}", FORM.replacen(from, to, 1)))
    };
    let (url, step) = ("\"https://example.com/register\"", "submit = [\"button\"]");
    let field = format!("{step}, fields = [{{ selectors = [\"#a\"], field = \"prodct.serial\" }}]");
    for (from, to, wanted) in [
        (
            url,
            "\"nonsense\"",
            "91:7: this is no address: relative URL without a base; write it like https://www.example.com/register",
        ),
        (url, "\"ftp://example.com/register\"", "91:7: `ftp` is no scheme for a maker; use https"),
        (
            url,
            "\"https://{{ product.model }}/register\"",
            "91:7: the host must not hold a template: data would decide who gets it",
        ),
        (step, field.as_str(), "unknown field `prodct.serial`; did you mean `product.serial`?"),
        (
            "[form.baseline]",
            "[form.field_names]\nsn = \"product.seril\"\n\n[form.baseline]",
            "96:6: unknown field `product.seril`; did you mean `product.serial`?",
        ),
    ] {
        let found = shown(GOOD, from, to);
        assert!(found.len() == 1 && found[0].ends_with(wanted), "{found:?}");
    }
    let sends_shop = GOOD.replace("\"owner.email\"]", "\"owner.email\", \"purchase.shop\"]");
    let found = shown(&sends_shop, url, "\"https://example.com/register?at={{ purchase.shop }}\"");
    let wanted = "does not work with what `requires` names alone: evaluating `purchase.shop`: the value has no place in an address; require the field, or give it a default";
    assert!(found.len() == 1 && found[0].ends_with(wanted), "{found:?}");
    let with_default =
        "\"https://example.com/register?at={{ purchase.shop | default('none') }}&m={{ product.model }}\"";
    assert_eq!(shown(&sends_shop, url, with_default), Vec::<String>::new());
    let public = GOOD.replace("network = \"private\"\n", "");
    for (address, wanted) in
        [("http://example.com/register", "plain http"), ("sandbox:///acme", "network = \"private\"")]
    {
        let found = shown(&public, url, &format!("\"{address}\""));
        assert!(found.len() == 1 && found[0].contains(wanted), "{found:?}");
    }
}

#[test]
fn only_the_guide_for_all_other_brands_needs_no_brand() {
    let none = GOOD.replace("brands = [\"Acme\", \"Acme Home\"]", "brands = []");
    assert!(Connector::parse("somewhere/generic.toml", &none).is_ok());
    for name in ["acme.toml", "mygeneric.toml"] {
        let found = Connector::parse(name, &none).unwrap_err();
        assert!(found[0].to_string().contains("at least one brand"), "{found:?}");
    }
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
