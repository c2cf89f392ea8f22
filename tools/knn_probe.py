"""Nearest neighbors on a feature store: accuracy for k = 10, 20, 100 and 200, split by whole videos and groups.

Nothing is fitted, so it takes seconds; the linear probe is `seqff probe`.

Example:
    python tools/knn_probe.py features/first --groups '(?P<group>[a-z]+)_'
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

import seqff
from seqff.probes import NEIGHBORS, make_folds, read_groups, read_labels


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, help="feature store of `seqff extract`")
    parser.add_argument("--labels", default="folder", help="'folder' (default: LABEL/name.mp4) or a CSV video,label")
    parser.add_argument("--groups", help="'folder', a CSV video,group, or a regular expression for the file name")
    parser.add_argument("--folds", type=int, help="folds (default: one per group up to 20 groups, else 5)")
    parser.add_argument("--temperature", type=float, default=0.07, help="of the votes; smaller favors the nearest")
    parser.add_argument("--seed", type=int, default=0, help="of the folds")
    parser.add_argument("--json", action="store_true", help="print the accuracies as JSON")
    return parser.parse_args(arguments)


def accuracies(options: argparse.Namespace) -> dict[str, dict[int, float | None]]:
    """Return accuracies by array and k; None if a fold trains on fewer than k rows."""
    store = seqff.FeatureStore.open(options.features)
    paths, hashes = [video.path for video in store.videos], [video.content_hash for video in store.videos]
    labels = read_labels(paths, options.labels, without_features=store.skipped)
    groups = read_groups(paths, options.groups, content_hashes=hashes, without_features=store.skipped)
    folds = make_folds(labels, groups, folds=options.folds, rng=np.random.default_rng([options.seed, 0]))
    place = {path: number for number, path in enumerate(paths)}
    video = np.array([place[path] for path in store.index.video])
    label = np.array(labels)[video]
    found: dict[str, dict[int, float | None]] = {}
    for name in store.names:
        rows, right = store.to_numpy(name), {k: np.zeros(0, dtype=bool) for k in NEIGHBORS}
        for fold in folds:
            tested = np.isin(video, fold.test)
            probe = seqff.KNNProbe(temperature=options.temperature).fit(rows[~tested], label[~tested])
            ks = [k for k in NEIGHBORS if k <= (~tested).sum()]
            for k, votes in zip(ks, probe.votes(rows[tested], ks), strict=True):
                answers = probe.classes_[votes.argmax(dim=1).cpu().numpy()]
                right[k] = np.append(right[k], answers == label[tested])
        found[name] = {k: float(hits.mean()) if len(hits) == len(label) else None for k, hits in right.items()}
    return found


def main(arguments: list[str] | None = None) -> int:
    """Classify and print the table."""
    options = parse(arguments)
    try:
        found = accuracies(options)
    except (seqff.SeqffError, OSError, ValueError) as error:
        print(f"knn_probe: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    print(f"{'features':<20}" + "".join(f"  k={k:<4}" for k in NEIGHBORS))
    for name, row in found.items():
        print(f"{name:<20}" + "".join("  -     " if row[k] is None else f"  {row[k]:.3f} " for k in NEIGHBORS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
