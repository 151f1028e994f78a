// Charts over time with uPlot, each with a summary in words and its numbers as a table.

import { h, patch, table } from "./dom.js";
import { sayMs, sayNumber, sayPercent } from "./words.js";

const HEIGHT = 190;
const ROWS_MAX = 240;
const LINES_MAX = 6;
const GAP_STEPS = 3;
const STEP_S = { RESOLUTION_MINUTE: 60, RESOLUTION_HOUR: 3_600, RESOLUTION_DAY: 86_400 };
// what says nothing about the maker
const NOT_COUNTED = ["ERROR_KIND_VALIDATION", "ERROR_KIND_INTERNAL"];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const number = (value) => Number(value ?? 0);
const uncounted = (values) => (values.errors ?? []).reduce((sum, error) => sum + (NOT_COUNTED.includes(error.kind) ? number(error.count) : 0), 0);

/** What the charts draw, from a MetricsResponse. */
export function prepare(metrics) {
  const step = STEP_S[metrics.resolution] ?? 60;
  const sums = new Map();
  for (const series of metrics.series ?? []) {
    for (const point of series.points ?? []) {
      const time = Date.parse(point.startTime) / 1_000;
      const sum = sums.get(time) ?? { attempts: 0, succeeded: 0, uncounted: 0 };
      sum.attempts += number(point.values?.attempts);
      sum.succeeded += number(point.values?.succeeded);
      sum.uncounted += uncounted(point.values ?? {});
      sums.set(time, sum);
    }
  }
  const times = [...sums.keys()].sort((a, b) => a - b);
  const of = (read) => times.map((time) => read(sums.get(time)));
  const percent = (sum) => (sum.attempts > sum.uncounted ? (100 * sum.succeeded) / (sum.attempts - sum.uncounted) : null);
  const bounds = [Date.parse(metrics.startTime) / 1_000, Date.parse(metrics.endTime) / 1_000];
  return { step, bounds, times, percents: of(percent), attempts: of((sum) => sum.attempts), counted: of((sum) => sum.attempts - sum.uncounted), succeeded: of((sum) => sum.succeeded), latencies: latencies(metrics.series ?? []) };
}

/** One series: its three percentiles. Several: the 95th of each of the busiest; percentiles of different makers do not add up. */
function latencies(series) {
  const values = (one, name) => new Map((one.points ?? []).map((point) => [Date.parse(point.startTime) / 1_000, point.values?.[name] ?? null]));
  if (series.length === 1) return [["p50", "latencyMsP50"], ["p95", "latencyMsP95"], ["p99", "latencyMsP99"]].map(([label, name]) => ({ label, values: values(series[0], name) }));
  const busiest = [...series].sort((a, b) => number(b.total?.attempts) - number(a.total?.attempts)).slice(0, LINES_MAX);
  const short = { METHOD_API: "API", METHOD_AUTOMATION_RELIABLE: "form" };
  return busiest.map((one) => ({ label: `${one.maker} ${short[one.method] ?? ""}`.trim(), values: values(one, "latencyMsP95") }));
}

/** A long stretch without points is shown as a gap. */
function broken(times, columns, step) {
  const out = [[], ...columns.map(() => [])];
  times.forEach((time, index) => {
    if (index > 0 && time - times[index - 1] > GAP_STEPS * step) {
      out[0].push(time - step);
      columns.forEach((_, column) => out[column + 1].push(null));
    }
    out[0].push(time);
    columns.forEach((values, column) => out[column + 1].push(values[index]));
  });
  return out;
}

const timeFormat = (options) => new Intl.DateTimeFormat("en-GB", options);
const ofDay = timeFormat({ hour: "2-digit", minute: "2-digit" });
const ofYear = timeFormat({ day: "numeric", month: "short" });
const both = timeFormat({ day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const sayTime = (seconds, step) => (step >= 86_400 ? ofYear : both).format(seconds * 1_000);

const ticks = (_, splits, __, ___, increment) => splits.map((seconds) => {
  const date = new Date(seconds * 1_000);
  return increment >= 86_400 || (date.getHours() === 0 && date.getMinutes() === 0) ? ofYear.format(date) : ofDay.format(date);
});

function axes(say) {
  const common = { stroke: color("ink-2"), font: `11px ${color("font")}`, ticks: { show: false }, grid: { stroke: color("line"), width: 1 } };
  return [
    { ...common, grid: { show: false }, values: ticks, space: 64, size: 26, gap: 6 },
    { ...common, values: (_, splits) => splits.map((value) => (value === null ? "" : say(value))), size: 52, gap: 6, space: 34 },
  ];
}

/** A chart in a figure; `draw` may be called again with other data. */
export class Chart {
  #plot = null;
  #key = "";

  constructor(figure, title) {
    this.body = h("div", { class: "plot", "aria-hidden": "true" });
    this.summary = h("p", { class: "summary" });
    this.numbers = h("details", { class: "numbers" }, h("summary", null, "As a table"), h("div"));
    this.numbers.addEventListener("toggle", () => this.showNumbers());
    this.heading = h("h3", null, title);
    figure.append(h("figcaption", null, this.heading, this.summary), this.body, this.numbers);
    new ResizeObserver(() => this.#plot?.setSize({ width: this.body.clientWidth, height: HEIGHT })).observe(this.body);
  }

  draw({ data, series, scale, say, bounds, step, summary, marks = [] }) {
    this.latest = { data, series, say, step };
    this.summary.textContent = summary;
    this.body.classList.toggle("none", data[0].length === 0);
    const key = JSON.stringify([series.map((one) => one.label), color("surface"), scale]);
    const x = { min: bounds[0], max: bounds[1] };
    if (this.#plot && this.#key === key) {
      this.#plot.batch(() => {
        this.#plot.setData(data, false);
        this.#plot.setScale("x", x);
      });
    } else {
      this.#plot?.destroy();
      this.#key = key;
      this.#plot = new uPlot(this.options({ series, scale, say, marks, step }), data, this.body);
      this.#plot.setScale("x", x);
    }
    if (this.numbers.open) this.showNumbers();
  }

  options({ series, scale, say, marks, step }) {
    const value = (_, raw) => (raw === null || raw === undefined ? "–" : say(raw));
    return {
      width: this.body.clientWidth || 400, height: HEIGHT, padding: [10, 12, 0, 0],
      scales: { x: { time: true, auto: false }, y: { range: scale } },
      axes: axes(say),
      series: [{ label: "Time", value: (_, raw) => (raw === null || raw === undefined ? "–" : sayTime(raw, step)) }, ...series.map((one) => ({ width: 1.75, points: { size: 4 }, value, ...one }))],
      cursor: { sync: { key: "regflow" }, points: { size: 6 }, drag: { x: false, y: false } },
      legend: { markers: { width: 0, fill: (_, index) => series[index - 1]?.stroke } },
      hooks: { drawAxes: [(plot) => marks.forEach((mark) => drawMark(plot, mark))] },
    };
  }

  showNumbers() {
    if (!this.numbers.open || !this.latest) return;
    const { data, series, say, step } = this.latest;
    const rows = data[0].map((time, index) => [sayTime(time, step), ...series.map((_, column) => {
      const raw = data[column + 1][index];
      return raw === null || raw === undefined ? "–" : say(raw);
    })]).filter((_, index) => data.slice(1).some((column) => column[index] !== null && column[index] !== undefined));
    const cut = rows.slice(-ROWS_MAX).reverse();
    patch(this.numbers.lastChild, table(`${this.heading.textContent}, newest first`, ["Time", ...series.map((one) => ({ title: one.label, number: true }))], cut, { hideCaption: true, empty: "No attempts in this window." }));
  }
}

/** A dashed line at a threshold. */
function drawMark(plot, { at, stroke }) {
  const { ctx, bbox } = plot;
  const y = Math.round(plot.valToPos(at, "y", true));
  ctx.save();
  ctx.strokeStyle = stroke;
  ctx.globalAlpha = 0.55;
  ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

const LINE_COLORS = ["line-1", "line-2", "line-3", "line-4", "line-5", "line-6"];

function lowest(times, values, step, say) {
  let at = -1;
  values.forEach((value, index) => { if (value !== null && (at < 0 || value < values[at])) at = index; });
  return at < 0 ? "No attempts in this window." : `Lowest ${say(values[at])} at ${sayTime(times[at], step)}, latest ${say(values.findLast((value) => value !== null))}.`;
}

export function drawSuccess(chart, { times, percents, bounds, step }) {
  const data = broken(times, [percents], step);
  const marks = [{ at: 85, stroke: color("warn") }, { at: 70, stroke: color("bad") }];
  chart.draw({ data, bounds, step, say: sayPercent, scale: [0, 100], marks, series: [{ label: "Success", stroke: color("good"), fill: color("good-bg") }], summary: `${lowest(times, percents, step, sayPercent)} Dashed: the alerts at 85 and 70 %.` });
}

export function drawLatency(chart, { latencies: lines, bounds, step }) {
  const times = [...new Set(lines.flatMap((line) => [...line.values.keys()]))].sort((a, b) => a - b);
  const columns = lines.map((line) => times.map((time) => line.values.get(time) ?? null));
  const single = lines[0]?.label === "p50";
  const colors = single ? ["line-3", "line-1", "line-2"] : LINE_COLORS;
  const series = lines.map((line, index) => ({ label: line.label, stroke: color(colors[index]), spanGaps: !single }));
  const top = Math.max(0, ...columns.flat().filter((value) => value !== null));
  const summary = top ? `${single ? "p50, p95 and p99" : "95th percentile of each; choose a maker and a method for p50, p95 and p99"}. Highest ${sayMs(top)}.` : "No attempts in this window.";
  chart.draw({ data: single ? broken(times, columns, step) : [times, ...columns], bounds, step, say: sayMs, scale: (_, __, max) => [0, (max || 100) * 1.08], series, summary });
}

/** Bars from the back: all, then those that count, then those that went well. */
export function drawAttempts(chart, { times, attempts, counted, succeeded, bounds, step }) {
  const paths = uPlot.paths.bars({ size: [0.8, 24], align: 1 });
  const sum = (values) => values.reduce((all, value) => all + value, 0);
  const one = (label, name, values) => ({ label, stroke: color(name), fill: color(name), width: 0, paths, points: { show: false }, value: values });
  const raw = (read) => (_, __, ___, index) => (index === null || index === undefined ? "–" : sayNumber(read(index)));
  const series = [
    one("Data refused, or ours", "neutral", raw((i) => attempts[i] - counted[i])),
    one("Failed", "bad", raw((i) => counted[i] - succeeded[i])),
    one("Succeeded", "good", raw((i) => succeeded[i])),
  ];
  const summary = times.length ? `${sayNumber(sum(attempts))} attempts: ${sayNumber(sum(succeeded))} succeeded, ${sayNumber(sum(counted) - sum(succeeded))} failed, ${sayNumber(sum(attempts) - sum(counted))} say nothing about the maker.` : "No attempts in this window.";
  chart.draw({ data: [times, attempts, counted, succeeded], bounds, step, say: sayNumber, scale: (_, __, max) => [0, Math.max(4, max * 1.08)], series, summary });
  chart.latest.data = [times, times.map((_, i) => attempts[i] - counted[i]), times.map((_, i) => counted[i] - succeeded[i]), succeeded];
}
