/** Pictures of numbers: curves of the losses, and effects with their intervals. */

const COLOURS = 8;
const DASHES = ["", "6 3", "2 3", "9 3 2 3"];
// Values this far below the largest are rounding, as in the reports of runs.
const ROUNDING = 1e-7;
const MARGIN = { left: 58, right: 14, top: 10, bottom: 40 };
const settings = [...new Set(data.points.filter((point) => !isBaseline(point)).map(settingOf))];
const chart = { lines: [], pinned: null };

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function linearTicks(low, high, about) {
  const rough = (high - low) / about || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step);
  const count = Math.max(0, Math.floor(high / step) - first + 1);
  return Array.from({ length: count }, (_, i) => (first + i) * step);
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const every = Math.ceil(decades / 8);
  const factors = decades < 1 ? [1, 1.5, 2, 3, 5, 7] : decades < 2.5 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (power % every === 0) ticks.push(...factors.map((factor) => factor * Number(`1e${power}`)));
  }
  const inside = ticks.filter((tick) => tick >= low && tick <= high);
  return inside.length > 1 ? inside : linearTicks(low, high, 4).filter((tick) => tick > 0);
}

/** A number without the zeros that end it. */
function tickText(tick) {
  return format(Number(tick.toPrecision(6))).replace(/(\.\d*?)0+(?=e|$)/, "$1").replace(/\.(?=e|$)/, "");
}

/** Points of a page as lines: { name, values: [[x, y]], colour, dash, main }. */
function curveLines({ term, axis, relative }, page) {
  const here = data.points.filter((point) => agrees(point.at, pick(repeats, page)));
  return here.filter((point) => point.curves?.terms[term]).map((point) => {
    const raw = point.curves.terms[term].map((y, i) => [point.curves[axis]?.[i], y]);
    const seen = raw.filter(([x, y]) => x != null && y > 0);
    const unit = relative ? seen[0]?.[1] : 1;
    const i = Math.max(0, settings.indexOf(settingOf(point)));
    return {
      name: settingOf(point),
      values: seen.map(([x, y]) => [x, y / unit]),
      colour: isBaseline(point) ? "var(--ink)" : `var(--line-${i % COLOURS})`,
      dash: isBaseline(point) ? "" : DASHES[Math.floor(i / COLOURS) % DASHES.length],
      main: isBaseline(point),
    };
  }).filter((line) => line.values.length);
}

function extent(values) {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  return low < high ? [low, high] : [low * 0.9, high * 1.1 || 1];
}

function scales(lines, width, height) {
  const [left, right] = extent(lines.flatMap((line) => line.values.map(([x]) => x)));
  const [low, high] = extent(lines.flatMap((line) => line.values.map(([, y]) => y)));
  const floor = Math.max(low, high * ROUNDING);
  const across = (width - MARGIN.left - MARGIN.right) / (right - left);
  const down = (height - MARGIN.top - MARGIN.bottom) / Math.log(high / floor);
  return {
    x: (value) => MARGIN.left + (value - left) * across,
    y: (value) => MARGIN.top + Math.log(high / Math.max(value, floor)) * down,
    ticks: { x: linearTicks(left, right, width / 110), y: logTicks(floor, high) },
  };
}

function axesOf({ x, y, ticks }, width, height, name) {
  const bottom = height - MARGIN.bottom;
  const text = (attributes, content) => {
    const made = svg("text", attributes);
    made.textContent = content;
    return made;
  };
  return svg("g", { class: "axes" },
    ...ticks.y.flatMap((tick) => [
      svg("line", { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
      text({ x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }, tickText(tick)),
    ]),
    ...ticks.x.map((tick) =>
      text({ x: x(tick), y: bottom + 18, "text-anchor": "middle" }, tickText(tick))),
    text({ x: (MARGIN.left + width) / 2, y: height - 4, "text-anchor": "middle" }, name),
  );
}

/** Draws lines into an element, and keeps where their dots lie. */
function drawPlot(parent, lines, axis) {
  const width = Math.max(260, parent.clientWidth || 600);
  const height = Math.round(Math.min(460, Math.max(260, width * 0.55)));
  const scale = scales(lines, width, height);
  for (const line of lines) {
    line.dots = line.values.map(([x, y]) => [scale.x(x), scale.y(y)]);
    const points = line.dots.length > 1 ? line.dots : [line.dots[0], line.dots[0]];
    line.path = svg("path", {
      d: `M${points.map((dot) => dot.map((v) => v.toFixed(1)).join(",")).join("L")}`,
      style: `stroke: ${line.colour}`, "stroke-dasharray": line.dash, class: line.main ? "main" : "",
    });
  }
  parent.replaceChildren(svg("svg",
    { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `curves by ${axis}` },
    axesOf(scale, width, height, axis), svg("g", { class: "lines" }, ...lines.map((line) => line.path))));
}

function emphasise(name) {
  byId("plot").classList.toggle("emphasis", name != null);
  for (const line of chart.lines) {
    line.path.classList.toggle("on", line.name === name);
    line.entry.classList.toggle("on", line.name === name);
    line.entry.setAttribute("aria-pressed", line.name === chart.pinned);
  }
}

function legendEntry(line) {
  const sample = svg("svg", { width: 26, height: 10, "aria-hidden": "true" },
    svg("line", {
      x1: 1, x2: 25, y1: 5, y2: 5, style: `stroke: ${line.colour}`,
      "stroke-dasharray": line.dash, class: line.main ? "main" : "",
    }));
  line.entry = element("button", { type: "button", "aria-pressed": "false" }, sample,
    element("span", { textContent: line.name }),
    element("small", { textContent: format(line.values.at(-1)[1]) }));
  line.entry.addEventListener("pointerenter", () => emphasise(line.name));
  line.entry.addEventListener("pointerleave", () => emphasise(chart.pinned));
  line.entry.addEventListener("click", () => {
    chart.pinned = chart.pinned === line.name ? null : line.name;
    emphasise(chart.pinned);
  });
  return element("li", {}, line.entry);
}

/** Emphasises the line nearest to the pointer and reads it out. */
function readCurve(event, choice) {
  const box = byId("plot").getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  let best = { distance: Infinity };
  for (const line of chart.lines) {
    line.dots.forEach(([x, y], i) => {
      const distance = Math.hypot(x - px, y - py);
      if (distance < best.distance) best = { distance, line, i };
    });
  }
  const near = best.distance < 40;
  emphasise(near ? best.line.name : chart.pinned);
  const [x, y] = near ? best.line.values[best.i] : [];
  byId("curve-readout").textContent = near
    ? `${best.line.name}: ${format(y, 4)} at ${choice.axis} ${format(x)}` : "";
}

function drawCurves(choice, page) {
  chart.lines = curveLines(choice, page);
  byId("curve-readout").textContent = "";
  if (!chart.lines.length) {
    byId("plot").replaceChildren(element("p", { className: "facts", textContent: "Nothing to draw here." }));
    byId("legend").replaceChildren();
    return;
  }
  drawPlot(byId("plot"), chart.lines, choice.axis);
  byId("legend").replaceChildren(...chart.lines.map(legendEntry));
  if (!chart.lines.some((line) => line.name === chart.pinned)) chart.pinned = null;
  emphasise(chart.pinned);
}

/** Where values of effects lie: differences as they are, ratios by their logarithm. */
function along(kind, value) {
  if (value == null) return null;
  return kind === "ratio" ? Math.log(Math.max(value, 1e-9)) : value;
}

function noiseAlong({ kind, noise }) {
  if (noise == null) return 0;
  return kind === "ratio" ? Math.abs(along(kind, noise)) : Math.abs(noise);
}

/** How far pictures of these effects reach; intervals far longer than any effect are cut. */
function reachOf(effects) {
  const size = (effect, key) => Math.abs(along(effect.kind, effect[key]) ?? 0);
  const inner = Math.max(...effects.map((effect) => Math.max(size(effect, "effect"), noiseAlong(effect))));
  const outer = Math.max(...effects.map((effect) => Math.max(size(effect, "low"), size(effect, "high"))));
  return Math.min(Math.max(inner, outer), 2.5 * inner || outer) * 1.06 || 1;
}

function whisker(effect, reach) {
  const [width, height] = [168, 20];
  const x = (value) => (width / 2) * (1 + Math.max(-1.02, Math.min(1.02, value / reach)));
  const [low, at, high] = ["low", "effect", "high"].map((key) => along(effect.kind, effect[key]));
  const noise = noiseAlong(effect);
  const kind = effect.verdict.split(" ")[0];
  const made = svg("svg", { width, height, class: `whisker ${kind}`, "aria-hidden": "true" },
    svg("rect", { class: "noise", x: x(-noise), width: x(noise) - x(-noise), y: 2, height: height - 4 }),
    svg("line", { class: "zero", x1: width / 2, x2: width / 2, y1: 0, y2: height }));
  if (low != null && high != null) {
    made.append(svg("line", { x1: x(low), x2: x(high), y1: height / 2, y2: height / 2 }),
      ...[low, high].map((end) => svg("line", { x1: x(end), x2: x(end), y1: 6, y2: height - 6 })));
  }
  if (at != null) made.append(svg("circle", { cx: x(at), cy: height / 2, r: 3.5 }));
  return made;
}
