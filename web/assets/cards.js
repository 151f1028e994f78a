// The health card of one maker.

import { bar, h } from "./dom.js";
import { live } from "./time.js";
import { alertWords, circuitTone, circuitWords, healthTone, healthWords, isCritical, methodName, methodWords, priorityWords, sayMs, sayNumber, sayPercent } from "./words.js";

const SUCCESS_WARN = 85;
const SUCCESS_BAD = 70;

/** How much a maker wants to be looked at; 0 when it does not. */
export const trouble = (maker) => (maker.health === "HEALTH_DOWN" ? 8 : maker.health === "HEALTH_DEGRADED" ? 4 : 0)
  + (maker.alerts ?? []).reduce((sum, alert) => sum + (isCritical(alert) ? 3 : 1), 0) + (maker.incident ? 2 : 0);

export const isPaused = (maker) => (maker.methods ?? []).some((method) => method.pause);

const successTone = (percent) => (percent === undefined ? "" : percent < SUCCESS_BAD ? "bad-ink" : percent < SUCCESS_WARN ? "warn-ink" : "");

export function card(maker) {
  const { maker: id } = maker;
  return h("article", { class: `maker ${healthTone(maker.health)}`, id: `maker-${id}`, "data-key": id, "aria-labelledby": `name-${id}`, tabindex: "-1" },
    h("header", null,
      h("h3", { id: `name-${id}` }, maker.displayName || id),
      h("span", { class: `badge ${healthTone(maker.health)}` }, healthWords(maker.health))),
    alerts(maker),
    numbers(maker),
    h("div", { class: "methods" }, (maker.methods ?? []).map(method), maker.methods?.length ? null : h("p", { class: "quiet" }, "By hand only: nothing automatic to watch.")),
    limits(maker),
    h("footer", null,
      maker.methods?.length ? [
        h("button", { type: "button", "data-do": isPaused(maker) ? "resume" : "pause", "data-maker": id, "data-key": isPaused(maker) ? "resume" : "pause" }, isPaused(maker) ? "Resume" : "Pause"),
        h("button", { type: "button", "data-do": "circuit", "data-maker": id, "data-key": "circuit" }, "Circuit"),
      ] : null,
      h("a", { href: `/registrations?maker=${encodeURIComponent(id)}`, "data-key": "list" }, "Registrations"),
      h("span", { class: "quiet checked" }, maker.checkTime ? ["checked ", live(maker.checkTime), maker.nextCheckTime ? [", next ", live(maker.nextCheckTime, "due")] : ""] : "not checked")));
}

function alerts({ alerts: list = [], incident }) {
  if (list.length === 0 && !incident) return null;
  return h("ul", { class: "alerts" },
    incident && h("li", { class: "incident" }, h("span", { class: "badge solid-bad" }, "incident"), h("span", null, incident.detail, " ", h("span", { class: "quiet" }, "for ", live(incident.since, "since")))),
    list.map((alert) => h("li", null, h("span", { class: `badge ${isCritical(alert) ? "bad" : "warn"}` }, alertWords(alert.kind)), h("span", null, alert.detail, " ", h("span", { class: "quiet" }, live(alert.since))))));
}

function numbers({ lastHour = {}, methods = [] }) {
  const waiting = methods.reduce((sum, one) => sum + Number(one.waiting ?? 0), 0);
  const one = (name, value, tone) => h("div", null, h("dt", null, name), h("dd", { class: tone }, value));
  return h("dl", { class: "numbers" },
    one("Success, 1 h", sayPercent(lastHour.successPercent), successTone(lastHour.successPercent)),
    one("p95", sayMs(lastHour.latencyMsP95)),
    one("Attempts", sayNumber(lastHour.attempts)),
    one("Waiting", sayNumber(waiting), waiting > 0 ? "warn-ink" : ""));
}

function method(status) {
  const circuit = status.circuit ?? {};
  const name = methodName(status.method);
  const words = status.pause ? "paused" : circuitWords(circuit.state);
  const tone = status.pause ? "manual" : circuitTone(circuit.state);
  return h("div", { class: "method", "data-key": name },
    h("p", { class: "line" }, h("strong", null, methodWords(status.method)), h("span", { class: `badge ${tone}` }, words, circuit.forced ? " (held)" : ""), circuitNote(circuit, status.pause)),
    status.pause && h("p", { class: "quiet" }, `${status.pause.by.replace(/^operator /, "")}: “${status.pause.reason}”, `, live(status.pause.since)),
    Number(status.waiting ?? 0) + (status.underWay ?? 0) > 0 ? h("p", { class: "quiet" }, queue(status)) : null);
}

function circuitNote(circuit, pause) {
  if (pause) return null;
  if (circuit.probeTime) return h("span", null, "probe ", live(circuit.probeTime, "due"));
  if (circuit.probeRegistration) return h("a", { href: `/track/${circuit.probeRegistration}` }, "probe is out");
  if (circuit.state === "CIRCUIT_STATE_HALF_OPEN") return h("span", null, `${circuit.successes ?? 0} of its probes succeeded`);
  if (circuit.failures) return h("span", { class: "quiet" }, `${circuit.failures} failed in a row`);
  return circuit.forced ? h("span", { class: "quiet" }, "by an operator") : null;
}

function queue(status) {
  const oldest = (status.oldest ?? []).map((one) => [priorityWords(one.priority), " for ", live(one.since, "since")]);
  return [status.underWay ? `${status.underWay} under way` : "", status.underWay && Number(status.waiting) ? ", " : "",
    Number(status.waiting) ? `${sayNumber(status.waiting)} waiting` : "",
    oldest.length ? [": ", oldest.flatMap((one, index) => (index ? [", ", ...one] : one))] : ""];
}

function limits(maker) {
  const one = (limit) => {
    const left = limit.left ?? 0;
    const share = limit.max ? left / limit.max : 0;
    return h("div", { class: "limit" },
      h("p", null, h("strong", null, `${sayNumber(left)}`), ` of ${sayNumber(limit.max)} tokens`, h("span", { class: "quiet" }, ` per ${sayPeriod(limit.perSeconds)}`), limit.fullTime ? h("span", { class: "quiet end" }, limit.refill === "REFILL_INTERVAL" ? "refill " : "full ", live(limit.fullTime, "due")) : null),
      bar(share, share === 0 ? "bad" : share < 0.2 ? "warn" : "accent"));
  };
  const throttled = maker.throttledUntilTime && h("p", { class: "warn-ink" }, "Asked us to wait, until ", live(maker.throttledUntilTime, "due"));
  if (!maker.limits?.length && !throttled) return null;
  return h("div", { class: "limits" }, throttled, (maker.limits ?? []).map(one));
}

const sayPeriod = (seconds) => (seconds === 1 ? "s" : seconds === 60 ? "min" : seconds === 3_600 ? "h" : seconds === 86_400 ? "day" : `${seconds} s`);
