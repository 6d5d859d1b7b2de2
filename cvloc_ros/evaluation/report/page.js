// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0

function arrows(rows, length) {
  const x = [], y = [];
  for (const [px, py, yaw] of rows) {
    x.push(px, px + length * Math.cos(yaw), null);
    y.push(py, py + length * Math.sin(yaw), null);
  }
  return { x, y };
}

function drawMap() {
  const map = data.map, outline = { color: "#fff", width: 1.2 }, traces = [];
  if (map.gnss.length) traces.push({
    name: "GNSS", mode: "lines+markers", x: column(map.gnss, 0), y: column(map.gnss, 1),
    customdata: column(map.gnss, 2), hovertemplate: "GNSS at %{customdata:.1f} s<br>%{x:.1f} m, %{y:.1f} m<extra></extra>",
    line: { color: ink("gnss"), width: 1, dash: "dot" }, marker: { color: ink("gnss"), size: 4.5, opacity: 0.8 },
  });
  if (map.truth.length) traces.push({
    name: "truth", mode: "lines", x: column(map.truth, 0), y: column(map.truth, 1), hoverinfo: "skip",
    line: { color: ink("truth"), width: 3 },
  });
  if (map.refused.length) traces.push({
    name: "refused", mode: "markers", x: column(map.refused, 0), y: column(map.refused, 1),
    text: column(map.refused, 3), hovertemplate: "%{text}<extra></extra>",
    marker: { symbol: "x", color: ink("bad"), size: 9, line: outline },
  });
  traces.push({
    name: "95 % ellipse", mode: "lines", x: map.ellipses[0], y: map.ellipses[1], hoverinfo: "skip",
    line: { color: ink("ours"), width: 1.4 },
  });
  traces.push({
    name: "heading", mode: "lines", ...arrows(map.published, 1.6), hoverinfo: "skip", showlegend: false,
    line: { color: ink("ours"), width: 2 },
  });
  traces.push({
    name: "published", mode: "markers", x: column(map.published, 0), y: column(map.published, 1),
    text: column(map.published, 3), hovertemplate: "%{text}<extra></extra>",
    marker: { color: ink("ours"), size: 9, line: outline },
  });
  const extra = {
    xaxis: { title: { text: "x, east (m)" }, constrain: "domain" },
    yaxis: { title: { text: "y, north (m)" }, scaleanchor: "x", constrain: "domain" },
    dragmode: "pan", hovermode: "closest",
  };
  const image = map.image;
  if (image) {
    const [left, bottom, right, top] = image.box;
    extra.images = [{
      source: image.uri, xref: "x", yref: "y", x: left, y: top, sizex: right - left, sizey: top - bottom,
      sizing: "stretch", layer: "below", opacity: dark.matches ? 0.8 : 0.95,
    }];
    const box = document.getElementById("map").getBoundingClientRect();
    const [x0, y0, x1, y1] = image.view;
    const scale = Math.max((x1 - x0) / Math.max(box.width - 80, 100), (y1 - y0) / Math.max(box.height - 110, 100));
    const halfX = scale * (box.width - 80) / 2, halfY = scale * (box.height - 110) / 2;
    extra.xaxis.range = [(x0 + x1) / 2 - halfX, (x0 + x1) / 2 + halfX];
    extra.yaxis.range = [(y0 + y1) / 2 - halfY, (y0 + y1) / 2 + halfY];
  }
  Plotly.react("map", traces, base(extra), { ...settings, scrollZoom: true });
}

function drawErrors() {
  const rows = data.errors, ours = rows.filter((r) => r.ours !== undefined), gnss = rows.filter((r) => r.gnss !== undefined);
  const none = rows.filter((r) => r.tried && r.status !== "ok");
  const hover = (unit) => `#%{x} at %{customdata:.1f} s: %{y:.2f} ${unit}<extra>%{fullData.name}</extra>`;
  const traces = [
    { name: "GNSS alone", x: column(gnss, "n"), y: column(gnss, "gnss"), customdata: column(gnss, "t"), mode: "lines+markers",
      line: { color: ink("gnss"), width: 1.2 }, marker: { size: 5 }, hovertemplate: hover("m") },
    { name: "2 σ", x: column(ours, "n"), y: ours.map((r) => 2 * r.sigma), mode: "markers", hoverinfo: "skip",
      marker: { symbol: "line-ew", size: 9, line: { color: ink("ours") + "99", width: 2 } } },
    { name: "published", x: column(ours, "n"), y: column(ours, "ours"), customdata: column(ours, "t"), mode: "markers",
      marker: { color: ink("ours"), size: 7 }, hovertemplate: hover("m") },
    { name: "no pose", x: column(none, "n"), y: none.map(() => 0), text: none.map((r) => `#${r.n} at ${r.t.toFixed(1)} s: ${r.status}`), mode: "markers",
      marker: { symbol: "x-thin", size: 9, line: { color: ink("bad"), width: 2 } }, cliponaxis: false,
      hovertemplate: "%{text}<extra></extra>" },
    { name: "yaw", x: column(ours, "n"), y: column(ours, "yaw"), customdata: column(ours, "t"), mode: "markers", yaxis: "y2",
      showlegend: false, marker: { color: ink("ours"), size: 6 }, hovertemplate: hover("°"),
      error_y: { array: ours.map((r) => 2 * r.sigma_yaw), color: ink("ours") + "66", thickness: 1, width: 0 } },
  ];
  if (!ours.length && !gnss.length) return hide("errors-card", "accuracy-card");
  Plotly.react("errors", traces, base({
    xaxis: { title: { text: "image set" }, anchor: "y2" },
    yaxis: { title: { text: "position (m)" }, domain: [0.36, 1], rangemode: "tozero" },
    yaxis2: { title: { text: "yaw (°)" }, domain: [0, 0.28], zeroline: true },
    hovermode: "closest",
  }), settings);
}

function drawNees() {
  const nees = data.nees;
  if (!nees) return hide("nees-card");
  document.getElementById("nees-text").textContent =
    `Normalised error squared (NEES) over x, y and yaw: mean ${nees.mean.toFixed(2)} (3 is ideal, more is overconfident), ` +
    `${(100 * nees.share_95).toFixed(0)} % below the 95 % limit, n = ${nees.n}. The last bar holds all larger values.`;
  Plotly.react("nees", [
    { name: "published poses", type: "bar", x: nees.centres, y: nees.density, customdata: nees.counts, width: nees.width * 0.94,
      marker: { color: ink("ours") + "aa" }, hovertemplate: "%{customdata} poses<extra></extra>" },
    { name: "χ², 3 degrees of freedom", mode: "lines", x: nees.chi_x, y: nees.chi_y, line: { color: ink("truth"), width: 2.5 },
      hoverinfo: "skip" },
  ], base({ xaxis: { title: { text: "NEES" }, range: [0, 16] }, yaxis: { title: { text: "density" } }, bargap: 0 }), settings);
}

function drawLatency() {
  const names = Object.keys(data.stages).reverse(), stages = names.map((name) => data.stages[name]);
  if (!names.length) return empty("latency", "No stage was timed.");
  Plotly.react("latency", [{
    type: "bar", orientation: "h", y: names, x: column(stages, "p50"), marker: { color: ink("truth") },
    error_x: { array: stages.map((s) => s.p95 - s.p50), arrayminus: stages.map(() => 0), symmetric: false, color: ink("soft"), thickness: 1.5 },
    customdata: stages.map((s) => [s.p95, s.n]),
    hovertemplate: "%{y}: median %{x:.1f} ms, p95 %{customdata[0]:.1f} ms, n = %{customdata[1]}<extra></extra>",
  }], base({ xaxis: { title: { text: "ms" }, rangemode: "tozero" }, yaxis: { type: "category" } }), settings);
}

function drawFusion() {
  const { scenarios, series } = data.fusion;
  if (!scenarios) return hide("fusion-card");
  const looks = {
    "odometry": { color: ink("soft"), width: 1.3, dash: "dash" }, "odometry + GNSS": { color: ink("gnss"), width: 1.8 },
    "odometry + poses": { color: ink("ours"), width: 1.8 }, "odometry + GNSS + poses": { color: ink("both"), width: 1.8, dash: "dot" },
  };
  const gap = scenarios.length > 1 ? 0.09 : 0, height = (1 - gap * (scenarios.length - 1)) / scenarios.length;
  const traces = [], shapes = [], annotations = [], axes = {};
  scenarios.forEach((scenario, row) => {
    const suffix = row ? `${row + 1}` : "", top = 1 - row * (height + gap);
    axes[`yaxis${suffix}`] = { domain: [Math.max(0, top - height), top], rangemode: "tozero", title: { text: "error (m)" } };
    annotations.push({ text: scenario.name, x: 0, xref: "paper", y: top, yref: "paper", xanchor: "left", yanchor: "bottom", showarrow: false, font: { color: ink("soft") } });
    for (const [start, length] of scenario.outages_s) shapes.push({
      type: "rect", x0: start, x1: start + length, y0: 0, y1: 1, yref: `y${suffix} domain`, line: { width: 0 },
      fillcolor: ink("gnss"), opacity: 0.1, layer: "below",
    });
    for (const [track, errors] of Object.entries(series.error_m[row])) traces.push({
      name: track, legendgroup: track, showlegend: row === 0, x: series.t_s, y: errors, yaxis: `y${suffix}`, mode: "lines",
      line: looks[track], hovertemplate: `%{y:.2f} m at %{x:.1f} s<extra>${track}</extra>`,
    });
  });
  document.getElementById("fusion").style.height = `${150 + 190 * scenarios.length}px`;
  const layout = base({ xaxis: { title: { text: "seconds since the start" }, anchor: `y${scenarios.length > 1 ? scenarios.length : ""}` }, yaxis: axes.yaxis, hovermode: "closest", shapes, annotations });
  for (const [key, axis] of Object.entries(axes)) layout[key] = { ...layout.yaxis, ...axis };
  layout.legend = { ...layout.legend, y: 1 + 36 / (60 + 190 * scenarios.length) };
  Plotly.react("fusion", traces, layout, settings);
}

function drawStatuses() {
  const entries = Object.entries(data.statuses).sort((a, b) => a[1] - b[1]);
  const quiet = ["waiting_keyframes", "standstill", "throttled", "disabled", "old_stamp", "no_image"];
  const colour = (name) => (name === "ok" ? ink("ours") : quiet.includes(name) ? ink("soft") : ink("bad"));
  Plotly.react("statuses", [{
    type: "bar", orientation: "h", y: column(entries, 0), x: column(entries, 1), text: column(entries, 1), textposition: "auto",
    marker: { color: entries.map(([name]) => colour(name)) }, hovertemplate: "%{y}: %{x}<extra></extra>",
  }], base({ xaxis: { title: { text: "image sets" } }, yaxis: { type: "category" } }), settings);
}

function draw() {
  for (const part of [drawErrors, drawNees, drawFusion, drawLatency, drawStatuses, drawMap]) part();
}

const view = data.map.image && data.map.image.view;
if (view && (view[2] - view[0]) / (view[3] - view[1]) < 0.7) document.body.classList.add("portrait");

const zoom = document.getElementById("zoom");
for (const picture of document.querySelectorAll("figure img")) {
  picture.addEventListener("click", () => { zoom.firstElementChild.src = picture.src; zoom.showModal(); });
}
zoom.addEventListener("click", () => zoom.close());
dark.addEventListener("change", draw);
draw();
