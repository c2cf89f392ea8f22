"""Warnings about results: too few videos, no effect of training, groups that were probably forgotten."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from seqff.probes.labels import listing
from seqff.probes.results import ArrayResult
from seqff.terminal import counted

FEW_VIDEOS, FEW_OF_A_CLASS = 30, 5
SUBJECTS = frozenset(
    {"actor", "animal", "cam", "camera", "day", "g", "group", "mouse", "p", "participant", "patient", "person", "rat"}
    | {"rec", "recording", "s", "scene", "session", "site", "subj", "subject", "user"}
)
"""Words that, before a number, suggest that videos belong together."""
_GAP = "[-_. ]+"


def too_little(videos_per_class: Mapping[str, int], videos: int) -> list[str]:
    """Warn about too few labeled videos, per class and in total."""
    notes = []
    if videos < FEW_VIDEOS:
        notes.append(
            f"only {counted(videos, 'video')}: a difference has to be large to be more than chance; "
            f"{FEW_VIDEOS} say more"
        )
    small = [name for name, count in videos_per_class.items() if count < FEW_OF_A_CLASS]
    if small:
        notes.append(f"{listing(small, 'class', 'classes')} with fewer than {FEW_OF_A_CLASS} videos")
    return notes


def untrained_network(network: Mapping[str, object] | None) -> list[str]:
    """Warn if the features come from a network (settings of an extraction) without trained weights."""
    if not network or network.get("weights"):
        return []
    return [f"{network.get('name')} was extracted without weights: what stands as trained is an untrained net"]


def nothing_learned(
    layers: Mapping[str, ArrayResult], untrained: Mapping[str, ArrayResult], majority: float
) -> list[str]:
    """Warn if no layer beats the majority class, or if training changed no layer's accuracy."""
    notes = []
    if layers and all(layer.interval[0] <= majority for layer in layers.values()):
        notes.append(
            f"no layer is above the majority's {majority:.3f} by more than chance: are the labels right, and is there "
            "enough of each class?"
        )
    if untrained and all(layers[name].accuracy == before.accuracy for name, before in untrained.items()):
        notes.append("every difference to the untrained net is 0: was anything trained, and long enough?")
    return notes


def forgotten_groups(videos: Sequence[str], labels: Sequence[str]) -> list[str]:
    """Find a part of the file names that looks like a subject, camera or recording shared by several videos.

    Returns:
        A warning with the `--groups` that would keep such videos together; empty if no part looks like one.
    """
    paths = [PurePosixPath(video) for video in videos]
    if all(len(path.parts) > 2 for path in paths):
        shared = _shared([path.parts[-2] for path in paths], labels)
        if shared:
            return [_note("folders", shared, "folder")]
    parts = [re.split(_GAP, path.stem) for path in paths]
    for place in range(min(map(len, parts), default=0)):
        last = all(len(part) == place + 1 for part in parts)
        shared = _shared([part[place] for part in parts], labels, last=last)
        if shared:
            before = f"(?:[^-_. ]+{_GAP}){{{place}}}" if place else ""
            return [_note("names", shared, f"'^{before}(?P<group>[^-_. ]+)'")]
    return []


def _note(where: str, shared: Sequence[str], groups: str) -> str:
    few = ", ".join(shared[:3])
    return (
        f"no groups were given, but {where} of files share what looks like a subject or a recording ({few}, ...): "
        f"videos of one stand on both sides of a split, and accuracies may be too high; "
        f"--groups {groups} keeps them together"
    )


def _shared(values: Sequence[str], labels: Sequence[str], *, last: bool = False) -> list[str]:
    """Return the sorted values if each seems to name something shared by videos of several classes, else nothing."""
    classes: dict[str, Counter[str]] = defaultdict(Counter)
    for value, label in zip(values, labels, strict=True):
        classes[value][label] += 1
    across = [value for value, found in classes.items() if len(found) > 1]
    if not 3 <= len(classes) <= len(values) / 2 or len(across) < 0.8 * len(classes):
        return []
    words = {re.sub(r"\d+", "", value).lower() for value in classes}
    repeated = sum(max(found.values()) > 1 for found in classes.values()) > len(classes) / 2
    counted = len(words) == 1 and not words & SUBJECTS  # as in clip1, clip2, ...: a counter that restarts
    return [] if counted and (last or not repeated) else sorted(classes)
