//! What a page can be asked: the typed side of `page.js`.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thirtyfour::error::{WebDriverError, WebDriverResult};
use thirtyfour::session::scriptret::ScriptRet;
use thirtyfour::{WebDriver, WebElement};

use crate::captcha;
use crate::judge::BAD_STATUS;
use crate::watch::ELEMENTS_MAX;
use crate::{BrowserOptions, ErrorList, Field, FieldKind, Recipe, Signs};

static SCRIPT: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(include_str!("page.js")));

/// A field as the script wants it.
#[derive(Debug, Serialize)]
pub(crate) struct ToFill<'a> {
    selectors: &'a [String],
    kind: &'static str,
    value: &'a str,
    optional: bool,
}

impl<'a> ToFill<'a> {
    /// Nothing for the kinds that the driver itself must fill.
    pub(crate) fn new(field: &'a Field) -> Option<Self> {
        let kind = match field.kind {
            FieldKind::Text => "text",
            FieldKind::Select => "select",
            FieldKind::Date => "date",
            FieldKind::Checkbox => "checkbox",
            FieldKind::Radio => "radio",
            FieldKind::File | FieldKind::Typed => return None,
        };
        Some(Self { selectors: &field.selectors, kind, value: &field.value, optional: field.optional })
    }
}

/// How filling one field went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FillStatus {
    /// It holds the value.
    Ok,
    /// No selector finds it.
    Missing,
    /// It is there, but cannot be used yet.
    Disabled,
    /// The list has no such entry, or not yet.
    NoOption,
    /// It is another kind of field than the recipe says.
    WrongKind,
    /// It takes fewer characters.
    TooLong,
    /// It did not keep the value.
    Refused,
}

/// One field's result, with the names by which the maker may speak of it later.
#[derive(Debug, Deserialize)]
pub(crate) struct Filled {
    pub(crate) status: FillStatus,
    pub(crate) name: String,
    pub(crate) id: String,
}

/// What the first page of a form showed, and how filling it went; nothing was filled where that is no page for it.
#[derive(Debug, Deserialize)]
pub(crate) struct Entered {
    pub(crate) look: Look,
    pub(crate) filled: Option<Vec<Filled>>,
}

/// A field that the browser would not send.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Unfit {
    pub(crate) name: String,
    pub(crate) id: String,
    /// The flag of its ValidityState.
    pub(crate) flag: String,
    /// What the maker's own hint says of the wanted shape.
    pub(crate) hint: String,
}

/// A line of the maker's list of problems.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Problem {
    /// The maker's name of the field, if it says one.
    pub(crate) field: String,
    pub(crate) text: String,
}

/// What to look for on a page.
#[derive(Debug, Serialize)]
pub(crate) struct Watch<'a> {
    /// The mark of the document that was clicked; a document without it is new.
    pub(crate) mark: &'a str,
    success: &'a Signs,
    already: Option<&'a Signs>,
    login: &'a [String],
    captcha: &'a [String],
    /// Selectors of the page that should follow.
    next: Cow<'a, [String]>,
    errors: Option<&'a ErrorList>,
    confirmation: Option<&'a str>,
}

impl<'a> Watch<'a> {
    /// Looks for all that `recipe` knows, and for the page after step `step`.
    pub(crate) fn new(recipe: &'a Recipe, step: Option<usize>, mark: &'a str) -> Self {
        Self {
            mark,
            success: &recipe.success,
            already: recipe.already_registered.as_ref(),
            login: &recipe.login_signs,
            captcha: &recipe.captcha_signs,
            next: step.map_or(Cow::Borrowed(&[]), |step| after(recipe, step)),
            errors: recipe.errors.as_ref(),
            confirmation: recipe.confirmation.as_ref().map(|found| found.selector.as_str()),
        }
    }
}

// The page after a step: by the sign it names, else by its first field that must be there, else by its button.
fn after(recipe: &Recipe, step: usize) -> Cow<'_, [String]> {
    let wait_for = recipe.steps.get(step).and_then(|step| step.wait_for.clone());
    if let Some(selector) = wait_for {
        return Cow::Owned(vec![selector]);
    }
    let Some(next) = recipe.steps.get(step + 1) else { return Cow::Borrowed(&[]) };
    let field = next.fields.iter().find(|field| !field.optional);
    Cow::Borrowed(field.map_or(&next.submit, |field| &field.selectors))
}

/// What a page shows.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Look {
    /// HTTP status of the document, 0 when the browser does not say.
    pub(crate) status: u16,
    /// Whether there is a body and the document is parsed.
    pub(crate) loaded: bool,
    /// Whether this is another document than the one that was clicked.
    pub(crate) fresh: bool,
    /// Whether it is the browser's own page for an address that does not answer.
    pub(crate) unreachable: bool,
    pub(crate) success: bool,
    pub(crate) already: bool,
    pub(crate) login: bool,
    /// A captcha by the recipe's own selectors.
    pub(crate) captcha: bool,
    /// The page that should follow, visible.
    pub(crate) next: bool,
    /// The same, perhaps hidden: enough on a new document (styled uploads and boxes are).
    pub(crate) next_hidden: bool,
    /// What the browser refused to send.
    pub(crate) blocked: Vec<Unfit>,
    /// Whether the click came to something else than the button, and was kept from it.
    pub(crate) missed: bool,
    pub(crate) problems: Vec<Problem>,
    pub(crate) confirmation: String,
    pub(crate) elements: usize,
}

/// What to look for to know the form of a page among others.
#[derive(Debug, Serialize)]
pub(crate) struct Known<'a> {
    /// The selectors of each field that must be there.
    fields: Vec<&'a [String]>,
    submit: &'a [String],
}

impl<'a> Known<'a> {
    /// What `recipe` knows of its first page.
    pub(crate) fn first_page(recipe: &'a Recipe) -> Self {
        let Some(step) = recipe.steps.first() else { return Self { fields: Vec::new(), submit: &[] } };
        let fields = step.fields.iter().filter(|field| !field.optional).map(|field| field.selectors.as_slice());
        Self { fields: fields.collect(), submit: &step.submit }
    }
}

/// A form as the page has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct RawForm {
    pub(crate) action: String,
    pub(crate) fields: Vec<RawField>,
    /// Whether everything that is known of it is there.
    pub(crate) whole: bool,
}

/// A field as the page has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct RawField {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) label: String,
    pub(crate) required: bool,
}

/// A place on the page in sight, in CSS pixels from its upper left corner.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Spot {
    x: i64,
    y: i64,
}

/// The state of a page right before its button is clicked.
#[derive(Debug, Deserialize)]
pub(crate) struct Armed {
    /// Whether the button is there and not disabled.
    pub(crate) ready: bool,
    /// Where a click hits it, if something does not stand before it.
    spot: Option<Spot>,
    pub(crate) refused: Vec<Unfit>,
    pub(crate) success: bool,
}

/// Who clicks a button.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clicker {
    /// The mouse, at once, where the button was seen.
    Mouse,
    /// The driver, which looks for the button again.
    Driver,
}

/// A button that was looked at a moment ago.
#[derive(Debug)]
pub(crate) enum Button<'a> {
    /// In sight.
    Seen(Page<'a>, Spot),
    /// For the driver to find a way to.
    Known(WebElement),
}

impl Button<'_> {
    /// Clicks it as a mouse does. Where it is in sight, the mouse goes there at once; else, or where it is wanted so, the driver looks
    /// for a way, which takes it eleven scripts and 50 ms, and says when there is none. The page keeps the click from all but the
    /// button (`guard` in page.js), since it may have moved.
    pub(crate) async fn click(&self) -> WebDriverResult<()> {
        match self {
            Self::Known(element) => element.click().await,
            Self::Seen(page, spot) => {
                let mouse = page.browser.action_chain_with_delay(Some(Duration::ZERO), Some(Duration::ZERO));
                mouse.move_to(spot.x, spot.y).click().perform().await
            }
        }
    }
}

/// How the pixels of a picture become a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// In a few milliseconds.
    Quick,
    /// Into fewer bytes.
    Small,
}

/// The page that a browser shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) browser: &'a WebDriver,
    /// How long our script may take, with those of the page that it sets off.
    script_timeout: Duration,
}

impl<'a> Page<'a> {
    pub(crate) fn new(browser: &'a WebDriver, options: &BrowserOptions) -> Self {
        Self { browser, script_timeout: options.page_timeout }
    }

    /// Clicks `dismiss` away and fills fields in order, up to the first required one that is not ready.
    pub(crate) async fn fill(&self, dismiss: &[String], fields: &[ToFill<'_>]) -> WebDriverResult<Vec<Filled>> {
        self.ask("fill", &json!({ "dismiss": dismiss, "fields": fields })).await
    }

    /// The same of a page that was just opened, in one go with a look at it; only if a form could be on it, and no captcha is in plain
    /// sight.
    pub(crate) async fn enter(&self, recipe: &Recipe, fields: &[ToFill<'_>]) -> WebDriverResult<Entered> {
        let given = json!({
            "watch": Watch::new(recipe, None, ""),
            "walls": *captcha::IN_SIGHT,
            "bad_from": BAD_STATUS,
            "elements_max": ELEMENTS_MAX,
            "dismiss": recipe.dismiss,
            "fields": fields,
        });
        self.ask("enter", &given).await
    }

    /// What the page shows of all that is watched for.
    pub(crate) async fn look(&self, watch: &Watch<'_>) -> WebDriverResult<Look> {
        self.ask("look", watch).await
    }

    /// The same of a page that may be on its way out. By the driver, which knows when it is: the browser itself leaves a question to a
    /// page that goes without an answer, now and then.
    pub(crate) async fn look_after_a_click(&self, watch: &Watch<'_>) -> WebDriverResult<Look> {
        let look = self.script("look", serde_json::to_value(watch)?).await?;
        read("look", look.json().clone())
    }

    /// The form that `known` is about, or what comes nearest. Touches nothing.
    pub(crate) async fn shape(&self, known: &Known<'_>) -> WebDriverResult<RawForm> {
        self.ask("shape", known).await
    }

    /// Clicks away what is in the way, marks the document and says what stands against a click of `submit`.
    pub(crate) async fn arm(&self, mark: &str, recipe: &Recipe, submit: &[String]) -> WebDriverResult<Armed> {
        let (dismiss, success) = (&recipe.dismiss, &recipe.success);
        self.ask("arm", &json!({ "mark": mark, "dismiss": dismiss, "submit": submit, "success": success })).await
    }

    /// The button that was armed; nothing if it is gone by now.
    pub(crate) async fn button(
        &self,
        armed: &Armed,
        submit: &[String],
        by: Clicker,
    ) -> WebDriverResult<Option<Button<'a>>> {
        match armed.spot {
            _ if !armed.ready => Ok(None),
            Some(spot) if by == Clicker::Mouse => Ok(Some(Button::Seen(*self, spot))),
            Some(_) | None => Ok(self.locate(submit).await?.map(Button::Known)),
        }
    }

    /// The page as it is in sight: PNG, packed well or quickly.
    pub(crate) async fn picture(&self, packing: Packing) -> WebDriverResult<Vec<u8>> {
        let what = json!({ "format": "png", "optimizeForSpeed": packing == Packing::Quick });
        let answer = self.browser.cdp().send_raw("Page.captureScreenshot", what).await?;
        let text = answer.get("data").and_then(Value::as_str).unwrap_or_default();
        STANDARD.decode(text).map_err(|_| WebDriverError::Json("picture".to_owned()))
    }

    /// Clicks away whatever of `selectors` is in sight.
    pub(crate) async fn dismiss(&self, selectors: &[String]) -> WebDriverResult<()> {
        if selectors.is_empty() {
            return Ok(());
        }
        self.ask::<Value>("dismiss", &selectors).await.map(drop)
    }

    /// The first element that one of `selectors` finds.
    pub(crate) async fn locate(&self, selectors: &[String]) -> WebDriverResult<Option<WebElement>> {
        let found = self.script("locate", json!(selectors)).await?;
        if found.json().is_null() { Ok(None) } else { found.element().map(Some) }
    }

    /// The sign of a captcha anywhere in the whole pierced document.
    pub(crate) async fn captcha(&self) -> WebDriverResult<Option<&'static str>> {
        let what = json!({ "computedStyles": [] });
        Ok(captcha::read(&self.browser.cdp().send_raw("DOMSnapshot.captureSnapshot", what).await?))
    }

    /// By the browser and not by the driver's own scripts, which take several times as long.
    async fn ask<T: DeserializeOwned>(&self, work: &'static str, given: &impl Serialize) -> WebDriverResult<T> {
        // JSON is JavaScript
        let given = serde_json::to_string(given)?;
        let script = json!({
            "expression": format!("(function () {{ {} }})(\"{work}\", {given})", *SCRIPT),
            "returnByValue": true,
            "timeout": self.script_timeout.as_millis(),
        });
        let mut answer = self.browser.cdp().send_raw("Runtime.evaluate", script).await?;
        read(work, answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
    }

    async fn script(&self, work: &'static str, given: Value) -> WebDriverResult<ScriptRet> {
        self.browser.execute(Arc::clone(&*SCRIPT), vec![json!(work), given]).await
    }
}

// Without serde's words: they may quote what the page holds.
fn read<T: DeserializeOwned>(work: &'static str, answer: Value) -> WebDriverResult<T> {
    serde_json::from_value(answer).map_err(|_| WebDriverError::Json(work.to_owned()))
}
