// The operation on one screen: what is now comes by events, the past is fetched when an event says that it has changed.

import { announce, bar, byId, fill, h, patch, table } from "./dom.js";
import { follow, get, sentence, showLive } from "./api.js";
import { card, trouble } from "./cards.js";
import { Chart, drawAttempts, drawLatency, drawSuccess, prepare } from "./charts.js";
import { openRedrive, openWish, wireDialogs } from "./dialogs.js";
import { count, live, span, still } from "./time.js";
import { alertWords, errorWords, healthTone, healthWords, isCritical, methodWords, sayMs, sayNumber, sayPercent, STATE_NAMES, stateName, stateTone, stateWords } from "./words.js";

// window: the least time between two fetches of the past
const WINDOWS = { "15m": 5_000, "1h": 10_000, "6h": 30_000, "24h": 60_000, "7d": 300_000, "30d": 300_000 };
const NAMES = { "15m": "15 min", "1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d", "30d": "30 d" };
const EVENTS = { circuit_opened: ["opened", "bad"], circuit_half_opened: ["half opened", "warn"], circuit_closed: ["closed", "good"], circuit_forced: ["forced", "manual"], circuit_released: ["released", "neutral"], paused: ["paused", "manual"], resumed: ["resumed", "neutral"] };

let overview = null;
let names = new Map();
const choice = { window: "1h", maker: "", method: "" };
const charts = {};

const makerName = (id) => names.get(id) ?? id;
const badge = (tone, words) => h("span", { class: `badge ${tone}` }, words);

// ---- now

function show(next) {
  overview = next;
  const makers = next.makers ?? [];
  names = new Map(makers.map((maker) => [maker.maker, maker.displayName || maker.maker]));
  byId("loading").hidden = true;
  showStrip(next, makers);
  showAttention(makers);
  patch(byId("cards"), makers.map(card));
  showFunnel(next.funnel ?? {});
  showDeadlines(next.deadlines ?? []);
  fillMakers(makers);
}

function showStrip({ states = [], readers = [], owner, lastHour = {} }, makers) {
  const counts = new Map(states.map((state) => [stateName(state.state), Number(state.count ?? 0)]));
  patch(byId("states"), STATE_NAMES.map((name) => h("a", { href: `/registrations?state=${name}`, class: `count ${counts.get(name) ? stateTone(name) : "none"}`, "data-key": name },
    h("strong", null, sayNumber(counts.get(name) ?? 0)), h("span", null, h("span", { class: "dot", "aria-hidden": "true" }), stateWords(name)))));
  const alerts = makers.flatMap((maker) => maker.alerts ?? []);
  const critical = alerts.filter(isCritical).length;
  const behind = readers.reduce((most, reader) => Math.max(most, Number(reader.behind ?? 0)), 0);
  const fact = (name, value, tone, note) => h("div", { class: tone ?? "" }, h("dt", null, name), h("dd", null, value, note ? h("span", { class: "quiet" }, note) : null));
  patch(byId("vitals"),
    fact("Alerts", sayNumber(alerts.length), critical ? "bad-ink" : alerts.length ? "warn-ink" : "", critical ? ` ${critical} critical` : ""),
    fact("Success, last hour", sayPercent(lastHour.successPercent), "", ` of ${sayNumber(lastHour.attempts)}`),
    fact("p95, last hour", sayMs(lastHour.latencyMsP95)),
    fact("Behind the log", behind === 0 ? "nobody" : sayNumber(behind), behind > 1_000 ? "warn-ink" : "", behind === 0 ? "" : " records"),
    fact("Shards", owner ? sayNumber(owner.shards) : "–", owner && !owner.here ? "warn-ink" : "", owner ? (owner.here ? " owned here" : " owned elsewhere") : ""));
  patch(byId("readers"), table("Readers of the log", ["Reader", { title: "Position", number: true }, { title: "Behind", number: true }],
    readers.map((reader) => [reader.reader, sayNumber(reader.position), sayNumber(reader.behind)]), { hideCaption: true }));
}

/** What must be looked at, worst first; each leads to its card. */
function showAttention(makers) {
  const list = makers.filter((maker) => trouble(maker) > 0).sort((a, b) => trouble(b) - trouble(a));
  byId("attention").hidden = list.length === 0;
  patch(byId("attention-list"), list.map((maker) => h("li", { "data-key": maker.maker },
    h("a", { href: `#maker-${maker.maker}`, class: `badge ${healthTone(maker.health)}` }, h("strong", null, maker.displayName || maker.maker), ` ${[healthWords(maker.health).toLowerCase(), ...(maker.alerts ?? []).map((alert) => alertWords(alert.kind))].filter((word, index, all) => all.indexOf(word) === index).join(", ")}`))));
}

function fillMakers(makers) {
  const select = byId("maker");
  const wanted = ["", ...makers.map((maker) => maker.maker)];
  if ([...select.options].map((option) => option.value).join() === wanted.join()) return;
  fill(select, new Option("All makers", ""), makers.map((maker) => new Option(maker.displayName || maker.maker, maker.maker)));
  select.value = choice.maker;
}

function bars(rows, most) {
  return h("ul", { class: "bars" }, rows.map(({ name, value, tone, note, href }) => h("li", { "data-key": name },
    href ? h("a", { href }, name) : h("span", null, name), bar(most ? value / most : 0, tone), h("span", { class: "number" }, sayNumber(value), note ? h("span", { class: "quiet" }, ` ${note}`) : null))));
}

function showFunnel(funnel) {
  const of = (name) => Number(funnel[name] ?? 0);
  const share = (name) => (of("required") ? `${Math.round((100 * of(name)) / of("required"))} %` : "");
  patch(byId("funnel"), bars([
    { name: "Required", value: of("required"), tone: "manual", href: "/registrations?state=MANUAL_REQUIRED" },
    { name: "Sent", value: of("sent"), tone: "manual", note: share("sent") },
    { name: "Opened", value: of("opened"), tone: "manual", note: share("opened") },
    { name: "Completed", value: of("completed"), tone: "good", note: share("completed"), href: "/registrations?state=USER_COMPLETED" },
  ], of("required")));
}

function showDeadlines(list) {
  const rows = list.filter((one) => Number(one.passed ?? 0) + Number(one.withinThreeDays ?? 0) + Number(one.withinTwoWeeks ?? 0) > 0);
  const number = (value, tone) => h("span", { class: Number(value ?? 0) ? tone : "quiet" }, sayNumber(value));
  patch(byId("deadlines"), table("Registrations that are not ended and whose last day is near", ["Maker", { title: "Passed", number: true }, { title: "≤ 3 days", number: true }, { title: "4–14 days", number: true }],
    rows.map((one) => [h("a", { href: `/registrations?maker=${encodeURIComponent(one.maker)}&state=WAITING&state=MANUAL_REQUIRED&state=PENDING&state=NEEDS_CORRECTION` }, makerName(one.maker)),
      number(one.passed, "bad-ink"), number(one.withinThreeDays, "warn-ink"), number(one.withinTwoWeeks, "")]), { hideCaption: true, empty: "No last day is near." }));
}

// ---- the past

let fetched = 0;
let pending = 0;
let running = null;

async function fetchPast() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  fetched = Date.now();
  const q = (more) => `?${new URLSearchParams(Object.entries({ maker: choice.maker, ...more }).filter(([, value]) => value))}`;
  const { window: length } = choice;
  byId("past").setAttribute("aria-busy", "true");
  try {
    const [metrics, circuits, health, incidents] = await Promise.all([
      get(`/analytics${q({ window: length, method: choice.method })}`, signal), get(`/analytics/circuits${q({ window: length })}`, signal),
      get(`/analytics/health${q({ window: length })}`, signal), get(`/analytics/incidents${q({})}`, signal)]);
    showMetrics(metrics);
    showCircuits(circuits.changes ?? []);
    showHealth(health.rounds ?? []);
    showIncidents(incidents.incidents ?? []);
    byId("past-problem").hidden = true;
  } catch (problem) {
    if (signal.aborted) return;
    byId("past-problem").hidden = false;
    byId("past-problem").textContent = sentence(problem);
  }
  byId("past").removeAttribute("aria-busy");
}

/** An event says that something changed: the past is fetched anew, but not more often than its window asks for. */
function pastSoon() {
  if (pending || document.hidden) return;
  const wait = Math.max(0, fetched + WINDOWS[choice.window] - Date.now());
  pending = setTimeout(() => {
    pending = 0;
    fetchPast();
  }, wait);
}

let metricsShown = null;

function showMetrics(metrics) {
  metricsShown = metrics;
  const prepared = prepare(metrics);
  const total = metrics.total ?? {};
  const one = (name, value) => h("div", null, h("dt", null, name), h("dd", null, value));
  patch(byId("totals"), one("Attempts", sayNumber(total.attempts)), one("Succeeded", sayNumber(total.succeeded)), one("Success", sayPercent(total.successPercent)),
    one("p50", sayMs(total.latencyMsP50)), one("p95", sayMs(total.latencyMsP95)), one("p99", sayMs(total.latencyMsP99)));
  drawSuccess(charts.success, prepared);
  drawLatency(charts.latency, prepared);
  drawAttempts(charts.attempts, prepared);
  const errors = (total.errors ?? []).map((error) => ({ name: errorWords(error.kind), value: Number(error.count ?? 0), tone: "bad" }));
  const all = errors.reduce((sum, error) => sum + error.value, 0);
  patch(byId("errors"), errors.length ? bars(errors.map((error) => ({ ...error, note: `${Math.round((100 * error.value) / all)} %` })), errors[0].value) : h("p", { class: "empty" }, "Nothing failed in this window."));
}

function showCircuits(changes) {
  patch(byId("circuits"), table("Changes of circuits, newest first", ["Time", "Maker", "Method", "Change", "Who and why"], changes.slice(0, 50).map((change) => {
    const [words, tone] = EVENTS[change.event] ?? [change.event, "neutral"];
    return [live(change.time), makerName(change.maker), change.method ? methodWords(change.method) : "all", badge(tone, words), [change.actor === "regflow" ? "" : change.actor.replace(/^operator /, ""), change.reason].filter(Boolean).join(": ")];
  }), { hideCaption: true, empty: "No circuit changed in this window." }));
}

function showHealth(rounds) {
  patch(byId("health"), table("Rounds of health checks, newest first", ["Time", "Maker", "Health", "Found"], rounds.slice(0, 50).map((round) =>
    [live(round.time), makerName(round.maker), badge(healthTone(round.health), healthWords(round.health)), round.detail || h("span", { class: "quiet" }, "nothing wrong")]), { hideCaption: true, empty: "No checks in this window." }));
}

function showIncidents(incidents) {
  patch(byId("incidents"), table("Incidents, newest first", ["Began", "Maker", "Health", "Lasted", "What"], incidents.slice(0, 50).map((one) =>
    [still(one.startTime), makerName(one.maker), badge(healthTone(one.health), healthWords(one.health)), one.endTime ? span(Date.parse(one.endTime) - Date.parse(one.startTime)) : badge("solid-bad", "not over"), one.detail]), { hideCaption: true, empty: "No incidents." }));
}

// ---- choices and actions

function choose(change) {
  Object.assign(choice, change);
  const q = new URLSearchParams(Object.entries(choice).filter(([, value]) => value));
  history.replaceState(null, "", `?${q}${location.hash}`);
  fetchPast();
}

function wire() {
  const q = new URLSearchParams(location.search);
  if (WINDOWS[q.get("window")]) choice.window = q.get("window");
  choice.maker = q.get("maker") ?? "";
  choice.method = q.get("method") ?? "";
  fill(byId("windows"), Object.keys(WINDOWS).map((name) => {
    const radio = h("input", { type: "radio", name: "window", checked: name === choice.window });
    radio.value = name;
    return h("label", null, radio, h("span", null, NAMES[name]));
  }));
  byId("windows").addEventListener("change", (event) => choose({ window: event.target.value }));
  byId("maker").addEventListener("change", (event) => choose({ maker: event.target.value }));
  byId("method").value = choice.method;
  byId("method").addEventListener("change", (event) => choose({ method: event.target.value }));
  byId("cards").addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    const maker = button && overview?.makers?.find((one) => one.maker === button.dataset.maker);
    if (maker) openWish(button.dataset.do, maker);
  });
  byId("open-redrive").addEventListener("click", () => openRedrive(overview?.makers ?? [], choice.maker));
  document.addEventListener("visibilitychange", () => !document.hidden && overview && pastSoon());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => metricsShown && showMetrics(metricsShown));
  for (const [name, title] of Object.entries({ success: "Success", latency: "Latency", attempts: "Attempts" })) charts[name] = new Chart(byId(`chart-${name}`), title);
  wireDialogs();
}

let alertsBefore = -1;

function sayAlerts({ makers = [] }) {
  const now = makers.reduce((sum, maker) => sum + (maker.alerts?.length ?? 0), 0);
  if (alertsBefore >= 0 && now !== alertsBefore) announce(`${count(now, "alert")} now.`);
  alertsBefore = now;
}

wire();
fetchPast();
follow(() => "/analytics/overview", {
  overview: (next) => {
    show(next);
    sayAlerts(next);
    pastSoon();
  },
}, showLive);
