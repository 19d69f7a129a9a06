"use strict";

const POLL = 500; // milliseconds between two looks at the progress

const state = { model: null, request: null, timer: null, file: null, address: null, answer: null, time: 0, charts: [] };
const get = (id) => document.getElementById(id);

// ---- asking ---------------------------------------------------------------------------------------------------

async function askModel() {
  try {
    const response = await fetch("v1/model");
    if (response.status === 503) return void setTimeout(askModel, 1500);
    if (!response.ok) return;
    state.model = await response.json();
  } catch {
    return void setTimeout(askModel, 3000);
  }
  const { limits, notes } = state.model;
  get("limits").textContent = `Up to ${limits.max_megabytes} MB and ${clock(limits.max_seconds).replace(/\.0$/, "")} minutes.`;
  showNotes(notes);
}

function showNotes(notes) {
  get("notes").replaceChildren(...notes.map((note) => element("p", { className: "notice", textContent: note })));
}

function start(file) {
  stop();
  get("result").hidden = true;
  get("problem").hidden = true;
  state.file = file;
  showNotes(state.model ? state.model.notes : []);
  const limit = state.model && state.model.limits.max_megabytes;
  if (limit && file.size > limit * 1e6) {
    return fail(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB; the limit is ${limit} MB`);
  }
  const id = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const form = new FormData();
  form.append("video", file);
  const request = new XMLHttpRequest();
  state.request = request;
  request.open("POST", "v1/predict");
  request.setRequestHeader("X-Request-ID", id);
  request.upload.onprogress = (event) => show("Uploading", event.loaded, event.total, percent(event.loaded / event.total));
  request.upload.onload = () => follow(id);
  request.onload = () => finish(request);
  request.onerror = () => fail("The server cannot be reached, or has broken off; is it still running?");
  get("working").hidden = false;
  show("Uploading", 0, 1, file.name);
  request.send(form);
}

function stop() {
  clearTimeout(state.timer);
  if (state.request) {
    state.request.onload = state.request.onerror = state.request.upload.onload = null;
    state.request.abort();
  }
  state.request = null;
  get("aloud").textContent = "";
  get("working").hidden = true;
}

function cancel() {
  stop();
  get("file").value = "";
  get("problem").textContent = "Cancelled.";
  get("problem").hidden = false;
  get("file").focus();
}

function show(what, done, total, detail) {
  const bar = get("bar");
  if (total) {
    bar.max = total;
    bar.value = done;
  } else bar.removeAttribute("value");
  get("stage").textContent = detail ? `${what}: ${detail}` : what;
  const quarter = total ? Math.floor((4 * done) / total) * 25 : 0; // read aloud: not every per cent
  const aloud = quarter ? `${what}: ${quarter} %` : what;
  if (get("aloud").textContent !== aloud) get("aloud").textContent = aloud;
}

async function follow(id) {
  const request = state.request;
  try {
    const response = await fetch(`v1/progress/${id}`);
    if (request !== state.request) return;
    if (response.ok) {
      const { stage, done, total } = await response.json();
      if (stage === "waiting") show("Waiting for a free worker", 0, 0, "");
      else if (stage === "uploading") show("Uploading", 1, 1, "100 %");
      else if (stage === "recognising") show("Looking at the video", done, total, total ? percent(Math.min(1, done / total)) : clock(done));
    }
  } catch {
    // the request itself tells what is wrong
  }
  if (request === state.request) state.timer = setTimeout(() => follow(id), POLL);
}

function finish(request) {
  state.request = null; // it is over: nothing to break off
  stop();
  let answer = null;
  try {
    answer = JSON.parse(request.responseText);
  } catch {
    return fail(`The server answered ${request.status} with something that is no JSON.`);
  }
  if (request.status === 200) return showResult(answer, request.responseText);
  return fail(answer.error ? answer.error.message : `The server answered ${request.status}.`);
}

function fail(message) {
  stop();
  get("problem").textContent = message;
  get("problem").hidden = false;
}

// ---- showing --------------------------------------------------------------------------------------------------

function showResult(answer, text) {
  Object.assign(state, { answer, time: 0, charts: [] });
  get("title").textContent = answer.video;
  get("summary").textContent = summary(answer);
  showNotes([...new Set([...(state.model ? state.model.notes : []), ...answer.notes])]);
  showVideo();
  showLegend(answer);
  get("result").hidden = false;
  get("faces").replaceChildren(...answer.faces.map((face) => faceSection(face, answer)));
  const link = get("download");
  URL.revokeObjectURL(link.href);
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `${answer.video.replace(/\.[^.]*$/, "")}.json`;
  seek(0, false);
  get("title").focus();
}

function summary(answer) {
  const size = `${clock(answer.seconds)}, ${answer.width} × ${answer.height} pixels. `;
  if (!answer.faces.length) return `${size}No face was found, so nothing is said.`;
  const without = answer.no_face.reduce((sum, [from, to]) => sum + to - from, 0);
  const count = answer.faces.length === 1 ? "One face" : `${answer.faces.length} faces`;
  return `${size}${count}${without >= 0.5 ? `; no face for ${clock(without)} of it` : ""}.`;
}

function showVideo() {
  const video = get("video");
  if (state.address) URL.revokeObjectURL(state.address);
  state.address = URL.createObjectURL(state.file);
  video.hidden = false;
  get("unplayable").hidden = true;
  video.style.aspectRatio = `${state.answer.width} / ${state.answer.height}`; // its place, before it is loaded
  video.src = state.address;
  video.setAttribute("aria-label", `The video ${state.answer.video}`);
}

function showLegend(answer) {
  const entries = answer.labels.map((label) => {
    const key = element("i");
    key.style.background = colour(label);
    return element("li", {}, key, label);
  });
  entries.push(element("li", {}, element("i", { className: "hatch" }), "nothing is said"));
  get("legend").replaceChildren(...entries);
  get("legend").hidden = !answer.faces.length;
}

function faceSection(face, answer) {
  const name = `Face ${face.face}`;
  const chart = shape("svg", { class: "chart", role: "slider", tabindex: "0", "aria-label": `${name}: time`,
    "aria-valuemin": "0", "aria-valuemax": answer.seconds.toFixed(1) });
  const drawn = { chart, face, cursor: null, width: 0 };
  state.charts.push(drawn);
  chart.addEventListener("pointerdown", (event) => seek(timeAt(drawn, event.clientX)));
  chart.addEventListener("pointermove", (event) => event.buttons && seek(timeAt(drawn, event.clientX)));
  chart.addEventListener("keydown", (event) => step(event, face));
  new ResizeObserver(() => draw(drawn)).observe(chart);
  const time = `${clock(face.start)} to ${clock(face.end)}, ${face.frames} frames`;
  return element("section", { "aria-label": name },
    element("h3", {}, `${name} `, element("span", { className: "soft", textContent: time })),
    chart, peakList(face), table(face, answer));
}

function peakList(face) {
  return element("ul", { className: "peaks", hidden: !face.peaks.length, "aria-label": "Peaks" },
    ...face.peaks.map((peak) => element("li", {}, element("button", {
      type: "button", textContent: `${peak.label} ${percent(peak.confidence)} at ${clock(peak.start)}`,
      onclick: () => seek((peak.start + peak.end) / 2),
    }))));
}

function table(face, answer) {
  const details = element("details", {}, element("summary", { textContent: `Face ${face.face} as a table` }));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(rows(face, answer));
  });
  return details;
}

function rows(face, answer) {
  const head = ["from", "to", "expression", ...answer.labels];
  const cells = (moment) => [clock(moment.start), clock(moment.end), moment.label || `nothing said: ${moment.reason}`,
    ...answer.labels.map((_, at) => (moment.probabilities ? percent(moment.probabilities[at]) : ""))];
  const row = (tag, texts) => element("tr", {},
    ...texts.map((text, at) => element(tag, { textContent: text, className: at === 2 ? "" : "number" })));
  return element("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": `Face ${face.face}, table` },
    element("table", {}, element("thead", {}, row("th", head)),
      element("tbody", {}, ...face.moments.map((moment) => row("td", cells(moment))))));
}

// ---- one moment -----------------------------------------------------------------------------------------------

const momentAt = (face, time) =>
  face.moments.find(({ start, end }, at) => time >= start && (time < end || (at === face.moments.length - 1 && time <= end)));

function said(face, time) {
  const moment = momentAt(face, time);
  if (!moment) return "not in the picture";
  if (!moment.label) return `nothing is said: ${moment.reason}`;
  return `${moment.label}, ${percent(moment.confidence)}`;
}

function seek(time, move = true) {
  state.time = Math.min(Math.max(time, 0), state.answer.seconds);
  const video = get("video");
  if (move && !video.hidden && video.readyState > 0) video.currentTime = state.time;
  state.charts.forEach(moveCursor);
  showNow();
}

function step(event, face) {
  const stride = Math.max(face.moments.length ? face.moments[0].end - face.moments[0].start : 0, 0.1);
  const jumps = { ArrowRight: stride, ArrowUp: stride, ArrowLeft: -stride, ArrowDown: -stride, PageUp: 10 * stride,
    PageDown: -10 * stride, Home: -Infinity, End: Infinity };
  if (!(event.key in jumps) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  seek(state.time + jumps[event.key]);
}

function moveCursor({ chart, face, cursor, width }) {
  chart.setAttribute("aria-valuenow", state.time.toFixed(1));
  chart.setAttribute("aria-valuetext", `${clock(state.time)}: ${said(face, state.time)}`);
  if (!cursor) return;
  const at = scale(width).x(state.time);
  cursor.setAttribute("x1", at);
  cursor.setAttribute("x2", at);
}

function showNow() {
  const here = state.answer.faces.filter((face) => momentAt(face, state.time));
  const cards = here.map((face) => {
    const moment = momentAt(face, state.time);
    const made = element("div", { className: "card" },
      element("p", { className: "soft", textContent: `Face ${face.face} at ${clock(state.time)}` }),
      element("p", {}, element("strong", { textContent: said(face, state.time) })));
    if (moment.probabilities) made.append(...shares(moment.probabilities));
    return made;
  });
  const none = element("p", { className: "card soft", textContent: `No face at ${clock(state.time)}` });
  get("now").replaceChildren(...(cards.length ? cards : [none]));
}

function shares(probabilities) {
  const order = probabilities.map((share, at) => [share, state.answer.labels[at]]).sort((a, b) => b[0] - a[0]);
  return order.map(([share, label]) => {
    const bar = element("b");
    bar.style.width = `${100 * share}%`;
    bar.style.background = colour(label);
    return element("div", { className: "share" }, element("span", { textContent: label }), element("i", {}, bar),
      element("span", { textContent: percent(share) }));
  });
}

// ---- what people do -------------------------------------------------------------------------------------------

function dropped(event) {
  event.preventDefault();
  get("drop").classList.remove("over");
  const files = event.dataTransfer ? event.dataTransfer.files : [];
  if (files.length > 1) fail("One video at a time, please.");
  else if (files.length) start(files[0]);
}

function listen() {
  get("file").addEventListener("change", (event) => event.target.files.length && start(event.target.files[0]));
  get("file").addEventListener("click", (event) => (event.target.value = "")); // the same one may be chosen again
  get("form").addEventListener("submit", (event) => event.preventDefault());
  get("cancel").addEventListener("click", cancel);
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    get("drop").classList.add("over");
  });
  window.addEventListener("dragleave", (event) => event.relatedTarget || get("drop").classList.remove("over"));
  window.addEventListener("drop", dropped);
  const video = get("video");
  video.addEventListener("timeupdate", () => state.answer && seek(video.currentTime, false));
  video.addEventListener("error", () => {
    if (!video.getAttribute("src")) return;
    video.hidden = true;
    get("unplayable").hidden = false;
  });
}

listen();
askModel();
