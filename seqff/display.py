"""Display of results in notebooks and as pandas tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from seqff.errors import RunError

MOST_ROWS = 30


def html_table(title: str, rows: Sequence[Iterable[object]], notes: Iterable[str] = ()) -> str:
    """Return rows of cells as an HTML table, the first row as header; all text is escaped.

    Args:
        title: shown above.
        rows: at most `MOST_ROWS` are shown, with the number of the others.
        notes: lines shown below.
    """

    def line(cells: Iterable[object], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{html.escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"

    head, *body = rows
    more = [f"... and {len(body) - MOST_ROWS} more"] if len(body) > MOST_ROWS else []
    table = line(head, "th") + "".join(line(row, "td") for row in body[:MOST_ROWS])
    below = "".join(f"<p>{html.escape(note)}</p>" for note in [*more, *notes])
    return f"<p><b>{html.escape(title)}</b></p><table>{table}</table>{below}"


def preformatted(text: str) -> str:
    """Return a table of plain text as HTML; all text is escaped."""
    return f"<pre>{html.escape(text)}</pre>"


def framed(page: Path) -> str:
    """Return one of our pages as HTML for a notebook, in a sandboxed frame."""
    try:
        content = page.read_text(encoding="utf-8")
    except OSError:
        return f"<p>{html.escape(str(page))} is gone</p>"
    style = "width: 100%; height: 40rem; border: 1px solid #8888; background: #fff"
    return f'<iframe sandbox="allow-scripts" style="{style}" srcdoc="{html.escape(content)}"></iframe>'


def import_pandas() -> ModuleType:
    """Return the package.

    Raises:
        RunError: it is not installed.
    """
    try:
        import pandas
    except ImportError as error:
        raise RunError("to_frame needs pandas: pip install 'seqff[pandas]'") from error
    return pandas  # type: ignore[no-any-return]
