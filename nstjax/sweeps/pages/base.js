/** What all parts of the page use: elements, numbers as text, the data and how its points relate. */

const data = JSON.parse(document.getElementById("data").textContent);
const varying = data.factors.filter((factor) => factor.labels.length > 1);
const compared = varying.filter((factor) => factor.role === "compared");
const repeats = varying.filter((factor) => factor.role !== "compared");
const baseline = data.baseline ?? {};

const byId = (id) => document.getElementById(id);

/** An element with properties (or attributes, where the name has a dash) and children. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

/** A labelled select; options are texts, or { value, text, group }. */
function select(label, options, value, onchange) {
  const chosen = element("select", { "aria-label": label });
  const groups = new Map();
  for (const option of options.map((o) => (typeof o === "string" ? { value: o, text: o } : o))) {
    if (option.group && !groups.has(option.group)) {
      groups.set(option.group, element("optgroup", { label: option.group }));
      chosen.append(groups.get(option.group));
    }
    const parent = groups.get(option.group) ?? chosen;
    parent.append(element("option", { value: option.value, textContent: option.text }));
  }
  chosen.value = value;
  chosen.addEventListener("change", () => onchange(chosen.value, chosen));
  return element("label", {}, `${label} `, chosen);
}

function format(value, digits = 3) {
  if (value == null) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  let text = value.toPrecision(digits);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) text = value.toExponential(digits - 1);
  else if (Number.isInteger(value) || size >= 10 ** digits) text = value.toFixed(0);
  return text.replaceAll("-", "−").replace("e+", "e");
}

function formatCost(name, value) {
  if (value == null || name !== "memory") return format(value);
  return value < 1e9 ? `${format(value / 1e6)} MB` : `${format(value / 1e9)} GB`;
}

/** A text that may break after the signs that join names. */
const breakable = (text) => text.split(/(?<=[+_,=/])/).flatMap((part) => [element("wbr"), part]).slice(1);

/** A relative path as a link: folders of points may hold any character. */
const link = (path) => path.split("/").map(encodeURIComponent).join("/");

const agrees = (at, labels) => Object.entries(labels).every(([name, label]) => at[name] === label);
const pick = (factors, at) => Object.fromEntries(factors.map((factor) => [factor.name, at[factor.name]]));
const labelled = (point, factors) => factors.map((factor) => point.at[factor.name]).join(" · ");
const described = (point) => labelled(point, varying) || point.name;
const settingOf = (point) => labelled(point, compared) || described(point);
const named = (point) =>
  varying.map((factor) => `${factor.name} ${point.at[factor.name]}`).join(", ") || point.name;
const isBaseline = (point) => Object.keys(baseline).length > 0 && agrees(point.at, baseline);
const sourcesOf = (point) =>
  data.sources.filter((source) => agrees(point.at, source.at)).flatMap((source) => source.pictures);

/** Names of what points have numbers of, those that are explained first. */
function namesOf(kind, first = []) {
  const found = new Set(data.points.flatMap((point) => Object.keys(point[kind] ?? {})));
  return [...new Set([...first.filter((name) => found.has(name)), ...found])];
}

const costNames = namesOf("cost", ["steps", "evaluations", "seconds", "memory"]);
const measureNames = namesOf("measures", data.measures.map((measure) => measure.name));
