/** One picture large, and flipped in place with another. */

const lightbox = { point: null, opened: null, other: null, wanted: null, flipped: false };

function ofPoint(point, group, text) {
  const { image, full, failed } = point;
  const mark = isBaseline(point) ? " (baseline)" : "";
  return { value: `${group} ${text}`, group, text: text + mark, image, full, failed, point };
}

const joined = (factors, word) => factors.map((factor) => factor.name).join(` ${word} `);

/** What a point can be compared with: its sources, other settings at its repeats, its setting at others. */
function alternatives(point) {
  const others = data.points.filter((other) => other !== point);
  const same = (factors) => others.filter((other) => agrees(other.at, pick(factors, point.at)));
  return [
    ...sourcesOf(point).map(({ role, name, image }, i) =>
      ({ value: `source ${role} ${i}`, group: "made of", text: `${role}: ${name}`, image, role })),
    ...(compared.length ? same(repeats).map((other) =>
      ofPoint(other, repeats.length ? `same ${joined(repeats, "and")}` : "others", settingOf(other))) : []),
    ...(repeats.length ? same(compared).map((other) =>
      ofPoint(other, `other ${joined(repeats, "or")}`, labelled(other, repeats))) : []),
  ];
}

function otherOf(point) {
  const all = alternatives(point);
  const usual = isBaseline(point) ? undefined
    : all.find(({ point: other }) => other && isBaseline(other) && agrees(other.at, pick(repeats, point.at)));
  return all.find((other) => other.value === lightbox.wanted) ?? usual
    ?? all.find((other) => other.role === "content") ?? all[0] ?? null;
}

/** A picture for the stage, replaced by the full one of the run's folder as soon as that has loaded. */
function face({ text, image, full, failed }) {
  if (!image) {
    return element("span", { className: "face reason" },
      element("strong", { textContent: failed ? "failed" : "no picture" }), failed ?? "");
  }
  const shown = element("img", { className: "face", src: image, alt: text });
  if (full) {
    const sharp = new Image();
    sharp.addEventListener("load", () => { shown.src = sharp.src; });
    sharp.src = link(full);
  }
  return shown;
}

function showFace() {
  const faces = [...byId("stage").children];
  faces.forEach((each, i) => each.classList.toggle("front", i === Number(lightbox.flipped)));
  const mark = isBaseline(lightbox.point) ? " (baseline)" : "";
  byId("shown").textContent = lightbox.flipped ? lightbox.other.text : settingOf(lightbox.point) + mark;
  byId("stage").classList.toggle("flipped", lightbox.flipped);
}

function flip() {
  if (!lightbox.other) return;
  lightbox.flipped = !lightbox.flipped;
  showFace();
}

function numbersTable() {
  const { point, other } = lightbox;
  const points = other?.point ? [point, other.point] : [point];
  const row = (kind, name, text) => element("tr", {}, element("th", { scope: "row", textContent: name }),
    ...points.map((each) => element("td", { className: "number", textContent: text(each[kind]?.[name]) })));
  const head = points.length === 2 ? [element("thead", {}, element("tr", {}, element("td"),
    ...points.map((each, i) => element("th", { scope: "col", className: "number",
      textContent: i ? other.text : settingOf(each) }))))] : [];
  return element("table", {}, ...head, element("tbody", {},
    ...measureNames.map((name) => row("measures", name, (value) => format(value, 4))),
    ...costNames.map((name) => row("cost", name, (value) => formatCost(name, value)))));
}

/** Copies the text of an element; where the clipboard is closed to files, through the selection. */
async function copy(source, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    getSelection().selectAllChildren(source);
    done = document.execCommand("copy");
  }
  button.textContent = done ? "copied" : "selected: press Ctrl+C";
  setTimeout(() => { button.textContent = "copy"; }, 2000);
}

function commandBlock(command) {
  const text = element("pre", { textContent: command });
  const button = element("button", { type: "button", textContent: "copy", "aria-label": "copy the command" });
  button.addEventListener("click", () => copy(text, button));
  return element("div", { className: "command" }, element("h3", {}, "Command ", button), text);
}

function details() {
  const { point } = lightbox;
  const links = [["report", "report of the run"], ["full", "full picture"]].filter(([key]) => point[key]);
  byId("details").replaceChildren(
    element("p", { className: "facts", textContent: named(point) }),
    point.failed ? element("p", { className: "note", textContent: `failed: ${point.failed}` }) : "",
    numbersTable(),
    element("p", { className: "links" },
      ...links.map(([key, text]) => element("a", { href: link(point[key]), textContent: text }))),
    point.command ? commandBlock(point.command) : "");
}

function compareWith() {
  lightbox.other = otherOf(lightbox.point);
  lightbox.flipped = false;
  const own = ofPoint(lightbox.point, "", described(lightbox.point));
  byId("stage").replaceChildren(...[own, lightbox.other].filter(Boolean).map(face));
  details();
  showFace();
}

function choose(value, chosen) {
  lightbox.wanted = value;
  compareWith();
  // A select that has the focus takes the space bar; after a choice by pointer it flips.
  if (!chosen.matches(":focus-visible")) byId("stage").focus();
}

function showPoint(point) {
  lightbox.point = point;
  byId("lightbox-title").textContent = described(point);
  compareWith();
  const options = alternatives(point);
  byId("flip").hidden = !options.length;
  byId("compare").replaceChildren(...(options.length
    ? [select("compare with", options, lightbox.other.value, choose)] : []));
  if (byId("lightbox").open) return;
  lightbox.opened = point;
  byId("lightbox").showModal();
  byId("stage").focus();
}

function move(by) {
  const all = sheet.points;
  const at = all.indexOf(lightbox.point);
  if (all.length) showPoint(all[(at + by + all.length) % all.length]);
}

function onKey(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.tagName === "SELECT") return;
  const moves = { ArrowLeft: -1, ArrowRight: 1 };
  if (moves[event.key]) move(moves[event.key]);
  else if (event.key !== " " || ["BUTTON", "A"].includes(event.target.tagName)) return;
  else flip();
  event.preventDefault();
}

function startLightbox() {
  const box = byId("lightbox");
  byId("stage").addEventListener("click", flip);
  byId("flip").addEventListener("click", flip);
  byId("previous").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  byId("close").addEventListener("click", () => box.close());
  box.addEventListener("click", (event) => event.target === box && box.close());
  box.addEventListener("keydown", onKey);
  box.addEventListener("close", () => {
    if (lightbox.point !== lightbox.opened) sheet.cells.get(lightbox.point)?.focus();
  });
}
