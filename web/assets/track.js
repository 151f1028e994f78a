// The page of one registration: where it stands, what it waits for, its story as it happens, and what a person can do.

import { announce, byId, fill, h, openDialog, patch } from "./dom.js";
import { Problem, follow, get, post, sentence, showLive } from "./api.js";
import { civil, count, dayOf, daysLeft, daysUntil, live, still, clock } from "./time.js";
import { Field, bodyOf, summarize } from "./fields.js";
import { isNoise, tell } from "./story.js";
import { manualReason, methodWords, priorityWords, stateMeaning, stateName, stateTone, stateWords } from "./words.js";

const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).at(-1) ?? "");
const api = `/api/registration/${encodeURIComponent(id)}`;
const ENDED = ["SUCCESS", "USER_COMPLETED", "CANCELLED", "EXPIRED"];
const EXPLAIN_AFTER_MS = 120;

let registration;
let explanation;
let makers = [];
let lastDay = "";
let lastSequence = 0;

const badge = (state) => h("span", { class: `badge ${stateTone(state)}` }, stateWords(state));

// ---- head and facts

function showHead() {
  const r = registration;
  const maker = makers.find((one) => one.maker === r.maker)?.displayName ?? r.maker;
  document.title = `${r.brand} ${r.model}: ${stateWords(r.state)} – regflow`;
  byId("product").textContent = `${r.brand} ${r.model}`;
  patch(byId("head"), badge(r.state), h("code", null, r.reference), h("span", null, maker));
  const fact = (name, ...value) =>
    value.some(Boolean) ? h("div", null, h("dt", null, name), h("dd", null, value)) : null;
  const registerBy = r.registerBy && [
    civil(r.registerBy),
    ENDED.includes(stateName(r.state))
      ? null
      : h("span", { class: daysUntil(r.registerBy) < 0 ? "bad-ink" : "quiet" }, ` ${daysLeft(r.registerBy)}`),
  ];
  patch(
    byId("facts"),
    fact("Maker", h("a", { href: `/registrations?maker=${encodeURIComponent(r.maker)}` }, maker)),
    fact("Method", r.method ? methodWords(r.method) : null),
    r.confirmation ? fact("Confirmation", h("code", null, r.confirmation)) : null,
    registerBy ? fact("Register by", registerBy) : null,
    r.purchaseDate ? fact("Bought", civil(r.purchaseDate)) : null,
    fact("Class", priorityWords(r.priority)),
    fact("Attempts", String(r.attempts ?? 0)),
    fact("Handed over", live(r.submitTime)),
    r.ownerRef ? fact("Owner", h("a", { href: `/registrations?owner_ref=${r.ownerRef}` }, "all of this owner")) : null,
    fact("Id", h("code", { class: "id" }, r.id)),
  );
  showWays();
}

/** The ladder of the maker, and how far it has come. */
function showWays() {
  const ladder = makers.find((one) => one.maker === registration.maker)?.ladder ?? [];
  const tried = explanation?.tried ?? [];
  const state = stateName(registration.state);
  const way = (method) => {
    const of = tried.filter((one) => one.method === method);
    const attempts = of.filter((one) => one.attempt).length;
    const isLast = registration.method === method;
    const tone = isLast ? stateTone(registration.state) : of.length ? "bad" : "idle";
    const words =
      isLast && state === "SUCCESS"
        ? "registered"
        : of.some((one) => !one.attempt) && !attempts
          ? "passed over"
          : attempts
            ? count(attempts, "attempt")
            : isLast
              ? stateWords(registration.state).toLowerCase()
              : "not tried";
    return h(
      "li",
      { class: tone },
      h("span", { class: "dot", "aria-hidden": "true" }),
      h("strong", null, methodWords(method)),
      h("span", { class: "quiet" }, words),
    );
  };
  patch(byId("ways"), ladder.map(way));
  byId("ways-card").hidden = ladder.length === 0;
}

// ---- what now

const NOW = {
  SUCCESS: [
    "Registered",
    (r) =>
      r.alreadyRegistered ? "The maker had it registered before. Nothing is left to do." : "Nothing is left to do.",
  ],
  USER_COMPLETED: ["Done", () => "The owner finished it by hand. Nothing is left to do."],
  CANCELLED: ["Cancelled", () => "Nothing more happens unless somebody asks for another try."],
  EXPIRED: ["The last day has passed", () => "If the maker took it all the same, mark it as done."],
  MANUAL_REQUIRED: [
    "The owner's turn",
    (r) => [sentenceStart(manualReason(r.manualReason)), packetWords(r)].filter(Boolean).join(" "),
  ],
  NEEDS_CORRECTION: [
    "Please correct the data",
    () => "The maker refused some of it. Mend it below; then regflow tries again.",
  ],
  OUTCOME_UNKNOWN: [
    "Please ask the maker",
    () => "It was sent, and nobody knows whether it was accepted. Ask the maker, then mark it as done or try again.",
  ],
};
const sentenceStart = (text) => (text ? `Because ${text}.` : "");
const packetWords = (r) =>
  ({
    PACKET_STATE_DUE: "The packet is being made.",
    PACKET_STATE_SENT: "The packet is in the owner's mailbox.",
    PACKET_STATE_STUCK: "The packet could not be sent; somebody must look at it.",
  })[r.packet?.state] ?? "";

function showNow() {
  const state = stateName(registration.state);
  const waits = explanation?.waitsFor ?? {};
  const isActive = waits.sentence && !["WAIT_KIND_NOTHING", "WAIT_KIND_PERSON"].includes(waits.kind);
  const [title, text] = NOW[state] ?? [];
  const row = (name, ...value) => h("div", null, h("dt", null, name), h("dd", null, value));
  const next = explanation?.nextAttemptTime;
  const latest = explanation?.latestSafeTime;
  const line =
    waits.ahead === undefined
      ? null
      : Number(waits.ahead) === 0
        ? "the first in line"
        : `${count(waits.ahead, "other")} before it`;
  const heading =
    isActive && !["MANUAL_REQUIRED", "NEEDS_CORRECTION"].includes(state)
      ? [waits.kind === "WAIT_KIND_UNDER_WAY" ? "Under way: " : "Waits for ", waits.sentence]
      : (title ?? stateWords(registration.state));
  byId("now").className = `card now ${stateTone(registration.state)}`;
  patch(
    byId("now-body"),
    h("p", { class: "headline" }, heading),
    h(
      "p",
      null,
      isActive && state !== "MANUAL_REQUIRED"
        ? stateMeaning(registration.state)
        : text?.(registration) || stateMeaning(registration.state),
    ),
    h(
      "dl",
      { class: "pairs" },
      waits.until &&
        h(
          "div",
          { class: "big" },
          h(
            "dt",
            null,
            waits.kind === "WAIT_KIND_CIRCUIT"
              ? "A probe may pass"
              : waits.kind === "WAIT_KIND_TOKEN"
                ? "Token back"
                : "Ends",
          ),
          h("dd", null, live(waits.until, "due")),
        ),
      line && row("In line", line),
      next && next !== waits.until ? row("Next try", live(next, "due")) : null,
      waits.by && waits.kind === "WAIT_KIND_OPERATOR"
        ? row(
            "Paused by",
            waits.by.replace(/^operator /, ""),
            waits.since ? [", ", live(waits.since)] : "",
            waits.reason ? `: “${waits.reason}”` : "",
          )
        : null,
      latest && row("Moves on by itself", live(latest, "due")),
      registration.confirmation && row("Confirmation", h("code", null, registration.confirmation)),
    ),
  );
  showActions(state);
}

/** What was sent and what came back, signed: for paper, or as the file that `regflow proof verify` checks. */
function proofLink(format, words) {
  const name = `${registration.reference}.proof.${format === "pdf" ? "pdf" : "txt"}`;
  const href = `${api}/proof-of-registration?format=${format}`;
  return h("a", { class: "button", href, download: name, "data-key": `proof-${format}` }, words);
}

function showActions(state) {
  const button = (action, words, kind) =>
    h("button", { type: "button", "data-action": action, "data-key": action, class: kind }, words);
  const can = (...states) => states.includes(state);
  const hasPacket = registration.packet?.state === "PACKET_STATE_SENT";
  patch(
    byId("actions"),
    can("MANUAL_REQUIRED", "OUTCOME_UNKNOWN", "EXPIRED") && button("complete", "Mark as done", "primary"),
    hasPacket &&
      h(
        "a",
        { class: "button", href: `${api}/packet`, download: `${registration.reference}.pdf`, "data-key": "packet" },
        "Download packet",
      ),
    can("SUCCESS", "USER_COMPLETED") && proofLink("pdf", "Proof as PDF"),
    can("SUCCESS", "USER_COMPLETED") && proofLink("text", "Proof to check"),
    can("MANUAL_REQUIRED", "OUTCOME_UNKNOWN", "WAITING", "CANCELLED") && button("retry", "Try again"),
    can("PENDING", "WAITING", "OUTCOME_UNKNOWN", "MANUAL_REQUIRED", "NEEDS_CORRECTION") &&
      button("cancel", "Cancel", "quiet-button"),
  );
  showCorrection(state);
}

// ---- correction

const corrections = new Map();
let correctionsOf = "";

function showCorrection(state) {
  const section = byId("correction");
  section.hidden = state !== "NEEDS_CORRECTION";
  if (section.hidden || correctionsOf === registration.etag) return;
  correctionsOf = registration.etag;
  corrections.clear();
  for (const { field, problem } of registration.corrections ?? []) {
    const one = corrections.get(field) ?? new Field(field);
    one.require(true);
    one.setProblem(problem);
    corrections.set(field, one);
  }
  fill(
    byId("correction-fields"),
    [...corrections.values()].map((one) => one.element),
  );
}

async function correct(event) {
  event.preventDefault();
  const values = Object.fromEntries([...corrections].map(([name, field]) => [name, field.value]));
  const empty = [...corrections.keys()]
    .filter((name) => !values[name])
    .map((name) => ({ field: name, problem: "is missing." }));
  if (empty.length) return refuse("Please fill in what the maker refused:", empty);
  await act("retry", { correction: bodyOf(values) }, (problem) =>
    refuse(
      sentence(problem),
      problem.errors.map((error) => ({ ...error, field: error.field.replace(/^correction\./, "") })),
    ),
  );
  return undefined;
}

function refuse(text, errors) {
  for (const { field, problem } of errors) corrections.get(field)?.setProblem(problem);
  const focusOn = (field) => corrections.get(field)?.input.focus();
  summarize(byId("correction-summary"), text, errors, focusOn);
  if (errors.length) focusOn(errors[0].field);
}

// ---- actions

const DIALOGS = {
  complete: ["Mark as done", "The owner has registered the product with its maker.", "It is registered"],
  cancel: ["Cancel this registration", "regflow stops, and nothing is sent to the maker any more.", "Cancel it"],
  retry: ["Try again", "regflow begins anew with this maker.", "Try again"],
};

function ask(action) {
  const [title, text, submit] = DIALOGS[action];
  const form = byId("ask-form");
  form.dataset.action = action;
  byId("ask-title").textContent = title;
  byId("ask-text").textContent =
    action === "retry" && stateName(registration.state) === "OUTCOME_UNKNOWN"
      ? "Only try again when the maker says that it has nothing of it; otherwise it may be registered twice."
      : text;
  byId("ask-submit").textContent = submit;
  byId("ask-problem").textContent = "";
  byId("ask-value-label").textContent = action === "complete" ? "The maker's confirmation code" : "Why";
  byId("ask-value").value = "";
  byId("ask-method-row").hidden = action !== "retry";
  const ladder = makers.find((one) => one.maker === registration.maker)?.ladder ?? [];
  fill(
    byId("ask-method"),
    new Option("From the first", ""),
    ladder.map((method) => new Option(methodWords(method), method)),
  );
  openDialog(byId("ask"));
}

async function answer(event) {
  event.preventDefault();
  const { action } = event.target.dataset;
  const value = byId("ask-value").value.trim();
  const body = { [action === "complete" ? "confirmation" : "reason"]: value || undefined };
  if (action === "retry" && byId("ask-method").value) body.fromMethod = byId("ask-method").value;
  byId("ask-submit").disabled = true;
  const done = await act(action, body, (problem) => {
    byId("ask-problem").textContent = sentence(problem);
  });
  byId("ask-submit").disabled = false;
  if (done) byId("ask").close();
}

async function act(action, body, onProblem) {
  try {
    take(await post(`${api}/${action}`, { ...body, etag: registration.etag }));
    announce(`${DIALOGS[action][0]}: done.`);
    return true;
  } catch (problem) {
    if (problem.reason === "ETAG_MISMATCH") {
      take(await get(api));
      onProblem(new Problem(problem.status, { detail: "It has moved on meanwhile. Look at it again; then repeat." }));
    } else onProblem(problem);
    return false;
  }
}

// ---- story

/** Newest first: what just happened stands below what happens now. */
function addRecord(record) {
  const context = { actor: record.actor ?? "" };
  const date = new Date(record.at ?? Date.now());
  const list = byId("story");
  (record.events ?? [])
    .filter((event) => !isNoise(event, record.events))
    .forEach((event) => {
      const day = dayOf(date);
      if (day !== lastDay) list.prepend(h("li", { class: "day" }, h("h3", null, day)));
      lastDay = day;
      const told = tell(event, context);
      list.firstChild.after(
        h(
          "li",
          { class: `event ${told.tone}`, "data-event": event.name },
          h("span", { class: "dot", "aria-hidden": "true" }),
          h(
            "div",
            null,
            h("p", { class: "title" }, told.title),
            told.detail.length ? h("p", { class: "detail" }, told.detail) : null,
            told.file ? kept(told.file) : null,
          ),
          still(date, clock),
        ),
      );
    });
}

/** A screenshot as a small picture that opens large; what came from the owner, of whatever kind, as a link. */
function kept({ path, words, isPicture }) {
  const source = `${api}/${path}`;
  if (!isPicture)
    return h("p", { class: "detail" }, h("a", { href: source, target: "_blank", rel: "noopener" }, words));
  const image = h("img", { src: source, alt: words, loading: "lazy", width: 160, height: 100 });
  const button = h(
    "button",
    { type: "button", class: "thumbnail", on: { click: () => enlarge(source, words) } },
    image,
  );
  image.addEventListener("error", () =>
    button.replaceWith(h("p", { class: "detail" }, "The screenshot is not kept any more.")),
  );
  return button;
}

function enlarge(source, words) {
  byId("picture").src = source;
  byId("picture").alt = words;
  byId("picture-title").textContent = words;
  openDialog(byId("large"));
}

// ---- live

let explainTimer = 0;

function take(next) {
  registration = next;
  showHead();
  showNow();
}

function explainSoon() {
  clearTimeout(explainTimer);
  explainTimer = setTimeout(async () => {
    explanation = await get(`${api}/explain`).catch(() => explanation);
    if (explanation?.registration && Number(explanation.registration.sequence) >= Number(registration.sequence))
      registration = explanation.registration;
    showHead();
    showNow();
  }, EXPLAIN_AFTER_MS);
}

function update({ sequence, registration: next, events, ...record }) {
  if (Number(sequence) <= lastSequence) return;
  lastSequence = Number(sequence);
  const time = record.time ?? record.at ?? next?.updateTime;
  addRecord({ at: time, actor: record.actor, events, sequence });
  if (next) take(next);
  const told = tell((events ?? []).at(-1) ?? { name: "" }, {});
  if (told.title) announce(`${told.title}. ${stateWords(registration.state)}.`);
  explainSoon();
}

async function start() {
  byId("actions").addEventListener("click", (event) => {
    const action = event.target.closest("[data-action]")?.dataset.action;
    if (action) ask(action);
  });
  byId("ask-form").addEventListener("submit", answer);
  byId("correction-form").addEventListener("submit", correct);
  try {
    const [found, history] = await Promise.all([get(api), get(`${api}/history`)]);
    registration = found;
    const records = history.records ?? [];
    records.forEach(addRecord);
    byId("loading").hidden = true;
    byId("content").hidden = false;
    take(found);
    const last = records.at(-1)?.sequence ?? found.sequence ?? "0";
    lastSequence = Number(last);
    follow(
      (lastId) => `/events?registration=${encodeURIComponent(id)}&after=${lastId || last}`,
      { registration: update },
      showLive,
    );
    explainSoon();
    makers = (await get("/api/makers").catch(() => ({}))).connectors ?? [];
    showHead();
  } catch (problem) {
    byId("loading").hidden = true;
    byId("missing").hidden = false;
    const unknown = problem.status === 404 || problem.status === 400;
    byId("missing-title").textContent = unknown ? "There is no such registration" : "The registration cannot be shown";
    byId("missing-text").textContent = unknown
      ? "Check the address: it ends with the id of the registration."
      : sentence(problem);
    document.title = `${byId("missing-title").textContent} – regflow`;
  }
}

start();
