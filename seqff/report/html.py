"""HTML that cannot be broken by what it shows: a plain string is text and is escaped, only `Html` is taken as it is."""

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
    """A piece of HTML, made by `tag` and `join`; everything else in seqff is plain `str` and gets escaped."""

    __slots__ = ()


Content = str | int | float | None
"""What may stand in an element: Html as it is, other strings and numbers as text, None as nothing."""


def text(content: Content) -> Html:
    """Return content as HTML: Html as it is, everything else escaped."""
    if isinstance(content, Html):
        return content
    return Html("" if content is None else html.escape(visible(str(content))))


def visible(words: str) -> str:
    """Make characters visible that a page cannot hold or that deceive: half surrogates, controls."""
    words = words.encode("utf-8", "backslashreplace").decode("utf-8")
    shown = (mark in "\n\t" or not unicodedata.category(mark).startswith("C") for mark in words)
    return "".join(mark if fine else f"\\u{ord(mark):04x}" for mark, fine in zip(words, shown, strict=True))


def join(*contents: Content) -> Html:
    """Return several contents one after another."""
    return Html("".join(text(content) for content in contents))


def tag(name: str, /, *contents: Content, **attributes: Content) -> Html:
    """Return an element.

    Args:
        name: of the element.
        contents: what stands in it, see `text`.
        attributes: a trailing underscore is dropped (`class_`), the others become hyphens; None leaves one out, and an
            empty string gives it without a value.
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
    """Return a table that scrolls sideways by itself where the screen is narrow, and says so then.

    Args:
        header: one content a column.
        rows: contents; numbers stand to the right.
        id_: of the element around it.
    """
    numbers = [isinstance(cell, (int, float)) for cell in rows[0]] if rows else []
    heads = [
        tag("th", title, scope="col", class_="number" if number else None)
        for title, number in itertools.zip_longest(header, numbers)
    ]
    body = [tag("tr", *map(_cell, row)) for row in rows]
    return scrolling(tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body)), id_=id_)


def scrolling(content: Html, *, id_: str | None = None) -> Html:
    """Return something wide that scrolls sideways by itself; the page's script says so where it does."""
    inner = tag("div", content, class_="scroll", tabindex="0", role="region", aria_label="table")
    hint = tag("p", "More to the right: scroll sideways \u2192", class_="more", hidden="")
    return tag("div", inner, hint, class_="wide", id=id_)


def _cell(content: Content) -> Html:
    if not isinstance(content, (int, float)):
        return tag("td", content)
    grouped = f"{content:,}".replace(",", "\u202f") if isinstance(content, int) and content >= 10_000 else content
    return tag("td", grouped, class_="number")


def figure(id_: str, content: Html, caption: Content) -> Html:
    """Return a figure with its caption; `id_` is what tests and links know it by."""
    return tag("figure", content, tag("figcaption", caption), id=id_)


def absent(why: str) -> Html:
    """Return a sentence in the place of something that cannot be shown."""
    return tag("p", why, class_="absent")


def absent_figure(id_: str, why: str, what: str) -> Html:
    """Return a figure that says why it shows nothing, captioned with what it would show."""
    return figure(id_, absent(why), f"{what}: absent.")


def data_block(id_: str, content: Any) -> Html:
    """Return JSON for the page's script; no `<` is left in it, so that no name can end the block."""
    plain = json.dumps(content, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{id_}">{plain}</script>')


def data_uri(kind: str, content: bytes) -> str:
    """Return bytes as an address that holds them, such as data:image/png;base64,..."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Section:
    """A part of the page: a question and its answer.

    Args:
        id: in the page.
        short: its name in the list of contents.
        question: its heading.
        answer: in a sentence or two, before the evidence.
        body: the evidence.
    """

    id: str
    short: str
    question: str
    answer: Content
    body: Html

    def render(self) -> Html:
        """Return it as HTML."""
        answer = tag("p", self.answer, class_="answer")
        return tag("section", join(tag("h2", self.question), answer, self.body), id=self.id)
