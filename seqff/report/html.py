"""Safe HTML: plain strings are text and are escaped; only `Html` is inserted unchanged."""

from __future__ import annotations

import base64
import html
import itertools
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

VOID = frozenset({"meta", "link", "img", "br", "hr"})


class Html(str):
    """A piece of HTML, created by `tag` and `join`; all other strings are escaped."""

    __slots__ = ()


Content = str | int | float | None
"""Allowed content of an element: Html is inserted unchanged, other strings and numbers as text, None as nothing."""


def text(content: Content) -> Html:
    """Return content as HTML: Html unchanged, everything else escaped."""
    if isinstance(content, Html):
        return content
    return Html("" if content is None else html.escape(visible(str(content))))


def visible(words: str) -> str:
    """Replace characters that are invalid in a page or deceptive (lone surrogates, controls) by visible ones."""
    words = words.encode("utf-8", "backslashreplace").decode("utf-8")
    shown = (mark in "\n\t" or not unicodedata.category(mark).startswith("C") for mark in words)
    return "".join(mark if fine else f"\\u{ord(mark):04x}" for mark, fine in zip(words, shown, strict=True))


def join(*contents: Content) -> Html:
    """Concatenate contents."""
    return Html("".join(text(content) for content in contents))


def tag(name: str, /, *contents: Content, **attributes: Content) -> Html:
    """Return an element.

    Args:
        name: name of the element.
        contents: its content, see `text`.
        attributes: a trailing underscore is dropped (`class_`), other underscores become hyphens; None omits an
            attribute, and an empty string adds it without a value.
    """
    parts = [name]
    for key, value in attributes.items():
        if value is not None:
            key = key.rstrip("_").replace("_", "-") if key != "viewBox" else key
            parts.append(key if value == "" else f'{key}="{html.escape(visible(str(value)))}"')
    if name in VOID:
        return Html(f"<{' '.join(parts)}>")
    return Html(f"<{' '.join(parts)}>{join(*contents)}</{name}>")


def table(header: Sequence[Content], rows: Sequence[Sequence[Content]], *, id_: str | None = None) -> Html:
    """Return a table that scrolls sideways on narrow screens, and indicates it.

    Args:
        header: one content per column.
        rows: contents; numbers are right-aligned.
        id_: id of the surrounding element.
    """
    numbers = [isinstance(cell, (int, float)) for cell in rows[0]] if rows else []
    heads = [
        tag("th", title, scope="col", class_="number" if number else None)
        for title, number in itertools.zip_longest(header, numbers)
    ]
    body = [tag("tr", *map(_cell, row)) for row in rows]
    return scrolling(tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body)), id_=id_)


def scrolling(content: Html, *, id_: str | None = None) -> Html:
    """Return wide content in a box that scrolls sideways; the page's script indicates it."""
    inner = tag("div", content, class_="scroll", tabindex="0", role="region", aria_label="table")
    hint = tag("p", "More to the right: scroll sideways \u2192", class_="more", hidden="")
    return tag("div", inner, hint, class_="wide", id=id_)


def _cell(content: Content) -> Html:
    if not isinstance(content, (int, float)):
        return tag("td", content)
    grouped = f"{content:,}".replace(",", "\u202f") if isinstance(content, int) and content >= 10_000 else content
    return tag("td", grouped, class_="number")


def figure(id_: str, content: Html, caption: Content) -> Html:
    """Return a figure with its caption; tests and links refer to its `id_`."""
    return tag("figure", content, tag("figcaption", caption), id=id_)


def absent(why: str) -> Html:
    """Return a sentence in place of content that cannot be shown."""
    return tag("p", why, class_="absent")


def absent_figure(id_: str, why: str, what: str) -> Html:
    """Return an empty figure with the reason, captioned with what it would show."""
    return figure(id_, absent(why), f"{what}: absent.")


def data_block(id_: str, content: Any) -> Html:
    """Return JSON for the page's script, without any `<`, so that no name can end the block."""
    plain = json.dumps(content, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{id_}">{plain}</script>')


def data_uri(kind: str, content: bytes) -> str:
    """Return bytes as a data URI, such as data:image/png;base64,..."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Section:
    """A part of the page: a question and its answer.

    Args:
        id: id in the page.
        short: its name in the table of contents.
        question: its heading.
        answer: one or two sentences, before the evidence.
        body: the evidence.
    """

    id: str
    short: str
    question: str
    answer: Content
    body: Html

    def render(self) -> Html:
        """Return the section as HTML."""
        answer = tag("p", self.answer, class_="answer")
        return tag("section", join(tag("h2", self.question), answer, self.body), id=self.id)
