//! What the maker's site can answer before and after the last click.

use std::sync::Arc;
use std::time::Duration;

use events::{ErrorKind, FieldProblem, Outcome};

use crate::site::{Reply, Site, html, page, thanks};
use crate::{BROWSERS, RUNTIME, browsers_in, failure, folder, may_send, recipe, try_form};

const ONE_PAGE: &str = r##"
    url = "BASE/"
    success = { text_contains = "thank you" }
    already_registered = { text_contains = "already registered" }
    confirmation = { selector = ".code", regex = 'BW-\d+' }
    errors = { selector = "ul.errors li", field_attribute = "data-field" }
    field_names = { customer_mail = "owner.email" }
    [[steps]]
    name = "product"
    submit = ["button"]
    fields = [
        { selectors = ["[name=serial]"], value = "BW12-123456", field = "product.serial" },
        { selectors = ["[name=email]"], value = "ada@example.org" },
    ]
"##;
const FORM: &str = "<form method=post><input name=serial><input name=email><button>Send</button></form>";

fn after_the_click(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Outcome, usize) {
    let site = Site::one_page(FORM, reply);
    let report = try_form(ONE_PAGE, &site.base);
    assert!(report.clicked_submit);
    (report.outcome, site.posted().len())
}

fn kind(outcome: Outcome) -> ErrorKind {
    match outcome {
        Outcome::Failed(failure) => failure.kind,
        Outcome::Registered { .. } => panic!("registered"),
    }
}

#[test]
fn thanks_with_a_code_is_a_registration() {
    let want = Outcome::Registered { confirmation: Some("BW-1234".into()), already: false };
    assert_eq!(after_the_click(thanks), (want, 1));
}

#[test]
fn a_code_that_is_drawn_late_is_waited_for() {
    let late = "<p>Thank you</p><script>setTimeout(()=>{document.body.innerHTML+='<p class=code>BW-77'},250)</script>";
    let want = Outcome::Registered { confirmation: Some("BW-77".into()), already: false };
    assert_eq!(after_the_click(move || page(late)), (want, 1));
}

#[test]
fn already_registered_counts_as_registered() {
    let want = Outcome::Registered { confirmation: None, already: true };
    assert_eq!(after_the_click(|| Reply::Page(409, html("This product is already registered."))), (want, 1));
}

#[test]
fn an_unclear_page_after_the_last_click_is_unknown_and_not_clicked_again() {
    let (outcome, posts) = after_the_click(|| page(&format!("<p>Hm.</p>{FORM}")));
    assert_eq!((kind(outcome), posts), (ErrorKind::UnknownOutcome, 1));
}

#[test]
fn a_server_error_after_the_last_click_is_unknown() {
    let (outcome, posts) = after_the_click(|| Reply::Page(503, html("down")));
    assert_eq!((kind(outcome), posts), (ErrorKind::UnknownOutcome, 1));
}

#[test]
fn silence_after_the_last_click_is_unknown() {
    let (outcome, posts) = after_the_click(|| Reply::Hang);
    assert_eq!((kind(outcome), posts), (ErrorKind::UnknownOutcome, 1));
}

#[test]
fn a_connection_lost_after_the_last_click_is_unknown_and_the_browser_sends_nothing_again() {
    // a form that a used connection would serve: the browser has just loaded it
    let (outcome, posts) = after_the_click(|| Reply::Drop);
    assert_eq!((kind(outcome), posts), (ErrorKind::UnknownOutcome, 1));
}

#[test]
fn too_many_requests_is_rate_limited_before_and_after_the_click() {
    let limited = || Reply::Page(429, html("slow down"));
    assert_eq!(kind(after_the_click(limited).0), ErrorKind::RateLimited);
    let site = Site::new(move |_| limited());
    assert_eq!(failure(try_form(ONE_PAGE, &site.base)).kind, ErrorKind::RateLimited);
}

#[test]
fn a_site_that_is_down_hangs_or_is_not_there_is_told_apart() {
    let down = Site::new(|_| Reply::Page(503, html("down")));
    assert_eq!(failure(try_form(ONE_PAGE, &down.base)).kind, ErrorKind::Server);
    let hanging = Site::new(|_| Reply::Hang);
    assert_eq!(failure(try_form(ONE_PAGE, &hanging.base)).kind, ErrorKind::Timeout);
    let report = try_form(ONE_PAGE, "http://127.0.0.1:9");
    assert!(report.trouble.is_none() && !report.clicked_submit);
    let found = failure(report);
    assert_eq!(found.kind, ErrorKind::Network);
    assert!(!found.detail.contains("127.0.0.1"), "{}", found.detail);
}

#[test]
fn a_page_whose_script_never_ends_is_given_up_in_time_and_nothing_was_sent() {
    let form =
        r#"<form method=post><input name=serial onchange="for (;;);"><input name=email><button>Send</button></form>"#;
    let site = Site::one_page(form, thanks);
    let found = failure(try_form(ONE_PAGE, &site.base));
    assert_eq!((found.kind, found.detail.as_str()), (ErrorKind::Timeout, "a script of the page does not end"));
    assert_eq!(site.posted().len(), 0);
    assert_eq!(after_the_click(thanks).1, 1, "the next form has a browser that works");
}

#[test]
fn what_the_browser_would_not_send_is_a_validation_failure_of_our_field() {
    let form = r#"<form method=post><input name=serial required pattern="K\d+" title="K and nine digits"><input name=email type=email><button>Send</button></form>"#;
    let site = Site::one_page(form, thanks);
    let report = try_form(ONE_PAGE, &site.base);
    assert!(!report.clicked_submit);
    let found = failure(report);
    assert_eq!(found.kind, ErrorKind::Validation);
    let text = "not in the shape that the maker wants: K and nine digits";
    assert_eq!(found.fields, [FieldProblem::new("product.serial", text)]);
    assert_eq!(site.posted().len(), 0);
}

#[test]
fn what_a_script_of_the_page_refuses_on_the_click_is_a_validation_failure_too() {
    let form = r#"<form method=post><input name=serial><input name=email><button onclick="this.form.serial.setCustomValidity('BW12-123456 is odd')">Send</button></form>"#;
    let site = Site::one_page(form, thanks);
    let found = failure(try_form(ONE_PAGE, &site.base));
    assert_eq!(found.kind, ErrorKind::Validation);
    assert_eq!(found.fields[0].field, "product.serial");
    assert_eq!(site.posted().len(), 0);
}

#[test]
fn the_makers_list_of_errors_is_told_in_our_names_without_values() {
    let (outcome, posts) = after_the_click(|| {
        Reply::Page(
            422,
            html(
                "<ul class=errors><li data-field=serial>BW12-123456 is not ours</li><li data-field=customer_mail>ADA@example.org bounces</li></ul>",
            ),
        )
    });
    let Outcome::Failed(found) = outcome else { panic!("registered") };
    assert_eq!((found.kind, posts), (ErrorKind::Validation, 1));
    let want = [FieldProblem::new("product.serial", "… is not ours"), FieldProblem::new("owner.email", "… bounces")];
    assert_eq!(found.fields, want);
    assert_eq!(found.detail, "step `product`: the maker refuses product.serial, owner.email");
}

#[test]
fn whoever_may_no_longer_send_a_form_fills_it_in_for_nothing() {
    let site = Site::one_page(FORM, thanks);
    let recipe = recipe(ONE_PAGE, &site.base);
    let failure = failure(RUNTIME.block_on(BROWSERS.run(&recipe, Vec::new(), Arc::new(|| false))));
    assert_eq!((failure.kind, site.posted().len()), (ErrorKind::Internal, 0));
}

#[test]
fn an_attempt_ends_at_its_deadline() {
    let browsers = {
        let _on_runtime = RUNTIME.enter();
        browsers_in(folder("deadline"), |options| options.total_timeout = Duration::from_secs(3))
    };
    let site = Site::one_page(FORM, || Reply::Hang);
    let report = RUNTIME.block_on(browsers.run(&recipe(ONE_PAGE, &site.base), Vec::new(), may_send()));
    assert!(report.latency < Duration::from_secs(5), "{:?}", report.latency);
    assert_eq!(failure(report).kind, ErrorKind::UnknownOutcome);
    RUNTIME.block_on(browsers.shutdown());
}
