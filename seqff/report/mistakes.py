"""Errors of the probes: confusions, accuracy by class, and misclassified clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seqff.report.activations import ActivationSample
from seqff.report.data import Probe, ReportData
from seqff.report.html import Content, Html, Section, absent, absent_figure, figure, join, scrolling, table, tag
from seqff.report.images import ImageStore, heat, png, strip

MOST_CELLS = 24
"""Up to this number of classes, confusions are a table of counts; beyond, a picture."""
MOST_ROWS = 60
"""Maximum number of classes listed, worst first."""
PAIRS = 5
"""Number of confusions named."""
WRONG_PER_LAYER, MOST_WRONG = 12, 48
"""Misclassified clips chosen per layer, and shown in total."""
MOST_BYTES = 3_500_000
"""Limit on the bytes of frames in the page up to which frames of misclassified clips are added."""


@dataclass(frozen=True)
class Answered:
    """A video and its predictions from every array.

    Args:
        video: its path.
        label: its class.
        said: by array, the most frequent prediction for its rows.
    """

    video: str
    label: str
    said: Mapping[str, str]

    def wrong(self) -> list[str]:
        """Return the arrays whose prediction is not its label."""
        return [name for name, answer in self.said.items() if answer != self.label]


def answered(probe: Probe) -> list[Answered]:
    """Return the videos of a probe; a video with several labels for its parts occurs once with each."""
    votes: dict[tuple[str, str], dict[str, Counter[str]]] = {}
    for row in probe.answers:
        counts = votes.setdefault((row["video"], row["label"]), {name: Counter() for name in probe.arrays})
        for name, count in counts.items():
            count[row[name]] += 1
    return [
        Answered(video, label, {name: count.most_common(1)[0][0] for name, count in counts.items()})
        for (video, label), counts in votes.items()
    ]


def choose_wrong(probe: Probe) -> list[Answered]:
    """Choose misclassified videos per layer, starting with the best; those that most layers get wrong come first."""
    layers = [layer["name"] for layer in probe.content["layers"] if layer["name"] in probe.arrays]
    every = answered(probe)
    every.sort(key=lambda one: (-sum(one.said[layer] != one.label for layer in layers), one.video))
    chosen: dict[int, Answered] = {}
    for layer in sorted(layers, key=lambda layer: layer != probe.best_layer):
        wrong = [(place, one) for place, one in enumerate(every) if one.said[layer] != one.label]
        chosen |= dict(wrong[:WRONG_PER_LAYER])
    return [chosen[place] for place in sorted(list(chosen)[:MOST_WRONG])]


def confusion(probe: Probe, array: str, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the (K, K) confusion matrix: true classes as rows, predictions as columns."""
    number = {name: place for place, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for row in probe.answers:
        counts[number[row["label"]], number[row[array]]] += 1
    return counts


def mistakes(data: ReportData, sample: ActivationSample | None, images: ImageStore, why: str) -> Section:
    """Show each probe's confusions and accuracies by class, and the misclassified clips of the first."""
    question = "What does it get wrong?"
    probes = [probe for probe in data.probes if probe.best_layer in probe.arrays]
    if not probes:
        words = (
            "The results given have no predictions.csv with the answers of their layers."
            if data.probes
            else "No probe was given; it says which videos each layer answers wrongly."
        )
        body = join(
            absent_figure("figure-confusion", words, "Confusions"),
            absent_figure("figure-wrong", words, "Wrong clips"),
        )
        return Section("mistakes", "mistakes", question, "Not known.", body)
    parts = [_probe(probe, number, sample, images, why, several=len(probes) > 1) for number, probe in enumerate(probes)]
    return Section("mistakes", "mistakes", question, _answer(probes[0]), join(*parts))


def _answer(probe: Probe) -> str:
    best, videos = probe.best_layer, answered(probe)
    wrong = sum(one.said[best] != one.label for one in videos)
    classes = _classes(probe)
    pairs = _pairs(confusion(probe, best, classes), classes)
    most = f" Most often {pairs[0]}." if pairs else ""
    return f"The best layer, {best}, gets {wrong} of {len(videos)} videos wrong.{most}"


def _classes(probe: Probe) -> list[str]:
    return sorted({row[name] for row in probe.answers for name in ("label", *probe.arrays)})


def _pairs(counts: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    """Name the most frequent confusions."""
    off = counts - np.diag(np.diag(counts))
    order = np.argsort(-off, axis=None, kind="stable")[:PAIRS]
    places = [divmod(int(place), len(classes)) for place in order]
    return [
        f"{classes[true]} is taken for {classes[said]} ({off[true, said]} of {counts[true].sum()})"
        for true, said in places
        if off[true, said]
    ]


def _probe(
    probe: Probe, number: int, sample: ActivationSample | None, images: ImageStore, why: str, *, several: bool
) -> Html:
    """Show a probe, with a choice of the array."""
    classes, best = _classes(probe), probe.best_layer
    ending = f"-{number + 1}" if number else ""
    options = [
        tag("option", name, value=place, selected="" if name == best else None)
        for place, name in enumerate(probe.arrays)
    ]
    choice = tag("label", "Answers of ", tag("select", *options), class_="choose", hidden="")
    panels = [_panel(probe, place, name, classes, hidden=name != best) for place, name in enumerate(probe.arrays)]
    rows = "videos" if probe.content.get("per", "video") == "video" else f"{probe.content['per']}s"
    caption = (
        f"Counts of {rows}: the true class down, the answer across, in a stronger color for a larger share of the "
        "class; right answers lie on the diagonal. Beside it, how many of each class are right, and what it is most "
        "often taken for."
    )
    shown = figure(f"figure-confusion{ending}", join(*panels), caption)
    clips = None if number else _wrong(probe, sample, images, why)
    head = tag("h3", "Probe ", tag("code", probe.name)) if several else None
    return tag("div", head, choice, shown, clips, class_="choice")


def _panel(probe: Probe, place: int, array: str, classes: Sequence[str], *, hidden: bool) -> Html:
    counts = confusion(probe, array, classes)
    pairs = [tag("li", words) for words in _pairs(counts, classes)]
    right, total = int(np.trace(counts)), int(counts.sum())
    head = tag("h4", array, f": {right} of {total} right ({right / max(total, 1):.0%})")
    listed = tag("ul", *pairs) if pairs else tag("p", "Nothing is confused.")
    body = join(_matrix(counts, classes, array), tag("h4", "Most often confused"), listed)
    other = f"untrained/{array}"
    before = confusion(probe, other, classes) if other in probe.arrays else None
    table_ = join(tag("h4", "By class"), _by_class(counts, before, classes))
    split = tag("div", tag("div", head, body), tag("div", table_), class_="halves")
    return tag("div", split, data_array=place, hidden="" if hidden else None)


def _matrix(counts: NDArray[np.int64], classes: Sequence[str], array: str) -> Html:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if len(classes) > MOST_CELLS:
        return png(heat(shares), name=f"confusions of {array}, classes in the order of their names")
    head = tag("tr", tag("td"), *(tag("th", tag("span", name), scope="col") for name in classes))
    body = [
        tag("tr", tag("th", name, scope="row"), *(_count(int(n), share) for n, share in zip(row, part, strict=True)))
        for name, row, part in zip(classes, counts, shares.tolist(), strict=True)
    ]
    return scrolling(tag("table", tag("thead", head), tag("tbody", *body), class_="confusion"))


def _count(count: int, share: float) -> Html:
    style = f"--share:{share:.2f}" if count else None
    return tag("td", count or "", style=style)


def _by_class(counts: NDArray[np.int64], before: NDArray[np.int64] | None, classes: Sequence[str]) -> Html:
    total, right = counts.sum(axis=1), np.diag(counts)
    off, there = counts - np.diag(right), np.flatnonzero(total)
    known = len(there)
    if known > MOST_ROWS:
        there = there[np.argsort(right[there] / total[there], kind="stable")[:MOST_ROWS]]
    rows: list[list[Content]] = []
    for place in there.tolist():
        taken = f"{classes[int(off[place].argmax())]} ({off[place].max()})" if off[place].any() else ""
        row: list[Content] = [classes[place], f"{right[place] / total[place]:.0%}", f"{right[place]} of {total[place]}"]
        row += [f"{before[place, place]} of {total[place]}"] if before is not None else []
        rows.append([*row, taken])
    header = ["class", "right", "count", *(["untrained"] if before is not None else []), "most often taken for"]
    more = tag("p", f"The {MOST_ROWS} classes with the lowest accuracy, of {known}.") if known > MOST_ROWS else None
    return join(more, table(header, rows))


def _wrong(probe: Probe, sample: ActivationSample | None, images: ImageStore, why: str) -> Html:
    """Show misclassified clips: initially those of the best layer; the page's script shows those of others."""
    videos, chosen, best = answered(probe), choose_wrong(probe), probe.best_layer
    if sample is None:
        return absent_figure("figure-wrong", why, "Wrong clips")
    cards = [_card(probe, one, sample, images, hidden=best not in one.wrong()) for one in chosen]
    notes = []
    for place, name in enumerate(probe.arrays):
        wrong = sum(one.said[name] != one.label for one in videos)
        shown = sum(name in one.wrong() for one in chosen)
        which = f"; {'all' if shown == wrong else shown} are shown" if wrong else ""
        words = f"{name} gets {wrong or 'none'} of {len(videos)} videos wrong{which}."
        notes.append(tag("p", words, data_array=place, hidden=None if name == best else ""))
    caption = (
        "Each video by a few frames from its first to its last, its true class, and what each layer says of it. Those "
        "that most layers get wrong come first."
    )
    return figure("figure-wrong", join(tag("h3", "Wrong clips"), *notes, tag("div", *cards, class_="clips")), caption)


def _card(probe: Probe, one: Answered, sample: ActivationSample, images: ImageStore, *, hidden: bool) -> Html:
    """Show a misclassified clip with the prediction of the chosen layer, and those of all layers in small print."""
    clip, best = sample.films.get(one.video), probe.best_layer
    if clip is None:
        pictures = absent(f"No frames: {sample.failed.get(one.video, 'not among the videos of this run')}")
    else:
        moments = range(len(clip.frames)) if images.bytes < MOST_BYTES else [len(clip.frames) // 2]
        numbers = [images.add(clip.video, int(clip.frames[at]), clip.pictures[at]) for at in moments]
        shown = [(number, str(clip.frames[at])) for number, at in zip(numbers, moments, strict=True)][1::2]
        cells = [(images.show(number, name=f"{clip.video}, frame {frame}"), frame) for number, frame in shown]
        pictures = tag("div", images.player(numbers, name=clip.video), strip(cells), class_="film")
    said = [
        tag("span", f"{name} says ", tag("b", one.said[name]), data_array=place, hidden=None if name == best else "")
        for place, name in enumerate(probe.arrays)
    ]
    words = tag("p", tag("b", one.video), tag("span", "true: ", tag("b", one.label)), *said)
    answers = []
    for name, answer in one.said.items():
        if "/" not in name:
            class_, mark = ("right", "\u2713") if answer == one.label else ("miss", "\u2717")
            answers.append(tag("li", f"{name}: {answer} {mark}", class_=class_))
    wrong = " ".join(str(probe.arrays.index(name)) for name in one.wrong())
    every = tag("ul", *answers, class_="answers")
    return tag("article", pictures, words, every, data_wrong=wrong, hidden="" if hidden else None)
