"""A page as parsed by a browser: elements, attributes, text."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr"}


@dataclass
class Element:
    """An element: its name, its attributes, and its text."""

    name: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A parsed page.

    Attributes:
        elements: elements in document order.
    """

    elements: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Close an element, which must be the last one opened."""
        assert self._open.pop().name == tag

    def handle_data(self, data: str) -> None:
        """Add text to every open element."""
        for element in self._open:
            element.text += data

    def all(self, name: str) -> list[Element]:
        """Return the elements of a name."""
        return [element for element in self.elements if element.name == name]

    def by_id(self, id_: str) -> Element:
        """Return the element with an id."""
        (element,) = [element for element in self.elements if element.attributes.get("id") == id_]
        return element


def read_page(content: str) -> Page:
    """Parse a page; every element must be closed."""
    page = Page()
    page.feed(content)
    page.close()
    assert not page._open
    return page
