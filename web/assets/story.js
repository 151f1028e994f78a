// A registration's events in words for people.

import { civil, live, still, clock } from "./time.js";
import { errorWords, fieldWords, manualReason, methodWords } from "./words.js";

const by = (method) => (method === "ASSISTED_MANUAL" ? "by hand" : `by ${method === "API" ? "the maker's API" : "the maker's web form"}`);
const the = (method) => (method === "ASSISTED_MANUAL" ? "the packet for the owner" : method === "API" ? "the maker's API" : "the maker's web form");

const HOLDS = {
  circuit_open: (method) => `Waits: the circuit of ${the(method)} is open`,
  rate_limit: () => "Waits for a token of the maker's rate limit",
  paused: () => "Waits: an operator paused the maker",
  turn: () => "Waits for its turn; others are before it",
};
const SKIPS = { circuit_open: "its circuit is open", deadline_near: "waiting for it would make it late" };

const until = (value) => (value ? ["Goes on ", live(value, "due"), "."] : null);

// name: (fields, context) => [tone, title, detail]; tones: good, bad, warn, info, manual, neutral, quiet
const EVENTS = {
  submitted: (f, c) => ["neutral", c.actor === "owner" ? "Handed over by the owner" : `Handed over${c.actor ? ` by ${c.actor}` : ""}`,
    [f.register_by ? `The maker takes it until ${civil(f.register_by)}.` : "", f.proof ? " With a proof of purchase." : ""]],
  dispatched: (f) => ["quiet", `Chose ${the(f.method)}`],
  attempt_started: (f) => ["info", `Tried ${the(f.method)} (attempt ${f.attempt})`],
  attempt_repeated: (f) => ["info", `Repeated attempt ${f.attempt} after an interruption`, "Under the same key: the maker does not register it twice."],
  attempt_succeeded: (f) => ["good", f.already_registered ? "The maker had it registered already" : "The maker accepted it", took(f)],
  attempt_failed: (f) => ["bad", failed(f), took(f)],
  retry_scheduled: (f) => ["quiet", `Tries ${the(f.method)} again`, [still(f.at, clock), " (", live(f.at), ")"]],
  registration_succeeded: (f) => ["good", `Registered ${by(f.method)}`, f.confirmation ? ["Confirmation ", code(f.confirmation)] : "The maker gave no confirmation code."],
  outcome_unknown: (f) => ["bad", "Nobody knows whether the maker accepted it", f.detail],
  left_in_doubt: (f) => ["warn", `The maker may have taken attempt ${f.attempt}`, "Only the same request follows until that is known."],
  lookup_scheduled: (f) => ["quiet", "Asks the maker what became of it", [still(f.at, clock), " (", live(f.at), ")"]],
  found_unregistered: () => ["info", "The maker says that it has nothing of it"],
  lookup_given_up: (f) => ["bad", "The maker cannot tell what became of it; a person is asked", f.detail],
  manual_required: (f) => ["manual", "Goes to its owner", sentenceOf(manualReason(f.reason))],
  packet_sent: (f) => ["manual", "The packet was mailed to the owner", f.missing_glyphs?.length ? `Some characters could not be printed: ${f.missing_glyphs.map(fieldWords).join(", ")}.` : null],
  packet_opened: () => ["manual", "The owner opened the page of the packet"],
  packet_failed: (f) => ["bad", "The packet could not be sent", [f.detail, f.detail ? ". " : "", ...(f.retry_at ? ["Tried again ", live(f.retry_at, "due"), "."] : ["Somebody must look at it."])]],
  user_completed: (f) => ["good", "The owner said that it is done", [f.confirmation ? ["Confirmation ", code(f.confirmation)] : "", f.photo ? " With a photo of the confirmation." : ""].flat()],
  correction_needed: (f) => ["bad", "The maker refused some of the data", (f.fields ?? []).map((one) => `${fieldWords(one.field)} ${one.problem}`).join("; ")],
  corrected: () => ["info", "The data was corrected"],
  retry_requested: (f, c) => ["info", `Another try was asked for${who(c)}`, [f.from ? `Beginning with ${the(f.from)}. ` : "", f.reason ? `“${f.reason}”` : ""]],
  cancelled: (f, c) => ["neutral", `Cancelled${who(c)}`, f.reason ? `“${f.reason}”` : null],
  held: (f) => ["warn", HOLDS[f.reason]?.(f.method) ?? `Waits: ${f.reason}`, until(f.until)],
  method_skipped: (f) => ["warn", `Passed over ${the(f.method)}`, sentenceOf(SKIPS[f.reason] ?? f.reason)],
  maker_throttled: (f) => ["warn", "The maker asked to slow down", until(f.until)],
  deadline_near: (f) => ["warn", "The last day comes near", `The maker takes it until ${civil(f.last_day)}.`],
  expired: (f) => ["bad", "The maker's last day has passed", `It was ${civil(f.last_day)}.`],
};

const who = (context) => (context.actor && context.actor !== "regflow" ? ` by ${context.actor === "owner" ? "the owner" : context.actor}` : "");
const sentenceOf = (text) => (text ? `${text.charAt(0).toUpperCase()}${text.slice(1)}.` : null);
const took = (f) => (f.latency_ms === undefined ? null : `After ${f.latency_ms < 1_000 ? `${f.latency_ms} ms` : `${(f.latency_ms / 1_000).toFixed(1)} s`}.`);

function failed(f) {
  const answered = /^HTTP (\d+)(.*)$/.exec(f.detail ?? "");
  if (answered) return `The maker answered ${answered[1]}${answered[2]}`;
  return f.detail ? `${errorWords(f.kind)}: ${f.detail}` : errorWords(f.kind);
}

function code(text) {
  const element = document.createElement("code");
  element.textContent = text;
  return element;
}

/** An event's tone, title, detail (nodes) and the attempt that has a screenshot. */
export function tell(event, context) {
  const fields = event.fields ?? {};
  const told = EVENTS[event.name]?.(fields, context);
  const [tone, title, detail] = told ?? ["neutral", event.name.replaceAll("_", " ")];
  return { tone, title, detail: [detail].flat().filter(Boolean), evidence: fields.evidence ? fields.attempt : null };
}

/** What a reader need not see: a choice that the next event of the same record tells again. */
export const isNoise = (event, events) => event.name === "dispatched" && events.some((other) => other.name === "attempt_started" || other.name === "manual_required");

export const methodOf = (event) => (event.fields?.method ? methodWords(event.fields.method) : "");
