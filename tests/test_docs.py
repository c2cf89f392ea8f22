"""The documentation: it builds without warnings, fetches nothing, and shows only existing commands and names."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers.browsing import open_page

import seqff
from benchmarks import tables
from seqff.cli import COMMANDS
from seqff.objectives import OBJECTIVES
from seqff.presets import PRESETS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BROKEN = """() => [...document.querySelectorAll('article :not(pre) > code')].flatMap(code => {
  const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT), found = [];
  while (walker.nextNode()) for (const word of walker.currentNode.data.matchAll(/[\\w.-]{2,}/g)) {
    const range = document.createRange();
    range.setStart(walker.currentNode, word.index);
    range.setEnd(walker.currentNode, word.index + word[0].length);
    if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) found.push(word[0]);
  }
  return found;
})"""
"""Names in inline code that stand on two lines."""
FOREIGN = re.compile(
    r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//|<link[^>]+href=["']?(?:https?:)?//"""
)


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of scripts, importable."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    return ROOT / "tools"


@pytest.fixture
def reference(tools: Path) -> ModuleType:
    """What makes the reference pages."""
    return importlib.import_module("make_reference")


def code_of(path: Path, language: str) -> list[str]:
    """The blocks of code of a page in a language; in bash also blocks that are only indented, as in the README."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    return [*blocks, *re.findall(r"^ {4}(seqff .*)$", text, flags=re.MULTILINE)] if language == "bash" else blocks


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning: no broken link or anchor."""
    pytest.importorskip("material", reason="needs pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_builds_and_fetches_nothing(site: Path) -> None:
    """Every page is there; and no page takes a script, a style or a font from elsewhere."""
    pages = {path.relative_to(site).as_posix(): path for path in site.rglob("*.html")}
    foreign = [name for name, path in pages.items() if FOREIGN.search(path.read_text(encoding="utf-8"))]
    assert not foreign
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert not any(re.search(r"url\([\"']?(?:https?:)?//", style) for style in styles)
    shown = pages["reference/commands.html"].read_text(encoding="utf-8")
    assert all(f'id="seqff-{name}"' in shown for name in COMMANDS)


@pytest.mark.parametrize("width", [390, 1280])
def test_names_stay_whole_and_commands_are_not_clipped(site: Path, browser: Any, width: int) -> None:
    """On a phone and a desktop no line ends inside a name in inline code, and no block of code goes on to the right."""
    for name in ("index", "after_features", "coming_from", "reference/settings", "reference/commands"):
        page, complaints, _ = open_page(browser, site / f"{name}.html", width=width)
        assert page.evaluate(BROKEN) == [], name
        wide = page.locator("article pre > code").evaluate_all("all => all.map(x => x.scrollWidth - x.clientWidth)")
        assert max(wide, default=0) <= 0, name
        assert complaints == []
        page.close()


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_shown_commands_exist(page: Path, reference: ModuleType) -> None:
    """Every `seqff ...` line of a page names a command, and flags that this command knows."""
    for line in "\n".join(code_of(page, "bash")).replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] != "seqff":
            continue
        assert words[1] in COMMANDS, line
        given = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
        assert given <= reference.flags(words[1]), line


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_shown_python_names_exist(page: Path) -> None:
    """Every block of Python compiles, and what it takes from seqff is there."""
    for block in code_of(page, "python"):
        compile(block, page.name, "exec")
        assert all(name in seqff.__all__ for name in re.findall(r"\bseqff\.([A-Za-z]\w*)\(", block)), block


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_is_explained(name: str) -> None:
    """It has a section with a formula, and the papers named there are those that the code or a preset names."""
    page = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    assert "```text\n" in section
    known = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "seqff" / "objectives").glob("*.py"))
    known += "".join(preset.reference for preset in PRESETS.values())
    named = re.findall(r"arXiv:[\d.]+\d|doi:\S+[\w)]", section)
    assert named
    assert all(source in known for source in named), named


def test_the_reference_lists_every_setting_and_public_name(reference: ModuleType) -> None:
    """Pages made from the code leave nothing out, and every setting says what it is."""
    pages = reference.pages()
    rows = [line for line in pages["settings"].splitlines() if line.startswith("| `")]
    assert {row.split("`")[1] for row in rows} == {setting.name for setting in reference.walk(seqff.TrainConfig)}
    assert not [row for row in rows if row.endswith("|  |")]
    assert all(f"\n## {name}\n" in pages["python"] for name in seqff.__all__ if name != "__version__")
    assert all(f"\n## {name}\n" in pages["presets"] for name in PRESETS)


def test_notebooks_are_what_their_scripts_make(tools: Path) -> None:
    """`python tools/make_notebooks.py` would change nothing."""
    pytest.importorskip("nbformat", reason="needs pip install -e '.[docs]'")
    made = importlib.import_module("make_notebooks").notebooks()
    assert len(made) == 4
    folder = ROOT / "examples" / "notebooks"
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")}
    assert there == made, "run python tools/make_notebooks.py"


def test_tables_are_what_the_results_give() -> None:
    """`python -m benchmarks.tables` would change no page."""
    assert tables.LAYERS.read_text(encoding="utf-8") == tables.layers_page(), "run python -m benchmarks.tables"
    assert tables.PAGE.read_text(encoding="utf-8") == tables.page(), "run python -m benchmarks.tables"
    assert tables.README.read_text(encoding="utf-8") == tables.readme(), "run python -m benchmarks.tables"
    assert tables.CURVE.read_text(encoding="utf-8") == tables.curve(), "run python -m benchmarks.tables"
