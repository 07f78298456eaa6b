"""The page of a sweep: what it holds, and in a browser what it does."""

import dataclasses
import html
import json
import re
import shutil
import subprocess

import pytest
from PIL import Image
from sweep_pages import EVIL, ODD, made, without

from nstjax.sweeps import page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_browser = pytest.mark.slow
# Errors of scripts, and of pictures that do not load too; and small words for the scripts of the tests.
PRELUDE = """<script>
const problems = [];
addEventListener("error", (event) => problems.push(event.message ?? `not loaded: ${event.target.src}`), true);
addEventListener("unhandledrejection", (event) => problems.push(`rejected: ${event.reason}`));
console.error = (...words) => problems.push(words.join(" "));
const all = (query) => [...document.querySelectorAll(query)];
const one = (query) => document.querySelector(query);
const choose = (chosen, value) => {
  chosen.value = value;
  chosen.dispatchEvent(new Event("change"));
};
const named = (name) => all("select").find((each) => each.ariaLabel === name);
const column = (table, i) => all(`${table} tbody tr`).map((row) => row.cells[i].textContent);
const press = (key) => document.activeElement.dispatchEvent(
  new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const shownPicture = () => {
  const box = one(".face.front").getBoundingClientRect();
  const label = one("#shown").textContent;
  return { label, src: one(".face.front").src, box: [box.x, box.y, box.width, box.height] };
};
</script>"""


def test_what_a_page_holds_is_text():
    text = page.render(made())
    assert text.count("<script") == 2 and text.count("</script>") == 2 and "<!--" not in text
    held = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert held["facts"][1] == EVIL and held["points"][0]["measures"]["nan"] is None
    (title,) = re.findall("<h1>(.*?)</h1>", text)
    assert html.unescape(title) == f"sweep {ODD}" and not set(title) & set("<>\"'") and ODD not in text


def test_a_page_loads_nothing():
    text = page.render(made())
    named = set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert named == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<link|@import|\burl\(|<script[^>]+src|\bfetch\(", text)


def test_words_of_the_template_in_data_stay():
    shown = made()
    shown = dataclasses.replace(shown, record=dataclasses.replace(shown.record, title="{{ script }}"))
    assert "<h1>{{ script }}</h1>" in page.render(shown)


def browse(tmp_path, shown, script, width=1400):
    """What a script returns that runs in a page in a window of this width."""
    if BROWSER is None:
        pytest.skip("chromium or google-chrome is not installed")
    report = f"""<script>addEventListener("load", async () => {{
      let found;
      try {{
        found = await (async () => {{ {script} }})();
      }} catch (error) {{
        problems.push(String(error));
      }}
      for (const image of all("img")) {{
        if (!image.complete) await new Promise((done) => {{ image.onload = image.onerror = done; }});
        if (!image.naturalWidth) problems.push(`empty: ${{image.alt}}`);
      }}
      parent.postMessage(JSON.stringify({{ found, problems, width: innerWidth }}), "*");
    }});</script>"""
    text = page.render(shown).replace("<style>", PRELUDE + "<style>", 1)
    (tmp_path / "page.html").write_text(text.replace("</body>", report + "</body>"), "utf-8")
    # A window of Chromium is never as narrow as a phone; a frame is.
    (tmp_path / "frame.html").write_text(
        f"""<pre></pre><iframe src="page.html" width="{width}" height="900"></iframe><script>
        addEventListener("message", (event) => {{ document.querySelector("pre").textContent = event.data; }});
        </script>"""
    )
    command = [
        *(
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--enable-logging=stderr",
        ),
        *("--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
        *("--virtual-time-budget=5000", (tmp_path / "frame.html").as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    answer = re.search(r"<pre>(.+?)</pre>", done.stdout, re.DOTALL)
    assert answer, done.stderr[-2000:]
    answer = json.loads(html.unescape(answer[1]))
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert (answer["problems"], said, answer["width"]) == ([], [], width)
    return answer["found"]


@in_browser
def test_a_table_sorts_both_ways(tmp_path):
    script = """
      const head = all("#results-table th").findIndex((each) => each.textContent === "ssim");
      const turn = () => {
        all("#results-table th")[head].firstChild.click();
        return [all("#results-table th")[head].ariaSort, column("#results-table", head)];
      };
      const [up, down] = [turn(), turn()];
      all("#results-table th")[0].firstChild.click();
      return { up, down, loss: column("#results-table", 0), sorted: all("[aria-sort]").length };
    """
    data = made()
    found = browse(tmp_path, data, script)
    losses = data.record.design.factors[0].labels
    values = [point.measures["ssim"] for point in data.points if point.measures]
    for (state, texts), order, reverse in (
        (found["up"], "ascending", False),
        (found["down"], "descending", True),
    ):
        assert state == order and texts[-1] == "–"
        numbers = [float(text.replace("−", "-")) for text in texts[:-1]]
        assert numbers == pytest.approx(sorted(values, reverse=reverse), rel=1e-9)  # 0.3 of 3 * 0.1
    assert found["loss"] == sorted(found["loss"], key=losses.index) and found["sorted"] == 1


@in_browser
def test_pictures_flip_in_place(tmp_path):
    script = """
      const cells = all("button.cell");
      cells.find((each) => each.ariaLabel.includes("cmd")).click();
      const seen = [shownPicture()];
      const flips = [() => one("#stage").click(), () => one("#flip").click(), () => press(" ")];
      one("#lightbox").tabIndex = -1;
      one("#lightbox").focus();
      for (const flip of flips) {
        flip();
        seen.push(shownPicture());
      }
      choose(named("compare with"), named("compare with").options[0].value);
      one("#flip").click();
      const content = shownPicture();
      const title = () => one("#lightbox-title").textContent;
      const titles = [title()];
      for (const key of ["ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"]) {
        press(key);
        titles.push(title());
      }
      const command = one("pre").textContent;
      one("#close").click();
      return { seen, content, titles, command, open: one("#lightbox").open };
    """
    data = made()
    found = browse(tmp_path, data, script)
    shown = {(p.at["loss"], p.at["pair"], p.at["seed"]): p.image for p in data.points}
    labels = ["cmd", "gram (baseline)", "cmd", "gram (baseline)"]
    assert [seen["label"] for seen in found["seen"]] == labels
    for seen, label in zip(found["seen"], labels, strict=True):
        assert seen["src"] == shown[label.split()[0], "a+b", "0"]
        assert seen["box"] == found["seen"][0]["box"] and min(seen["box"][2:]) > 300
    assert found["content"]["label"] == "content: a+b" and found["content"]["box"] == found["seen"][0]["box"]
    assert found["content"]["src"] == data.sources[0].pictures[0].image
    odd, gram = f"{ODD} · a+b · 0", "gram · a+b · 0"
    assert found["titles"] == ["cmd · a+b · 0", odd, "cmd · a+b · 0", gram, f"{ODD} · c+d · 0"]
    assert found["command"].startswith("python -m") and not found["open"]


@in_browser
def test_the_full_picture_comes_where_it_is_there(tmp_path):
    script = """
      const later = () => new Promise((done) => setTimeout(done, 500));
      const seen = [];
      for (const i of [0, 1]) {
        all("button.cell")[i].click();
        const before = shownPicture();
        await later();
        seen.push([before, shownPicture()]);
      }
      return seen;
    """
    data = made()
    full = [dataclasses.replace(p, full=f"points/{p.at['loss']} #?/image.png") for p in data.points]
    data = dataclasses.replace(data, points=full)
    (tmp_path / "points" / "gram #?").mkdir(parents=True)
    Image.new("RGB", (24, 18)).save(tmp_path / "points" / "gram #?" / "image.png")
    (small, full), (kept, missing) = browse(tmp_path, data, script)
    assert small["src"].startswith("data:") and full["src"].endswith("/points/gram%20%23%3F/image.png")
    assert small["box"] == full["box"] and kept == missing


@in_browser
def test_a_command_is_copied_where_the_clipboard_is_closed(tmp_path):
    script = """
      Object.defineProperty(navigator, "clipboard", { value: undefined });
      const said = [];
      let copied;
      one("button.cell").click();
      for (const allowed of [true, false]) {
        document.execCommand = () => { copied = getSelection().toString(); return allowed; };
        one(".command button").click();
        await new Promise((done) => setTimeout(done, 100));
        said.push(one(".command button").textContent);
      }
      return { copied, said };
    """
    data = made()
    found = browse(tmp_path, data, script)
    assert found == {"copied": data.points[0].command, "said": ["copied", "selected: press Ctrl+C"]}


@in_browser
def test_axes_of_the_sheet_change(tmp_path):
    script = """
      const heads = () => ({
        rows: all("#sheet tbody th .label > span").map((each) => each.textContent),
        columns: all("#sheet thead th .label > span").map((each) => each.textContent),
        pagers: all("#pagers select").map((each) => each.ariaLabel),
        cells: all("#sheet button.cell").length,
        pictures: all("#sheet .cell img").length,
        sources: all("#sources img").length,
      });
      const seen = [heads()];
      choose(named("rows"), "seed");
      seen.push(heads());
      choose(named("columns"), "seed");
      seen.push(heads());
      one("#pagers [aria-label='next pair']").click();
      seen.push({ ...heads(), alts: all("#sheet img").map((each) => each.alt) });
      choose(named("rows"), "");
      seen.push({ ...heads(), labels: all("#sheet li .label span").map((each) => each.textContent) });
      return seen;
    """
    losses, pairs, seeds = ["gram", "cmd", ODD], ["a+b", "c+d"], ["0", "1"]
    first, second, third, fourth, fifth = browse(tmp_path, made(), script)
    assert (first["rows"], first["columns"], first["pagers"]) == (pairs, losses, ["seed"])
    assert (first["cells"], first["pictures"], first["sources"]) == (6, 6, 0)
    assert (second["rows"], second["columns"], second["pagers"]) == (seeds, losses, ["pair"])
    assert (second["cells"], second["pictures"], second["sources"]) == (6, 5, 2)
    assert (third["rows"], third["columns"]) == (losses, seeds)
    assert fourth["cells"] == 5 and all("c+d" in alt for alt in fourth["alts"])
    assert fifth["labels"] == seeds and fifth["pagers"] == ["loss", "pair"]


def failed(data):
    return dataclasses.replace(data, points=[without(point, "x" * 99) for point in data.points])


NOTHING_ELSE = {"cross": None, "comparisons": [], "sources": [], "meanings": {}, "notes": [], "facts": []}
SHAPES = {
    "one point": (made(losses=("gram",), pairs=("a+b",), seeds=(0,)), None, None),
    "many settings": (made(losses=[f"loss{i}" for i in range(22)]), "", "loss"),
    "three factors": (made(others=(("x", "y"), ("1", "2"))), "loss", "other0"),
    "seeds only": (made(losses=("gram",), pairs=("a+b",)), None, None),
    "nothing else": (dataclasses.replace(made(), **NOTHING_ELSE), "pair", "loss"),
    "all failed": (failed(made()), "pair", "loss"),
    "long words": (made(losses=("x" * 80, "y " * 80), pairs=("p" * 80,)), "seed", "loss"),
}


@in_browser
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_a_sweep_fits_a_phone(tmp_path, shape):
    data, rows, columns = SHAPES[shape]
    script = """
      const overflow = () => document.documentElement.scrollWidth - innerWidth;
      const seen = { rows: named("rows")?.value ?? null, columns: named("columns")?.value ?? null };
      for (const button of all("th button, .pager button, #legend button")) button.click();
      for (const each of all("#curve-tools select, #effects-tools select"))
        for (const option of [...each.options]) choose(each, option.value);
      one("#relative").click();
      const before = overflow();
      const opened = all("button.cell").length;
      for (const cell of all("button.cell")) {
        cell.click();
        one("#flip").click();
        one("#close").click();
      }
      one("#results .view").click();
      return { ...seen, opened, before, after: overflow(), hidden: all("section[hidden]").map((e) => e.id) };
    """
    found = browse(tmp_path, data, script, width=390)
    assert (found["rows"], found["columns"]) == (rows, columns)
    assert found["opened"] > 0 and found["before"] <= 0 and found["after"] <= 0
    hidden = [name for name, there in {"cross": data.cross, "effects": data.comparisons}.items() if not there]
    assert found["hidden"] == hidden + ["curves"] * (not any(point.curves for point in data.points))


@in_browser
def test_what_matrix_effects_and_links_say(tmp_path):
    script = """
      const row = () => [...all("#matrix tbody tr")[0].cells].map((cell) => cell.textContent);
      const plain = row();
      const marked = ["best", "own"].map((name) => all(`#matrix .${name}`).map((cell) => cell.textContent));
      one("#relative").click();
      return { plain, marked, relative: row(), unknown: all("#matrix .unknown").length,
        effects: column("#effects-table", 4), whiskers: all(".whisker").length,
        why: one(".verdict small").textContent, links: all("#results a").map((each) => each.pathname) };
    """
    found = browse(tmp_path, made(), script)
    assert found["plain"] == ["gram", "0.020", "0.20", "2"]
    assert found["relative"] == ["gram", "×1", "×10", "×100"]
    assert found["marked"] == [["0.020", "0.50"], ["0.020", "0.50"]] and found["unknown"] == 2
    assert found["effects"] == ["+0.100 [+0.050, +0.200]", "×0.200", "–"] and found["whiskers"] == 3
    assert found["why"] == EVIL
    assert found["links"][0].endswith("/points/0%23%3F/report.html")
