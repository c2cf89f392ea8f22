"""How results are shown in notebooks, and as tables of pandas."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from types import ModuleType

from seqff.errors import RunError

MOST_ROWS = 30


def html_table(title: str, rows: Sequence[Iterable[object]], notes: Iterable[str] = ()) -> str:
    """Return rows of cells, the first one with the headings, as HTML; all text is escaped.

    Args:
        title: stands above.
        rows: of these at most `MOST_ROWS` are shown, and the number of the others.
        notes: lines below.
    """

    def line(cells: Iterable[object], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{html.escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"

    head, *body = rows
    more = [f"... and {len(body) - MOST_ROWS} more"] if len(body) > MOST_ROWS else []
    table = line(head, "th") + "".join(line(row, "td") for row in body[:MOST_ROWS])
    below = "".join(f"<p>{html.escape(note)}</p>" for note in [*more, *notes])
    return f"<p><b>{html.escape(title)}</b></p><table>{table}</table>{below}"


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
