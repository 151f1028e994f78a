// Talks to regflow: JSON with problem+json errors, and server-sent events that come back by themselves.

const ANSWER_MS_MAX = 20_000;
const REOPEN_MS = 3_000;

/** What regflow or the network refused: `status` 0 means that there was no answer. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.title = body.title ?? "";
    this.reason = body.reason ?? "";
    this.errors = body.errors ?? [];
    this.retryAfter = retryAfter;
  }
}

export const get = (path, signal) => call(path, { signal });

export const post = (path, body, headers = {}) =>
  call(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

async function call(path, options) {
  const timeout = AbortSignal.timeout(ANSWER_MS_MAX);
  const signal =
    options.signal && AbortSignal.any ? AbortSignal.any([options.signal, timeout]) : (options.signal ?? timeout);
  let answer;
  try {
    answer = await fetch(path, { ...options, signal, headers: { Accept: "application/json", ...options.headers } });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, {
      detail: "regflow does not answer. Check the connection and try again; nothing that you typed is lost.",
    });
  }
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  if (answer.status === 401) toLogin();
  const retryAfter = Number(answer.headers.get("Retry-After")) || null;
  throw new Problem(answer.status, body, retryAfter);
}

/** Leads to the login, and from there back here. */
function toLogin() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** What went wrong, in a sentence for people. */
export function sentence(problem) {
  if (!(problem instanceof Problem)) return String(problem?.message ?? problem);
  const text = problem.message.charAt(0).toUpperCase() + problem.message.slice(1);
  const wait = problem.retryAfter ? ` Try again in ${problem.retryAfter} s.` : "";
  return /[.!?]$/.test(text) ? text + wait : `${text}.${wait}`;
}

/**
 * Follows server-sent events. `url` is a function of the last id ("" at first), `handlers` take an event's data by its name.
 * The browser reconnects with Last-Event-ID by itself; a stream that was refused is opened anew from the last id.
 */
export function follow(url, handlers, onState = () => {}) {
  let source = null;
  let lastId = "";
  let timer = 0;
  const open = () => {
    source = new EventSource(url(lastId));
    source.onopen = () => onState("live");
    source.onerror = () => {
      onState("reconnecting");
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(reopen, REOPEN_MS);
    };
    for (const [name, handler] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        lastId = event.lastEventId || lastId;
        handler(JSON.parse(event.data));
      });
    }
  };
  // events do not tell why they were refused; an answer without a body does
  const reopen = async () => {
    const answer = await fetch(url(lastId), { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401) toLogin();
    else open();
  };
  open();
  const close = () => {
    clearTimeout(timer);
    source?.close();
  };
  addEventListener("pagehide", close, { once: true });
  return close;
}

/** Shows in the page's head whether it is live. */
export function showLive(state) {
  const element = document.getElementById("live");
  if (!element || element.dataset.state === state) return;
  element.hidden = false;
  element.dataset.state = state;
  element.textContent = state === "live" ? "Live" : "Reconnecting";
}
