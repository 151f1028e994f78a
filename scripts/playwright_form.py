"""What `regflow bench` compares its forms with: a plain Playwright script that registers products by the sandbox's form.

Usage: playwright_form.py BROWSER URL. Reads lines of JSON, `{"how": ..., "forms": N, "first": N, "picture": bool}`, and answers each
with one: `{"forms": N, "seconds": S}`. It does what the recipe of Brightwell does and checks nothing beside: no captcha, no second
look at the button, no proxy. How people are kept apart:

fresh_context   a browser context each, as Playwright's manual says; nothing of the one before is left
fresh_tab       a tab each in one context, cookies, cache and the origin's storage cleared: what regflow's `Session::clean` did first
reused_page     one page for all, cookies and storage cleared: history, cache and `window.name` go on to the next person
"""

import json
import sys
import time

from playwright.sync_api import sync_playwright

FILL = """person => {
  document.getElementById('cookie-reject')?.click();
  const set = (id, value) => {
    const el = document.getElementById(id);
    el.focus();
    el.value = value;
    el.dispatchEvent(new Event('input', { bubbles: true }));
    el.dispatchEvent(new Event('change', { bubbles: true }));
    el.blur();
  };
  for (const [id, value] of Object.entries(person)) set(id, value);
}"""
STORAGE = "cookies,file_systems,indexeddb,local_storage,service_workers,cache_storage"


def person(number):
    return {
        "product_model": "Studio 5", "serial_number": f"BW24-{number:06}", "purchase_date": "2026-11-02",
        "country": "SE", "name": f"Åsa Öberg {number}", "email": f"owner{number}@example.org",
    }


def register(page, url, number, picture):
    page.goto(url, wait_until="domcontentloaded")
    page.evaluate(FILL, person(number))
    page.click("#register-form button[type=submit]")
    code = page.wait_for_selector(".confirmation .code").inner_text()
    if not code.startswith("BW-"):
        sys.exit(f"no code but {code!r}")
    if picture:
        page.screenshot()


class FreshContext:
    def __init__(self, browser, url):
        self.browser = browser

    def page(self):
        self.context = self.browser.new_context(viewport={"width": 1000, "height": 1400})
        return self.context.new_page()

    def done(self):
        self.context.close()

    def end(self):
        pass


class FreshTab:
    def __init__(self, browser, url):
        self.context = browser.new_context(viewport={"width": 1000, "height": 1400})
        self.tab = self.context.new_page()
        self.origin = "/".join(url.split("/")[:3])

    def page(self):
        return self.tab

    def done(self):
        old, self.tab = self.tab, self.context.new_page()
        old.close()
        cdp = self.context.new_cdp_session(self.tab)
        cdp.send("Network.clearBrowserCookies")
        cdp.send("Network.clearBrowserCache")
        cdp.send("Storage.clearDataForOrigin", {"origin": self.origin, "storageTypes": STORAGE})
        cdp.detach()

    def end(self):
        self.context.close()


class ReusedPage(FreshTab):
    def done(self):
        self.context.clear_cookies()
        self.tab.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")


HOWS = {"fresh_context": FreshContext, "fresh_tab": FreshTab, "reused_page": ReusedPage}


def main(path, url):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        for line in sys.stdin:
            wish = json.loads(line)
            people = HOWS[wish["how"]](browser, url)
            begun = time.monotonic()
            for number in range(wish["first"], wish["first"] + wish["forms"]):
                register(people.page(), url, number, wish["picture"])
                people.done()
            seconds = time.monotonic() - begun
            people.end()
            print(json.dumps({"forms": wish["forms"], "seconds": seconds}), flush=True)
        browser.close()


main(sys.argv[1], sys.argv[2])
