// regflow's words in words for people.

/** Without the enum's name: short("METHOD_API", "METHOD_") is "API". */
const short = (value, prefix) => (value ?? "").replace(prefix, "");
const plain = (word) => word.toLowerCase().replaceAll("_", " ");

// [words, tone, what it means]
const STATES = {
  PENDING: ["Pending", "neutral", "Taken over; regflow looks at it in a moment."],
  PROCESSING: ["In progress", "info", "An attempt is under way."],
  WAITING: ["Waiting", "warn", "regflow goes on by itself."],
  OUTCOME_UNKNOWN: ["Outcome unknown", "bad", "It was sent to the maker, and nobody knows whether it was accepted."],
  SUCCESS: ["Registered", "good", "The product is registered with its maker."],
  MANUAL_REQUIRED: ["By hand", "manual", "The owner finishes it with a prepared packet."],
  USER_COMPLETED: ["Done by hand", "good", "The owner said that it is registered."],
  NEEDS_CORRECTION: ["Needs correction", "bad", "The maker refused some of the data."],
  CANCELLED: ["Cancelled", "neutral", "It was withdrawn."],
  EXPIRED: ["Too late", "bad", "The maker's last day has passed."],
};

/** Names of the states without their prefix, in the order of a registration's life. */
export const STATE_NAMES = [
  "PENDING",
  "PROCESSING",
  "WAITING",
  "MANUAL_REQUIRED",
  "NEEDS_CORRECTION",
  "OUTCOME_UNKNOWN",
  "SUCCESS",
  "USER_COMPLETED",
  "CANCELLED",
  "EXPIRED",
];

export const stateName = (state) => short(state, "REGISTRATION_STATE_") || "PENDING";
export const stateWords = (state) => STATES[stateName(state)]?.[0] ?? plain(stateName(state));
export const stateTone = (state) => STATES[stateName(state)]?.[1] ?? "neutral";
export const stateMeaning = (state) => STATES[stateName(state)]?.[2] ?? "";

const METHODS = { API: "maker's API", AUTOMATION_RELIABLE: "web form", ASSISTED_MANUAL: "by hand" };
export const methodName = (method) => short(method, "METHOD_");
export const methodWords = (method) => METHODS[methodName(method)] ?? plain(methodName(method));
export const METHOD_NAMES = Object.keys(METHODS);

const ERRORS = {
  NETWORK: "No connection",
  TIMEOUT: "No answer in time",
  SERVER: "Maker's server failed",
  RATE_LIMITED: "Too many requests",
  AUTH: "Credentials refused",
  VALIDATION: "Data refused",
  CAPTCHA: "Captcha",
  FORM_CHANGED: "Form or API changed",
  LOGIN_REQUIRED: "Account needed",
  UNKNOWN_OUTCOME: "Outcome unknown",
  INTERNAL: "Fault of regflow",
};
export const errorWords = (kind) => {
  const name = short(kind, "ERROR_KIND_").toUpperCase();
  return ERRORS[name] ?? plain(name);
};

const REASONS = {
  MAKER_IS_MANUAL_ONLY: "this maker takes registrations by hand only",
  UNKNOWN_BRAND: "no maker of this brand is known yet",
  CAPTCHA: "a captcha stands before the maker's form, and regflow does not solve captchas",
  FORM_CHANGED: "the maker's form or API has changed",
  LOGIN_REQUIRED: "the maker's form wants an account",
  METHODS_EXHAUSTED: "the automatic ways failed",
  DEADLINE_NEAR: "waiting longer could have made it late",
};
export const manualReason = (reason) => REASONS[short(reason, "MANUAL_REASON_").toUpperCase()] ?? "";

const PRIORITIES = { HIGH: "premium", NORMAL: "regular", LOW: "bulk" };
export const priorityWords = (priority) => PRIORITIES[short(priority, "PRIORITY_")] ?? "regular";

const HEALTHS = { HEALTHY: ["Healthy", "good"], DEGRADED: ["Degraded", "warn"], DOWN: ["Down", "bad"] };
const healthOf = (health) => HEALTHS[short(health, "HEALTH_")] ?? ["Not checked", "neutral"];
export const healthWords = (health) => healthOf(health)[0];
export const healthTone = (health) => healthOf(health)[1];

const CIRCUITS = { CLOSED: ["closed", "good"], OPEN: ["open", "bad"], HALF_OPEN: ["half open", "warn"] };
const circuitOf = (state) => CIRCUITS[short(state, "CIRCUIT_STATE_")] ?? ["closed", "good"];
export const circuitWords = (state) => circuitOf(state)[0];
export const circuitTone = (state) => circuitOf(state)[1];

const ALERTS = {
  DOWN: "down",
  SUCCESS_RATE_CRITICAL: "success critical",
  SUCCESS_RATE_LOW: "success low",
  LATENCY_HIGH: "slow",
  FAILURES_IN_A_ROW: "failures in a row",
  FORM_DRIFT: "form drift",
  CHECK_FAILED: "check failed",
};
export const alertWords = (kind) => ALERTS[short(kind, "ALERT_KIND_")] ?? plain(short(kind, "ALERT_KIND_"));
export const isCritical = (alert) => alert.severity === "SEVERITY_CRITICAL";

const FIELDS = {
  "product.brand": "Brand",
  "product.model": "Model",
  "product.serial": "Serial number",
  "purchase.date": "Date of purchase",
  "purchase.shop": "Shop",
  "purchase.price": "Price",
  "purchase.installation_date": "Date of installation",
  "purchase.delivery_date": "Date of delivery",
  "owner.name": "Full name",
  "owner.email": "E-mail",
  "owner.phone": "Telephone",
  "owner.address.street": "Street and number",
  "owner.address.postal_code": "Postal code",
  "owner.address.city": "Town",
  "owner.address.country": "Country",
  proof_of_purchase: "Proof of purchase",
  marketing_consent: "Advertising",
};
/** A field's label; "extra.dealer_number" is "Dealer number". */
export function fieldWords(field) {
  if (FIELDS[field]) return FIELDS[field];
  const words = plain(field.split(".").at(-1));
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function sayMs(ms) {
  if (ms === undefined || ms === null) return "–";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1).replace(/\.0+$/, "")} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min${seconds % 60 ? ` ${seconds % 60} s` : ""}`;
}
export const sayPercent = (percent) =>
  percent === undefined || percent === null
    ? "–"
    : `${percent >= 99.95 || percent < 10 ? Math.round(percent) : percent.toFixed(1)} %`;
export const sayNumber = (number) => Number(number ?? 0).toLocaleString("en-GB");
