"use strict";

// What draws: small builders, then one face's timeline. The page itself is in app.js.

const SVG = "http://www.w3.org/2000/svg";
const CHART = { left: 34, right: 8, band: 22, gap: 8, plot: 110, foot: 18 };

// ---- small builders -------------------------------------------------------------------------------------------

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function shape(tag, attributes = {}, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

function clock(seconds) {
  const tenths = Math.round(seconds * 10);
  const [whole, rest] = [Math.floor(tenths / 10), tenths % 10];
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const two = (number) => String(number).padStart(2, "0");
  return `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}.${rest}`;
}

const percent = (share) => `${Math.round(100 * share)} %`;
const colour = (label) => (state.model && state.model.colours[label]) || "#7f7f7f";

function brightness(background) {
  const [r, g, b] = [1, 3, 5].map((at) => (parseInt(background.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// Dark or white letters, whichever stands out more.
const inkOn = (background) => (brightness(background) > 0.19 ? "#111111" : "#ffffff");

// ---- the chart ------------------------------------------------------------------------------------------------

function scale(width) {
  const span = Math.max(state.answer.seconds, 0.001);
  const inner = Math.max(width - CHART.left - CHART.right, 1);
  return { x: (time) => CHART.left + (inner * Math.min(time, span)) / span, time: (x) => ((x - CHART.left) / inner) * span };
}

function timeAt(drawn, clientX) {
  const box = drawn.chart.getBoundingClientRect();
  return scale(box.width).time(clientX - box.left);
}

function draw(drawn) {
  const width = Math.floor(drawn.chart.clientWidth);
  if (!width || width === drawn.width) return;
  drawn.width = width;
  const height = CHART.band + CHART.gap + CHART.plot + CHART.foot;
  drawn.chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
  drawn.chart.setAttribute("height", height);
  const { x } = scale(width);
  drawn.cursor = shape("line", { class: "cursor", y1: 0, y2: height - CHART.foot });
  drawn.chart.replaceChildren(hatching(drawn.face), ...axes(width, x), ...bands(drawn.face, x),
    ...lines(drawn.face, x), drawn.cursor);
  moveCursor(drawn);
}

function hatching(face) {
  const pattern = shape("pattern", { id: `hatch-${face.face}`, width: 6, height: 6, patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)" });
  pattern.append(shape("line", { class: "hatched", x1: 1, x2: 1, y1: 0, y2: 6, "stroke-width": 2 }));
  const made = shape("defs");
  made.append(pattern);
  return made;
}

const level = (share) => CHART.band + CHART.gap + CHART.plot * (1 - share);

function axes(width, x) {
  const made = [shape("rect", { class: "away", x: CHART.left, y: 0, width: width - CHART.left - CHART.right, height: CHART.band })];
  for (const share of [0, 0.5, 1]) {
    made.push(shape("line", { class: "axis", x1: CHART.left, x2: width - CHART.right, y1: level(share), y2: level(share) }));
    made.push(shape("text", { x: CHART.left - 5, y: level(share) + 4, "text-anchor": "end" }, String(share)));
  }
  const every = niceStep(state.answer.seconds, Math.max(2, Math.floor(width / 90)));
  for (let time = 0; time <= state.answer.seconds + 1e-6; time += every) {
    const anchor = time === 0 ? "start" : x(time) + 16 > width ? "end" : "middle";
    made.push(shape("text", { x: x(time), y: level(0) + 14, "text-anchor": anchor }, clock(time).replace(/\.0$/, "")));
  }
  return made;
}

function niceStep(span, count) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000];
  return steps.find((one) => span / one <= count) || 36000;
}

function bands(face, x) {
  const made = [];
  for (const run of runs(face.moments)) {
    const [left, right] = [x(run.start), x(run.end)];
    const fill = run.label ? colour(run.label) : `url(#hatch-${face.face})`;
    const band = shape("rect", { x: left, y: 0, width: Math.max(right - left, 1), height: CHART.band, fill });
    const said = run.label || run.reason;
    band.append(shape("title", {}, `${clock(run.start)} to ${clock(run.end)}: ${said}`));
    made.push(band);
    if (right - left > 7 * said.length + 8) {
      const text = shape("text", { class: run.label ? "band" : "band reason", x: (left + right) / 2, y: 15, "text-anchor": "middle" }, said);
      if (run.label) text.style.fill = inkOn(fill);
      made.push(text);
    }
  }
  return made;
}

function runs(moments) {
  const found = [];
  for (const { start, end, label, reason } of moments) {
    const last = found[found.length - 1];
    if (last && last.label === label && last.reason === reason && start - last.end < 0.01) last.end = end;
    else found.push({ start, end, label, reason });
  }
  return found;
}

function lines(face, x) {
  return state.answer.labels.map((label, at) => {
    let path = "";
    let open = false;
    for (const { start, end, probabilities } of face.moments) {
      if (probabilities) {
        const y = level(probabilities[at]).toFixed(1);
        const points = face.moments.length === 1 ? [start, end] : [(start + end) / 2];
        for (const time of points) {
          path += `${open ? "L" : "M"}${x(time).toFixed(1)} ${y}`;
          open = true;
        }
      } else open = false;
    }
    const made = shape("path", { class: "line", d: path || "M0 0", stroke: colour(label) });
    made.append(shape("title", {}, label));
    return made;
  });
}
