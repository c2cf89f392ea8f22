"""Generate notebooks from the examples that have cells: python tools/make_notebooks.py [FOLDER].

A cell starts with a line `# %% what it does`; that text and the comment lines right below become a text cell above the
code. The docstring becomes the first cell. Tests run the scripts; the notebooks contain no outputs. Needs nbformat (pip
install -e '.[docs]').
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import nbformat
from nbformat import v4

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MARK = "# %%"


def notebook(source: str, title: str) -> nbformat.NotebookNode:
    """Convert a script to a notebook.

    Args:
        source: the script.
        title: heading of the first cell.
    """
    head, *cells = source.split(f"\n{MARK}")
    made = [v4.new_markdown_cell(f"# {title}\n\n{ast.get_docstring(ast.parse(head))}")]
    for cell in cells:
        text, code = [], cell.strip().splitlines()
        text.append(code.pop(0))
        while code and code[0].startswith("#"):
            text.append(code.pop(0).removeprefix("#").removeprefix(" "))
        made.append(v4.new_markdown_cell("\n".join(text).strip()))
        if code := "\n".join(code).strip():
            made.append(v4.new_code_cell(code))
    for number, cell in enumerate(made):
        cell["id"] = f"cell-{number}"  # nbformat's own ids are random
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    found = v4.new_notebook(cells=made, metadata=kernel)
    nbformat.validate(found)
    return found


def notebooks() -> dict[str, str]:
    """Return the content of every notebook by file name."""
    scripts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.py"))}
    return {
        f"{stem}.ipynb": nbformat.writes(notebook(source, stem.replace("_", " ").capitalize())) + "\n"
        for stem, source in scripts.items()
        if f"\n{MARK}" in source
    }


def main() -> None:
    """Write the notebooks."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLES / "notebooks"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in notebooks().items():
        (folder / name).write_text(content, encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    main()
