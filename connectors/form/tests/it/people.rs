//! One browser serves many people; none may meet another, nor appear in a log.

use std::io;
use std::sync::{Arc, Mutex};

use outbound::Reach;
use regflow_form::{Browsers, Recipe};

use crate::site::{Reply, Site, html, page, thanks};
use crate::{RUNTIME, browsers_in, confirmation, folder, may_send, reach, recipe, try_form};

const ONE_PAGE: &str = r##"
    url = "BASE/"
    success = { selector = "h1" }
    [[steps]]
    name = "product"
    submit = ["button"]
    fields = [{ selectors = ["[name=owner]"], value = "ada@example.org" }]
"##;

// The page sends along all that it finds of an earlier visitor, then leaves its own traces.
const CURIOUS: &str = r#"<form method=post><input name=owner><input type=hidden name=found><button>Send</button></form><script>
    document.querySelector('[name=found]').value =
        [document.cookie, localStorage.getItem('who'), sessionStorage.getItem('who'), window.name, history.length].join('|');
    localStorage.setItem('who', 'ada'); sessionStorage.setItem('who', 'ada'); window.name = 'ada'; document.cookie = 'js=ada';
</script>"#;

/// For one person after the other.
fn one_browser(name: &str) -> Browsers {
    let _on_runtime = RUNTIME.enter();
    browsers_in(folder(name), |options| {
        options.sessions_max = 1;
        options.resolver = reach::resolver();
    })
}

#[test]
fn two_people_after_one_another_share_nothing_in_one_session() {
    let browsers = one_browser("people");
    let site = Site::new(|request| match request.method.as_str() {
        "POST" => thanks(),
        _ => Reply::SetCookie("sid=ada; Max-Age=3600; HttpOnly", html(CURIOUS)),
    });
    for _ in 0..3 {
        let report = RUNTIME.block_on(browsers.run(&recipe(ONE_PAGE, &site.base), Vec::new(), may_send()));
        confirmation(&report);
        // a later tab is as large as the first
        assert_eq!(report.screenshot.unwrap()[16..24], [1000_u32.to_be_bytes(), 1400_u32.to_be_bytes()].concat());
    }
    let found: Vec<String> = site.posted();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|body| body == &found[0]), "{found:?}");
    assert!(!found[0].contains("%7Cada") && !found[0].contains("js%3Dada"), "{found:?}");
    let first_calls = site.seen().into_iter().filter(|request| request.method == "GET");
    assert!(first_calls.into_iter().all(|request| request.cookies.is_empty()));
    RUNTIME.block_on(browsers.shutdown());
}

#[test]
fn what_a_page_of_another_origin_stored_is_gone_too() {
    let browsers = one_browser("origins");
    let site = Site::new(|request| match request.method.as_str() {
        "POST" => page("<h1>ok</h1>"),
        _ => page(CURIOUS),
    });
    let other = site.base.replace("127.0.0.1", "friend.test");
    let from = Site::new(move |_| page(&format!("<script>location.replace('{other}/')</script>")));
    // a maker at home has one origin
    let base = from.base.replace("127.0.0.1", "maker.test");
    let recipe = Recipe { reach: Reach::Public, ..recipe(ONE_PAGE, &base) };
    for _ in 0..2 {
        confirmation(&RUNTIME.block_on(browsers.run(&recipe, Vec::new(), may_send())));
    }
    let found = site.posted();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], found[1]);
    // else the browser might send a form again by itself; see `alone_on_its_connection`
    assert!(site.seen().iter().all(|request| request.connection == "close"));
    RUNTIME.block_on(browsers.shutdown());
}

// It tells the page around it what it finds of an earlier visitor, and leaves its own traces.
const CURIOUS_FRAME: &str = r#"<script>(async () => {
    const found = [localStorage.getItem('who'), (await indexedDB.databases()).length, document.cookie].join('|');
    localStorage.setItem('who', 'ada'); document.cookie = 'who=ada';
    await new Promise((done) => { indexedDB.open('ada').onsuccess = done; });
    parent.postMessage(found, '*');
})()</script>"#;

#[test]
fn what_a_frame_of_another_origin_stored_is_gone_too() {
    let browsers = one_browser("frames");
    let friend = Site::new(|_| page(CURIOUS_FRAME));
    let frame = friend.base.replace("127.0.0.1", "friend.test");
    // the field is there once the frame has told
    let form = format!(
        "<iframe src='{frame}/'></iframe><form method=post><input type=hidden name=found><button>Send</button></form><script>
        onmessage = ({{ data }}) => {{
            document.forms[0].found.value = data;
            document.forms[0].insertAdjacentHTML('afterbegin', '<input name=owner>');
        }}</script>"
    );
    let site = Site::new(move |request| if request.method == "POST" { thanks() } else { page(&form) });
    let recipe = Recipe { reach: Reach::Public, ..recipe(ONE_PAGE, &site.base.replace("127.0.0.1", "maker.test")) };
    for _ in 0..3 {
        confirmation(&RUNTIME.block_on(browsers.run(&recipe, Vec::new(), may_send())));
    }
    assert_eq!(site.posted(), ["owner=ada%40example.org&found=%7C0%7C"; 3]);
    RUNTIME.block_on(browsers.shutdown());
}

// It sends along whether the browser still has what the last person's page fetched.
const CACHE_READER: &str = r#"<form method=post><input type=hidden name=found><button>Send</button></form><script>
    fetch('/kept', { cache: 'only-if-cached', mode: 'same-origin' }).then(({ ok }) => ok, () => false).then((found) => {
        document.forms[0].found.value = found;
        document.forms[0].insertAdjacentHTML('afterbegin', '<input name=owner>');
    });</script>"#;

// Thanks once the browser has kept something.
const CACHE_FILLER: &str = r#"<script>(async () => {
    await (await fetch('/kept', { cache: 'reload' })).text();
    const kept = await fetch('/kept', { cache: 'only-if-cached', mode: 'same-origin' });
    if (kept.ok) document.body.insertAdjacentHTML('afterbegin', '<h1>Thank you!</h1>');
})()</script>"#;

#[test]
fn what_a_page_fetched_is_gone_too() {
    let browsers = one_browser("cache");
    let site = Site::new(|request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", _) => page(CACHE_FILLER),
        (_, "/kept") => Reply::Kept("of the last person".to_owned()),
        _ => page(CACHE_READER),
    });
    for _ in 0..3 {
        confirmation(&RUNTIME.block_on(browsers.run(&recipe(ONE_PAGE, &site.base), Vec::new(), may_send())));
    }
    assert_eq!(site.posted(), ["owner=ada%40example.org&found=false"; 3]);
    RUNTIME.block_on(browsers.shutdown());
}

#[test]
fn automation_is_not_hidden() {
    let site = Site::one_page(
        "<form method=post><input name=owner><input type=hidden name=robot><button>Send</button></form><script>document.querySelector('[name=robot]').value=navigator.webdriver</script>",
        thanks,
    );
    confirmation(&try_form(ONE_PAGE, &site.base));
    assert!(site.posted()[0].ends_with("robot=true"));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn no_log_level_shows_what_is_filled_in() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let site = Site::one_page("<form method=post><input name=owner><button>Send</button></form>", thanks);
    tracing::subscriber::with_default(subscriber.finish(), || {
        tracing::info!("the log listens");
        confirmation(&try_form(ONE_PAGE, &site.base));
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("the log listens"));
    assert!(!text.contains("ada@example.org"), "{text}");
}
