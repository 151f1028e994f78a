// What operators do: each wish asks who and why, and holds until it is taken back.

import { announce, byId, fill, h, openDialog, table } from "./dom.js";
import { post, sentence } from "./api.js";
import { count } from "./time.js";
import { METHOD_NAMES, methodWords, sayNumber, stateWords } from "./words.js";

const OPERATOR = "regflow.operator";
const REDRIVABLE = ["MANUAL_REQUIRED", "WAITING", "CANCELLED", "OUTCOME_UNKNOWN"];
const REFUSED_MAX = 20;

const WISHES = {
  pause: ["Pause", "No attempt begins until it is resumed. What is under way ends; what waits keeps its place.", "Pause"],
  resume: ["Resume", "What waits goes on.", "Resume"],
  circuit: ["Circuit of", "Hold it, or leave it to itself again.", "Do it"],
};

const operator = () => localStorage.getItem(OPERATOR) ?? "";

/** Opens the dialog for a wish about one maker. */
export function openWish(wish, maker) {
  const [title, text, submit] = WISHES[wish];
  const form = byId("wish-form");
  form.dataset.wish = wish;
  form.dataset.maker = maker.maker;
  byId("wish-title").textContent = `${title} ${maker.displayName || maker.maker}`;
  byId("wish-text").textContent = text;
  byId("wish-submit").textContent = submit;
  byId("wish-problem").textContent = "";
  byId("wish-position").hidden = wish !== "circuit";
  const methods = (maker.methods ?? []).map((method) => new Option(methodWords(method.method), method.method));
  const all = wish === "circuit" || methods.length < 2 ? [] : [new Option("all methods", "")];
  fill(byId("wish-method"), all, methods);
  byId("wish-operator").value = operator();
  byId("wish-reason").value = "";
  openDialog(byId("wish"));
  (operator() ? byId("wish-reason") : byId("wish-operator")).focus();
}

function wishBody(form) {
  const { wish, maker } = form.dataset;
  const position = form.elements.position.value;
  const body = { maker, method: byId("wish-method").value || undefined, reason: byId("wish-reason").value.trim(), operator: byId("wish-operator").value.trim() };
  if (wish !== "circuit") return [wish, body];
  return position === "release" ? ["release-circuit", body] : ["force-circuit", { ...body, position }];
}

async function send(event) {
  event.preventDefault();
  const [operation, body] = wishBody(event.target);
  localStorage.setItem(OPERATOR, body.operator);
  byId("wish-submit").disabled = true;
  try {
    await post(`/api/operations/${operation}`, body);
    byId("wish").close();
    announce(`${byId("wish-title").textContent}: stored.`);
  } catch (problem) {
    byId("wish-problem").textContent = sentence(problem);
  }
  byId("wish-submit").disabled = false;
}

// ---- redrive: a dry run first, then the same in earnest

let dryRun = "";

function redriveBody(form) {
  const data = new FormData(form);
  return {
    states: data.getAll("states").map((state) => `REGISTRATION_STATE_${state}`), maker: data.get("maker") || undefined,
    fromMethod: data.get("fromMethod") || undefined, limit: Number(data.get("limit")) || undefined,
    reason: data.get("reason").trim(), operator: data.get("operator").trim(),
  };
}

const filtersOf = ({ reason, operator: by, ...filters }) => JSON.stringify(filters);

function showResult(answer, done) {
  const refused = answer.refused ?? [];
  const words = `${count(answer.matched ?? 0, "registration")} match; ${sayNumber(answer.redriven)} ${done ? "are tried again" : "would be tried again"}.${answer.more ? " More match than the limit; repeat for the rest." : ""}`;
  const rows = refused.slice(0, REFUSED_MAX).map((one) => [h("a", { href: `/track/${one.id}` }, h("code", null, one.id.slice(0, 8))), one.problem]);
  fill(byId("redrive-result"), h("p", { class: `note ${done ? "good" : ""}` }, words),
    refused.length ? table(`${count(refused.length, "registration")} cannot be tried again`, ["Registration", "Why"], rows) : "");
}

async function redrive(event) {
  event.preventDefault();
  const form = event.target;
  const body = redriveBody(form);
  const isDry = event.submitter?.value !== "do";
  localStorage.setItem(OPERATOR, body.operator);
  byId("redrive-problem").textContent = "";
  try {
    const answer = await post("/api/operations/redrive", { ...body, dryRun: isDry });
    showResult(answer, !isDry);
    dryRun = isDry && (answer.redriven ?? 0) > 0 ? filtersOf(body) : "";
    byId("redrive-do").textContent = isDry ? `Try ${sayNumber(answer.redriven)} again` : "Try again";
  } catch (problem) {
    byId("redrive-problem").textContent = sentence(problem);
  }
  byId("redrive-do").disabled = !dryRun;
}

export function openRedrive(makers, maker) {
  const form = byId("redrive-form");
  fill(byId("redrive-maker"), new Option("all makers", ""), makers.map((one) => new Option(one.displayName || one.maker, one.maker)));
  byId("redrive-maker").value = maker ?? "";
  form.elements.operator.value = operator();
  fill(byId("redrive-result"));
  byId("redrive-problem").textContent = "";
  dryRun = "";
  byId("redrive-do").disabled = true;
  openDialog(byId("redrive"));
}

export function wireDialogs() {
  byId("wish-form").addEventListener("submit", send);
  const form = byId("redrive-form");
  fill(byId("redrive-states"), REDRIVABLE.map((state, index) => {
    const box = h("input", { type: "checkbox", name: "states", checked: index === 0 });
    box.value = state;
    return h("label", null, box, stateWords(state));
  }));
  fill(byId("redrive-from"), new Option("the first of each maker", ""), METHOD_NAMES.map((method) => new Option(methodWords(method), `METHOD_${method}`)));
  form.addEventListener("submit", redrive);
  form.addEventListener("input", () => {
    dryRun = dryRun === filtersOf(redriveBody(form)) ? dryRun : "";
    byId("redrive-do").disabled = !dryRun;
  });
}
