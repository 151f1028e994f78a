//! The login of the pages: in a real browser, and what others try with it.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{House, MISSING, SHOP};
use crate::browser::{DESK, Person};

/// Another's page that sends what a visitor's browser may send along.
async fn foreign_page(target: &str) -> String {
    let page = format!(
        "<!doctype html><title>win</title><form id=f method=post action='{target}/logout'></form><p id=done></p>\
         <script>fetch('{target}/api/operations/pause', {{ method: 'POST', mode: 'no-cors', credentials: 'include', \
         headers: {{ 'Content-Type': 'text/plain' }}, body: '{{}}' }}).finally(() => f.submit());</script>"
    );
    let answer = move || {
        let page = page.clone();
        async move { axum::response::Html(page) }
    };
    let router = axum::Router::new().route("/", axum::routing::get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_looks_around_and_logs_out_and_no_other_page_can_use_their_login() {
    let house = House::new().await;
    let own = house.submit(house.key("service"), "", "zoe@example.org").await;
    house.submit(house.key("admin"), "another", "zoe@example.org").await;
    let person = Person::at(&house.service.http, "/registrations", DESK).await;
    person.sees("#credential").await;
    person.types("#credential", "rf_nonsense").await;
    person.presses("#log-in").await;
    person.sees_text("[role=alert]", "does not let anybody in").await;
    assert!(!person.page.source().await.unwrap().contains("rf_nonsense"));
    person.types("#credential", house.key("service")).await;
    person.presses("#log-in").await;
    // back at the page that was asked for, with what is theirs
    person.sees_text("body", "Kaffeemühle").await;
    assert!(person.page.current_url().await.unwrap().path() == "/registrations");
    let links = "return document.querySelectorAll(\"a[href^='/track/']\").length;";
    assert_eq!(person.page.execute(links, vec![]).await.unwrap().json().as_u64(), Some(1));

    let cookie = person.page.get_named_cookie("regflow").await.unwrap();
    assert_eq!((cookie.http_only, cookie.path.as_deref()), (Some(true), Some("/")));
    assert_eq!(format!("{:?}", cookie.same_site), "Some(Strict)");
    let visible = person.page.execute("return document.cookie;", vec![]).await.unwrap();
    assert_eq!(visible.json().as_str(), Some(""));

    // another origin on the same machine is the same site: the browser sends even a strict cookie
    person.goes_to(&foreign_page(&house.service.http).await).await;
    person.sees_text("body", "FOREIGN_ORIGIN").await;
    person.goes_to(&format!("/track/{}", own.id)).await;
    person.sees_text("#product", "Kaffeemühle").await;
    // who is a service has no business with the makers
    person.goes_to("/operate").await;
    person.sees_text("[role=alert]", "may not do this").await;

    person.goes_to("/login").await;
    person.sees_text(".lead", "As service crm of shop").await;
    person.presses("#log-out").await;
    person.sees("#credential").await;
    person.goes_to(&format!("/track/{}", own.id)).await;
    person.sees("#credential").await;
    assert!(person.page.current_url().await.unwrap().query().unwrap().contains(&own.id));
    person.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_login_only_our_own_pages_change_anything() {
    let house = House::new().await;
    let form = [("credential", house.key("operator")), ("next", "//evil.example")];
    let login = house.request(Method::POST, "/login", None).form(&form).send().await.unwrap();
    assert_eq!((login.status(), login.headers()["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "/"));
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let redrive = json!({ "reason": "they asked", "operator": "ada", "dryRun": true });
    let redriven = async |headers: &[(&str, &str)]| {
        let mut request = house.request(Method::POST, "/api/operations/redrive", None).header("cookie", &cookie);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.json(&redrive).send().await.unwrap().status()
    };
    let own = house.service.http.as_str();
    assert_eq!(redriven(&[("origin", own)]).await, StatusCode::OK);
    assert_eq!(redriven(&[("sec-fetch-site", "same-origin"), ("origin", own)]).await, StatusCode::OK);
    for headers in [
        &[][..],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", own)],
        &[("sec-fetch-site", "none")],
    ] {
        assert_eq!(redriven(headers).await, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let made_up = house.request(Method::GET, "/api/registration", None).header("cookie", "regflow=0123");
    assert_eq!(made_up.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    // a link in a mail brings no cookie: the page asks for itself again, from here
    let linked = house.request(Method::GET, &format!("/track/{MISSING}?a=1&b=2"), None);
    let linked = linked.header("sec-fetch-site", "cross-site").send().await.unwrap();
    let text = linked.text().await.unwrap();
    assert!(
        text.contains("http-equiv=\"refresh\"") && text.contains(MISSING) && text.contains("a=1&amp;b=2"),
        "{text}"
    );
    assert_eq!(SHOP, "shop");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_has_anything_inside_that_the_policy_would_have_to_allow() {
    let house = House::new().await;
    let admin = Some(house.key("admin"));
    for path in ["/", "/registrations", "/operate", &format!("/track/{MISSING}"), "/login", "/done", "/done/x"] {
        let answer = house.get(path, admin).await;
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        for bound in ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.contains(bound), "{path}: {policy}");
        }
        let text = answer.text().await.unwrap();
        assert!(text.contains("</html>"), "{path} is a page: {text}");
        for inside in ["<style", " style=", "<script>", " onclick=", " onload=", " onsubmit=", "javascript:"] {
            assert!(!text.contains(inside), "{path} has {inside}");
        }
    }
}
