//! Every kind of field, the way makers build them.

use regflow_form::FormFile;

use crate::site::{Reply, Site, page, thanks};
use crate::{confirmation, failure, try_form, try_with};

const THREE_STEPS: &str = r##"
    url = "BASE/one"
    success = { text_contains = "grazie", url_contains = "/four" }
    confirmation = { selector = "#codice", regex = 'CC-\d+' }

    [[steps]]
    name = "product"
    submit = ["#old-button", "button[type=submit]"]
    wait_for = "select[name=day]"
    fields = [
        { selectors = ["#gone", "[name=family]"], kind = "select", value = "coffee machines" },
        { selectors = ["[name=serial]"], value = "1234-ABC-12345", field = "product.serial" },
    ]

    [[steps]]
    name = "purchase"
    submit = ["button"]
    fields = [
        { selectors = ["[name=day]"], kind = "select", value = "05" },
        { selectors = ["[name=month]"], kind = "select", value = "3" },
        { selectors = ["[name=year]"], kind = "select", value = "2026" },
        { selectors = ["[name=shop]"], value = "Café Ünal & Söhne" },
        { selectors = ["[name=receipt]"], kind = "file", value = "receipt" },
    ]

    [[steps]]
    name = "owner"
    submit = ["button"]
    fields = [
        { selectors = ["[name=email]"], value = "ada@example.org" },
        { selectors = ["[name=terms]"], kind = "checkbox", value = "true" },
        { selectors = ["[name=marketing]"], kind = "checkbox", value = "false" },
        { selectors = ["[name=partners]"], kind = "checkbox" },
        { selectors = ["[name=nickname]"], value = "Ada", optional = true },
    ]
"##;

fn three_steps(request: &crate::site::Request) -> Reply {
    match request.path.as_str() {
        "/one" => page(
            r#"<form method=post action=/two><select name=family><option value="">-<option value=f7>Coffee Machines</select>
               <input name=serial required pattern="\d{4}-[A-Z]{3}-\d{5}"><button type=submit>Next</button></form>"#,
        ),
        "/two" => page(
            r#"<form method=post action=/three enctype=multipart/form-data>
               <select name=day><option value=4>4<option value=5>5</select>
               <select name=month><option value=2>febbraio<option value=3>marzo</select>
               <select name=year><option>2025<option>2026</select>
               <input name=shop><input type=file name=receipt required style="display:none"><button>Next</button></form>"#,
        ),
        "/three" => page(
            r#"<form method=post action=/four><input type=email name=email required>
               <input type=checkbox name=terms required><input type=checkbox name=marketing checked>
               <input type=checkbox name=partners checked><button>Send</button></form>"#,
        ),
        _ => page(r#"<h1>Grazie!</h1><p id=codice>codice di registrazione: CC-4711</p>"#),
    }
}

#[test]
fn three_steps_with_a_split_date_and_an_upload_end_with_the_makers_code() {
    let site = Site::new(three_steps);
    let receipt = FormFile { name: "receipt.pdf".into(), bytes: b"%PDF-1.7 of the test".to_vec() };
    let report = try_with(THREE_STEPS, &site.base, vec![receipt]);

    assert_eq!(confirmation(&report), Some("CC-4711"));
    assert!(report.clicked_submit);
    assert_eq!(report.step, 2);
    let png = report.screenshot.unwrap();
    assert!(png.starts_with(b"\x89PNG"));
    // width and height stand in its first chunk
    assert_eq!(png[16..24], [1000_u32.to_be_bytes(), 1400_u32.to_be_bytes()].concat());
    let [product, purchase, owner]: [String; 3] = site.posted().try_into().unwrap();
    assert_eq!(product, "family=f7&serial=1234-ABC-12345");
    for part in ["name=\"day\"\r\n\r\n5\r\n", "name=\"month\"\r\n\r\n3\r\n", "Café Ünal & Söhne"] {
        assert!(purchase.contains(part), "{purchase}");
    }
    assert!(purchase.contains("filename=\"receipt.pdf\"") && purchase.contains("%PDF-1.7 of the test"));
    assert_eq!(owner, "email=ada%40example.org&terms=on", "no box is ticked without consent");
}

#[test]
fn a_file_that_we_do_not_have_is_asked_for_by_name_before_anything_is_final() {
    let site = Site::new(three_steps);
    let report = try_form(
        &THREE_STEPS.replace(r#"value = "receipt""#, r#"value = "receipt", field = "extra.receipt""#),
        &site.base,
    );
    assert!(!report.clicked_submit);
    assert_eq!(failure(report).fields[0].field, "extra.receipt");
}

#[test]
fn radios_dates_typed_text_and_lists_that_load_late_are_filled() {
    let site = Site::one_page(
        r#"<form method=post><input name=typed oninput="window.typed=(window.typed||0)+1;this.form.keys.value=window.typed"><input type=hidden name=keys>
           <input type=date name=bought required min=2020-01-01>
           <label><input type=radio name=place value=p1> Online shop</label><label><input type=radio name=place value=p2> Store</label>
           <select name=family onchange="setTimeout(()=>{document.querySelector('[name=model]').innerHTML='<option>-<option value=m9>CC 900'},200)"><option>-<option value=c>Coffee</select>
           <select name=model><option>-</select><button>Send</button></form>"#,
        thanks,
    );
    let report = try_form(
        r#"
        url = "BASE/"
        success = { text_contains = "THANK   you" }
        [[steps]]
        name = "all"
        submit = ["button"]
        fields = [
            { selectors = ["[name=typed]"], kind = "typed", value = "Straße 7" },
            { selectors = ["[name=bought]"], kind = "date", value = "2026-03-05" },
            { selectors = ["[name=place]"], kind = "radio", value = "store" },
            { selectors = ["[name=family]"], kind = "select", value = "c" },
            { selectors = ["[name=model]"], kind = "select", value = "CC 900" },
        ]
        "#,
        &site.base,
    );
    assert_eq!(confirmation(&report), None);
    assert_eq!(site.posted(), ["typed=Stra%C3%9Fe+7&keys=8&bought=2026-03-05&place=p2&family=c&model=m9"]);
}

#[test]
fn a_cookie_banner_that_covers_the_button_is_clicked_away() {
    let site = Site::one_page(
        r#"<div id=banner style="position:fixed;inset:0;background:#eee"><button id=no onclick="this.parentNode.remove()">Refuse</button></div>
           <form method=post><input name=serial><button id=send>Send</button></form>"#,
        thanks,
    );
    let recipe = r##"
        url = "BASE/"
        dismiss = ["#no"]
        success = { selector = "h1" }
        confirmation = { selector = ".code", regex = 'BW-\d+' }
        steps = [{ name = "one", submit = ["#send"], fields = [{ selectors = ["[name=serial]"], value = "x" }] }]
    "##;
    assert_eq!(confirmation(&try_form(recipe, &site.base)), Some("BW-1234"));

    let covered = failure(try_form(&recipe.replace(r##"["#no"]"##, "[]"), &site.base));
    assert_eq!(covered.kind, events::ErrorKind::FormChanged);
    assert_eq!(covered.detail, "step `one`: something covers the button");
    assert_eq!(site.posted().len(), 1);
}
