"""What a search passed by, so that nothing is dropped in silence."""

from __future__ import annotations

from collections import Counter

from seqff.files import printable

_SHOWN = 5


class PassedBy:
    """Counts and names what is no video, or is not taken for one."""

    def __init__(self) -> None:
        self._endings: Counter[str] = Counter()
        self._named: dict[str, list[str]] = {}

    def file(self, ending: str) -> None:
        """Counts a file by its ending."""
        self._endings[ending] += 1

    def name(self, what: str, *names: str) -> None:
        """Names folders or files under what they are."""
        if names:
            self._named.setdefault(what, []).extend(names)

    def lines(self) -> tuple[str, ...]:
        """Returns one line for the files and one for each other kind of thing; none if nothing was passed by."""
        kinds = [f"{count} {ending or 'without an ending'}" for ending, count in self._endings.most_common()]
        files = [f"passed by: {_counted(self._endings.total(), 'file')} ({_some(kinds)})"] if kinds else []
        return (*files, *(f"passed by: {what}: {_listed(names)}" for what, names in self._named.items()))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _listed(names: list[str]) -> str:
    return f"{len(names)} ({_some([printable(name) for name in sorted(names)])})"


def _some(texts: list[str]) -> str:
    return ", ".join(texts[:_SHOWN] + ["..."] * (len(texts) > _SHOWN))
