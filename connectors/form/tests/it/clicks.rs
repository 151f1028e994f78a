//! The click of a step: on the button, or on nothing.

use events::ErrorKind;

use crate::site::{Site, thanks};
use crate::{confirmation, failure, try_form};

const ONE_PAGE: &str = r##"
    url = "BASE/"
    success = { text_contains = "thank you" }
    confirmation = { selector = ".code", regex = 'BW-\d+' }
    [[steps]]
    name = "product"
    submit = ["#send"]
    fields = [{ selectors = ["#serial"], value = "BW12-123456", field = "product.serial" }]
"##;

/// Puts another button, with a form of its own, where the one to be clicked was when the mouse comes near.
const MOVES_ONCE: &str = r#"
    <form method=post id=real><input name=serial id=serial><br><button id=send style="width:200px;height:60px">Send</button></form>
    <form method=post id=other style="display:none"><button name=wrong value=1 style="width:200px;height:60px"
        onpointerdown="document.title='noticed'">No, thanks</button></form>
    <script>document.addEventListener('mousemove', () => { serial.after(other); other.style.display = 'block'; }, { once: true })</script>"#;

/// Is somewhere else each time the mouse has moved.
const FLEES: &str = r#"
    <form method=post><input name=serial id=serial><br>
        <button id=send style="position:absolute;left:20px;top:100px;width:200px;height:60px">Send</button></form>
    <script>document.addEventListener('mousemove', () => { send.style.top = send.style.top === '100px' ? '400px' : '100px' })</script>"#;

/// Sends when it is pressed, and is gone before the mouse lets go of it.
const SENDS_ON_PRESS: &str = r#"
    <form method=post><input name=serial id=serial><br><button type=button id=send
        onmousedown="this.form.submit(); this.style.position = 'absolute'; this.style.top = '500px'">Send</button></form>"#;

#[test]
fn a_button_that_moves_before_the_click_is_found_again_and_nothing_else_is_clicked() {
    let site = Site::one_page(MOVES_ONCE, thanks);
    let report = try_form(ONE_PAGE, &site.base);
    assert_eq!(confirmation(&report), Some("BW-1234"));
    assert!(report.clicked_submit);
    assert_eq!(site.posted(), ["serial=BW12-123456"]);
}

#[test]
fn a_button_that_flees_from_the_mouse_is_a_changed_form_of_which_nothing_was_sent() {
    let site = Site::one_page(FLEES, thanks);
    let report = try_form(ONE_PAGE, &site.base);
    assert!(!report.clicked_submit);
    let failure = failure(report);
    assert_eq!(failure.kind, ErrorKind::FormChanged);
    assert_eq!(failure.detail, "step `product`: the button moves away from the click");
    assert_eq!(site.posted(), Vec::<String>::new());
}

#[test]
fn a_button_that_sends_when_it_is_pressed_sends_once() {
    let site = Site::one_page(SENDS_ON_PRESS, thanks);
    assert_eq!(confirmation(&try_form(ONE_PAGE, &site.base)), Some("BW-1234"));
    assert_eq!(site.posted(), ["serial=BW12-123456"]);
}
