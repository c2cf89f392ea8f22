"""The notebooks run unchanged in a kernel, and display progress and results."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "notebooks"
WHY = "needs pip install -e '.[test]'"
BAR = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only kernel is this Python; it writes temporary files where the test does."""
    spec = tmp_path / "kernels" / "python3"
    spec.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def run(name: str, folder: Path) -> list[Any]:
    """All outputs of a notebook, in order; an error in a cell is an error here."""
    nbclient = pytest.importorskip("nbclient", reason=WHY)
    for package in ("ipykernel", "ipywidgets"):
        pytest.importorskip(package, reason=WHY)
    nbformat = pytest.importorskip("nbformat", reason=WHY)
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.parametrize(
    ("name", "bars", "tables", "pages", "pictures"),
    [
        ("features_of_a_folder", ["scan", "train", "extract", "probe"], 3, 1, 0),
        ("after_features", ["train", "extract", "search", "cluster", "classify"], 3, 2, 1),
    ],
)
@pytest.mark.usefixtures("kernels")
def test_a_notebook_runs(name: str, bars: list[str], tables: int, pages: int, pictures: int, tmp_path: Path) -> None:
    """Progress is bars of the notebook, not lines of a terminal; results are tables, pages in frames, pictures."""
    outputs = run(name, tmp_path)
    shown = [output["data"] for output in outputs if "data" in output]
    seen = [data["text/plain"].split(":")[0] for data in shown if BAR in data]
    assert set(bars) <= set(seen)
    found = [data["text/html"] for data in shown if "text/html" in data]
    assert sum("<table>" in html for html in found) == tables
    assert sum("<iframe sandbox" in html for html in found) == pages
    assert sum("image/png" in data for data in shown) == pictures
