// Copyright 2026 The cvloc_ros authors
// SPDX-License-Identifier: Apache-2.0
// What the pages of a replay and of a suite share; page.js follows it in one script.
"use strict";

const data = JSON.parse(document.getElementById("data").textContent);
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const column = (rows, key) => rows.map((row) => row[key]);
const settings = { responsive: true, displayModeBar: false };

function base(extra) {
  const axis = { gridcolor: ink("line"), zerolinecolor: ink("line"), linecolor: ink("line"), automargin: true };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink("ink"), family: "system-ui, sans-serif", size: 13 },
    margin: { l: 54, r: 14, t: 12, b: 44 },
    hoverlabel: { bgcolor: ink("card"), bordercolor: ink("line"), font: { color: ink("ink") }, align: "left" },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: { ...axis, ...(extra.xaxis || {}) }, yaxis: { ...axis, ...(extra.yaxis || {}) },
  };
  if (extra.yaxis2) layout.yaxis2 = { ...axis, ...extra.yaxis2 };
  return { ...layout, ...Object.fromEntries(Object.entries(extra).filter(([key]) => !key.match(/axis/))) };
}

function hide(...ids) {
  for (const id of ids) document.getElementById(id).hidden = true;
}

function empty(id, text) {
  const place = document.getElementById(id);
  place.textContent = text;
  place.style.height = "auto";
}
