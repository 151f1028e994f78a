// Times for people: "in 12 s", "3 min ago", and the exact time in the title.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const exactFormat = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayFormat = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const dateFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

/** A Date from RFC 3339 or from microseconds, as stored events count them; null when there is none. */
export function moment(value) {
  if (value === null || value === undefined || value === "") return null;
  const date = new Date(typeof value === "number" ? value / 1_000 : value);
  return Number.isNaN(date.getTime()) ? null : date;
}

export const exact = (date) => exactFormat.format(date);
export const clock = (date) => clockFormat.format(date);
export const dayOf = (date) => dayFormat.format(date);

/** "2026-12-25" as "25 Dec 2026". */
export function civil(text) {
  const date = moment(text);
  return date ? dateFormat.format(date) : "";
}

/** Whole days from today to a civil date; negative when it has passed. */
export function daysUntil(text, today = new Date()) {
  const begin = Date.UTC(today.getFullYear(), today.getMonth(), today.getDate());
  return Math.round((Date.parse(`${text}T00:00:00Z`) - begin) / DAY);
}

export const addDays = (text, days) => new Date(Date.parse(`${text}T00:00:00Z`) + days * DAY).toISOString().slice(0, 10);

/** "12 days left", "last day today", "2 days too late". */
export function daysLeft(text) {
  const days = daysUntil(text);
  if (days < 0) return `${count(-days, "day")} too late`;
  return days === 0 ? "today is the last day" : `${count(days, "day")} left`;
}

export const count = (number, noun) => `${Number(number).toLocaleString("en-GB")} ${noun}${Number(number) === 1 ? "" : "s"}`;

/** How long, in one or two units. */
export function span(ms) {
  const of = Math.max(0, ms);
  if (of < MINUTE) return `${Math.round(of / SECOND)} s`;
  if (of < 10 * MINUTE) return two(of, MINUTE, "min", SECOND, "s");
  if (of < HOUR) return `${Math.round(of / MINUTE)} min`;
  if (of < DAY) return two(of, HOUR, "h", MINUTE, "min");
  return count(Math.round(of / DAY), "day");
}

function two(ms, big, bigWord, small, smallWord) {
  const rest = Math.floor((ms % big) / small);
  return `${Math.floor(ms / big)} ${bigWord}${rest ? ` ${rest} ${smallWord}` : ""}`;
}

function relative(date, now) {
  const ms = date.getTime() - now;
  if (ms > 500) return `in ${span(Math.ceil(ms / SECOND) * SECOND)}`;
  if (ms > -3 * SECOND) return "now";
  if (-ms < HOUR) return `${-ms < MINUTE ? span(-ms) : `${Math.floor(-ms / MINUTE)} min`} ago`;
  if (-ms < DAY) return `${Math.floor(-ms / HOUR)} h ago`;
  return `${count(Math.floor(-ms / DAY), "day")} ago`;
}

const WORDS = {
  relative,
  // "since": how long something has been so
  since: (date, now) => span(Math.floor((now - date.getTime()) / SECOND) * SECOND),
  // "due": like relative, but what is due stays due
  due: (date, now) => (date.getTime() - now > 500 ? relative(date, now) : "any moment now"),
};

/** A <time> that stays true: `as` is "relative", "since" or "due". */
export function live(value, as = "relative") {
  const date = moment(value);
  if (!date) return null;
  const element = document.createElement("time");
  element.dateTime = date.toISOString();
  element.title = exact(date);
  element.dataset.live = as;
  element.textContent = WORDS[as](date, Date.now());
  return element;
}

/** A <time> that shows `text`. */
export function still(value, text = exact) {
  const date = moment(value);
  if (!date) return null;
  const element = document.createElement("time");
  element.dateTime = date.toISOString();
  element.title = exact(date);
  element.textContent = text(date);
  return element;
}

function tick() {
  if (document.hidden) return;
  const now = Date.now();
  for (const element of document.querySelectorAll("time[data-live]")) {
    const text = WORDS[element.dataset.live](new Date(element.dateTime), now);
    if (element.firstChild?.data !== text) element.textContent = text;
  }
}

setInterval(tick, SECOND);
document.addEventListener("visibilitychange", tick);
