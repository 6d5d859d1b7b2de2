// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0

const conditions = [...new Set(data.groups.map((group) => group.condition))];
const part = document.getElementById("part");
const chooser = document.getElementById("condition");
const colour = (matcher) => ink(`m${data.matchers.indexOf(matcher) % 6}`);
const chosen = () => data.groups.filter((group) => group.condition === chooser.value);
const percent = (values) => values.map((value) => (value === null ? null : 100 * value));

function nothing(id, why) {
  Plotly.purge(id);
  empty(id, why);
}

function plot(id, traces, layout, height = "") {
  const place = document.getElementById(id);
  if (!place.classList.contains("js-plotly-plot")) place.replaceChildren();
  place.style.height = height;
  Plotly.react(id, traces, base({ showlegend: true, ...layout }), settings);
}

const text = (name) => name.replaceAll("&", "&amp;").replaceAll("<", "&lt;");  // plotly reads tags in names
const short = (name) => text(name.length > 24 ? name.slice(0, 23) + "…" : name);
const faint = (hex, alpha) => hex + alpha;

const logarithmic = { type: "log", tickvals: [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000] };

// One row per condition, the matchers beside each other in it; bars are intervals.
function forest(id, take, axis, scale = 1, extra = {}) {
  const rows = data.groups.map((group) => [group, take(group)]).filter(([, found]) => found.value !== null);
  const traces = [], drawn = data.matchers.filter((matcher) => rows.some(([group]) => group.matcher === matcher));
  const lanes = drawn.length + (extra.gnss ? 1 : 0), step = Math.min(0.22, 0.7 / lanes);
  const lane = (condition, k) => -conditions.indexOf(condition) - (k - (lanes - 1) / 2) * step;
  drawn.forEach((matcher, k) => {
    const points = rows.filter(([group]) => group.matcher === matcher);
    const y = points.map(([group]) => lane(group.condition, k));
    const value = points.map(([, found]) => scale * found.value);
    traces.push({
      name: text(matcher), x: value, y, mode: "markers", marker: { color: colour(matcher), size: 9 },
      error_x: {
        symmetric: false, thickness: 2, width: 0, color: faint(colour(matcher), "99"),
        array: points.map(([, found], i) => (found.high === null ? 0 : scale * found.high - value[i])),
        arrayminus: points.map(([, found], i) => (found.low === null ? 0 : value[i] - scale * found.low)),
      },
      customdata: points.map(([group, found]) => [text(group.condition), found.low === null ? "no interval" :
        `${(scale * found.low).toPrecision(3)} to ${(scale * found.high).toPrecision(3)}`, found.n]),
      hovertemplate: "%{customdata[0]}: %{x:.3g} (%{customdata[1]}), n = %{customdata[2]}<extra>%{fullData.name}</extra>",
    });
    if (extra.behind) traces.unshift(...points.map(([group], i) => extra.behind(group, y[i])));
  });
  if (extra.gnss) traces.push(...extra.gnss((condition) => lane(condition, lanes - 1)));
  if (!traces.length) return nothing(id, "Nothing was published.");
  plot(id, traces, {
    xaxis: axis, hovermode: "closest", shapes: extra.shapes || [],
    yaxis: { tickvals: conditions.map((_, i) => -i), ticktext: conditions.map(short), range: [0.5 - conditions.length, 0.5],
      zeroline: false, fixedrange: true },
  }, `${110 + conditions.length * Math.max(34, 17 * lanes)}px`);
}


function gnssMarks(key, scale, place) {
  const known = conditions.map((name) => data.groups.find((group) => group.condition === name && group.measures[key].value !== null));
  const there = known.filter((group) => group);
  return !there.length ? [] : [{
    name: "GNSS alone", mode: "markers", x: there.map((group) => scale * group.measures[key].value),
    y: there.map((group) => place(group.condition)),
    marker: { symbol: "diamond-open", size: 10, color: ink("gnss"), line: { width: 2, color: ink("gnss") } },
    hovertemplate: "%{x:.3g}<extra>GNSS alone</extra>",
  }];
}

function drawOverview() {
  forest("medians", (group) => group.measures.position_error_median_m, { title: { text: "m" }, rangemode: "tozero" }, 1,
    { gnss: (place) => gnssMarks("gnss_error_median_m", 1, place) });
  forest("recalls", (group) => group.measures.recall_position_3m, { title: { text: "%" }, range: [-2, 102] }, 100,
    { gnss: (place) => gnssMarks("gnss_recall_3m", 100, place) });
}

function drawNees() {
  if (!data.groups.some((group) => group.nees.pose.n)) return hide("nees-card");
  const ideal = { type: "line", x0: 3, x1: 3, yref: "paper", y0: 0, y1: 1, line: { color: ink("soft"), dash: "dot", width: 1.5 } };
  forest("nees", (group) => group.measures.nees_mean,
    { title: { text: "mean NEES" }, ...logarithmic }, 1, {
      shapes: [ideal],
      behind: (group, y) => ({
        x: group.nees.pose.chi2_95, y: [y, y], mode: "lines", showlegend: false, hoverinfo: "skip",
        line: { color: faint(ink("soft"), "55"), width: 12 },
      }),
    });
}

function drawCdf() {
  const groups = chosen().filter((group) => group.cdf.published);
  if (!groups.length) return nothing("cdf", "No attempt with truth.");
  const traces = groups.map((group) => ({
    name: text(group.matcher), x: group.cdf.m, y: percent(group.cdf.published), mode: "lines",
    line: { color: colour(group.matcher), width: 2.5 }, hovertemplate: "%{y:.0f} % within %{x:.2f} m<extra>%{fullData.name}</extra>",
  }));
  const gnss = groups[0].cdf.gnss;
  if (gnss && gnss[gnss.length - 1] > 0) traces.push({
    name: "GNSS alone", x: groups[0].cdf.m, y: percent(gnss), mode: "lines", line: { color: ink("gnss"), width: 2, dash: "dash" },
    hovertemplate: "%{y:.0f} % within %{x:.2f} m<extra>%{fullData.name}</extra>",
  });
  const limits = [1, 3, 5].map((x) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, layer: "below", line: { color: ink("line"), width: 1.5 } }));
  plot("cdf", traces, {
    xaxis: { title: { text: "position error (m)" }, ...logarithmic, range: [-1.3, 1.7] },
    yaxis: { title: { text: "share of attempts (%)" }, range: [0, 101] }, shapes: limits, hovermode: "closest",
  });
}

function drawReliability() {
  const groups = chosen().filter((group) => group.reliability.pose), traces = [];
  if (!groups.length) return nothing("reliability", "Nothing was published.");
  traces.push({ x: [0, 100], y: [0, 100], mode: "lines", name: "honest", hoverinfo: "skip", line: { color: ink("soft"), dash: "dot", width: 1.5 } });
  for (const group of groups) {
    const found = group.reliability[part.value], x = percent(found.expected);
    if (found.low[0] !== null) traces.push({
      x: [...x, ...[...x].reverse()], y: [...percent(found.low), ...percent(found.high).reverse()], fill: "toself", mode: "lines",
      fillcolor: faint(colour(group.matcher), "22"), line: { width: 0 }, showlegend: false, hoverinfo: "skip",
    });
    traces.push({
      name: text(group.matcher), x, y: percent(found.observed), mode: "lines+markers",
      line: { color: colour(group.matcher), width: 2 }, marker: { size: 5 },
      hovertemplate: "expected %{x:.0f} %, observed %{y:.0f} %<extra>%{fullData.name}</extra>",
    });
  }
  plot("reliability", traces, {
    xaxis: { title: { text: "expected (%)" }, range: [-2, 102], dtick: 20 },
    yaxis: { title: { text: "observed (%)" }, range: [-2, 102], dtick: 20 }, hovermode: "closest",
  });
}

function drawSigma() {
  const groups = chosen().filter((group) => group.sigma.position_m), all = [];
  if (!groups.length) return nothing("sigma", "Nothing was published.");
  const traces = groups.map((group) => {
    const found = group.sigma.position_m;
    all.push(...found.predicted, ...found.observed.filter((value) => value > 0));
    return {
      name: text(group.matcher), x: found.predicted, y: found.observed, customdata: found.n, mode: "lines+markers",
      line: { color: colour(group.matcher), width: 2 }, marker: { size: 8 },
      hovertemplate: "sigma %{x:.2f} m, error %{y:.2f} m, n = %{customdata}<extra>%{fullData.name}</extra>",
    };
  });
  const low = Math.min(...all) / 1.3, high = Math.max(...all) * 1.3, range = [Math.log10(low), Math.log10(high)];
  traces.unshift({ name: "honest", x: [low, high], y: [low, high], mode: "lines", hoverinfo: "skip", line: { color: ink("soft"), dash: "dot", width: 1.5 } });
  plot("sigma", traces, {
    xaxis: { title: { text: "published sigma (m)" }, ...logarithmic, range },
    yaxis: { title: { text: "real error (m)" }, ...logarithmic, range }, hovermode: "closest",
  });
}

function drawLatency() {
  const groups = chosen().filter((group) => group.latency_ms.n).reverse();
  if (!groups.length) return nothing("latency", "No attempt was made.");
  const names = [...new Set(groups.flatMap((group) => Object.keys(group.latency_ms.stages)))].filter((name) => name !== "total");
  const traces = names.map((name, i) => ({
    type: "bar", orientation: "h", name, y: groups.map((group) => short(group.matcher)), marker: { color: stageColour(i) },
    x: groups.map((group) => (group.latency_ms.stages[name] || { p50: 0 }).p50), hovertemplate: `${name}: %{x:.1f} ms<extra></extra>`,
  }));
  traces.push({
    name: "p95 of all", mode: "markers", y: groups.map((group) => short(group.matcher)), x: groups.map((group) => group.latency_ms.p95),
    marker: { symbol: "line-ns", size: 18, line: { color: ink("ink"), width: 2.5 } }, hovertemplate: "p95 %{x:.0f} ms<extra></extra>",
  });
  bars("latency", traces, groups, { title: { text: "ms" }, rangemode: "tozero" });
}

// One stacked bar per matcher.
function bars(id, traces, groups, axis) {
  plot(id, traces, {
    barmode: "stack", bargap: groups.length > 1 ? 0.3 : 0.55, xaxis: axis, yaxis: { type: "category" },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, traceorder: "normal" },
  }, `${150 + 46 * groups.length}px`);
}

const stageColour = (i) => ["#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb", "#88ccaa", "#995533", "#7777cc"][i % 10];

function drawStatuses() {
  const groups = chosen().filter((group) => group.image_sets).reverse();
  if (!groups.length) return nothing("statuses", "No image set.");
  const quiet = ["waiting_keyframes", "standstill", "throttled", "disabled", "old_stamp", "no_image"];
  const rank = (name) => (name === "ok" ? 0 : quiet.includes(name) ? 2 : 1);
  const names = [...new Set(groups.flatMap((group) => Object.keys(group.statuses)))].sort((a, b) => rank(a) - rank(b));
  const failures = names.filter((name) => rank(name) === 1);
  const reds = ["#c22f2f", "#e8923a", "#8d5bb5", "#d96b8f", "#7a5c3e", "#e0c04a", "#5a7da0"];
  const shade = (name) => [ink("ours"), reds[failures.indexOf(name) % 7], ink("line")][rank(name)];
  bars("statuses", names.map((name) => ({
    type: "bar", orientation: "h", name, y: groups.map((group) => short(group.matcher)),
    x: groups.map((group) => 100 * (group.statuses[name] || 0) / group.image_sets),
    customdata: groups.map((group) => group.statuses[name] || 0), marker: { color: shade(name) },
    hovertemplate: `${name}: %{customdata} (%{x:.1f} %)<extra></extra>`,
  })), groups, { title: { text: "% of image sets" }, range: [0, 100] });
}

const readable = (axis, unit) => (unit && axis.endsWith(`_${unit}`) ? axis.slice(0, -unit.length - 1) : axis).replaceAll("_", " ");
const most = (traces) => Math.max(5, ...traces.flatMap((trace) => trace.y.map((y, i) => 1.08 * (y + trace.error_y.array[i]))));

function drawSweeps() {
  Object.entries(data.sweeps).forEach(([axis, sweep], number) => {
    const curves = Object.entries(sweep.curves);
    const numeric = curves.every(([, points]) => points.every((point) => typeof point.value === "number"));
    const at = (points) => points.map((point) => (numeric ? point.value : String(point.value)));
    const parts = [["error", "position_error_median_m", 1], ["share", "availability", 100], ["false", "false_accepts_of_published", 100]];
    for (const [name, key, scale] of parts) {
      const traces = curves.map(([matcher, points]) => ({
        name: text(matcher), x: at(points), y: points.map((point) => (point[key].value === null ? null : scale * point[key].value)),
        mode: "lines+markers", line: { color: colour(matcher), width: 2 }, marker: { size: 7 },
        error_y: {
          symmetric: false, thickness: 1.5, width: 0, color: faint(colour(matcher), "88"),
          array: points.map((point) => (point[key].high === null ? 0 : scale * (point[key].high - point[key].value))),
          arrayminus: points.map((point) => (point[key].low === null ? 0 : scale * (point[key].value - point[key].low))),
        },
        customdata: points.map((point) => point.drives), hovertemplate: "%{x}: %{y:.3g}, %{customdata} drives<extra>%{fullData.name}</extra>",
      }));
      const gnss = curves.length ? curves[0][1].filter((point) => point.gnss_error_median_m.value !== null) : [];
      if (name === "error" && gnss.length) traces.push({
        name: "GNSS alone", x: at(gnss), y: gnss.map((point) => point.gnss_error_median_m.value), mode: "lines+markers",
        line: { color: ink("gnss"), dash: "dash", width: 2 }, marker: { size: 6 }, hovertemplate: "%{x}: %{y:.3g} m<extra>GNSS alone</extra>",
      });
      const title = text(readable(axis, sweep.unit)) + (sweep.unit ? ` (${sweep.unit})` : "");
      plot(`sweep-${number}-${name}`, traces, {
        xaxis: { title: { text: title }, type: numeric ? "linear" : "category" },
        yaxis: name === "error" ? logarithmic : { range: name === "share" ? [0, 103] : [0, most(traces)] },
        margin: { l: 40, r: 10, t: 8, b: 40 },
      });
    }
  });
}

function number(cell) {
  const found = parseFloat(cell.textContent.replace(/[<>+]/g, ""));
  return Number.isNaN(found) ? null : found;
}

function sortable(table) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, index) => head.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending", names = body.rows[0].cells[index].tagName === "TH";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const compare = (a, b) => {
      const [left, right] = [a.cells[index], b.cells[index]];
      if (names) return (down ? -1 : 1) * left.textContent.localeCompare(right.textContent);
      const [x, y] = [number(left), number(right)];
      if (x === null || y === null) return (x === null) - (y === null);
      return (down ? -1 : 1) * (x - y);
    };
    body.append(...[...body.rows].sort(compare));
  }));
}

function drawChosen() {
  for (const cards of document.querySelectorAll(".cards")) cards.hidden = cards.dataset.condition !== chooser.value;
  for (const place of document.querySelectorAll("h2 .of")) place.textContent = chooser.value;
  for (const chart of [drawCdf, drawReliability, drawSigma, drawLatency, drawStatuses]) chart();
}

function draw() {
  for (const chart of [drawOverview, drawNees, drawSweeps, drawChosen]) chart();
}

if (conditions.length < 2) hide("choice");
document.querySelectorAll("table.sortable").forEach(sortable);
chooser.addEventListener("change", drawChosen);
part.addEventListener("change", drawReliability);
dark.addEventListener("change", draw);
draw();
