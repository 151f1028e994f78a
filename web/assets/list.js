// The list of registrations: filters in the address, a page at a time, mended while things happen.

import { announce, byId, fill, h } from "./dom.js";
import { follow, get, sentence, showLive } from "./api.js";
import { civil, count, live } from "./time.js";
import { errorWords, manualReason, methodWords, sayNumber, STATE_NAMES, stateName, stateTone, stateWords } from "./words.js";

const PAGE = 50;
const SEARCH_PAGES_MAX = 10;
const SEARCH_PAGE = 1_000;
const MEND_AFTER_MS = 250;

const query = () => new URLSearchParams(location.search);
let rows = new Map();
let nextToken = "";
let newer = 0;
let loading = null;
const changed = new Map();

// ---- filters

function filters() {
  const q = query();
  return { states: q.getAll("state"), maker: q.get("maker") ?? "", owner: q.get("owner_ref") ?? "", reference: q.get("reference") ?? "", token: q.get("page_token") ?? "" };
}

function go(change, tokens = []) {
  const q = query();
  for (const [name, value] of Object.entries({ page_token: "", ...change })) {
    q.delete(name);
    for (const one of [value].flat()) if (one) q.append(name, one);
  }
  history.pushState({ tokens }, "", `?${q}`);
  return load();
}

function showFilters({ states, maker, owner, reference }) {
  for (const box of document.querySelectorAll("#states input")) box.checked = states.includes(box.value);
  byId("maker").value = maker;
  if (byId("maker").value !== maker) byId("maker").append(new Option(maker, maker, true, true));
  byId("reference").value = reference;
  byId("owner").hidden = !owner;
  byId("owner-ref").textContent = owner.slice(0, 8);
  byId("clear").hidden = !(states.length || maker || owner || reference);
}

async function wireFilters() {
  fill(byId("states"), STATE_NAMES.map((name) => h("label", { class: `chip ${stateTone(name)}` },
    h("input", { type: "checkbox", value: name }), h("span", { class: "dot", "aria-hidden": "true" }), stateWords(name))));
  byId("states").addEventListener("change", () => go({ state: [...document.querySelectorAll("#states input:checked")].map((box) => box.value) }));
  byId("maker").addEventListener("change", () => go({ maker: byId("maker").value }));
  byId("search").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("reference").value.trim();
    if (/^[0-9a-f]{8}-[0-9a-f-]{27}$/i.test(text)) location.assign(`/track/${text}`);
    else go({ reference: text.toUpperCase() });
  });
  byId("owner-clear").addEventListener("click", () => go({ owner_ref: "" }));
  byId("clear").addEventListener("click", () => go({ state: [], maker: "", owner_ref: "", reference: "" }));
  byId("newer").addEventListener("click", () => go({}));
  byId("next").addEventListener("click", () => go({ page_token: nextToken }, [...tokens(), filters().token]));
  byId("previous").addEventListener("click", () => go({ page_token: tokens().at(-1) ?? "" }, tokens().slice(0, -1)));
  addEventListener("popstate", load);
  const { connectors = [] } = await get("/api/makers").catch(() => ({}));
  byId("maker").append(...connectors.map((maker) => new Option(maker.displayName, maker.maker)));
  showFilters(filters());
}

/** The page tokens of the pages before this one; a page that was opened by its address has none. */
const tokens = () => history.state?.tokens ?? [];

// ---- rows

function row(r) {
  const detail = r.waiting?.reason ? ["waits for ", r.waiting.reason, r.waiting.until ? [", ", live(r.waiting.until, "due")] : ""]
    : r.manualReason ? manualReason(r.manualReason) : r.lastErrorKind && stateName(r.state) !== "SUCCESS" ? errorWords(r.lastErrorKind) : r.confirmation ? h("code", null, r.confirmation) : "";
  const cell = (label, ...children) => h("td", { "data-label": label }, children);
  return h("tr", { "data-id": r.id },
    h("th", { scope: "row" }, h("a", { href: `/track/${r.id}` }, `${r.brand} ${r.model}`), h("code", null, r.reference)),
    cell("State", h("span", { class: `badge ${stateTone(r.state)}` }, stateWords(r.state))),
    cell("Maker", r.maker),
    cell("Method", r.method ? methodWords(r.method) : "", r.attempts > 1 ? h("span", { class: "quiet" }, ` ×${r.attempts}`) : ""),
    h("td", { "data-label": "Detail", class: "detail" }, h("span", null, detail)),
    cell("Register by", civil(r.registerBy)),
    h("td", { "data-label": "Changed", class: "number" }, live(r.updateTime)));
}

function show(list, summary) {
  rows = new Map(list.map((r) => [r.id, r]));
  fill(byId("rows"), list.map(row));
  byId("empty").hidden = list.length > 0;
  byId("table").hidden = list.length === 0;
  byId("total").textContent = summary;
  byId("previous").disabled = tokens().length === 0;
  byId("next").disabled = !nextToken;
  byId("page").textContent = filters().reference ? "" : `Page ${tokens().length + 1}`;
  announce(summary);
}

async function load() {
  loading?.abort();
  loading = new AbortController();
  const { signal } = loading;
  const wanted = filters();
  showFilters(wanted);
  setNewer(0);
  byId("problem").hidden = true;
  byId("table").setAttribute("aria-busy", "true");
  try {
    await (wanted.reference ? search(wanted, signal) : page(wanted, signal));
    if (document.activeElement?.closest?.(".pager")) scrollTo({ top: 0 });
  } catch (problem) {
    if (signal.aborted) return;
    byId("problem").hidden = false;
    byId("problem").textContent = sentence(problem);
  }
  byId("table").removeAttribute("aria-busy");
}

function address({ states, maker, owner, token }, size) {
  const q = new URLSearchParams(states.map((state) => ["state", state]));
  if (maker) q.set("maker", maker);
  if (owner) q.set("owner_ref", owner);
  if (token) q.set("page_token", token);
  q.set("page_size", size);
  return `/api/registration?${q}`;
}

async function page(wanted, signal) {
  const answer = await get(address(wanted, PAGE), signal);
  nextToken = answer.nextPageToken ?? "";
  const list = answer.registrations ?? [];
  const total = Number(answer.totalSize ?? 0);
  show(list, total ? count(total, "registration") : nextToken ? "More than one page" : count(list.length + tokens().length * PAGE, "registration"));
}

/** References are short codes that the service does not look up: the newest pages are read until they end. */
async function search(wanted, signal) {
  const letters = wanted.reference.replace(/[^0-9A-Z]/g, "").replace(/^RF/, "");
  const found = [];
  let token = "";
  let looked = 0;
  nextToken = "";
  for (let number = 0; number < SEARCH_PAGES_MAX; number += 1) {
    const answer = await get(address({ ...wanted, token }, SEARCH_PAGE), signal);
    const list = answer.registrations ?? [];
    looked += list.length;
    found.push(...list.filter((r) => r.reference.replace(/^RF|-/g, "").includes(letters)));
    token = answer.nextPageToken ?? "";
    if (!token || found.length >= PAGE) break;
  }
  show(found.slice(0, PAGE), `${sayNumber(found.length)} of the newest ${sayNumber(looked)} match ${wanted.reference}`);
}

// ---- live

function setNewer(number) {
  newer = number;
  byId("newer").hidden = number === 0;
  byId("newer").textContent = `${count(number, "newer registration")}, show`;
}

const fits = (r, { states, maker, owner }) => (states.length === 0 || states.includes(stateName(r.state))) && (!maker || r.maker === maker) && (!owner || r.ownerRef === owner);

function update({ registration, events }) {
  if (!registration) return;
  if (changed.size === 0) setTimeout(mend, MEND_AFTER_MS);
  const isNew = changed.get(registration.id)?.isNew || (events ?? []).some((event) => event.name === "submitted");
  changed.set(registration.id, { registration, isNew });
}

/** A burst of updates becomes one change of the page. */
function mend() {
  const wanted = filters();
  let fresh = newer;
  for (const { registration, isNew } of changed.values()) {
    if (rows.has(registration.id)) {
      rows.set(registration.id, registration);
      const old = byId("rows").querySelector(`[data-id="${CSS.escape(registration.id)}"]`);
      const hadFocus = old?.contains(document.activeElement);
      const next = row(registration);
      next.classList.add("changed");
      old?.replaceWith(next);
      if (hadFocus) next.querySelector("a").focus();
    } else if (isNew && fits(registration, wanted)) fresh += 1;
  }
  changed.clear();
  if (fresh !== newer) setNewer(fresh);
}

wireFilters();
load();
follow((lastId) => (lastId ? `/events?after=${lastId}` : "/events"), { registration: update }, showLive);
