/** The contact sheet, what of it is shown, and the start of the page. */

const state = {
  ...usualAxes(),
  page: Object.fromEntries(varying.map(({ name, labels }) => [name, baseline[name] ?? labels[0]])),
  curves: { term: null, axis: null, relative: false },
};
const sheet = { points: [], cells: new Map() };

function usualAxes() {
  const [first, second] = compared;
  if (second) return { rows: first.name, columns: second.name };
  const columns = first ?? repeats[0];
  const rows = columns?.labels.length <= 8 ? repeats.find((factor) => factor !== columns) : undefined;
  return { rows: rows?.name ?? "", columns: columns?.name ?? "" };
}

const factorNamed = (name) => varying.find((factor) => factor.name === name);
const pointAt = (at) => data.points.find((point) => agrees(point.at, at));
const isShown = (name, label) => !factorNamed(name) || state.page[name] === label;
const onAxes = (name) => name === state.rows || name === state.columns;

function sourceFigures(pictures) {
  return pictures.map(({ role, name, image }) => element("figure", {},
    image ? element("img", { src: image, alt: `${role}: ${name}` }) : null,
    element("figcaption", {}, element("small", { textContent: role }), ` ${name}`)));
}

/** The label of a row or column, with the pictures that it alone decides. */
function axisLabel(factor, label) {
  const decided = ([name, value]) =>
    (name === factor.name ? value === label : !onAxes(name) && isShown(name, value));
  const pictures = data.sources
    .filter(({ at }) => factor.name in at && Object.entries(at).every(decided))
    .flatMap((source) => source.pictures);
  return [
    element("div", { className: "label" },
      element("span", {}, ...breakable(label)),
      baseline[factor.name] === label ? element("small", { className: "mark", textContent: "baseline" }) : null),
    pictures.length ? element("div", { className: "made-of" }, ...sourceFigures(pictures)) : null,
  ];
}

function cell(point) {
  if (!point) return element("span", { className: "cell missing", title: "no such point" });
  const name = described(point);
  const reason = point.failed || !point.image
    ? element("span", { className: "reason", title: point.failed ?? "" },
      element("strong", { textContent: point.failed ? "failed" : "no picture" }),
      point.failed ? element("span", { textContent: point.failed }) : null) : null;
  const made = element("button", { type: "button", className: "cell", "aria-label": `enlarge ${name}` },
    point.image ? element("img", { src: point.image, alt: name }) : null, reason);
  made.addEventListener("click", () => showPoint(point));
  sheet.points.push(point);
  sheet.cells.set(point, made);
  return made;
}

function grid(rows, columns) {
  const head = element("tr", {},
    element("td", { className: "corner" },
      element("small", { textContent: `${rows.name} ↓ ${columns.name} →` })),
    ...columns.labels.map((label) => element("th", { scope: "col" }, ...axisLabel(columns, label))));
  const body = rows.labels.map((row) => element("tr", {},
    element("th", { scope: "row" }, ...axisLabel(rows, row)),
    ...columns.labels.map((column) => element("td", {},
      cell(pointAt({ ...state.page, [rows.name]: row, [columns.name]: column }))))));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
}

function flow(columns) {
  if (!columns) {
    return element("ul", { className: "flow" }, ...data.points.map((point) =>
      element("li", {}, cell(point), element("span", { className: "label" }, ...breakable(point.name)))));
  }
  return element("ul", { className: "flow" }, ...columns.labels.map((label) => element("li", {},
    cell(pointAt({ ...state.page, [columns.name]: label })), ...axisLabel(columns, label))));
}

/** Pictures that all of the page was made of, or that rows and columns decide together. */
function pageSources() {
  const decides = ({ at }) => [state.rows, state.columns].filter((name) => name in at).length;
  const here = data.sources.filter((source) => decides(source) !== 1
    && Object.entries(source.at).every(([name, label]) => onAxes(name) || isShown(name, label)));
  const pictures = here.flatMap((source) => source.pictures);
  return pictures.filter((one, i) =>
    pictures.findIndex((other) => other.role === one.role && other.name === one.name) === i);
}

function drawSheet() {
  const [rows, columns] = [factorNamed(state.rows), factorNamed(state.columns)];
  sheet.points = [];
  sheet.cells.clear();
  byId("sheet").replaceChildren(rows ? grid(rows, columns) : flow(columns));
  byId("sheet").classList.toggle("scrolls", Boolean(rows));
  byId("sources").replaceChildren(...sourceFigures(pageSources()));
}

/** Shows other labels of factors: { factor: label }. */
function turnTo(labels) {
  Object.assign(state.page, labels);
  for (const chosen of document.querySelectorAll("[data-pages]")) {
    chosen.value = state.page[chosen.dataset.pages];
  }
  drawSheet();
  redrawCurves();
}

/** A select of a factor's labels between two arrows. */
function pager({ name, labels }) {
  const chosen = select(name, labels, state.page[name], (label) => turnTo({ [name]: label }));
  chosen.querySelector("select").dataset.pages = name;
  const turn = (by) => {
    turnTo({ [name]: labels.at((labels.indexOf(state.page[name]) + by) % labels.length) });
  };
  const arrow = (sign, word, by) => element("button",
    { type: "button", onclick: () => turn(by), "aria-label": `${word} ${name}`, textContent: sign });
  return element("span", { className: "pager" }, chosen, arrow("←", "previous", -1), arrow("→", "next", 1));
}

/** Takes a factor as an axis; the other axis gives way where it had the same one. */
function setAxis(axis, name) {
  const other = axis === "rows" ? "columns" : "rows";
  if (state[other] === name) state[other] = state[axis];
  state[axis] = name;
  if (!state.columns) state.columns = varying.find((factor) => factor.name !== state.rows).name;
  for (const chosen of byId("axes").querySelectorAll("select")) chosen.value = state[chosen.dataset.axis];
  byId("pagers").replaceChildren(...varying.filter((factor) => !onAxes(factor.name)).map(pager));
  drawSheet();
}

function startSheet() {
  const names = varying.map((factor) => factor.name);
  const axis = (which, options) => {
    const made = select(which, options, state[which], (name) => setAxis(which, name));
    made.querySelector("select").dataset.axis = which;
    return made;
  };
  if (names.length > 1) {
    byId("axes").append(axis("rows", [{ value: "", text: "none" }, ...names]), axis("columns", names));
    setAxis("rows", state.rows);
  } else {
    drawSheet();
  }
  const resize = () => byId("sheet").style.setProperty("--size", `${byId("size").value}px`);
  byId("size").value = innerWidth < 600 ? 150 : 200;
  byId("size").addEventListener("input", resize);
  resize();
}

function redrawCurves() {
  if (!byId("curves").hidden) drawCurves(state.curves, state.page);
}

function startCurves(withCurves) {
  const choice = state.curves;
  const terms = [...new Set(withCurves.flatMap((point) => Object.keys(point.curves.terms)))];
  const axes = ["step", "evaluations", "seconds"].filter((axis) =>
    withCurves.some((point) => point.curves[axis]?.length));
  [choice.term, choice.axis] = [terms[0], axes[0]];
  const setting = (name) => (value) => {
    choice[name] = value;
    redrawCurves();
  };
  const asValues = [{ value: "", text: "as they are" }, { value: "relative", text: "relative to the first" }];
  byId("curve-tools").append(
    select("term", terms, choice.term, setting("term")),
    select("against", axes, choice.axis, setting("axis")),
    select("values", asValues, "", setting("relative")));
  byId("curve-pagers").append(...repeats.map(pager));
  byId("plot").addEventListener("pointermove", (event) => readCurve(event, choice));
  byId("plot").addEventListener("pointerleave", () => emphasise(chart.pinned));
  addEventListener("resize", redrawCurves);
  redrawCurves();
}

function startHead() {
  byId("facts").append(...data.facts.map((fact) => element("li", { textContent: fact })));
  byId("notes").append(...data.notes.map((note) => element("p", { className: "note", textContent: note })));
}

/** Shows the sections that have something to show, and links to them. */
function startSections() {
  const withCurves = data.points.filter((point) => point.curves);
  const sections = [
    ["pictures", data.points.length, startSheet],
    ["cross", data.cross, startCross],
    ["effects", data.effects.length, startEffects],
    ["curves", withCurves.length, () => startCurves(withCurves)],
    ["results", data.points.length, () => startResults(openFromTable)],
  ].filter(([, there]) => there);
  for (const [id, , start] of sections) {
    byId(id).hidden = false;
    start();
    const { textContent } = byId(id).querySelector("h2");
    byId("nav").append(element("a", { href: `#${id}`, textContent }));
  }
}

function openFromTable(point) {
  turnTo(pick(varying, point.at));
  showPoint(point);
}

startHead();
startLightbox();
startSections();
startMeanings();
