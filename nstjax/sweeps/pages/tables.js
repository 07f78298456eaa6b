/** Tables: the cross-loss matrix, the effects, the results. */

/** Unknown values come last in either direction; equal ones stay in order. */
function sorted(rows, value, direction) {
  const order = (a, b) => (typeof a === "number" && typeof b === "number"
    ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  return [...rows].sort((left, right) => {
    const [a, b] = [value(left), value(right)];
    return a == null || b == null ? (a == null) - (b == null) : direction * order(a, b);
  });
}

/**
 * A table that sorts by a click on its header.
 *
 * Columns are { name, value(row), cell(row), number }; without a value one does not sort. Returns the table
 * and a function that fills it with other rows, sorted as before.
 */
function sortable(columns, rows) {
  const order = { column: null, direction: 1 };
  const body = element("tbody");
  const kind = (column) => (column.number ? "number" : "");
  const heads = columns.map((column) => element("th", { scope: "col", className: kind(column) }));
  const cell = (row) => (column) =>
    element("td", { className: kind(column) }, column.cell?.(row) ?? format(column.value(row)));
  const fill = (filled) => {
    rows = filled;
    const shown = order.column ? sorted(rows, order.column.value, order.direction) : rows;
    body.replaceChildren(...shown.map((row) => element("tr", {}, ...columns.map(cell(row)))));
  };
  const sortBy = (column) => {
    order.direction = order.column === column ? -order.direction : 1;
    order.column = column;
    columns.forEach((each, i) => {
      heads[i].removeAttribute("aria-sort");
      if (each === column) heads[i].setAttribute("aria-sort", order.direction > 0 ? "ascending" : "descending");
    });
    fill(rows);
  };
  columns.forEach((column, i) => heads[i].append(column.value
    ? element("button", { type: "button", onclick: () => sortBy(column), textContent: column.name })
    : column.name));
  fill(rows);
  return { table: element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body), fill };
}

/** 1 for the least of a row, -1 for the largest, by the logarithm; 0 where all are alike. */
function warmth(value, positive) {
  const [low, high] = [Math.min(...positive), Math.max(...positive)];
  if (!positive.length || low === high) return 0;
  return 1 - (2 * Math.log(Math.max(value, low) / low)) / Math.log(high / low);
}

function crossRow(name, values, relative) {
  const { columns, own } = data.cross;
  const known = values.filter((value) => value != null);
  const best = Math.min(...known);
  const positive = known.filter((value) => value > 0);
  const cells = columns.map((column, i) => {
    const value = values[i];
    if (value == null) return element("td", { textContent: "–", className: "unknown" });
    const text = relative && best > 0 ? `×${format(value / best, 2)}` : format(value, 2);
    const cell = element("td", { textContent: text, title: `${name} in ${column}: ${value}` });
    cell.classList.toggle("best", value === best);
    cell.classList.toggle("own", own[i] === name);
    const warm = warmth(value, positive);
    cell.style.setProperty("--tint", warm > 0 ? "var(--best)" : "var(--worst)");
    cell.style.setProperty("--amount", `${Math.round(100 * Math.abs(warm))}%`);
    const times = best > 0 ? `, ×${format(value / best)} the best of the row` : "";
    cell.dataset.readout =
      `What ${name} measures in pictures made with ${column} is ${value} of that in the content${times}.`;
    return cell;
  });
  return element("tr", {}, element("th", { scope: "row", textContent: name }), ...cells);
}

function drawCross() {
  const { rows, columns, values } = data.cross;
  const relative = byId("relative").checked;
  byId("matrix").replaceChildren(element("table", { className: "cross", "aria-describedby": "cross-meaning" },
    element("thead", {}, element("tr", {},
      element("td", { className: "corner", textContent: "measured by ↓ made with →" }),
      ...columns.map((column) => element("th", { scope: "col" }, element("span", { textContent: column }))))),
    element("tbody", {}, ...rows.map((row, i) => crossRow(row, values[i], relative)))));
}

function startCross() {
  const read = (event) => {
    byId("cross-readout").textContent = event.target.dataset?.readout ?? "";
  };
  byId("matrix").addEventListener("pointerover", read);
  byId("matrix").addEventListener("click", read);
  byId("relative").addEventListener("change", drawCross);
  drawCross();
}

/** An effect and its interval, with as many decimals as the largest of the three needs. */
function effectText({ kind, effect, low, high }) {
  const known = [effect, low, high].filter((value) => value != null);
  const largest = Math.max(...known.map(Math.abs));
  const decimals = Math.max(0, 2 - Math.floor(Math.log10(largest || 1)));
  const number = (value) => (decimals > 5 ? format(value) : value.toFixed(decimals).replace("-", "−"));
  const one = (value) => (kind === "ratio" ? "×" : value > 0 ? "+" : "") + number(value);
  if (effect == null) return "–";
  return known.length < 3 ? one(effect) : `${one(effect)} [${one(low)}, ${one(high)}]`;
}

function noiseText({ kind, noise }) {
  return kind === "ratio" && noise != null ? `×${format(noise)}` : format(noise);
}

function verdictCell({ verdict, why }) {
  return element("span", { className: "verdict" }, element("span", { textContent: verdict }),
    why ? element("small", { textContent: why }) : null);
}

function startEffects() {
  const names = [...new Set(data.effects.map((effect) => effect.measure))];
  const alike = (effect) => (other) => other.measure === effect.measure && other.kind === effect.kind;
  const reach = new Map(data.effects.map((effect) => [effect, reachOf(data.effects.filter(alike(effect)))]));
  const { table, fill } = sortable([
    { name: "setting", value: (effect) => effect.setting },
    { name: "measure", value: (effect) => effect.measure },
    { name: "baseline", value: (effect) => effect.baseline, number: true },
    { name: "value", value: (effect) => effect.value, number: true },
    { name: "effect [low, high]", value: (effect) => effect.effect, cell: effectText, number: true },
    { name: "", cell: (effect) => whisker(effect, reach.get(effect)) },
    { name: "noise", value: (effect) => effect.noise, cell: noiseText, number: true },
    { name: "verdict", value: (effect) => effect.verdict, cell: verdictCell },
  ], []);
  const show = (name) => fill(data.effects.filter((effect) => name === "" || effect.measure === name));
  byId("effects-tools").append(select("measure", [{ value: "", text: "all" }, ...names], names[0], show));
  byId("effects-table").append(table);
  show(names[0]);
}

function startResults(open) {
  const rank = (factor) => (point) => factor.labels.indexOf(point.at[factor.name]);
  const view = (text) => (point) => element("button",
    { type: "button", className: "view", onclick: () => open(point), title: "picture", textContent: text(point) });
  const report = (point) => (point.report
    ? element("a", { href: link(point.report), textContent: "report" }) : "");
  const names = varying.length
    ? varying.map((factor) =>
      ({ name: factor.name, value: rank(factor), cell: (point) => point.at[factor.name] }))
    : [{ name: "point", value: (point) => point.name, cell: (point) => point.name }];
  names[0].cell = view(names[0].cell);
  const statusOf = (point) => (point.failed ? `failed: ${point.failed}` : "done");
  const status = (point) => element("span",
    { className: point.failed ? "failed" : "", title: point.failed ?? "", textContent: statusOf(point) });
  const { table } = sortable([
    ...names,
    { name: "status", value: statusOf, cell: status },
    ...costNames.map((name) => ({ name, value: (point) => point.cost?.[name], number: true,
      cell: (point) => formatCost(name, point.cost?.[name]) })),
    ...measureNames.map((name) => ({ name, value: (point) => point.measures?.[name], number: true })),
    { name: "", cell: report },
  ], data.points);
  byId("results-table").append(table);
}

function startMeanings() {
  byId(data.effects.length ? "effects" : "results").append(byId("meanings"));
  byId("meanings").append(...data.measures.filter(({ means }) => means).map(({ name, means }) =>
    element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: means }))));
}
