//! What stands before a form: captchas early and late, logins, changed pages.

use events::{ErrorKind, Failure};

use crate::site::{Reply, Site, html, page, thanks};
use crate::{failure, try_form};

const ONE_PAGE: &str = r##"
    url = "BASE/"
    success = { selector = "h1" }
    [[steps]]
    name = "product"
    submit = ["#send"]
    fields = [{ selectors = ["#serial", "[name=serial_number]"], value = "BW12-123456", field = "product.serial" }]
"##;
const FORM: &str = r#"<form method=post><input name=serial_number id=serial><button id=send>Send</button></form>"#;

/// Tries the one-page recipe; nothing may have been posted.
fn refused(form: &'static str) -> Failure {
    let site = Site::one_page(form, thanks);
    let report = try_form(ONE_PAGE, &site.base);
    assert!(!report.clicked_submit);
    assert!(report.screenshot.is_some());
    assert_eq!(site.posted(), Vec::<String>::new());
    failure(report)
}

#[test]
fn a_captcha_is_seen_before_anything_is_filled() {
    let found = refused(
        r#"<form method=post><input id=serial oninput="document.title='typed'"><div class="g-recaptcha" data-sitekey=k></div><button id=send>Send</button></form>"#,
    );
    assert_eq!(found.kind, ErrorKind::Captcha);
}

#[test]
fn a_captcha_that_comes_up_while_filling_is_seen_before_submitting() {
    let found = refused(
        r#"<form method=post><input id=serial oninput="const f=document.createElement('iframe');f.src='/recaptcha/api2/anchor';this.form.append(f)"><button id=send>Send</button></form>"#,
    );
    assert_eq!(found.kind, ErrorKind::Captcha);
}

#[test]
fn a_captcha_in_a_closed_shadow_root_of_a_deep_page_is_seen() {
    static DEEP: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let (open, close) = ("<div>".repeat(400), "</div>".repeat(400));
        format!(
            "{open}{FORM}<div id=host></div>{close}<script>host.attachShadow({{mode:'closed'}}).innerHTML='<div class=\"cf-turnstile\"></div>'</script>"
        )
    });
    assert_eq!(refused(&DEEP).kind, ErrorKind::Captcha);
}

#[test]
fn a_captcha_that_the_click_brings_up_is_seen_though_success_is_not() {
    let site = Site::one_page(
        r#"<form method=post onsubmit="event.preventDefault();const d=document.createElement('div');d.className='h-captcha';document.body.append(d)">
           <input id=serial><button id=send>Send</button></form>"#,
        thanks,
    );
    let report = try_form(ONE_PAGE, &site.base);
    assert_eq!(failure(report).kind, ErrorKind::Captcha);
    assert_eq!(site.posted().len(), 0);
}

#[test]
fn a_captcha_that_only_the_recipe_knows_is_seen() {
    let site = Site::one_page(
        r#"<form method=post><input id=serial><div id=riddle></div><button id=send>Send</button></form>"#,
        thanks,
    );
    let recipe = format!("captcha_signs = [\"#riddle\"]\n{ONE_PAGE}");
    assert_eq!(failure(try_form(&recipe, &site.base)).kind, ErrorKind::Captcha);
}

#[test]
fn a_challenge_page_with_status_403_is_a_captcha_and_not_a_changed_form() {
    let site = Site::new(|_| Reply::Page(403, html("<div class=cf-turnstile></div>")));
    assert_eq!(failure(try_form(ONE_PAGE, &site.base)).kind, ErrorKind::Captcha);
}

#[test]
fn a_renamed_field_is_a_changed_form_with_the_field_named() {
    let found = refused("<form method=post><input name=sn><button id=send>Send</button></form>");
    assert_eq!(found.kind, ErrorKind::FormChanged);
    assert_eq!(found.detail, "step `product`: the field `product.serial` is not on the page");
}

#[test]
fn an_alternative_selector_is_as_good_as_the_first() {
    let site =
        Site::one_page("<form method=post><input name=serial_number><button id=send>Send</button></form>", thanks);
    assert!(try_form(ONE_PAGE, &site.base).clicked_submit);
    assert_eq!(site.posted(), ["serial_number=BW12-123456"]);
}

#[test]
fn a_missing_button_is_a_changed_form() {
    let found = refused("<form method=post><input id=serial><button>Send</button></form>");
    assert_eq!(found.kind, ErrorKind::FormChanged);
}

#[test]
fn a_password_field_where_the_form_should_be_is_a_login_wall() {
    let found = refused(
        "<form method=post action=/login><input name=user><input type=password name=p><button>Log in</button></form>",
    );
    assert_eq!(found.kind, ErrorKind::LoginRequired);
}

#[test]
fn a_page_that_claims_success_before_the_click_is_not_believed() {
    let found = refused(r#"<h1>Register</h1><form method=post><input id=serial><button id=send>Send</button></form>"#);
    assert_eq!(found.kind, ErrorKind::FormChanged);
}

#[test]
fn an_address_that_is_gone_is_a_changed_form() {
    let site = Site::new(|_| Reply::Page(404, html("gone")));
    assert_eq!(failure(try_form(ONE_PAGE, &site.base)).kind, ErrorKind::FormChanged);
}

#[test]
fn a_step_that_leads_elsewhere_is_a_changed_form_and_not_unknown() {
    let two = ONE_PAGE.to_owned()
        + "[[steps]]\nname = \"owner\"\nsubmit = [\"#send\"]\nfields = [{ selectors = [\"#owner\"], value = \"Ada\" }]\n";
    let site = Site::one_page(FORM, || page("<p>Something new"));
    let report = try_form(&two, &site.base);
    assert!(!report.clicked_submit, "the first step's button is not the last");
    assert_eq!(failure(report).kind, ErrorKind::FormChanged);
}
