//! A form is looked at, never touched: what differs from its baseline is named, and what is decoration raises nothing.

use events::DriftKind;
use regflow_form::{FormField, FormShape, LookError, drift};

use crate::site::{Reply, Site, html, page};
use crate::{BROWSERS, RUNTIME, recipe};

const RECIPE: &str = r##"
    url = "BASE/register"
    success = { selector = ".done" }
    [[steps]]
    name = "all"
    submit = ["button[type=submit]"]
    fields = [
        { selectors = ["[name=model]"], value = "x" },
        { selectors = ["[name=serial]"], value = "x" },
        { selectors = ["[name=country]"], kind = "select", value = "DE" },
        { selectors = ["[name=terms]"], kind = "checkbox", value = "true" },
    ]
"##;

const FORM: &str = r#"<form method=post action=/send?step=1 id=main>
    <input type=hidden name=csrf_token value=f00ba4>
    <label for=model>Model *</label><input id=model name=model required>
    <label for=serial>Serial number</label><input id=serial name=serial required pattern="[A-Z]+">
    <label>Country <select name=country required><option value="">Choose<option value=DE>Germany</select></label>
    <fieldset><legend>Bought</legend><label><input type=radio name=place value=s required>Shop</label><label><input type=radio name=place value=w>Web</label></fieldset>
    <input type=file name=receipt id=receipt style="display:none"><label for=receipt>Receipt</label>
    <label for=r7:2>Colour</label><input id=r7:2>
    <label><input type=checkbox name=terms required> I agree</label>
    <textarea name=note aria-label="Note"></textarea>
    <button type=submit>Register</button></form>"#;

/// The shape of a form whose page is made by `answer`.
fn look(answer: impl Fn() -> Reply + Send + Sync + 'static) -> Result<FormShape, LookError> {
    look_as(RECIPE, answer)
}

fn look_as(toml: &str, answer: impl Fn() -> Reply + Send + Sync + 'static) -> Result<FormShape, LookError> {
    let site = Site::new(move |_| answer());
    let look = RUNTIME.block_on(BROWSERS.look(&recipe(toml, &site.base)));
    assert_eq!(site.posted(), Vec::<String>::new());
    look.shape
}

fn shape_of(form: &str) -> FormShape {
    let form = form.to_owned();
    look(move || page(&form)).unwrap()
}

/// What is found when `from` in the form becomes `to`.
fn found(from: &str, to: &str) -> Vec<(DriftKind, String)> {
    assert!(FORM.contains(from), "{from}");
    let drifts = drift(&shape_of(FORM), &shape_of(&FORM.replacen(from, to, 1)));
    drifts.into_iter().map(|drift| (drift.kind, drift.field)).collect()
}

fn one(kind: DriftKind, field: &str) -> Vec<(DriftKind, String)> {
    vec![(kind, field.to_owned())]
}

#[test]
fn a_form_is_seen_as_people_see_it() {
    let field = |name: &str, kind: &str, label: &str, required| FormField {
        name: name.into(),
        kind: kind.into(),
        label: label.into(),
        required,
    };
    let wanted = FormShape {
        action: "/send".into(),
        captcha: false,
        login: false,
        fields: vec![
            field("model", "text", "Model *", true),
            field("serial", "text", "Serial number", true),
            field("country", "select", "Country", true),
            field("place", "radio", "Bought", true),
            field("receipt", "file", "Receipt", false),
            field("", "text", "Colour", false),
            field("terms", "checkbox", "I agree", true),
            field("note", "textarea", "Note", false),
        ],
    };
    assert_eq!(shape_of(FORM), wanted);
}

#[test]
fn a_renamed_field_is_found() {
    let renamed = FORM.replace("serial", "serial_no").replace("Serial number", "Serial No.");
    let drifts = drift(&shape_of(FORM), &shape_of(&renamed));
    assert_eq!(drifts.len(), 1, "{drifts:?}");
    assert_eq!(drifts[0].kind, DriftKind::Renamed);
    assert_eq!(drifts[0].detail, "`serial` is now named `serial_no`");
}

#[test]
fn an_added_field_is_found() {
    let added = found("<button", "<label>Shop <input name=shop required></label><button");
    assert_eq!(added, one(DriftKind::Added, "shop"));
}

#[test]
fn a_removed_field_is_found() {
    assert_eq!(found(r#"<textarea name=note aria-label="Note"></textarea>"#, ""), one(DriftKind::Removed, "note"));
}

#[test]
fn a_field_that_must_be_filled_in_now_is_found_whichever_way_the_page_says_it() {
    assert_eq!(found("name=note", "name=note required"), one(DriftKind::RequiredChanged, "note"));
    assert_eq!(found("name=note", "name=note aria-required=true"), one(DriftKind::RequiredChanged, "note"));
    assert_eq!(found("name=model required", "name=model"), one(DriftKind::RequiredChanged, "model"));
}

#[test]
fn a_field_of_another_type_is_found() {
    assert_eq!(found("name=serial", "type=number name=serial"), one(DriftKind::TypeChanged, "serial"));
}

#[test]
fn a_form_that_is_sent_elsewhere_is_found() {
    assert_eq!(found("/send?step=1", "/v2/send"), one(DriftKind::ActionChanged, ""));
    assert_eq!(
        found("action=/send?step=1", "action=https://elsewhere.example/send"),
        one(DriftKind::ActionChanged, "")
    );
    assert_eq!(found("/send?step=1", "/send;jsessionid=A1?step=2"), []);
}

#[test]
fn a_captcha_is_found_also_one_that_only_the_recipe_knows_and_one_that_stands_alone() {
    assert_eq!(found("<button", "<div class=h-captcha></div><button"), one(DriftKind::CaptchaAdded, ""));
    let riddle = format!("captcha_signs = [\"#riddle\"]\n{RECIPE}");
    let seen = look_as(&riddle, || page(&FORM.replace("<button", "<div id=riddle></div><button"))).unwrap();
    assert!(seen.captcha);
    let challenge = look(|| Reply::Page(403, html("<div class=cf-turnstile></div>"))).unwrap();
    let kinds: Vec<_> = drift(&shape_of(FORM), &challenge).into_iter().map(|drift| drift.kind).collect();
    assert_eq!(kinds, [DriftKind::CaptchaAdded]);
}

#[test]
fn a_login_in_place_of_the_form_is_found_and_a_password_beside_its_fields_is_none() {
    let login = "<form method=post action=/login><input name=user><input type=password name=p><button type=submit>Log in</button></form>";
    let kinds = |seen: &FormShape| drift(&shape_of(FORM), seen).into_iter().map(|d| d.kind).collect::<Vec<_>>();
    assert_eq!(kinds(&shape_of(login)), [DriftKind::LoginWall]);
    let asked = look(|| Reply::Page(401, html("<p>Please log in"))).unwrap();
    assert_eq!(kinds(&asked), [DriftKind::LoginWall]);
    let with_password = FORM.replace("<button", "<input type=password name=account><button");
    assert_eq!(kinds(&shape_of(&with_password)), [DriftKind::Added]);
}

#[test]
fn a_form_that_a_script_draws_late_and_piece_by_piece_is_waited_for() {
    let (head, tail) = FORM.split_at(FORM.find("<label>Country").unwrap());
    let script = format!(
        "<div id=app></div><script>setTimeout(() => {{ app.innerHTML = `{head}`; }}, 100);
         setTimeout(() => {{ app.innerHTML = `{head}{tail}`; }}, 300);</script>"
    );
    assert_eq!(shape_of(&script), shape_of(FORM));
}

#[test]
fn the_form_of_the_recipe_is_found_among_others_and_without_a_form_element() {
    let search = "<form action=/search><input name=q></form>";
    let news = "<form method=post action=/news><input name=a><input name=b><input name=c><input name=d><input name=e><input name=f><input name=g><input name=h><input name=i></form>";
    assert_eq!(shape_of(&format!("{search}{FORM}{news}")), shape_of(FORM));
    let without = FORM.replace("<form method=post action=/send?step=1 id=main>", "<div>").replace("</form>", "</div>");
    let seen = shape_of(&format!("{search}{without}"));
    assert_eq!((seen.action.as_str(), &seen.fields), ("/register", &shape_of(FORM).fields));
}

#[test]
fn a_site_that_does_not_show_the_form_is_no_drift_but_a_failure() {
    let failure = |reply: fn() -> Reply| match look(reply) {
        Err(LookError::Page(failure)) => failure.detail,
        other => panic!("{other:?}"),
    };
    assert_eq!(failure(|| Reply::Page(503, html("down"))), "the form's address shows a page with status 503");
    assert_eq!(failure(|| Reply::Page(404, html("gone"))), "the form's address shows a page with status 404");
    assert!(failure(|| Reply::Drop).ends_with("the site does not answer"));
}

/// Small numbers that look drawn, the same in each run.
struct Dice(u64);

impl Dice {
    fn draw(&mut self, below: usize) -> usize {
        // Knuth's MMIX generator
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn id(&mut self) -> String {
        format!("f{:08x}-{}", self.draw(1 << 31), self.draw(10))
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.draw(from.len())]
    }
}

/// One harmless change of a page: what makers do between two releases without thinking of us.
fn decorated(number: u64) -> String {
    let mut dice = Dice(number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1));
    let mut form = FORM.replace("f00ba4", &dice.id()).replace("r7:2", &dice.id());
    for _ in 0..=dice.draw(3) {
        form = harmless(&form, &mut dice);
    }
    let before = dice.pick(&[
        "",
        "<style>input { border: 2px solid; position: relative } form { display: grid }</style>",
        "<script>window.track = () => 0; document.documentElement.dataset.seen = Date.now();</script>",
        "<header><h1>Spring sale!</h1><form action=/search><input name=q></form></header>",
        "<!-- release 4711 --><noscript><p>Please turn on scripts</p></noscript>",
        "<div role=dialog><p>Cookies?</p><button type=button>No</button></div>",
    ]);
    let after = dice.pick(&[
        "",
        "<footer><form action=/news method=post><input type=email name=newsletter required></form></footer>",
        "<script>for (const el of document.querySelectorAll('input')) el.classList.add('ready');</script>",
        "<script src=/missing.js async></script>",
    ]);
    format!("{before}{form}{after}")
}

fn harmless(form: &str, dice: &mut Dice) -> String {
    let id = dice.id();
    match dice.draw(14) {
        0 => form.replace("Model *", dice.pick(&["Modell", "Product model (required)", "Which model?"])),
        1 => form.replace("Serial number", dice.pick(&["Serial No.", "Number on the plate:", "S/N"])),
        2 => form.replace("name=model required", &format!("required class='{id} big' data-v={id} name=model")),
        3 => form.replace("id=serial ", &format!("id={id} ")).replace("for=serial>", &format!("for={id}>")),
        4 => form.replace(
            "<option value=DE>Germany",
            "<option value=DE>Deutschland<option value=FR>France<option value=IT>Italia",
        ),
        5 => form.replace(
            "pattern=\"[A-Z]+\"",
            "placeholder='AB12' pattern=\"[A-Z0-9]+\" title='As on the plate' maxlength=20",
        ),
        6 => form
            .replace("<fieldset>", "<div class=row><fieldset class=choice>")
            .replace("</fieldset>", "</fieldset></div>"),
        7 => form.replace(">Shop<", ">In a shop<").replace(">Web<", ">Online<"),
        8 => form.replace("<button type=submit>Register", &format!("<button class={id} type=submit><b>Send now</b>")),
        9 => {
            form.replace("<input type=hidden", &format!("<input type=hidden name=_{id} value={id}><input type=hidden"))
        }
        10 => form.replace("action=/send?step=1", &format!("action=/send?t={id} autocomplete=off novalidate")),
        11 => form.replace("id=main", &format!("class='form {id}' data-build={id}")),
        12 => form.replace(" I agree", &format!(" I have read <a href=/terms?v={id}>the terms</a>")),
        _ => form.replace("<textarea ", "<p class=help>Anything else?</p><textarea rows=5 style='width:100%' "),
    }
}

/// What is found of the changes of these numbers.
async fn wrong(base: &str, baseline: &FormShape, numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let mut wrong = Vec::new();
    for number in numbers {
        let address = format!("{base}/register/{number}");
        let look = BROWSERS.look(&recipe(&RECIPE.replace("BASE/register", &address), "")).await;
        let drifts = drift(baseline, &look.shape.unwrap());
        if !drifts.is_empty() {
            wrong.push(format!("{number}: {drifts:?}\n{}", decorated(number)));
        }
    }
    wrong
}

#[test]
fn two_hundred_harmless_changes_raise_nothing() {
    let baseline = shape_of(FORM);
    let site = Site::new(|request| page(&decorated(request.path.rsplit('/').next().unwrap().parse().unwrap_or(0))));
    // in both browsers
    let (even, odd) = RUNTIME.block_on(async {
        tokio::join!(
            wrong(&site.base, &baseline, (0..200).step_by(2)),
            wrong(&site.base, &baseline, (1..200).step_by(2))
        )
    });
    assert!(even.is_empty() && odd.is_empty(), "{}\n{}", even.join("\n"), odd.join("\n"));
    assert_eq!(site.posted(), Vec::<String>::new());
}
