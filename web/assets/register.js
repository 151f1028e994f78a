// The page to register: the fields that the maker needs, checked while one types, handed over once.

import { announce, byId, fill, h } from "./dom.js";
import { Problem, post, sentence } from "./api.js";
import { ALWAYS_REQUIRED, Field, adviceOf, bodyOf, summarize } from "./fields.js";
import { combobox } from "./combobox.js";
import { GENERIC, brandsLike, countsFrom, listMakers, makerOf, registerBy } from "./makers.js";
import { Proof } from "./proof.js";
import { fieldWords, methodName, methodWords } from "./words.js";

const DRAFT = "regflow.draft";
const CHECK_AFTER_MS = 400;
const ORDER = {
  product: ["product.brand", "product.model", "product.serial"],
  purchase: ["purchase.date", "purchase.delivery_date", "purchase.installation_date", "purchase.shop", "purchase.price"],
  owner: ["owner.name", "owner.email", "owner.phone", "owner.address.street", "owner.address.postal_code", "owner.address.city", "owner.address.country"],
};
// asked for whoever the maker is: they tell what it is and how long there is time
const BASIC = [...ALWAYS_REQUIRED, "product.serial", "purchase.date"];
const METHOD_MEANING = { API: "regflow hands it to the maker directly", AUTOMATION_RELIABLE: "regflow fills in the maker's web form", ASSISTED_MANUAL: "you get a prepared packet by mail and finish it" };

const fields = new Map();
const touched = new Set();
const proof = new Proof();
const form = byId("form");
let makers = [];
let maker;
let idempotencyKey = "";

function field(name) {
  if (!fields.has(name)) {
    const made = new Field(name);
    made.input.addEventListener("input", () => made.setProblem(""));
    made.input.addEventListener("blur", () => { if (touched.has(name) || made.value) leave(name); });
    made.input.addEventListener("input", () => touched.add(name));
    fields.set(name, made);
  }
  return fields.get(name);
}

// ---- the form that this maker needs

function show() {
  const takes = new Map((maker?.fields ?? []).map((taken) => [taken.field, taken.required ?? false]));
  const from = countsFrom(maker);
  const optional = [];
  const place = (section, names) => {
    const main = [];
    for (const name of names) {
      const required = ALWAYS_REQUIRED.includes(name) || takes.get(name) === true;
      field(name).require(required);
      if (required || BASIC.includes(name) || name === from) main.push(name);
      else if (takes.has(name)) optional.push(name);
      else field(name).element.remove();
    }
    settle(byId(section), main);
    return main;
  };
  for (const [section, names] of Object.entries(ORDER)) place(section, names);
  const extra = [...takes.keys()].filter((name) => name.startsWith("extra."));
  for (const name of fields.keys()) if (name.startsWith("extra.") && !takes.has(name)) field(name).element.remove();
  byId("extra-section").hidden = place("extra", extra).length === 0;
  settle(byId("optional"), optional);
  byId("optional-section").hidden = optional.length === 0;
  byId("optional-names").textContent = optional.map(fieldWords).join(", ").toLowerCase();
  byId("proof-mark").textContent = takes.get("proof_of_purchase") ? "" : "optional";
  byId("extra-legend").textContent = `Also for ${maker?.displayName ?? "the maker"}`;
  showGuide();
}

/** Puts the fields into a section; those that are there already are not moved, so that the focus stays. */
function settle(section, names) {
  const wanted = names.map((name) => field(name).element);
  const same = wanted.length === section.children.length && wanted.every((element, index) => section.children[index] === element);
  if (!same) section.replaceChildren(...wanted);
}

function showGuide() {
  const serial = maker?.serial;
  field("product.serial").setHint(...(serial
    ? [`${serial.location ? `Where it stands: ${serial.location}. ` : ""}Looks like: ${serial.hint}, such as `, h("code", null, serial.example), "."]
    : ["On the type plate or the box, often marked S/N."]));
  const brand = field("product.brand");
  if (!maker) brand.setHint("As it stands on the product. Type to see the makers that regflow knows.");
  else if (maker.maker === GENERIC) brand.setHint("regflow does not know this brand yet. It is taken all the same: you get a prepared packet for its maker.");
  else brand.setHint(`Made by ${maker.displayName}.`);
  const automatic = (maker?.ladder ?? []).map(methodName);
  fill(byId("ways"), automatic.map((method) => h("li", null, h("strong", null, methodWords(method)), h("span", null, METHOD_MEANING[method] ?? ""))));
  byId("ways-title").textContent = maker ? `How it goes with ${maker.maker === GENERIC ? brand.value : maker.displayName}` : "How it goes";
  byId("ways-none").hidden = automatic.length > 0;
  showRegisterBy();
}

function showRegisterBy() {
  const dateOf = (name) => (fields.has(name) ? field(name).value : "");
  const note = registerBy(maker, dateOf, dateOf("owner.address.country"));
  const element = byId("register-by");
  element.hidden = !note;
  element.className = `note ${note?.tone ?? ""}`;
  element.textContent = note?.text ?? "";
}

function chooseMaker() {
  const found = makerOf(makers, field("product.brand").value);
  if (found === maker && found?.maker !== GENERIC) return;
  const changed = found !== maker;
  maker = found;
  show();
  if (changed && maker) announce(maker.maker === GENERIC ? "This brand is not known yet; it is taken all the same." : `Maker: ${maker.displayName}.`);
}

// ---- the check while one types

let checkTimer = 0;
let checking = null;

function leave(name) {
  touched.add(name);
  if (name === "product.brand") chooseMaker();
  showRegisterBy();
  clearTimeout(checkTimer);
  checkTimer = setTimeout(check, CHECK_AFTER_MS);
}

const shownNames = () => [...fields.keys()].filter((name) => field(name).element.isConnected);
const values = () => Object.fromEntries(shownNames().map((name) => [name, field(name).value]));

/** What nobody has typed yet stands in for itself: only so are serial and dates looked at before the form is complete. */
function withStandIns(typed) {
  const filled = { ...typed };
  for (const name of shownNames()) {
    const { input } = field(name);
    if (filled[name] || !input.required) continue;
    filled[name] = input.type === "email" ? "check@example.org" : input.type === "date" ? new Date().toISOString().slice(0, 10) : name.endsWith("country") ? "DE" : "-";
  }
  return filled;
}

async function check() {
  const typed = values();
  if (!typed["product.brand"]) return;
  checking?.abort();
  checking = new AbortController();
  const { signal } = checking;
  const answered = await post("/api/registration", { ...bodyOf(withStandIns(typed)), validateOnly: true }).catch((problem) => problem);
  if (signal.aborted) return;
  const isTyped = (name) => touched.has(name) && fields.has(name);
  const errors = answered instanceof Problem ? answered.errors : [];
  for (const name of touched) if (fields.has(name) && field(name).value) field(name).setProblem("");
  for (const { field: name, problem } of errors) if (isTyped(name) && typed[name]) field(name).setProblem(problem);
  showAdvice(answered.registration?.warnings ?? []);
}

function showAdvice(warnings) {
  for (const one of fields.values()) {
    const warning = warnings.find((candidate) => candidate.field === one.name);
    if (!warning || !one.value) {
      one.setAdvice("");
      continue;
    }
    const { problem, suggestions } = adviceOf(warning);
    one.setAdvice(problem, suggestions, (text) => {
      one.value = text;
      one.setAdvice("");
      one.input.focus();
      save();
      leave(one.name);
      announce(`${fieldWords(one.name)} is now ${text}.`);
    });
  }
}

// ---- the draft, kept while the tab lives

function save() {
  const draft = { key: idempotencyKey, values: values(), consent: form.elements.marketing_consent.checked };
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(draft));
  } catch {
    // a browser that keeps nothing still hands over
  }
}

function restore() {
  let draft = {};
  try {
    draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "{}");
  } catch {
    sessionStorage.removeItem(DRAFT);
  }
  idempotencyKey = draft.key || newKey();
  form.elements.marketing_consent.checked = draft.consent === true;
  field("product.brand").value = draft.values?.["product.brand"] ?? "";
  maker = makerOf(makers, field("product.brand").value);
  show();
  for (const [name, value] of Object.entries(draft.values ?? {})) field(name).value = value;
  showGuide();
  if (Object.values(draft.values ?? {}).some(Boolean)) byId("draft").hidden = false;
}

function newKey() {
  // randomUUID is there only on https and on this machine
  if (crypto.randomUUID) return crypto.randomUUID();
  const hex = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

function discard() {
  sessionStorage.removeItem(DRAFT);
  location.reload();
}

// ---- handing over

function focusOn(name) {
  const input = name === "proof_of_purchase" || name.startsWith("proof_of_purchase.") ? proof.input : fields.get(name)?.input;
  input?.closest("details")?.setAttribute("open", "");
  input?.focus();
}

const missing = () => shownNames().filter((name) => field(name).input.required && !field(name).value)
  .map((name) => ({ field: name, problem: "is missing." }));

function showErrors(text, errors) {
  for (const one of fields.values()) one.setProblem("");
  for (const { field: name, problem } of errors) {
    if (name.startsWith("proof_of_purchase")) proof.setProblem(problem);
    else if (fields.has(name)) field(name).setProblem(problem);
  }
  summarize(byId("summary"), text, errors, focusOn);
  if (errors.length > 0) focusOn(errors[0].field);
  else if (text) byId("summary").focus();
}

async function submit(event) {
  event.preventDefault();
  clearTimeout(checkTimer);
  checking?.abort();
  chooseMaker();
  const incomplete = missing();
  if (incomplete.length > 0) return showErrors("Something is still missing:", incomplete);
  const button = byId("submit");
  button.disabled = true;
  button.textContent = "Handing over…";
  save();
  try {
    const body = { ...bodyOf(values()), marketingConsent: form.elements.marketing_consent.checked };
    const file = await proof.content();
    if (file) body.proofOfPurchase = file;
    const answer = await post("/api/registration", body, { "Idempotency-Key": idempotencyKey });
    sessionStorage.removeItem(DRAFT);
    location.assign(answer.links?.track ?? `/track/${answer.registration.id}`);
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 409) showConflict();
    else showErrors(problem.errors?.length ? "Please look at this again:" : sentence(problem), problem.errors ?? []);
    button.disabled = false;
    button.textContent = "Register";
  }
  return undefined;
}

/** The same form was handed over before with other data: the first answer may have been lost on its way. */
function showConflict() {
  const again = () => {
    idempotencyKey = newKey();
    form.requestSubmit();
  };
  const summary = byId("summary");
  summary.hidden = false;
  fill(summary, h("p", null, "This form was handed over before, with other data. Look at the registrations first; if it is another product, hand it over as a new one."),
    h("p", { class: "row" }, h("a", { class: "button", href: "/registrations" }, "Registrations"), h("button", { type: "button", on: { click: again } }, "Hand over as a new one")));
  summary.focus();
}

async function start() {
  show();
  const brand = field("product.brand");
  brand.input.required = true;
  combobox(brand.input, (text) => brandsLike(makers, text), () => leave("product.brand"));
  form.addEventListener("submit", submit);
  form.addEventListener("input", save);
  form.addEventListener("change", showRegisterBy);
  byId("discard").addEventListener("click", discard);
  restore();
  try {
    makers = await listMakers();
    maker = undefined;
    restore();
  } catch (problem) {
    showErrors(`The makers cannot be listed: ${sentence(problem)}`, []);
  }
}

start();
