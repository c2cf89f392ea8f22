"""What a part of the page is."""

from __future__ import annotations

from dataclasses import dataclass

from seqff.report.html import Content, Html, join, tag


@dataclass(frozen=True)
class Section:
    """A question and its answer.

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
