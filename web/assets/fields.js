// The fields of a form about a registration: label, hint, input, what is wrong with it.

import { h } from "./dom.js";
import { fieldWords } from "./words.js";

/** What the service asks for whatever the maker. */
export const ALWAYS_REQUIRED = ["product.brand", "product.model", "owner.name", "owner.email"];

const KINDS = {
  "product.brand": { max: 100 },
  "product.model": { max: 100 },
  "product.serial": { max: 100, spellcheck: "false", autocapitalize: "characters", class: "code" },
  "purchase.date": { type: "date" },
  "purchase.installation_date": { type: "date" },
  "purchase.delivery_date": { type: "date" },
  "purchase.shop": { max: 100 },
  "purchase.price": { max: 40, hint: "With its currency, such as 129.00 EUR." },
  "owner.name": { autocomplete: "name", max: 100 },
  "owner.email": { type: "email", autocomplete: "email", max: 200, hint: "News about this registration go here." },
  "owner.phone": { type: "tel", autocomplete: "tel", max: 40 },
  "owner.address.street": { autocomplete: "street-address", max: 100 },
  "owner.address.postal_code": { autocomplete: "postal-code", max: 20, class: "narrow" },
  "owner.address.city": { autocomplete: "address-level2", max: 100 },
  "owner.address.country": { autocomplete: "country" },
};

const COUNTRIES =
  "AD AE AL AM AR AT AU AZ BA BE BG BR BY CA CH CL CN CO CY CZ DE DK EE EG ES FI FO FR GB GE GI GL GR HK HR HU ID IE IL IN IS IT JP KR KZ LI LT LU LV MA MC MD ME MK MT MX MY NL NO NZ PE PH PL PT RO RS RU SA SE SG SI SK SM TH TN TR TW UA US VA VN XK ZA";

function countrySelect(attributes) {
  const names = new Intl.DisplayNames(["en"], { type: "region" });
  const known = COUNTRIES.split(" ").map((code) => [code, names.of(code)]).sort(([, a], [, b]) => a.localeCompare(b));
  return h("select", attributes, h("option", { value: "" }, "Choose"), known.map(([code, name]) => {
    const option = h("option", null, name);
    option.setAttribute("value", code);
    return option;
  }));
}

const idOf = (field) => `f-${field.replaceAll(".", "-")}`;
const today = () => new Date(Date.now() - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 10);

/** One field; its parts stay the same while the form around it changes. */
export class Field {
  constructor(name) {
    const kind = KINDS[name] ?? { max: 200 };
    const id = idOf(name);
    this.name = name;
    const attributes = {
      id, name, maxlength: kind.max, autocomplete: kind.autocomplete ?? "off", class: kind.class,
      spellcheck: kind.spellcheck, autocapitalize: kind.autocapitalize, "aria-describedby": `${id}-hint ${id}-problem`,
    };
    if (name === "owner.address.country") this.input = countrySelect(attributes);
    else this.input = h("input", { type: kind.type ?? "text", max: kind.type === "date" ? today() : null, ...attributes });
    this.mark = h("span", { class: "mark" });
    this.hint = h("p", { class: "hint", id: `${id}-hint` }, kind.hint);
    this.problem = h("p", { class: "problem", id: `${id}-problem` });
    this.advice = h("div", { class: "advice", "aria-live": "polite" });
    this.element = h("div", { class: `field ${kind.type === "date" ? "short" : ""} ${kind.class === "narrow" ? "short" : ""}`, "data-field": name },
      h("label", { for: id }, fieldWords(name), " ", this.mark), this.input, this.problem, this.advice, this.hint);
  }

  get value() {
    return this.input.value.trim();
  }

  set value(text) {
    this.input.value = text;
  }

  require(required) {
    this.input.required = required;
    this.mark.textContent = required ? "" : "optional";
  }

  setHint(...children) {
    this.hint.replaceChildren(...children.filter(Boolean));
  }

  setProblem(text) {
    this.problem.textContent = text ? text.charAt(0).toUpperCase() + text.slice(1) : "";
    if (text) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }

  /** Something odd that is not refused, with spellings that would fit; `take` is called with the one that was clicked. */
  setAdvice(problem, suggestions = [], take = () => {}) {
    const button = (text) => h("button", { type: "button", class: "suggestion", on: { click: () => take(text) } },
      h("span", { class: "unseen" }, "Use "), differences(this.value, text));
    this.advice.replaceChildren(...(problem
      ? [h("p", null, problem.charAt(0).toUpperCase() + problem.slice(1)),
        suggestions.length ? h("p", { class: "suggestions" }, h("span", null, "Did you mean"), suggestions.map(button)) : ""]
      : []));
  }
}

/** `text` with the characters marked in which it differs from what was typed. */
function differences(typed, text) {
  if (typed.length !== text.length) return text;
  return [...text].map((character, index) => (character === typed[index] ? character : h("mark", null, character)));
}

/** A warning's words and suggestions; older services put those into the words only. */
export function adviceOf(warning) {
  const [problem, question] = warning.problem.split("; did you mean ");
  const suggestions = warning.suggestions ?? question?.replace(/\?$/, "").split(" or ") ?? [];
  return { problem: question === undefined ? warning.problem : problem, suggestions };
}

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

/** Values by dotted path as the body that the service takes: "owner.address.postal_code" is owner.address.postalCode. */
export function bodyOf(values) {
  const body = {};
  for (const [path, value] of Object.entries(values)) {
    if (value === "" || value === undefined) continue;
    const names = path.split(".");
    const last = names.pop();
    let place = body;
    for (const name of names) place = place[camel(name)] ??= {};
    place[path.startsWith("extra.") ? last : camel(last)] = value;
  }
  return body;
}

/** Says above a form what is wrong, with links to the fields, and puts the focus there. */
export function summarize(summary, text, errors, focusOn) {
  const link = ({ field, problem }) => h("li", null,
    h("a", { href: `#${idOf(field)}`, on: { click: (event) => { event.preventDefault(); focusOn(field); } } }, fieldWords(field)),
    ` ${problem}`);
  summary.hidden = !text;
  summary.replaceChildren(...(text ? [h("p", null, text), errors.length ? h("ul", null, errors.map(link)) : ""] : []));
}
